//! How an entry stands in a row, of entries and of changes.

use petty_chassis::postgres::{Error, Row};
use petty_chassis::types::PetId;
use serde_json::Value;

use crate::domain::{Behavior, Entry, Kind, What};

/// What an entry says, as columns.
pub(super) struct Columns {
    pub(super) kind: &'static str,
    pub(super) behavior: Option<&'static str>,
    pub(super) metadata: Value,
}

impl Columns {
    pub(super) fn of(what: &What, table: &'static str) -> Result<Self, Error> {
        let (behavior, metadata) = match what {
            What::Behavior(behavior, metadata) => (Some(behavior.slug()), serde_json::to_value(metadata)),
            What::Plan(note) => (None, serde_json::to_value(note)),
            What::Feedback(note) => (None, serde_json::to_value(note)),
            What::Alert(note) => (None, serde_json::to_value(note)),
        };
        let metadata = metadata.map_err(|_| inconsistent(table, "metadata"))?;
        Ok(Self { kind: what.kind().slug(), behavior, metadata })
    }
}

/// Reads an entry from ten columns on: event_id, pet_id, kind, behavior, start_at, end_at, open, confidence, metadata,
/// version.
pub(super) fn entry(row: &Row, table: &'static str, first: usize) -> Result<Entry, Error> {
    let kind: &str = Error::column(row, table, first + 2)?;
    let behavior: Option<&str> = Error::column(row, table, first + 3)?;
    let metadata: Value = Error::column(row, table, first + 8)?;
    let what = match Kind::from_slug(kind).ok_or_else(|| inconsistent(table, "kind"))? {
        Kind::Behavior => {
            let behavior = behavior.and_then(Behavior::from_slug);
            let behavior = behavior.ok_or_else(|| inconsistent(table, "behavior"))?;
            serde_json::from_value(metadata).map(|metadata| What::Behavior(behavior, metadata))
        }
        Kind::Plan => serde_json::from_value(metadata).map(What::Plan),
        Kind::Feedback => serde_json::from_value(metadata).map(What::Feedback),
        Kind::Alert => serde_json::from_value(metadata).map(What::Alert),
    };
    Ok(Entry {
        id: Error::column(row, table, first)?,
        pet: PetId(Error::column(row, table, first + 1)?),
        what: what.map_err(|_| inconsistent(table, "metadata"))?,
        start_at: Error::column(row, table, first + 4)?,
        end_at: Error::column(row, table, first + 5)?,
        open: Error::column(row, table, first + 6)?,
        confidence: Error::column(row, table, first + 7)?,
        version: Error::column(row, table, first + 9)?,
    })
}

pub(super) fn inconsistent(table: &'static str, column: &str) -> Error {
    Error::Inconsistent { table, column: column.to_owned() }
}
