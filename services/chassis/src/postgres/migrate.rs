//! Migrations: by the owner role, one process at a time, and a check that the schema is not older than the program.

use anyhow::{Context as _, bail};
use refinery::Runner;

use super::address::Address;
use super::{Db, Error};

mod embedded {
    refinery::embed_migrations!("migrations");
}

/// Any number, the same in every process: only one migrates at a time.
const LOCK: i64 = 7_239_400;

/// A service's migrations, beside the chassis' own.
pub struct Migrations {
    service: Runner,
}

impl std::fmt::Debug for Migrations {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Migrations").field("count", &self.service.get_migrations().len()).finish()
    }
}

impl Migrations {
    /// The service's own, as `refinery::embed_migrations!` made them.
    #[must_use]
    pub fn new(service: Runner) -> Self {
        Self { service }
    }

    pub(super) fn runners(&self) -> Vec<(&'static str, Runner)> {
        let chassis = embedded::migrations::runner();
        let service = Runner::new(self.service.get_migrations());
        vec![("chassis_schema_history", chassis), ("service_schema_history", service)]
    }
}

pub(super) async fn run(owner: &Address, runners: Vec<(&'static str, Runner)>) -> anyhow::Result<()> {
    let (mut client, connection) =
        owner.connect().await.context("connect as the database's owner (PETTY_MIGRATION_URL)")?;
    let work = async {
        client.execute("SELECT pg_advisory_lock($1)", &[&LOCK]).await?;
        for (table, mut runner) in runners {
            runner.set_migration_table_name(table);
            let report = runner.run_async(&mut client).await.with_context(|| format!("migrate ({table})"))?;
            for migration in report.applied_migrations() {
                tracing::info!(migration = %migration, table, "migrated");
            }
        }
        client.execute("SELECT pg_advisory_unlock($1)", &[&LOCK]).await?;
        drop(client);
        anyhow::Ok(())
    };
    // The connection is driven here, beside the work: it ends when the client is dropped.
    let (done, _) = tokio::join!(work, connection);
    done
}

/// The runtime role reads the history; a schema that is older than the program is refused, a newer one is not (expand
/// first, contract later).
pub(super) async fn check(db: &Db, runners: Vec<(&'static str, Runner)>) -> anyhow::Result<()> {
    for (table, runner) in runners {
        let newest =
            runner.get_migrations().iter().map(|migration| i64::from(migration.version())).max().unwrap_or(0);
        // Two fixed statements: a table's name cannot be bound.
        let sql = match table {
            "chassis_schema_history" => {
                "-- schema_version\nSELECT coalesce(max(version), 0)::int8 FROM chassis_schema_history"
            }
            _ => "-- schema_version\nSELECT coalesce(max(version), 0)::int8 FROM service_schema_history",
        };
        let applied: i64 = db
            .read("schema_version", |tx| async move {
                let row = tx.query_one(sql, &[]).await?;
                Error::column(&row, "schema_history", 0)
            })
            .await
            .context("read the schema's version (was the database migrated? set PETTY_MIGRATION_URL)")?;
        if applied < newest {
            bail!(
                "the database's schema ({table}) is at version {applied}, this program needs {newest}: migrate first"
            );
        }
    }
    Ok(())
}
