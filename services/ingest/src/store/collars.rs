//! Collars by their small keys.
//!
//! Invariant: a key is remembered only once its row is committed; rows are never deleted.

use std::collections::{BTreeMap, BTreeSet};

use moka::sync::Cache;
use petty_chassis::postgres::{Error, Tx};
use petty_chassis::types::CollarId;
use uuid::Uuid;

use super::Store;

/// So many collars are remembered, about 100 bytes each.
const REMEMBERED: u64 = 100_000;

/// A collar's key, and which part of a day its readings are in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) collar_key: i32,
    pub(super) part: i32,
}

/// The keys of collars that were seen lately.
#[derive(Clone, Debug)]
pub(super) struct Keys(Cache<CollarId, Key>);

impl Default for Keys {
    fn default() -> Self {
        Self(Cache::new(REMEMBERED))
    }
}

/// Which collars are known to have been worn by which pets: what need not be noted again.
#[derive(Clone, Debug)]
pub(super) struct Pairs(Cache<(Uuid, i32), ()>);

impl Default for Pairs {
    fn default() -> Self {
        Self(Cache::new(REMEMBERED))
    }
}

impl Pairs {
    pub(super) fn contains(&self, pair: (Uuid, i32)) -> bool {
        self.0.get(&pair).is_some()
    }

    pub(super) fn insert(&self, pair: (Uuid, i32)) {
        self.0.insert(pair, ());
    }
}

impl Store {
    /// The keys of collars; new ones are given one. Of two that ask for a new collar at once, both get the same key.
    pub(super) async fn keys_of<'a>(
        &self,
        collars: impl Iterator<Item = &'a CollarId>,
    ) -> Result<BTreeMap<&'a CollarId, Key>, Error> {
        let mut keys = BTreeMap::new();
        let mut unknown = BTreeSet::new();
        let mut last = None;
        for collar in collars {
            if last.replace(collar) == Some(collar) {
                continue;
            }
            match self.keys.0.get(collar) {
                Some(key) => drop(keys.insert(collar, key)),
                None => drop(unknown.insert(collar)),
            }
        }
        if unknown.is_empty() {
            return Ok(keys);
        }
        // Sorted, so that two transactions wait for each other's new rows in one order.
        let ids: Vec<&str> = unknown.iter().map(|collar| collar.as_str()).collect();
        let ids = &ids;
        let found = self
            .db
            .transaction("collar_keys", |tx| async move {
                let found = find(&tx, ids).await?;
                if found.len() == ids.len() {
                    return Ok(found);
                }
                let missing: Vec<&str> = ids.iter().copied().filter(|id| !found.contains_key(*id)).collect();
                let sql = "-- insert_collars\nINSERT INTO collars (collar_id) SELECT id FROM unnest($1::text[]) AS id
                           ON CONFLICT (collar_id) DO NOTHING";
                tx.execute(sql, &[&missing]).await?;
                // A statement of its own: it sees what others committed while the insert waited for them.
                find(&tx, ids).await
            })
            .await?;
        for collar in unknown {
            let key = found.get(collar.as_str()).copied();
            let key = key.ok_or(Error::Inconsistent { table: "collars", column: "collar_id".to_owned() })?;
            self.keys.0.insert(collar.clone(), key);
            keys.insert(collar, key);
        }
        Ok(keys)
    }
}

async fn find(tx: &Tx, ids: &[&str]) -> Result<BTreeMap<String, Key>, Error> {
    let sql = "-- collar_keys
        SELECT collar_id, collar_key, ingest_part(collar_key) FROM collars WHERE collar_id = ANY($1)";
    tx.query(sql, &[&ids])
        .await?
        .iter()
        .map(|row| {
            let key = Key {
                collar_key: Error::column(row, "collars", 1)?,
                part: Error::column(row, "collars", 2)?,
            };
            Ok((Error::column(row, "collars", 0)?, key))
        })
        .collect()
}
