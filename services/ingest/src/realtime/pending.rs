//! What is to be written to Redis: of each collar the newest alone, so that a slow Redis is behind by one write, not by all.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Mutex, MutexGuard, PoisonError};

use petty_chassis::types::{CollarId, PetId};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::KEPT;
use crate::store::Stored;

/// More than so many collars wait for Redis only while it is away. What is left out is read from the database.
const MOST: usize = 20_000;

#[derive(Default)]
pub(super) struct Pending {
    inner: Mutex<Inner>,
    some: Notify,
}

#[derive(Default)]
struct Inner {
    newest: HashMap<CollarId, Waiting>,
    forgotten: Vec<(CollarId, PetId, Instant)>,
    /// What is being written: it counts until it is.
    writing: HashMap<CollarId, Waiting>,
}

#[derive(Clone)]
struct Waiting {
    stored: Stored,
    since: Instant,
}

/// What is written at once.
pub(super) struct Batch {
    newest: Vec<Waiting>,
    forgotten: Vec<(CollarId, PetId, Instant)>,
}

impl Batch {
    pub(super) fn newest(&self) -> impl Iterator<Item = &Stored> {
        self.newest.iter().map(|waiting| &waiting.stored)
    }

    pub(super) fn forgotten(&self) -> impl Iterator<Item = (&CollarId, PetId)> {
        self.forgotten.iter().map(|(collar, pet, _)| (collar, *pet))
    }
}

impl Pending {
    pub(super) fn note(&self, newest: impl IntoIterator<Item = Stored>) {
        let since = Instant::now();
        let mut inner = self.lock();
        for stored in newest {
            inner.add(Waiting { stored, since });
        }
        drop(inner);
        self.some.notify_one();
    }

    pub(super) fn forget(&self, pet: PetId, collars: Vec<CollarId>) {
        let since = Instant::now();
        let mut inner = self.lock();
        inner.newest.retain(|_, waiting| waiting.stored.pet != pet);
        inner.writing.retain(|_, waiting| waiting.stored.pet != pet);
        inner.forgotten.extend(collars.into_iter().map(|collar| (collar, pet, since)));
        drop(inner);
        self.some.notify_one();
    }

    /// What waits for a collar, or is being written.
    pub(super) fn get(&self, collar: &CollarId) -> Option<Stored> {
        let inner = self.lock();
        let waits = inner.newest.get(collar);
        let newest = waits.into_iter().chain(inner.writing.get(collar));
        newest.map(|waiting| &waiting.stored).max_by_key(|stored| stored.measured_at).cloned()
    }

    /// Waits until there is something to write.
    pub(super) async fn some(&self) {
        loop {
            {
                let inner = self.lock();
                if !inner.newest.is_empty() || !inner.forgotten.is_empty() {
                    return;
                }
            }
            self.some.notified().await;
        }
    }

    pub(super) fn take(&self, most: usize) -> Batch {
        let mut inner = self.lock();
        let forgotten = std::mem::take(&mut inner.forgotten);
        let collars: Vec<CollarId> = inner.newest.keys().take(most).cloned().collect();
        let newest: Vec<Waiting> = collars.iter().filter_map(|collar| inner.newest.remove(collar)).collect();
        inner.writing =
            newest.iter().map(|waiting| (waiting.stored.collar.clone(), waiting.clone())).collect();
        Batch { newest, forgotten }
    }

    /// The batch is written, or waits again: as everything does for as long as an entry that is older could still be there.
    pub(super) fn done(&self, batch: Batch, written: bool) {
        let mut inner = self.lock();
        inner.writing.clear();
        if written {
            return;
        }
        inner.newest.retain(|_, waiting| waiting.since.elapsed() < KEPT);
        for waiting in batch.newest.into_iter().filter(|waiting| waiting.since.elapsed() < KEPT) {
            inner.add(waiting);
        }
        inner.forgotten.extend(batch.forgotten.into_iter().filter(|(.., since)| since.elapsed() < KEPT));
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn add(&mut self, waiting: Waiting) {
        let full = self.newest.len() >= MOST;
        let gone = |(_, pet, _): &(CollarId, PetId, Instant)| *pet == waiting.stored.pet;
        if self.forgotten.iter().any(gone) {
            return;
        }
        match self.newest.entry(waiting.stored.collar.clone()) {
            Entry::Occupied(mut known) => {
                if waiting.stored.measured_at > known.get().stored.measured_at {
                    known.insert(waiting);
                }
            }
            Entry::Vacant(place) => {
                if !full {
                    place.insert(waiting);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use uuid::Uuid;

    use super::*;
    use crate::domain::reading::Signals;

    fn stored(collar: &str, pet: u128, second: i64) -> Stored {
        Stored {
            collar: collar.parse().unwrap(),
            pet: PetId(Uuid::from_u128(pet)),
            measured_at: Timestamp::from_second(second).unwrap(),
            signals: Signals::default(),
        }
    }

    fn second(pending: &Pending, collar: &str) -> Option<i64> {
        pending.get(&collar.parse().unwrap()).map(|stored| stored.measured_at.as_second())
    }

    #[test]
    fn the_newest_waits_and_counts_until_it_is_written() {
        let pending = Pending::default();
        pending.note([stored("one", 1, 5), stored("one", 1, 9), stored("one", 1, 7), stored("two", 2, 3)]);
        assert_eq!((second(&pending, "one"), second(&pending, "two")), (Some(9), Some(3)));
        let batch = pending.take(10);
        pending.note([stored("one", 1, 8)]);
        assert_eq!(second(&pending, "one"), Some(9), "what is being written counts");
        pending.done(batch, false);
        assert_eq!(second(&pending, "one"), Some(9), "and waits again where it was not");
        let batch = pending.take(10);
        assert_eq!(batch.newest().count(), 2);
        pending.done(batch, true);
        assert_eq!(second(&pending, "one"), None);
    }

    #[test]
    fn what_waits_for_longer_than_any_entry_lives_waits_no_more_whether_it_was_tried_or_not() {
        let pending = Pending::default();
        pending.note((0..50).map(|n| stored(&format!("old-{n}"), 1, 5)));
        for waiting in pending.lock().newest.values_mut() {
            waiting.since = waiting.since.checked_sub(KEPT).unwrap();
        }
        pending.note([stored("new", 1, 5)]);
        let batch = pending.take(10);
        pending.done(batch, false);
        assert_eq!(second(&pending, "new"), Some(5));
        assert_eq!(pending.lock().newest.len(), 1);
    }

    #[test]
    fn nothing_of_a_forgotten_pet_waits_or_comes_back() {
        let pending = Pending::default();
        pending.note([stored("one", 1, 5), stored("two", 2, 5)]);
        let batch = pending.take(1);
        pending.note([stored("one", 1, 6)]);
        pending.forget(PetId(Uuid::from_u128(1)), vec!["one".parse().unwrap()]);
        pending.done(batch, false);
        assert_eq!(second(&pending, "one"), None);
        let batch = pending.take(10);
        assert_eq!(batch.forgotten().count(), 1);
        assert!(batch.newest().all(|stored| stored.pet == PetId(Uuid::from_u128(2))));
    }
}
