//! Named transactions.
//!
//! Invariant: nothing waits for a server that does not answer for longer than [`PATIENCE`]; what was asked is given up then, its connection
//! closed, and whether it was done is not known.

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use deadpool_postgres::Object;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::Db;
use super::error::{Class, Error};
use crate::error::ApiError;
use crate::types::Entropy;

/// Connections read only but within this: nothing is written outside of a transaction.
pub(super) const BEGIN: &str = "BEGIN READ WRITE";
const BEGIN_READ_ONLY: &str = "BEGIN READ ONLY";
const BEGIN_READ_PARTITIONS: &str = "BEGIN READ ONLY; SET LOCAL plan_cache_mode = force_custom_plan";
/// A transaction that loses a race is run again this often.
const ATTEMPTS: u32 = 8;
/// A statement that has no answer for this long gets none: the server would have ended it after `statement_timeout`, thirty seconds.
pub(super) const PATIENCE: Duration = Duration::from_secs(35);

/// A transaction. Every statement is prepared once a connection. Cheap to clone; all clones are the same transaction.
///
/// It owns its connection, so that work needs no borrowed parameter and its future stays `Send`. A transaction that is
/// neither committed nor rolled back (its future was dropped) takes its connection down with it, and the server rolls it
/// back.
#[derive(Clone)]
pub struct Tx {
    inner: Arc<Inner>,
}

struct Inner {
    /// `Some` until dropped.
    client: Option<Object>,
    finished: AtomicBool,
    /// The server did not answer: nothing more is asked of it.
    unanswered: AtomicBool,
    wrote_events: AtomicBool,
    after_commit: Mutex<Vec<Effect>>,
    at_refused_commit: Mutex<Vec<Effect>>,
}

type Effect = Box<dyn FnOnce() + Send>;

impl std::fmt::Debug for Tx {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Tx").finish_non_exhaustive()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if !self.finished.load(Ordering::Acquire)
            && let Some(client) = self.client.take()
        {
            drop(Object::take(client));
        }
    }
}

impl Tx {
    /// The rows of a statement, which opens with `-- its_name`.
    ///
    /// # Errors
    /// Where the database says no.
    pub async fn query(&self, sql: &str, parameters: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>, Error> {
        let client = self.client()?;
        let statement = self.answered(client.prepare_cached(sql)).await?;
        self.answered(client.query(&statement, parameters)).await
    }

    /// The one row of a statement, or none.
    ///
    /// # Errors
    /// Where the database says no.
    pub async fn query_opt(
        &self,
        sql: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Option<Row>, Error> {
        let client = self.client()?;
        let statement = self.answered(client.prepare_cached(sql)).await?;
        self.answered(client.query_opt(&statement, parameters)).await
    }

    /// The one row of a statement.
    ///
    /// # Errors
    /// Where the database says no, or has another number of rows.
    pub async fn query_one(&self, sql: &str, parameters: &[&(dyn ToSql + Sync)]) -> Result<Row, Error> {
        let client = self.client()?;
        let statement = self.answered(client.prepare_cached(sql)).await?;
        self.answered(client.query_one(&statement, parameters)).await
    }

    /// Runs a statement; the number of rows it touched.
    ///
    /// # Errors
    /// Where the database says no.
    pub async fn execute(&self, sql: &str, parameters: &[&(dyn ToSql + Sync)]) -> Result<u64, Error> {
        let client = self.client()?;
        let statement = self.answered(client.prepare_cached(sql)).await?;
        self.answered(client.execute(&statement, parameters)).await
    }

    /// Does something once the transaction is committed, in the order in which it was said; nothing where it is rolled
    /// back, lost a race, or where it is not known whether it was committed. For hints: what must not get lost is an
    /// event. It must be quick, for the caller waits for it.
    pub fn after_commit(&self, effect: impl FnOnce() + Send + 'static) {
        self.inner.after_commit.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(effect));
    }

    /// Does something where the database refuses the commit itself and would again, as a deferred constraint does: then no
    /// statement has failed, and whoever would have noticed has not.
    pub fn at_refused_commit(&self, effect: impl FnOnce() + Send + 'static) {
        self.inner.at_refused_commit.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(effect));
    }

    async fn begin(&self, begin: &'static str) -> Result<(), Error> {
        self.answered(self.client()?.batch_execute(begin)).await
    }

    /// Gives the connection back, or takes it down where the server does not answer.
    async fn roll_back(self) {
        if let Ok(client) = self.client()
            && self.answered(client.batch_execute("ROLLBACK")).await.is_ok()
        {
            self.inner.finished.store(true, Ordering::Release);
        }
    }

    pub(super) fn client(&self) -> Result<&Object, Error> {
        let client = self.inner.client.as_ref().filter(|_| !self.inner.unanswered.load(Ordering::Acquire));
        client.ok_or(Error::Closed)
    }

    /// What the server answers, if it does.
    pub(super) async fn answered<T, E: Into<Error>>(
        &self,
        asked: impl Future<Output = Result<T, E>>,
    ) -> Result<T, Error> {
        match tokio::time::timeout(PATIENCE, asked).await {
            Ok(answer) => answer.map_err(E::into),
            Err(_) => {
                self.inner.unanswered.store(true, Ordering::Release);
                Err(given_up())
            }
        }
    }

    /// Remembers that this transaction wrote events, so that the relay is woken once it commits.
    pub(crate) fn mark_events_written(&self) {
        self.inner.wrote_events.store(true, Ordering::Release);
    }
}

/// An error type that transactions can end with: it knows the database's part in it.
pub trait TransactionError: From<Error> {
    /// The database's error behind this one, if any.
    fn database(&self) -> Option<&Error>;
}

impl TransactionError for Error {
    fn database(&self) -> Option<&Error> {
        Some(self)
    }
}

impl TransactionError for ApiError {
    fn database(&self) -> Option<&Error> {
        self.source.as_deref()?.downcast_ref()
    }
}

impl Db {
    /// Runs `work` in a transaction; again, from the start, where it lost a race. `work` must have no effect but through
    /// its transaction, and what it leaves to [`Tx::after_commit`].
    ///
    /// # Errors
    /// What `work` ends with, or the database's error. After a lost connection it is not known whether the transaction
    /// was committed: callers send again, and the work is written so that this is harmless.
    pub fn transaction<T, E, F, W>(&self, name: &'static str, work: F) -> impl Future<Output = Result<T, E>>
    where
        E: TransactionError,
        F: Fn(Tx) -> W,
        W: Future<Output = Result<T, E>>,
    {
        self.run(name, BEGIN, work)
    }

    /// As [`Db::transaction`], but reads only.
    ///
    /// # Errors
    /// As [`Db::transaction`].
    pub fn read<T, E, F, W>(&self, name: &'static str, work: F) -> impl Future<Output = Result<T, E>>
    where
        E: TransactionError,
        F: Fn(Tx) -> W,
        W: Future<Output = Result<T, E>>,
    {
        self.run(name, BEGIN_READ_ONLY, work)
    }

    /// As [`Db::read`], each statement planned for what is asked: for tables of many partitions, where what is asked names few of them. A
    /// plan for whatever may be asked is one over all of them, which PostgreSQL once makes of each statement on each connection, to compare,
    /// and is busy with for a tenth of a second where there are a hundred.
    ///
    /// # Errors
    /// As [`Db::transaction`].
    pub fn read_partitions<T, E, F, W>(
        &self,
        name: &'static str,
        work: F,
    ) -> impl Future<Output = Result<T, E>>
    where
        E: TransactionError,
        F: Fn(Tx) -> W,
        W: Future<Output = Result<T, E>>,
    {
        self.run(name, BEGIN_READ_PARTITIONS, work)
    }

    /// What is compiled anew for each transaction; whatever does not depend on its work stands below.
    async fn run<T, E, F, W>(&self, name: &'static str, begin: &'static str, work: F) -> Result<T, E>
    where
        E: TransactionError,
        F: Fn(Tx) -> W,
        W: Future<Output = Result<T, E>>,
    {
        let mut attempt = 0;
        loop {
            attempt += 1;
            let tx = self.open_transaction().await?;
            // The first statement does not wait for `BEGIN`: polled in this order, each sends when it is polled first.
            let (begun, worked) = futures::join!(tx.begin(begin), work(tx.clone()));
            let ended = match (begun, worked) {
                (Err(error), _) => {
                    drop(tx);
                    Err(error.into())
                }
                (Ok(()), Ok(value)) => self.commit(tx, begin).await.map(|()| value).map_err(E::from),
                (Ok(()), Err(error)) => {
                    tx.roll_back().await;
                    Err(error)
                }
            };
            match ended {
                Err(error) if error.database().is_some_and(Error::lost_a_race) => {
                    lose_a_race(name, attempt).await?;
                }
                ended => return ended,
            }
        }
    }

    /// Takes a connection, which from here on goes down with a future that is dropped: a `BEGIN` that is on its way would
    /// begin the transaction of whoever got it next.
    async fn open_transaction(&self) -> Result<Tx, Error> {
        let client = self.pool.get().await?;
        let inner = Inner {
            client: Some(client),
            finished: AtomicBool::new(false),
            unanswered: AtomicBool::new(false),
            wrote_events: AtomicBool::new(false),
            after_commit: Mutex::default(),
            at_refused_commit: Mutex::default(),
        };
        Ok(Tx { inner: Arc::new(inner) })
    }

    /// Ends what began so, and gives the connection back.
    async fn commit(&self, tx: Tx, begin: &'static str) -> Result<(), Error> {
        let mut commit = std::pin::pin!(tx.answered(tx.client()?.batch_execute("COMMIT")));
        // Nothing hangs on the end of what only read: once that is sent, the connection is the next one's, who is answered behind it.
        let sent = if begin == BEGIN { None } else { Some(futures::poll!(commit.as_mut())) };
        let committed = match sent {
            None => commit.await,
            Some(Poll::Ready(committed)) => committed,
            Some(Poll::Pending) => Ok(()),
        };
        if let Err(refused) = committed {
            if refused.class() == Class::Lasting {
                run_all(&tx.inner.at_refused_commit);
            }
            return Err(refused);
        }
        tx.inner.finished.store(true, Ordering::Release);
        let wrote_events = tx.inner.wrote_events.load(Ordering::Acquire);
        if wrote_events {
            self.events_written.notify_one();
        }
        run_all(&tx.inner.after_commit);
        Ok(())
    }
}

/// What is said of a server that did not answer.
pub(super) fn given_up() -> Error {
    tracing::warn!(seconds = PATIENCE.as_secs(), "PostgreSQL does not answer: a connection is given up");
    Error::Closed
}

/// Waits a while before a transaction that lost a race runs again, if it still may.
async fn lose_a_race(name: &'static str, attempt: u32) -> Result<(), Error> {
    if attempt >= ATTEMPTS {
        return Err(Error::TooManyRetries { transaction: name });
    }
    tracing::debug!(transaction = name, attempt, "transaction lost a race and runs again");
    let pause = Duration::from_millis(2 << attempt);
    tokio::time::sleep(pause.mul_f64(0.5 + Entropy.fraction())).await;
    Ok(())
}

fn run_all(effects: &Mutex<Vec<Effect>>) {
    let effects = std::mem::take(&mut *effects.lock().unwrap_or_else(PoisonError::into_inner));
    for effect in effects {
        effect();
    }
}
