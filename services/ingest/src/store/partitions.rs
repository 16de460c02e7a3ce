//! The readings' day partitions, made ahead.

use jiff::SignedDuration;
use petty_chassis::calendar::utc_date;
use petty_chassis::postgres::Error;

use super::Store;
use crate::domain::reading::Window;

/// Days beyond what the window reaches: behind, so that a transaction that waited at midnight still finds its day; ahead,
/// so that a night without maintenance harms nothing.
const MARGIN: SignedDuration = SignedDuration::from_hours(2 * 24);

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
                let sql = "-- make_partitions\nSELECT ingest_make_partitions($1, $2)";
                tx.query(sql, &[&first, &last]).await.map(|_| ())
            })
            .await
    }
}
