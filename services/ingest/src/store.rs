//! The only place with SQL.
//!
//! Invariants: a reading, its collar's latest state and its place in `readings.accepted` are committed together; what a
//! flush locks, it locks in one order (shards, readings, pets' collars, latest states, each sorted), so that two flushes
//! cannot deadlock; sums of minutes and hours follow from readings, and are never behind a note that is gone; nothing of an erased pet is written after its tombstone, or read.

mod announce;
mod append;
mod collars;
mod columns;
mod copy;
mod erase;
mod group;
mod latest;
mod list;
mod partitions;
mod points;
mod rollups;
mod silence;

use jiff::Timestamp;
use petty_chassis::postgres::Db;
use petty_chassis::types::{Clock, CollarId, PetId};
use petty_chassis::{Context, Tasks};

pub use append::Outcome;
pub use group::Unwritten;
pub use list::{Page, Place};
pub use partitions::Retention;
pub use silence::Looked;

use crate::domain::reading::Signals;
use crate::realtime::Realtime;

/// Ingest's database. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Store {
    db: Db,
    clock: Clock,
    shards: i16,
    keys: collars::Keys,
    pairs: collars::Pairs,
    group: group::Group,
    doubt: append::Doubt,
    tasks: Tasks,
    realtime: Option<Realtime>,
}

impl Store {
    /// Over a migrated database.
    #[must_use]
    pub fn new(context: &Context, db: &Db, shards: i16) -> Self {
        Self {
            db: db.clone(),
            clock: context.clock.clone(),
            shards,
            keys: collars::Keys::default(),
            pairs: collars::Pairs::default(),
            group: group::Group::default(),
            doubt: append::Doubt::default(),
            tasks: context.tasks.clone(),
            realtime: None,
        }
    }

    /// The same, which answers what is newest from Redis where it can.
    #[must_use]
    pub fn serving_from(self, realtime: Realtime) -> Self {
        Self { realtime: Some(realtime), ..self }
    }
}

/// A reading as it is stored.
#[derive(Clone, Debug, PartialEq)]
pub struct Stored {
    /// The collar.
    pub collar: CollarId,
    /// The pet that wore it.
    pub pet: PetId,
    /// When.
    pub measured_at: Timestamp,
    /// What.
    pub signals: Signals,
}
