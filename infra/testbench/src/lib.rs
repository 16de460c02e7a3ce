//! One service within a test's process: a database of its own on the test binary's Postgres, a clock that stands, and
//! callers, pets and collars that exist because the test says so.
//!
//! A service's tests say in a [`Plan`] which service it is, [`Plan::lay`] a [`Bench`], make their worker and their handler
//! from [`Bench::base`], and hand them to [`Bench::employ`] and [`Bench::guard`]. What the service asks auth is answered by
//! the [`Table`] and by [`Pets`].
//!
//! Invariants: nothing is shared between two benches but the servers; what a bench started ends when it is dropped. For
//! tests alone: whatever does not work panics and says what it was.

mod alone;
mod bench;
mod events;
mod pets;
mod plan;
mod refusal;
mod rows;
mod serve;
mod streams;
mod table;
mod tokens;
mod wait;

pub use alone::runs_alone;
pub use bench::Bench;
pub use events::Written;
pub use pets::{Pets, a_cat, a_dog};
pub use plan::{Plan, SHARDS, at, now};
pub use refusal::{field, fields, reason};
pub use serve::in_process;
pub use table::Table;
pub use tokens::Badge;
pub use wait::eventually;
