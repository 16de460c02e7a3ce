//! Events that wait together, handled in one transaction.
//!
//! Invariants: all of it is committed, numbers included, or nothing: then each is handled by itself, which finds out what is
//! wrong with which. Pets come in order, so that two who work on the same ones wait for each other and not on each other;
//! the parts of a pet come as they arrived. A pet that is being forgotten is handled by itself.

use std::collections::HashSet;
use std::panic::AssertUnwindSafe;

use futures::FutureExt as _;

use super::{Consumer, Failure, Part};
use crate::events::{Event, inbox, topics};
use crate::postgres::{Error, Tx};
use crate::types::PetId;

/// So many parts are one transaction's at most: others wait for the pets it holds.
const PARTS: usize = 256;

impl Consumer {
    /// Handles events; false where some of it could not be, and must be handled each by itself.
    pub(super) async fn handle_together(&self, events: &[Event]) -> bool {
        if events.iter().any(is_erasing) {
            return false;
        }
        let mut parts = Vec::new();
        for event in events {
            let Ok(split) = self.split(event) else { return false };
            parts.extend(split.into_iter().map(|part| (event, part)));
        }
        parts.sort_by_key(|(_, part)| part.pet);
        let mut left = parts.as_slice();
        loop {
            let (some, rest) = left.split_at(PARTS.min(left.len()));
            left = rest;
            let last = left.is_empty();
            let handled = self.db.transaction("apply_events", |tx| async move {
                self.apply_together(&tx, some).await?;
                if last {
                    mark_handled(&tx, events).await?;
                }
                Ok::<_, Failure>(())
            });
            match tokio::time::timeout(self.patience(), handled).await {
                Ok(Ok(())) if last => return true,
                Ok(Ok(())) => {}
                Ok(Err(failure)) => {
                    tracing::debug!(?failure, events = events.len(), "events are handled one by one");
                    return false;
                }
                Err(_) => return false,
            }
        }
    }

    async fn apply_together(&self, tx: &Tx, parts: &[(&Event, Part)]) -> Result<(), Failure> {
        let mut taken = inbox::take_all(tx, parts.iter().map(|(event, part)| (*event, part.pet))).await?;
        let pets: HashSet<PetId> = parts.iter().map(|(_, part)| part.pet).collect();
        let erased = inbox::erased_of(tx, pets).await?;
        let kept: Vec<(&Event, &Part)> = parts
            .iter()
            // One that came twice is taken once.
            .filter(|(event, part)| taken.remove(&(event.id.0, part.pet)) && !erased.contains(&part.pet))
            .map(|(event, part)| (*event, part))
            .collect();
        if kept.is_empty() {
            return Ok(());
        }
        match AssertUnwindSafe(self.handler.apply_all(tx, &kept)).catch_unwind().await {
            Ok(applied) => applied,
            Err(_) => Err(Failure::Poison("panicked".to_owned())),
        }
    }
}

fn is_erasing(event: &Event) -> bool {
    [&topics::PET_ERASING, &topics::ACCOUNT_ERASING].contains(&event.topic)
}

/// Notes the events' numbers, in one order for everybody.
pub(super) async fn mark_handled(tx: &Tx, events: &[Event]) -> Result<(), Error> {
    let topics: Vec<&str> = events.iter().map(|event| event.topic.name).collect();
    let sources: Vec<&str> = events.iter().map(|event| event.source.as_str()).collect();
    let shards: Vec<i16> = events.iter().map(|event| event.shard).collect();
    let numbers: Vec<i64> = events.iter().map(|event| event.number).collect();
    let sql = "-- mark_handled
        SELECT event_mark_handled(topic, source, shard, number)
        FROM (SELECT * FROM unnest($1::text[], $2::text[], $3::int2[], $4::int8[]) AS e (topic, source, shard, number)
              ORDER BY topic, source, shard, number) e";
    tx.query(sql, &[&topics, &sources, &shards, &numbers]).await.map(|_| ())
}
