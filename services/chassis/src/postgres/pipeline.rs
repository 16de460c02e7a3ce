//! A transaction whose statements are known beforehand: sent together, so that the whole of it costs two round trips.
//!
//! Invariant: all of it is committed, or nothing. A statement that failed makes those behind it fail, and the COMMIT a
//! rollback; behind a BEGIN that failed nothing can be written, because connections are read only by default.

use bytes::Bytes;
use deadpool_postgres::Object;
use futures::SinkExt as _;
use futures::future::join_all;
use tokio_postgres::Statement;
use tokio_postgres::types::ToSql;

use super::error::Error;
use super::transaction::BEGIN;
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
            statements.push(client.prepare_cached(step.sql()).await?);
        }
        let mut busy = Busy(Some(client));
        let client = busy.0.as_ref().ok_or(Error::Closed)?;
        let begin = client.batch_execute(BEGIN);
        let run =
            join_all(steps.iter().zip(&statements).map(|(step, statement)| step.run(client, statement)));
        let commit = client.batch_execute("COMMIT");
        // Polled in this order, and each sends when it is polled first.
        let (begun, ran, committed) = futures::join!(begin, run, commit);
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

impl Tx {
    /// Runs a step.
    ///
    /// # Errors
    /// Where the database says no.
    pub async fn run(&self, step: Step<'_>) -> Result<u64, Error> {
        let client = self.client()?;
        let statement = client.prepare_cached(step.sql()).await?;
        step.run(client, &statement).await
    }
}
