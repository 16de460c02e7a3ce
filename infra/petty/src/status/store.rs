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

    /// Readings, by PostgreSQL's own statistics of the days' tables: a little behind, and at once.
    pub(super) async fn readings(&self) -> anyhow::Result<i64> {
        self.number(
            "-- estimate_readings\nSELECT coalesce(sum(n_live_tup), 0)::bigint FROM pg_stat_user_tables
             WHERE relname ~ '^readings_[0-9]{8}(_[0-9]+)?$'",
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

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    #[tokio::test]
    async fn readings_are_counted_and_not_what_is_made_of_them() {
        let postgres = petty_provision::shared().await.unwrap().postgres();
        let database = postgres.ensure_database("counted").await.unwrap();
        let store = Store::open(database.owner_url.expose_secret()).await.unwrap();
        let days = ["readings_20261130", "readings_20261201_0", "readings_20261201_3"];
        let others = [
            "readings_minute",
            "readings_minute_20261130",
            "readings_hour_202611",
            "readings_dirty",
            "old_readings_20261130",
        ];
        for table in days.into_iter().chain(others) {
            let sql = format!(
                "CREATE TABLE {table} AS SELECT generate_series(1, 10); SELECT pg_stat_force_next_flush()"
            );
            store.client.batch_execute(&sql).await.unwrap();
        }
        let deadline = std::time::Instant::now() + Duration::from_secs(30);
        loop {
            let counted = store.readings().await.unwrap();
            assert!(counted <= 30, "{counted}");
            if counted == 30 {
                return;
            }
            assert!(std::time::Instant::now() < deadline, "{counted}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
