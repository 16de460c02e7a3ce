//! A transaction whose statements are known beforehand: sent together, so that the whole of it costs two round trips.
//!
//! Invariant: all of it is committed, or nothing. A statement that failed makes those behind it fail, and the COMMIT a
//! rollback; behind a BEGIN that failed nothing can be written, because connections are read only by default.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use deadpool_postgres::Object;
use futures::SinkExt as _;
use futures::future::join_all;
use tokio_postgres::Statement;
use tokio_postgres::types::ToSql;

use super::error::Error;
use super::transaction::{BEGIN, PATIENCE, given_up};
use super::{Db, Tx};

/// A statement of a pipeline. It opens with `-- its_name`.
#[derive(Debug)]
pub enum Step<'a> {
    /// Runs.
    Execute {
        /// The statement.
        sql: &'a str,
        /// What is bound to it.
        parameters: Vec<&'a (dyn ToSql + Sync)>,
    },
    /// `COPY … FROM STDIN`.
    Copy {
        /// The statement.
        sql: &'a str,
        /// The rows, as the statement says that they are written.
        rows: Bytes,
    },
}

impl Step<'_> {
    fn sql(&self) -> &str {
        match self {
            Self::Execute { sql, .. } | Self::Copy { sql, .. } => sql,
        }
    }

    async fn run(&self, client: &Object, statement: &Statement) -> Result<u64, Error> {
        match self {
            Self::Execute { parameters, .. } => Ok(client.execute(statement, parameters).await?),
            Self::Copy { rows, .. } => {
                let mut sink = std::pin::pin!(client.copy_in(statement).await?);
                sink.send(rows.clone()).await?;
                Ok(sink.finish().await?)
            }
        }
    }
}

/// A connection in the middle of something: it is closed where it is dropped so.
struct Busy(Option<Object>);

impl Drop for Busy {
    fn drop(&mut self) {
        if let Some(client) = self.0.take() {
            drop(Object::take(client));
        }
    }
}

impl Db {
    /// Runs the steps in a transaction, in their order; how many rows each touched. The relay is woken afterwards. It is not
    /// run again where it lost a race.
    ///
    /// # Errors
    /// The first step's that failed. After a lost connection it is not known whether the transaction was committed.
    pub async fn pipeline(&self, steps: &[Step<'_>]) -> Result<Vec<u64>, Error> {
        let client = self.pool.get().await?;
        // Before anything is sent: what is to be prepared first would be overtaken.
        let mut statements = Vec::with_capacity(steps.len());
        for step in steps {
            let prepared = tokio::time::timeout(PATIENCE, client.prepare_cached(step.sql())).await;
            match prepared {
                Ok(prepared) => statements.push(prepared?),
                Err(_) => {
                    drop(Object::take(client));
                    return Err(given_up());
                }
            }
        }
        let mut busy = Busy(Some(client));
        let client = busy.0.as_ref().ok_or(Error::Closed)?;
        let answers = &AtomicUsize::new(0);
        let begin = client.batch_execute(BEGIN);
        let run = join_all(steps.iter().zip(&statements).map(|(step, statement)| async move {
            let ran = step.run(client, statement).await;
            answers.fetch_add(1, Ordering::Relaxed);
            ran
        }));
        let commit = client.batch_execute("COMMIT");
        // Polled in this order, and each sends when it is polled first.
        let all = async { futures::join!(begin, run, commit) };
        let (begun, ran, committed) = while_answered(PATIENCE, answers, all).await.ok_or_else(given_up)?;
        begun?;
        let mut touched = Vec::with_capacity(steps.len());
        for (step, ran) in steps.iter().zip(ran) {
            match ran {
                Ok(rows) => touched.push(rows),
                Err(error) => {
                    // Only rows that were refused leave a COPY's connection where it was: one that did not even begin is
                    // answered twice.
                    let refused = matches!(step, Step::Copy { .. })
                        && (matches!(error, Error::Conflict { .. }) || error.refuses_a_row());
                    if refused && committed.is_ok() {
                        drop(busy.0.take());
                    }
                    return Err(error);
                }
            }
        }
        committed?;
        drop(busy.0.take());
        self.events_written.notify_one();
        Ok(touched)
    }
}

/// What a future ends with, unless an answer takes longer than `patience`: each has that for itself, since they come one after the other.
async fn while_answered<F: Future>(patience: Duration, answers: &AtomicUsize, all: F) -> Option<F::Output> {
    let mut all = std::pin::pin!(all);
    loop {
        let before = answers.load(Ordering::Relaxed);
        match tokio::time::timeout(patience, all.as_mut()).await {
            Ok(ended) => return Some(ended),
            Err(_) if answers.load(Ordering::Relaxed) > before => {}
            Err(_) => return None,
        }
    }
}

impl Tx {
    /// Runs a step.
    ///
    /// # Errors
    /// Where the database says no.
    pub async fn run(&self, step: Step<'_>) -> Result<u64, Error> {
        let client = self.client()?;
        let statement = self.answered(client.prepare_cached(step.sql())).await?;
        self.answered(step.run(client, &statement)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_pipeline_waits_as_long_as_it_is_answered_now_and_then() {
        let (patience, answers) = (Duration::from_secs(10), AtomicUsize::new(0));
        let slow = async {
            for _ in 0..5 {
                tokio::time::sleep(Duration::from_secs(9)).await;
                answers.fetch_add(1, Ordering::Relaxed);
            }
        };
        assert_eq!(while_answered(patience, &answers, slow).await, Some(()));
        let hangs = async {
            tokio::time::sleep(Duration::from_secs(9)).await;
            answers.fetch_add(1, Ordering::Relaxed);
            std::future::pending::<()>().await;
        };
        let since = tokio::time::Instant::now();
        assert_eq!(while_answered(patience, &answers, hangs).await, None);
        assert_eq!(since.elapsed(), patience * 2);
    }
}
