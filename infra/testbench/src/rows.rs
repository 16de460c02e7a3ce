//! What stands in the service's tables.

use futures::FutureExt as _;
use futures::future::BoxFuture;
use petty_chassis::postgres::{Error, Row, ToSql};

use crate::bench::Bench;

impl Bench {
    /// The rows of a query.
    ///
    /// # Panics
    /// Where the database says no.
    pub fn query<'a>(
        &'a self,
        sql: &'a str,
        parameters: &'a [&'a (dyn ToSql + Sync)],
    ) -> BoxFuture<'a, Vec<Row>> {
        async move {
            let read = self.base.db.read("bench_query", |tx| async move { tx.query(sql, parameters).await });
            read.await.unwrap_or_else(|error| panic!("{error}: {sql}"))
        }
        .boxed()
    }

    /// The rows of a query of one column, which is text.
    ///
    /// # Panics
    /// Where the database says no, or the column is no text.
    pub async fn rows(&self, sql: &str) -> Vec<String> {
        let rows = self.query(sql, &[]).await;
        let column = |row| Error::column(row, "bench_query", 0);
        rows.iter().map(column).collect::<Result<_, _>>().unwrap_or_else(|error| panic!("{error}: {sql}"))
    }

    /// What a query of one row and one column counts.
    ///
    /// # Panics
    /// Where the database says no, or that is no `bigint`.
    pub async fn count(&self, sql: &str) -> i64 {
        let rows = self.query(sql, &[]).await;
        assert_eq!(rows.len(), 1, "{sql}");
        Error::column(&rows[0], "bench_query", 0).unwrap_or_else(|error| panic!("{error}: {sql}"))
    }

    /// Runs a statement; the number of rows it touched.
    ///
    /// # Panics
    /// Where the database says no.
    pub fn execute<'a>(
        &'a self,
        sql: &'a str,
        parameters: &'a [&'a (dyn ToSql + Sync)],
    ) -> BoxFuture<'a, u64> {
        async move {
            let written = self
                .base
                .db
                .transaction("bench_execute", |tx| async move { tx.execute(sql, parameters).await });
            written.await.unwrap_or_else(|error: Error| panic!("{error}: {sql}"))
        }
        .boxed()
    }
}
