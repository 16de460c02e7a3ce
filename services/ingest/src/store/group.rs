//! Group commit: requests that wait together are written together.
//!
//! Invariants: no timer: a flush takes what queued while the one before was written. A request is answered once all of its
//! readings are committed, or refused; that its caller went away changes nothing for those it was merged with. What waits is
//! bounded.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use petty_chassis::postgres::Error;
use petty_chassis::{ApiError, error, telemetry};
use tokio::sync::oneshot;

use super::Store;
use super::append::Outcome;
use crate::domain::reading::Stamped;

/// So many flushes at once: one is written while the other's commit is waited for.
const WRITERS: usize = 2;
/// A flush takes no further request beyond so many readings.
const FLUSH_READINGS: usize = 8_192;
/// The most readings that wait, about 200 bytes each; beyond, requests are refused.
const MOST_WAITING: usize = 65_536;

/// Why readings were not stored, or may not have been.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Unwritten {
    /// More wait than are let wait.
    #[error("too many readings wait to be written")]
    Full,
    /// The database said no; or, after a lost connection, it is not known.
    #[error(transparent)]
    Failed(Arc<Error>),
}

impl From<Error> for Unwritten {
    fn from(error: Error) -> Self {
        Self::Failed(Arc::new(error))
    }
}

impl From<Unwritten> for ApiError {
    fn from(unwritten: Unwritten) -> Self {
        match &unwritten {
            Unwritten::Full => Self {
                retry_after: Some(std::time::Duration::from_secs(1)),
                ..Self::new(
                    error::Code::ResourceExhausted,
                    "OVERLOADED",
                    "too many readings wait to be written; try again",
                )
            },
            // Of a flush that fails for that nothing is there.
            Unwritten::Failed(error) if error.is_disk_full() => Self::unavailable("STORAGE_FULL", unwritten),
            Unwritten::Failed(error) => match error.class() {
                petty_chassis::postgres::Class::Race | petty_chassis::postgres::Class::Away => {
                    Self::unavailable("STORE_UNAVAILABLE", unwritten)
                }
                petty_chassis::postgres::Class::Lasting => Self::internal(unwritten),
            },
        }
    }
}

/// A request's readings, on their way.
#[derive(Debug)]
struct Waiting {
    readings: Vec<Stamped>,
    traceparent: String,
    answer: oneshot::Sender<Result<Vec<Outcome>, Unwritten>>,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Waiting>,
    /// Of all that wait, and of all that are being written.
    readings: usize,
    writers: usize,
}

/// What waits to be written. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Group(Arc<Mutex<Queue>>);

impl Group {
    /// True where a writer must be started.
    fn put(&self, waiting: Waiting) -> Result<bool, Unwritten> {
        let mut queue = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let readings = queue.readings + waiting.readings.len();
        if readings > MOST_WAITING {
            return Err(Unwritten::Full);
        }
        queue.readings = readings;
        queue.waiting.push_back(waiting);
        let start = queue.writers < WRITERS;
        queue.writers += usize::from(start);
        Ok(start)
    }

    /// What the next flush takes. `None`: nothing waits, and the writer counts no more.
    fn take(&self) -> Option<Vec<Waiting>> {
        let mut queue = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut taken, mut readings) = (Vec::new(), 0);
        while let Some(next) = queue.waiting.front() {
            if readings > 0 && readings + next.readings.len() > FLUSH_READINGS {
                break;
            }
            readings += next.readings.len();
            taken.extend(queue.waiting.pop_front());
        }
        if taken.is_empty() {
            queue.writers -= 1;
            return None;
        }
        Some(taken)
    }

    fn written(&self, readings: usize) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).readings -= readings;
    }
}

/// What a flush holds of the queue's room, given back however it ends.
struct Room<'a>(&'a Group, usize);

impl Drop for Room<'_> {
    fn drop(&mut self) {
        self.0.written(self.1);
    }
}

/// A writer that counts. One that is dropped in the middle of a flush counts no more.
struct Writer<'a>(Option<&'a Group>);

impl Drop for Writer<'_> {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            group.0.lock().unwrap_or_else(PoisonError::into_inner).writers -= 1;
        }
    }
}

impl Store {
    /// Stores readings that are not there yet, merged with whatever waits beside them. Says of each, in order, what became of
    /// it, once all are committed.
    ///
    /// # Errors
    /// Where too much waits, or the database says no; after a lost connection it is not known whether they were stored. To
    /// send them again is harmless.
    pub async fn submit(&self, readings: Vec<Stamped>) -> Result<Vec<Outcome>, Unwritten> {
        if readings.is_empty() {
            return Ok(Vec::new());
        }
        let traceparent = telemetry::traceparent().unwrap_or_default();
        let (answer, answered) = oneshot::channel();
        if self.group.put(Waiting { readings, traceparent, answer })? {
            let store = self.clone();
            drop(self.tasks.spawn("readings-writer", async move { store.write_waiting().await }));
        }
        // Dropped unanswered only where the flush was, by a panic or by the drain's end.
        answered.await.unwrap_or_else(|_| Err(Error::Closed.into()))
    }

    async fn write_waiting(&self) {
        let mut writer = Writer(Some(&self.group));
        while let Some(requests) = self.group.take() {
            let _room = Room(&self.group, requests.iter().map(|request| request.readings.len()).sum());
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
                for request in requests {
                    // Nobody may be waiting any more.
                    drop(request.answer.send(Err(unwritten.clone())));
                }
                return;
            }
        };
        for request in requests {
            let outcomes: Vec<_> = written.by_ref().take(request.readings.len()).collect();
            // One that is lost leaves the whole request unanswered: its caller sends it again.
            drop(request.answer.send(outcomes.into_iter().collect()));
        }
    }
}
