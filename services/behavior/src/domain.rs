//! What a pet did, read from what its collar said: pure and synchronous.
//!
//! Invariant: the episodes are a function of the *set* of readings. Arrival order, batching, repeats and redelivery
//! change nothing. [`v1::interpret`] is that function; [`v1::Head`] computes it as readings arrive, in bounded space, and
//! says what changed. [`interpret`] is the first interpreter, `spine/1`, against which the second is judged ([`rules`]).

pub mod alerts;
mod canon;
mod day;
mod episode;
pub mod geo;
pub mod history;
pub mod kin;
mod label;
mod movement;
pub mod rules;
pub mod telling;
#[cfg(test)]
mod tests;
pub mod v1;
pub mod zone;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use day::{Hour, Stretch, Totals, nights};
pub use episode::{Episode, Evidence};
pub use kin::{Build, Kin, Size, Stage};
pub use petty_chassis::calendar::{Bounds, touched};
pub use petty_chassis::types::Behavior;

/// One reading of one pet. An absent value is unknown, never zero.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// When it was taken; kept to the microsecond.
    pub at: Timestamp,
    /// Beats per minute, 30 to 300.
    pub heart_rate: Option<f64>,
    /// 0 rest, 1 moderate, 2 high; what the pet did since the reading before.
    pub activity_level: Option<u8>,
    /// Breaths per minute, where the collar counts them.
    pub respiratory_rate: Option<f64>,
    /// Where the pet was.
    pub position: Option<Position>,
}

/// A fix, WGS 84.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Position {
    /// Degrees, −90 to 90.
    pub latitude: f64,
    /// Degrees, −180 to 180.
    pub longitude: f64,
    /// The fix's own radius of error in metres, where the collar states one.
    pub accuracy_m: Option<f64>,
}

/// What the priors depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Species {
    /// Canis familiaris.
    Dog,
    /// Felis catus.
    Cat,
}

/// What is known of the pet and its collar besides the readings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Params {
    /// Chooses the priors.
    pub species: Species,
    /// The collar's declared sampling interval; without it the interval is learned from the readings around each gap.
    pub sampling_interval: Option<SignedDuration>,
    /// Size and age, which its first figures depend on, as far as they are known.
    pub build: Build,
}

impl Params {
    /// No declared interval.
    pub const fn of(species: Species) -> Self {
        Self { species, sampling_interval: None, build: Build::UNKNOWN }
    }

    /// The same, of a pet of which more is known.
    pub const fn of_kin(Kin { species, build }: Kin) -> Self {
        Self { species, sampling_interval: None, build }
    }

    /// Whom the pet is like.
    pub const fn kin(&self) -> Kin {
        Kin { species: self.species, build: self.build }
    }
}

/// What one flush changed; everything not named stands as it was.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Changes {
    /// New and revised episodes, by start.
    pub upserts: Vec<EpisodeChange>,
    /// Episodes that are no more.
    pub superseded: Vec<Superseded>,
}

impl Changes {
    /// The collar says nothing: nothing goes on. The digests are of what would: should it, that is another.
    pub fn end(&mut self) {
        for change in self.upserts.iter_mut().filter(|change| change.episode.open) {
            (change.episode.open, change.digest) = (false, 0);
        }
    }

    /// True where no episode changed.
    pub fn is_empty(&self) -> bool {
        self.upserts.is_empty() && self.superseded.is_empty()
    }
}

/// An episode as it now is.
#[derive(Debug, Clone, PartialEq)]
pub struct EpisodeChange {
    /// Stays the same for as long as the episode lives, however it is revised.
    pub id: Uuid,
    /// 1 for a new one, then up by one with each change.
    pub version: u64,
    /// The whole of it; `episode.open` is its status.
    pub episode: v1::Episode,
    /// Of all of it, so that an unchanged one is told from a changed one.
    pub digest: i64,
    /// Its start and end before, where it was told before.
    pub was: Option<(Timestamp, Timestamp)>,
}

/// An episode that later readings undid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Superseded {
    /// The id that no longer stands.
    pub id: Uuid,
    /// Its last version, one above any it had.
    pub version: u64,
    /// The episodes that now cover its time, by start; empty where none does.
    pub replaced_by: Vec<Uuid>,
}

/// The episodes of a set of readings, by start. Order and repeats do not matter; see [`rules`] for the whole rule.
pub fn interpret(params: &Params, readings: &[Reading]) -> Vec<Episode> {
    let samples = canon::canonical(readings);
    let labels = label::label(&samples, params);
    let newest = samples.last().map_or(i64::MIN, |sample| sample.at);
    let folds = episode::fold(&samples, &labels, 0..labels.intervals.len(), None);
    folds.iter().map(|fold| fold.episode(newest)).collect()
}
