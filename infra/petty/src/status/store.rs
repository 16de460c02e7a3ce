//! What the databases tell of a mesh. Invariant: nothing is changed, and nothing that takes long is asked.

use std::time::Duration;

use tokio_postgres::{Client, NoTls};

/// An answer that takes longer is none.
const PATIENCE: Duration = Duration::from_secs(3);

/// A connection to one service's database.
pub(super) struct Store {
    client: Client,
    connection: tokio::task::JoinHandle<()>,
}

impl Store {
    /// Comes in as the service does.
    pub(super) async fn open(url: &str) -> anyhow::Result<Self> {
        let (client, connection) =
            tokio::time::timeout(PATIENCE, tokio_postgres::connect(url, NoTls)).await??;
        #[expect(
            clippy::disallowed_methods,
            reason = "a command of a second: the task ends with its connection, which is dropped with this"
        )]
        let connection = tokio::spawn(async move {
            // What broke it is told by the query that needed it.
            let _broken = connection.await;
        });
        Ok(Self { client, connection })
    }

    /// Pets that are there.
    pub(super) async fn pets(&self) -> anyhow::Result<i64> {
        self.number("-- count_pets\nSELECT count(*) FROM pets").await
    }

    /// Readings, by PostgreSQL's own statistics: a little behind, and at once.
    pub(super) async fn readings(&self) -> anyhow::Result<i64> {
        self.number(
            "-- estimate_readings\nSELECT coalesce(sum(n_live_tup), 0)::bigint FROM pg_stat_user_tables
             WHERE relname LIKE 'readings\\_%'",
        )
        .await
    }

    /// Events that wait to be sent.
    pub(super) async fn unsent(&self) -> anyhow::Result<i64> {
        self.number("-- count_unsent\nSELECT count(*) FROM event_outbox WHERE sent_at IS NULL").await
    }

    async fn number(&self, sql: &str) -> anyhow::Result<i64> {
        let row = tokio::time::timeout(PATIENCE, self.client.query_one(sql, &[])).await??;
        Ok(row.try_get(0)?)
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.connection.abort();
    }
}
