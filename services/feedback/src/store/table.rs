//! What was told of several events, by column.

use jiff::Timestamp;
use petty_chassis::postgres::{Error, ToSql};
use serde_json::Value;
use uuid::Uuid;

use super::evidence;
use crate::domain::Episode;

#[derive(Default)]
pub(super) struct Table {
    ids: Vec<Uuid>,
    pets: Vec<Uuid>,
    versions: Vec<i64>,
    behaviors: Vec<&'static str>,
    rules: Vec<String>,
    rule_versions: Vec<String>,
    starts: Vec<Timestamp>,
    ends: Vec<Timestamp>,
    opens: Vec<bool>,
    evidences: Vec<Value>,
    /// An array of arrays cannot be unnested by row: each travels as its text.
    heirs: Vec<String>,
}

impl Table {
    pub(super) fn of(episodes: &[&Episode], table: &'static str) -> Result<Self, Error> {
        let mut all = Self::default();
        for Episode { id, pet, told, replaced_by, .. } in episodes {
            all.ids.push(*id);
            all.pets.push(pet.0);
            all.versions.push(told.version);
            all.behaviors.push(told.behavior.slug());
            all.rules.push(told.rule.clone());
            all.rule_versions.push(told.rule_version.clone());
            all.starts.push(told.start_at);
            all.ends.push(told.end_at);
            all.opens.push(told.open);
            all.evidences.push(evidence(&told.evidence, table)?);
            let heirs: Vec<String> = replaced_by.iter().map(Uuid::to_string).collect();
            all.heirs.push(format!("{{{}}}", heirs.join(",")));
        }
        Ok(all)
    }

    /// Eleven arrays: event_id, pet_id, version, behavior, rule, rule_version, start_at, end_at, open, evidence, and the text of
    /// replaced_by.
    pub(super) fn parameters(&self) -> Vec<&(dyn ToSql + Sync)> {
        vec![
            &self.ids,
            &self.pets,
            &self.versions,
            &self.behaviors,
            &self.rules,
            &self.rule_versions,
            &self.starts,
            &self.ends,
            &self.opens,
            &self.evidences,
            &self.heirs,
        ]
    }
}
