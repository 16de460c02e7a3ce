//! What stands in the service's tables.

use petty_chassis::postgres::{Error, Row, ToSql};

use crate::bench::Bench;

impl Bench {
    /// The rows of a query.
    ///
    /// # Panics
    /// Where the database says no.
    pub async fn query(&self, sql: &str, parameters: &[&(dyn ToSql + Sync)]) -> Vec<Row> {
        let read = self.base.db.read("bench_query", |tx| async move { tx.query(sql, parameters).await });
        read.await.unwrap_or_else(|error| panic!("{error}: {sql}"))
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
    pub async fn execute(&self, sql: &str, parameters: &[&(dyn ToSql + Sync)]) -> u64 {
        let written =
            self.base.db.transaction("bench_execute", |tx| async move { tx.execute(sql, parameters).await });
        written.await.unwrap_or_else(|error: Error| panic!("{error}: {sql}"))
    }
}
