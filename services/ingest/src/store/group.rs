//! Group commit: requests that wait together are written together.
//!
//! Invariants: no timer: a flush takes what queued while the one before was written. A second flush beside it is of much that
//! waits; two of little would be smaller without being sooner, each with its own transaction, entries and what follows from them.
//! A request is answered once all of its readings are committed, or refused; that its caller went away changes nothing for those
//! it was merged with. What waits keeps its place in the room that admission gave it until it is written, whether or not somebody
//! still waits for the answer.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use petty_chassis::postgres::{Class, Error};
use petty_chassis::{ApiError, telemetry};
use tokio::sync::oneshot;

use super::Store;
use super::append::Outcome;
use crate::admission::Place;
use crate::domain::reading::Stamped;

/// So many flushes at once, where much waits: one is written while the other's commit is waited for.
const WRITERS: usize = 2;
/// So many readings are much: what a flush costs beside its rows is little of each.
const MUCH: usize = 512;
/// A flush takes no further request beyond so many readings.
const FLUSH_READINGS: usize = 8_192;

/// Readings were not stored: the database said no; or, after a lost connection, it is not known.
#[derive(Clone, Debug, thiserror::Error)]
#[error(transparent)]
pub struct Unwritten(Arc<Error>);

impl From<Error> for Unwritten {
    fn from(error: Error) -> Self {
        Self(Arc::new(error))
    }
}

impl From<Unwritten> for ApiError {
    fn from(unwritten: Unwritten) -> Self {
        if unwritten.0.is_disk_full() {
            // Of a flush that fails for that nothing is there.
            return Self::unavailable("STORAGE_FULL", unwritten);
        }
        match unwritten.0.class() {
            Class::Race | Class::Away => Self::unavailable("STORE_UNAVAILABLE", unwritten),
            Class::Lasting => Self::internal(unwritten),
        }
    }
}

/// A request's readings, on their way.
#[derive(Debug)]
struct Waiting {
    readings: Vec<Stamped>,
    traceparent: String,
    place: Place,
    answer: oneshot::Sender<Result<Vec<Outcome>, Unwritten>>,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Waiting>,
    /// Of all that wait.
    readings: usize,
    writers: usize,
}

impl Queue {
    /// Whether there is work for one writer more than so many.
    fn wants_one_beside(&self, writers: usize) -> bool {
        match writers {
            0 => !self.waiting.is_empty(),
            _ => writers < WRITERS && self.readings >= MUCH,
        }
    }
}

/// What waits to be written. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Group(Arc<Mutex<Queue>>);

impl Group {
    /// True where a writer must be started.
    fn put(&self, waiting: Waiting) -> bool {
        let mut queue = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        queue.readings += waiting.readings.len();
        queue.waiting.push_back(waiting);
        let start = queue.wants_one_beside(queue.writers);
        queue.writers += usize::from(start);
        start
    }

    /// What the next flush takes. `None`: nothing waits, or little that another writer takes, and the writer counts no more.
    fn take(&self) -> Option<Vec<Waiting>> {
        let mut queue = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !queue.wants_one_beside(queue.writers - 1) {
            queue.writers -= 1;
            return None;
        }
        let (mut taken, mut readings) = (Vec::new(), 0);
        while let Some(next) = queue.waiting.front() {
            if readings > 0 && readings + next.readings.len() > FLUSH_READINGS {
                break;
            }
            readings += next.readings.len();
            taken.extend(queue.waiting.pop_front());
        }
        queue.readings -= readings;
        Some(taken)
    }
}

/// A writer that counts. One that is dropped in the middle of a flush counts no more; what waits for it alone is given up with the
/// flush, for nobody would write it before another request comes.
struct Writer<'a>(Option<&'a Group>);

impl Drop for Writer<'_> {
    fn drop(&mut self) {
        let Some(group) = self.0 else { return };
        let mut queue = group.0.lock().unwrap_or_else(PoisonError::into_inner);
        queue.writers -= 1;
        if queue.writers == 0 {
            queue.readings = 0;
            let given_up = std::mem::take(&mut queue.waiting);
            drop(queue);
            drop(given_up);
        }
    }
}

impl Store {
    /// Stores readings that are not there yet, merged with whatever waits beside them. Says of each, in order, what became of
    /// it, once all are committed. They have their place until then.
    ///
    /// # Errors
    /// Where the database says no; after a lost connection it is not known whether they were stored. To
    /// send them again is harmless.
    pub async fn submit(&self, readings: Vec<Stamped>, place: Place) -> Result<Vec<Outcome>, Unwritten> {
        if readings.is_empty() {
            return Ok(Vec::new());
        }
        let traceparent = telemetry::traceparent().unwrap_or_default();
        let (answer, answered) = oneshot::channel();
        if self.group.put(Waiting { readings, traceparent, place, answer }) {
            let store = self.clone();
            drop(self.tasks.spawn("readings-writer", async move { store.write_waiting().await }));
        }
        // Dropped unanswered only where the flush was, or the only one before it, by a panic or by the drain's end.
        answered.await.unwrap_or_else(|_| Err(Error::Closed.into()))
    }

    async fn write_waiting(&self) {
        let mut writer = Writer(Some(&self.group));
        while let Some(requests) = self.group.take() {
            self.write(requests).await;
        }
        writer.0 = None;
    }

    async fn write(&self, requests: Vec<Waiting>) {
        let readings: Vec<(&Stamped, &str)> = requests
            .iter()
            .flat_map(|request| request.readings.iter().map(|one| (one, request.traceparent.as_str())))
            .collect();
        let written = self.append(&readings).await;
        drop(readings);
        let mut written = match written {
            Ok(written) => written.into_iter(),
            Err(error) => {
                let unwritten = Unwritten::from(error);
                for Waiting { place, answer, .. } in requests {
                    drop(place);
                    // Nobody may be waiting any more.
                    drop(answer.send(Err(unwritten.clone())));
                }
                return;
            }
        };
        for Waiting { readings, place, answer, .. } in requests {
            let outcomes: Vec<_> = written.by_ref().take(readings.len()).collect();
            // Whoever is answered and sends more at once finds this room free.
            drop(place);
            // One that is lost leaves the whole request unanswered: its caller sends it again.
            drop(answer.send(outcomes.into_iter().collect()));
        }
    }
}

#[cfg(test)]
mod tests;
