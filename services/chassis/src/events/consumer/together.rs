//! Events that wait together, handled in one transaction.
//!
//! Invariants: all of a transaction is committed, or nothing. Where it fails, its pets are halved until what is wrong stands alone, so
//! that a poisoned part costs its neighbours as many attempts as their number can be halved; what stands alone is handled after
//! the rest, each by itself. Numbers are noted once all of it is done with. Pets come in order, so that two who work on the same
//! ones wait for each other and not on each other; the parts of a pet stay together, and come as they arrived. A pet that is being
//! forgotten is handled by itself.

use std::collections::HashSet;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::FutureExt as _;
use tracing::Instrument as _;

use super::{Consumer, Failure, Part};
use crate::events::{Event, inbox, topics};
use crate::postgres::{Error, Tx};
use crate::types::PetId;

/// So many parts are one transaction's at most, and as many more as its last pet has: others wait for the pets it holds.
const PARTS: usize = 8_192;
/// The pause before the next attempt while what this depends on is away, and the longest it becomes.
const PAUSE: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));

/// A part, and the event it is of.
type Of<'a> = (&'a Event, Part);

impl Consumer {
    /// Handles events; false where some of them cannot be handled with others.
    pub(super) async fn handle_together(&self, events: &[Event]) -> bool {
        if events.iter().any(is_erasing) {
            return false;
        }
        let (mut whole, mut broken) = (Vec::new(), Vec::new());
        let mut parts: Vec<Of<'_>> = Vec::new();
        for event in events {
            match self.split(event) {
                Ok(split) => {
                    whole.push(event);
                    parts.extend(split.into_iter().map(|part| (event, part)));
                }
                Err(_) => broken.push(event),
            }
        }
        parts.sort_by_key(|(_, part)| part.pet);
        let (hard, marked) = self.halve(&whole, &parts).await;
        for (event, part) in hard {
            if let Err(error) = self.handle_part(event, part).instrument(event.span()).await {
                leave(event, &error);
                whole.retain(|other| other.id != event.id);
            }
        }
        if !marked {
            let whole = &whole;
            let marking = |tx| async move { mark_handled(&tx, whole).await };
            let marked =
                self.patiently("mark_handled", || self.db.transaction("mark_handled", marking)).await;
            // They come again, and are found handled.
            drop(marked);
        }
        for event in broken {
            self.handle(event).await;
        }
        true
    }

    /// Applies parts, together as far as that goes; answers those that must be applied by themselves, and whether the events'
    /// numbers are noted.
    async fn halve<'a>(&self, events: &[&Event], parts: &'a [Of<'a>]) -> (Vec<&'a Of<'a>>, bool) {
        let mut left = transactions(parts);
        left.reverse();
        let (mut hard, mut marked, mut pause) = (Vec::new(), false, PAUSE.0);
        while let Some(some) = left.pop() {
            let last = left.is_empty() && hard.is_empty();
            let handled = self.db.transaction("apply_events", |tx| async move {
                self.apply_together(&tx, some).await?;
                if last {
                    mark_handled(&tx, events).await?;
                }
                Ok::<_, Failure>(())
            });
            let failure = match tokio::time::timeout(self.patience(), handled).await {
                Ok(Ok(())) => {
                    (marked, pause) = (last, PAUSE.0);
                    continue;
                }
                Ok(Err(failure)) => failure,
                Err(late) => Failure::Away(Box::new(late)),
            };
            let error = match &failure {
                Failure::Poison(text) => text.clone(),
                Failure::Away(error) => crate::error::chain(error.as_ref()),
                Failure::Store(error) => crate::error::chain(error),
            };
            tracing::debug!(error, parts = some.len(), "parts of events are handled by halves");
            if let Failure::Away(_) = failure {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(PAUSE.1);
            }
            match between_pets(some, some.len() / 2) {
                Some(middle) => {
                    let (before, after) = some.split_at(middle);
                    left.extend([after, before]);
                }
                // One pet's: in order, each by itself.
                None => hard.extend(some),
            }
        }
        (hard, marked)
    }

    async fn apply_together(&self, tx: &Tx, parts: &[Of<'_>]) -> Result<(), Failure> {
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

/// Parts by transaction: no pet's are divided. At least one, for the numbers of events that have no parts.
fn transactions<'a>(mut parts: &'a [Of<'a>]) -> Vec<&'a [Of<'a>]> {
    let mut all = Vec::new();
    while parts.len() > PARTS {
        let Some(end) = next_pet(parts, PARTS) else { break };
        let (some, rest) = parts.split_at(end);
        all.push(some);
        parts = rest;
    }
    all.push(parts);
    all
}

/// Where the next pet begins after the one that has the part before a place.
fn next_pet(parts: &[Of<'_>], at: usize) -> Option<usize> {
    let before = parts.get(at.checked_sub(1)?)?.1.pet;
    let end = parts.partition_point(|(_, part)| part.pet <= before);
    (end < parts.len()).then_some(end)
}

/// Where parts can be divided between two pets, near a place; `None` where they are of one.
fn between_pets(parts: &[Of<'_>], at: usize) -> Option<usize> {
    let pet = parts.get(at)?.1.pet;
    let begin = parts.partition_point(|(_, part)| part.pet < pet);
    if begin > 0 { Some(begin) } else { next_pet(parts, at + 1) }
}

/// Neither handled nor given up on, because the database refuses both: its number is not noted, so that gap repair brings it again.
pub(super) fn leave(event: &Event, error: &Error) {
    let error = crate::error::chain(error);
    tracing::error!(event.id = %event.id, topic = event.topic.name, error, "an event is left for later");
}

fn is_erasing(event: &Event) -> bool {
    [&topics::PET_ERASING, &topics::ACCOUNT_ERASING].contains(&event.topic)
}

/// Notes the events' numbers, in one order for everybody: each run of them as one.
pub(super) async fn mark_handled(tx: &Tx, events: &[&Event]) -> Result<(), Error> {
    let topics: Vec<&str> = events.iter().map(|event| event.topic.name).collect();
    let sources: Vec<&str> = events.iter().map(|event| event.source.as_str()).collect();
    let shards: Vec<i16> = events.iter().map(|event| event.shard).collect();
    let numbers: Vec<i64> = events.iter().map(|event| event.number).collect();
    let sql = "-- mark_handled
        SELECT event_mark_handled(topic, source, shard, first, last)
        FROM (SELECT topic, source, shard, min(number) AS first, max(number) AS last
              FROM (SELECT topic, source, shard, number,
                           number - row_number() OVER (PARTITION BY topic, source, shard ORDER BY number) AS island
                    FROM (SELECT DISTINCT * FROM unnest($1::text[], $2::text[], $3::int2[], $4::int8[])
                              AS e (topic, source, shard, number)) e) e
              GROUP BY topic, source, shard, island ORDER BY topic, source, shard, first) run";
    tx.query(sql, &[&topics, &sources, &shards, &numbers]).await.map(|_| ())
}
