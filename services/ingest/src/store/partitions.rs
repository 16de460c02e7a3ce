//! Partitions, made ahead, and dropped once they are older than they are kept.

use jiff::{SignedDuration, Timestamp};
use petty_chassis::calendar::utc_date;
use petty_chassis::postgres::Error;

use super::Store;
use crate::domain::reading::Window;

/// Days beyond what the window reaches: behind, so that a transaction that waited at midnight still finds its day; ahead,
/// so that a night without maintenance harms nothing.
const MARGIN: SignedDuration = SignedDuration::from_hours(2 * 24);

/// How long what is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Each reading; longer than readings are taken back by two days at least.
    pub raw: SignedDuration,
    /// A minute's means.
    pub minutes: SignedDuration,
    /// An hour's means.
    pub hours: SignedDuration,
}

impl Store {
    /// Makes the partitions of every day that a reading within the window may be of, and two days more at each end.
    ///
    /// # Errors
    /// Where the database says no.
    pub async fn make_partitions(&self, window: Window) -> Result<(), Error> {
        let now = self.clock.now();
        let first = utc_date(now - window.max_age - MARGIN);
        let last = utc_date(now + window.max_ahead + MARGIN);
        self.db
            .transaction("make_partitions", |tx| async move {
                let sql =
                    "-- make_partitions\nSELECT ingest_make_partitions($1, $2), ingest_make_rollups($1, $2)";
                tx.query(sql, &[&first, &last]).await.map(|_| ())
            })
            .await
    }

    /// Drops what is older than it is kept; how many partitions went.
    ///
    /// # Errors
    /// Where the database says no: a long read may hold a partition, and then the next run drops it.
    pub async fn drop_partitions(&self, retention: Retention) -> Result<i32, Error> {
        let now = self.clock.now();
        let before = |kept| utc_date(now.checked_sub(kept).unwrap_or(Timestamp::MIN));
        let (raw, minutes, hours) =
            (before(retention.raw), before(retention.minutes), before(retention.hours));
        self.db
            .transaction("drop_partitions", |tx| async move {
                // Whoever reads or writes waits behind the one who waits for the lock: not for long.
                tx.execute("-- short_wait\nSET LOCAL lock_timeout = '1s'", &[]).await?;
                let sql = "-- drop_partitions\nSELECT ingest_drop_partitions($1, $2, $3)";
                let row = tx.query_one(sql, &[&raw, &minutes, &hours]).await?;
                Error::column(&row, "pg_class", 0)
            })
            .await
    }
}
