//! Reads changes for all streams of the process, as many as wait in one query.
//!
//! Invariant: one query at a time. However many streams there are, they leave the database's connections to others.

use std::sync::Arc;
use std::time::Duration;

use petty_chassis::postgres::Db;
use petty_chassis::types::PetId;
use petty_chassis::{Context, Shutdown, error};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::store::{self, Read};

/// The most changes read at once of one pet.
pub(super) const PAGE: i64 = 50;
/// The most streams read for at once.
const BATCH: usize = 128;
/// A query that takes longer has failed: short enough for who opens a stream to be told so.
const PATIENCE: Duration = Duration::from_secs(2);

/// Where streams ask. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Reader {
    asks: mpsc::Sender<Ask>,
}

#[derive(Debug)]
struct Ask {
    pet: PetId,
    last: i64,
    answer: oneshot::Sender<Arc<Read>>,
}

/// The database is away, or the process is about to go.
#[derive(Debug, thiserror::Error)]
#[error("the changes cannot be read")]
pub(super) struct Unread;

impl Reader {
    pub(super) fn start(context: &Context, db: &Db) -> Self {
        let (asks, waiting) = mpsc::channel(BATCH);
        context.tasks.spawn_vital("stream-reader", run(waiting, db.clone(), context.shutdown.clone()));
        Self { asks }
    }

    /// What comes behind a pet's number: at most [`PAGE`] changes.
    pub(super) async fn read(&self, pet: PetId, last: i64) -> Result<Arc<Read>, Unread> {
        let (answer, answered) = oneshot::channel();
        self.asks.send(Ask { pet, last, answer }).await.map_err(|_| Unread)?;
        answered.await.map_err(|_| Unread)
    }
}

async fn run(mut waiting: mpsc::Receiver<Ask>, db: Db, shutdown: Shutdown) {
    let mut asks = Vec::with_capacity(BATCH);
    loop {
        tokio::select! {
            // The streams end then.
            () = shutdown.draining() => return,
            count = waiting.recv_many(&mut asks, BATCH) => if count == 0 { return },
        }
        answer(&db, &mut asks).await;
    }
}

/// Answers all, or lets go of all.
async fn answer(db: &Db, asks: &mut Vec<Ask>) {
    // Streams of one pet mostly stand at the same number.
    asks.sort_by_key(|ask| (ask.pet, ask.last));
    let mut distinct: Vec<(PetId, i64)> = asks.iter().map(|ask| (ask.pet, ask.last)).collect();
    distinct.dedup();
    let asked = &distinct;
    let reading = db.read("read_changes", |tx| async move { store::read(&tx, asked, PAGE).await });
    let failure = match timeout(PATIENCE, reading).await {
        Ok(Ok(reads)) => {
            let mut reads = asked.iter().zip(reads.into_iter().map(Arc::new)).peekable();
            for ask in asks.drain(..) {
                // Both are in the same order.
                while reads.next_if(|(asked, _)| **asked != (ask.pet, ask.last)).is_some() {}
                if let Some((_, read)) = reads.peek() {
                    // Nobody may be waiting any more.
                    let _ = ask.answer.send(read.clone());
                }
            }
            return;
        }
        Ok(Err(failure)) => error::chain(&failure),
        Err(late) => late.to_string(),
    };
    tracing::warn!(error = failure, streams = asks.len(), "changes cannot be read; it is tried again");
    asks.clear();
}
