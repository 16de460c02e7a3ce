//! Postgres: a pool of the runtime role, named transactions that are tried again where that helps, and migrations by the
//! owner role.
//!
//! Invariants: parameters are bound, never formatted; a transaction that lost a race runs again as a whole, so that there
//! is no check-then-act between two of them; nothing is written outside of a transaction; the runtime role can neither define
//! tables nor connect elsewhere.

mod error;
mod migrate;
mod pipeline;
pub mod requests;
mod transaction;

use std::sync::Arc;

use deadpool_postgres::{Manager, ManagerConfig, Pool, RecyclingMethod, Runtime};
use secrecy::ExposeSecret as _;
use tokio::sync::Notify;
use tokio_postgres::NoTls;

pub use error::{Class, Error};
pub use migrate::Migrations;
pub use pipeline::Step;
pub use refinery;
pub use tokio_postgres::Row;
pub use tokio_postgres::types::{FromSql, ToSql};
pub use transaction::{TransactionError, Tx};

use crate::config::PostgresConfig;
use crate::service::Context;

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
    /// pool. Registers readiness and says where Postgres is set up to lose data.
    ///
    /// # Errors
    /// Where the database cannot be reached or migrated, or its schema is older than this program.
    pub async fn open(
        context: &Context,
        config: &PostgresConfig,
        migrations: Migrations,
    ) -> anyhow::Result<Self> {
        if let Some(owner) = &config.owner_url {
            migrate::run(owner, migrations.runners()).await?;
        }
        let db = Self::connect(config)?;
        migrate::check(&db, migrations.runners()).await?;
        db.watch(context).await?;
        Ok(db)
    }

    /// Only the pool: for tests and tools.
    ///
    /// # Errors
    /// Where the address is no Postgres URL.
    pub fn connect(config: &PostgresConfig) -> anyhow::Result<Self> {
        let mut address: tokio_postgres::Config = config.runtime_url.expose_secret().parse()?;
        address.connect_timeout(std::time::Duration::from_secs(2));
        // A statement or lock that takes longer than any deadline helps nobody, and holds what others wait for. What is sent
        // behind a BEGIN that failed must not write by itself: transactions that write say so. Compiling a statement pays where it runs for
        // seconds; over many partitions PostgreSQL takes short ones for such. A page elsewhere costs what the next one does, on every disk
        // that a database has by now: where it is taken to cost four times as much, a day is read whole and sorted for its last thousand readings.
        address.options(
            "-c statement_timeout=30s -c lock_timeout=10s -c idle_in_transaction_session_timeout=60s \
             -c default_transaction_read_only=on -c jit=off -c random_page_cost=1.1",
        );
        address.keepalives_idle(std::time::Duration::from_secs(30));
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let manager = Manager::from_config(address, NoTls, recycling);
        let pool = Pool::builder(manager)
            .max_size(config.pool_size)
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

    /// Keeps readiness true to the database's state.
    async fn watch(&self, context: &Context) -> anyhow::Result<()> {
        let lossy = self.lossy_settings().await?;
        if !lossy.is_empty() {
            tracing::error!(settings = lossy, "Postgres is set up to lose acknowledged data");
        }
        crate::telemetry::meter()
            .u64_gauge("petty_postgres_durable")
            .build()
            .record(u64::from(lossy.is_empty()), &[]);
        let check = context.readiness.check("postgres");
        let db = self.clone();
        let shutdown = context.shutdown.clone();
        let detail = if lossy.is_empty() {
            "reachable".to_owned()
        } else {
            format!("reachable, but set up to lose data: {lossy}")
        };
        check.ok(detail.clone());
        context.tasks.spawn_background("postgres-readiness", async move {
            loop {
                tokio::select! {
                    () = shutdown.cancelled() => return,
                    () = tokio::time::sleep(std::time::Duration::from_secs(2)) => {}
                }
                match db.ping().await {
                    Ok(()) => check.ok(detail.clone()),
                    Err(error) => check.fail(crate::error::chain(&error)),
                }
            }
        });
        Ok(())
    }

    async fn ping(&self) -> Result<(), Error> {
        self.read("ping", |tx| async move { tx.query("-- ping\nSELECT 1", &[]).await.map(|_| ()) }).await
    }

    /// The settings by which Postgres would lose what it acknowledged, or nothing.
    async fn lossy_settings(&self) -> Result<String, Error> {
        let sql = "-- lossy_settings\nSELECT coalesce(string_agg(name || ' = ' || setting, ', '), '') FROM pg_settings
                   WHERE name IN ('fsync', 'synchronous_commit', 'full_page_writes') AND setting = 'off'";
        self.read("lossy_settings", |tx| async move {
            let row = tx.query_one(sql, &[]).await?;
            Error::column(&row, "pg_settings", 0)
        })
        .await
    }
}
