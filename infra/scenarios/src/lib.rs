//! Made-up pets whose every second is known: what the behaviour interpreter is held against.
//!
//! A pet has a body ([`physiology`]), days ([`plan`]), a way through them second by second ([`life`]) and a collar that sees
//! little of it ([`collar`]). What it really did is kept as [`Stretch`]es beside the [`Reading`]s, and what was injected
//! into its health as [`Event`]s.
//!
//! Invariants: a recording is a function of its [`Setup`] and the pet's number alone (no clock, no I/O); the parameters come
//! from the literature or from recordings of real animals, named beside each one, and none of them from a rule of an
//! interpreter. This crate was written before the interpreter that it measures, and is not changed for its sake.
//!
//! Sources: "domain.md" is the design's page of the field's numbers; "Jarkoff 2023" are 896 recordings of 30 dogs at rest at
//! home (doi 10.5281/zenodo.8020390), from which spreads were computed anew: means of 30 s windows have an SD within
//! a recording of 4.4 bpm (median; 3.5 where the mean is under 65, 8.7 from 80 on), and windows next to each other do not
//! correlate; a dog's recordings differ by an SD of 6.4, dogs by 10.8. (~) marks textbook values and plain guesses.

pub mod chance;
pub mod collar;
pub mod doing;
pub mod life;
pub mod path;
pub mod physiology;
pub mod plan;
mod recording;

pub use collar::{Fix, Reading};
pub use doing::{Doing, Label};
pub use physiology::{Pet, Size, Species};
pub use plan::{Event, Injection, Stretch};
pub use recording::{Recording, Setup, record};

/// Microseconds in a second.
pub const SECOND: i64 = 1_000_000;
/// Seconds in a day.
pub const DAY_S: i64 = 86_400;
/// When each recording begins: midnight of a Monday, 2026-01-05 UTC, seconds since 1970. The pets live by UTC.
pub const EPOCH_S: i64 = 1_767_571_200;
