//! How an entry stands in a row, of entries and of changes.

use jiff::Timestamp;
use petty_chassis::postgres::{Error, Row, ToSql};
use petty_chassis::types::PetId;
use serde_json::Value;
use uuid::Uuid;

use crate::domain::{Behavior, Entry, Kind, What};

/// Entries, by column.
#[derive(Default)]
pub(super) struct Table {
    ids: Vec<Uuid>,
    pets: Vec<Uuid>,
    kinds: Vec<&'static str>,
    behaviors: Vec<Option<&'static str>>,
    starts: Vec<Timestamp>,
    ends: Vec<Timestamp>,
    opens: Vec<bool>,
    confidences: Vec<f64>,
    metadata: Vec<Value>,
    versions: Vec<i64>,
}

impl Table {
    pub(super) fn of(entries: &[&Entry], table: &'static str) -> Result<Self, Error> {
        let mut all = Self::default();
        for entry in entries {
            let (behavior, metadata) = match &entry.what {
                What::Behavior(behavior, metadata) => (Some(behavior.slug()), serde_json::to_value(metadata)),
                What::Plan(note) => (None, serde_json::to_value(note)),
                What::Feedback(note) => (None, serde_json::to_value(note)),
                What::Alert(note) => (None, serde_json::to_value(note)),
            };
            all.ids.push(entry.id);
            all.pets.push(entry.pet.0);
            all.kinds.push(entry.what.kind().slug());
            all.behaviors.push(behavior);
            all.starts.push(entry.start_at);
            all.ends.push(entry.end_at);
            all.opens.push(entry.open);
            all.confidences.push(entry.confidence);
            all.metadata.push(metadata.map_err(|_| inconsistent(table, "metadata"))?);
            all.versions.push(entry.version);
        }
        Ok(all)
    }

    /// Ten arrays: event_id, pet_id, kind, behavior, start_at, end_at, open, confidence, metadata, version.
    pub(super) fn parameters(&self) -> Vec<&(dyn ToSql + Sync)> {
        vec![
            &self.ids,
            &self.pets,
            &self.kinds,
            &self.behaviors,
            &self.starts,
            &self.ends,
            &self.opens,
            &self.confidences,
            &self.metadata,
            &self.versions,
        ]
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
