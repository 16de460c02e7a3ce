//! Postgres: a pool of the runtime role, named transactions that are tried again where that helps, and migrations by the
//! owner role.
//!
//! Invariants: parameters are bound, never formatted; a transaction that lost a race runs again as a whole, so that there
//! is no check-then-act between two of them; nothing is written outside of a transaction; the runtime role can neither define
//! tables nor connect elsewhere; over TLS there is no server that did not prove who it is.

pub(crate) mod address;
mod error;
mod migrate;
mod pipeline;
pub mod requests;
pub(crate) mod tls;
mod transaction;

use std::sync::Arc;

use deadpool_postgres::{Hook, HookError, ManagerConfig, Pool, RecyclingMethod, Runtime};
use opentelemetry::KeyValue;
use tokio::sync::Notify;

pub(crate) use error::said;
pub use error::{Class, Error};
pub use migrate::Migrations;
pub use pipeline::Step;
pub use refinery;
pub use tokio_postgres::Row;
pub use tokio_postgres::types::{FromSql, ToSql};
pub use transaction::{TransactionError, Tx};

use address::Address;

use crate::config::PostgresConfig;
use crate::service::Context;

/// Within this a server answers that can be worked with.
const ANSWER: std::time::Duration = std::time::Duration::from_secs(2);

/// A service's own database. Cheap to clone.
#[derive(Clone)]
pub struct Db {
    pool: Pool,
    events_written: Arc<Notify>,
}

impl std::fmt::Debug for Db {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Db").field("pool", &self.pool.status()).finish_non_exhaustive()
    }
}

impl Db {
    /// Migrates as the owner, where its address is configured, checks the schema's version, and opens the runtime role's
    /// pool. Registers readiness, says where Postgres is set up to lose data, and once where it is spoken to in plain beyond this
    /// machine.
    ///
    /// # Errors
    /// Where the database cannot be reached or migrated, or its schema is older than this program.
    pub async fn open(
        context: &Context,
        config: &PostgresConfig,
        migrations: Migrations,
    ) -> anyhow::Result<Self> {
        let runtime = Address::of(&config.runtime_url, &config.tls)?;
        let owner = config.owner_url.as_ref().map(|url| Address::of(url, &config.tls)).transpose()?;
        let open: Vec<_> = [("PETTY_MIGRATION_URL", owner.as_ref()), ("PETTY_DATABASE_URL", Some(&runtime))]
            .into_iter()
            .filter(|(_, address)| address.is_some_and(Address::is_open_to_others))
            .map(|(setting, _)| setting)
            .collect();
        if !open.is_empty() {
            tracing::warn!(
                settings = open.join(", "),
                "PostgreSQL on another machine is spoken to without TLS: set {}, or sslmode=verify-full in the URL",
                tls::CA_FILE
            );
        }
        if let Some(owner) = owner {
            migrate::run(&owner, migrations.runners()).await?;
        }
        let db = Self::over(runtime, config.pool_size)?;
        migrate::check(&db, migrations.runners()).await?;
        // By a connection of its own: where all are in use, the database is none the less there.
        let looking = Self::over(Address::of(&config.runtime_url, &config.tls)?, 1)?;
        looking.watch(context).await?;
        Ok(db)
    }

    /// Only the pool: for tests and tools.
    ///
    /// # Errors
    /// Where the address is no Postgres URL, or there is nothing to verify its server with.
    pub fn connect(config: &PostgresConfig) -> anyhow::Result<Self> {
        Self::over(Address::of(&config.runtime_url, &config.tls)?, config.pool_size)
    }

    fn over(mut runtime: Address, pool_size: usize) -> anyhow::Result<Self> {
        let address = runtime.config_mut();
        address.connect_timeout(std::time::Duration::from_secs(2));
        // A statement or lock that takes longer than any deadline helps nobody, and holds what others wait for. What is sent
        // behind a BEGIN that failed must not write by itself: transactions that write say so. Compiling a statement pays where it runs for
        // seconds; over many partitions PostgreSQL takes short ones for such. A page elsewhere costs what the next one does, on every disk
        // that a database has by now: where it is taken to cost four times as much, a day is read whole and sorted for its last thousand readings.
        address.options(
            "-c statement_timeout=30s -c lock_timeout=10s -c idle_in_transaction_session_timeout=60s \
             -c default_transaction_read_only=on -c jit=off -c random_page_cost=1.1",
        );
        // A machine that is gone says nothing, and would be waited for until TCP gives up, a quarter of an hour: this notices within ten
        // seconds where something is sent, and within twenty where an answer is waited for.
        address.tcp_user_timeout(std::time::Duration::from_secs(10));
        address.keepalives_idle(std::time::Duration::from_secs(10));
        address.keepalives_interval(std::time::Duration::from_secs(5));
        address.keepalives_retries(2);
        // A server looks by itself whether somebody still waits for what it does, where its machine lets it: a statement that was given up
        // would go on until it ends, with its locks, while the pool makes a connection in its place. Refused elsewhere.
        let heeded = Hook::async_fn(|client: &mut deadpool_postgres::ClientWrapper, _| {
            Box::pin(async move {
                let set = client.batch_execute("SET client_connection_check_interval = '1s'").await;
                match set {
                    Err(error) if error.as_db_error().is_none() => Err(HookError::Backend(error)),
                    Ok(()) | Err(_) => Ok(()),
                }
            })
        });
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let pool = Pool::builder(runtime.manager(recycling))
            .max_size(pool_size)
            .post_create(heeded)
            .wait_timeout(Some(std::time::Duration::from_secs(2)))
            .create_timeout(Some(std::time::Duration::from_secs(2)))
            .recycle_timeout(Some(std::time::Duration::from_secs(2)))
            .runtime(Runtime::Tokio1)
            .build()?;
        Ok(Self { pool, events_written: Arc::new(Notify::new()) })
    }

    /// Woken after a commit that wrote events.
    #[must_use]
    pub fn events_written(&self) -> Arc<Notify> {
        self.events_written.clone()
    }

    /// Keeps readiness and the metric true to the database's state and settings: both may change while this runs.
    async fn watch(&self, context: &Context) -> anyhow::Result<()> {
        let found = self.lossy_settings().await?;
        let check = context.readiness.check("postgres");
        let gauge = crate::telemetry::meter().u64_gauge("petty_postgres_durable").build();
        let labels = [KeyValue::new("service", context.service)];
        let mut said = String::new();
        let mut note = move |found: Result<String, Error>| match found {
            Ok(lossy) => {
                if lossy != said && !lossy.is_empty() {
                    tracing::error!(settings = lossy, "Postgres is set up to lose acknowledged data");
                }
                gauge.record(u64::from(lossy.is_empty()), &labels);
                check.ok(if lossy.is_empty() {
                    "reachable".to_owned()
                } else {
                    format!("reachable, but set up to lose data: {lossy}")
                });
                said = lossy;
            }
            Err(error) => check.fail(crate::error::chain(&error)),
        };
        note(Ok(found));
        let db = self.clone();
        let shutdown = context.shutdown.clone();
        context.tasks.spawn_background("postgres-readiness", async move {
            loop {
                tokio::select! {
                    () = shutdown.cancelled() => return,
                    () = tokio::time::sleep(std::time::Duration::from_secs(2)) => {}
                }
                // A server that hangs refuses nothing: an answer that takes longer is none.
                let found = tokio::time::timeout(ANSWER, db.lossy_settings()).await;
                note(found.unwrap_or(Err(Error::Closed)));
            }
        });
        Ok(())
    }

    /// The settings by which Postgres would lose what it acknowledged, or nothing. It is asked every other second, by every
    /// replica: three settings by name, not the view of all.
    async fn lossy_settings(&self) -> Result<String, Error> {
        let sql = "-- lossy_settings\nSELECT coalesce(string_agg(name || ' = off', ', '), '')
                   FROM unnest(ARRAY['fsync', 'full_page_writes', 'synchronous_commit']) AS name
                   WHERE current_setting(name) = 'off'";
        self.read("lossy_settings", |tx| async move {
            let row = tx.query_one(sql, &[]).await?;
            Error::column(&row, "pg_settings", 0)
        })
        .await
    }
}
