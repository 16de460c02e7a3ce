//! How long changes are kept.

use std::time::Duration;

use jiff::SignedDuration;
use petty_chassis::postgres::{Db, Error};
use petty_chassis::types::Clock;
use petty_chassis::{Context, periodic};

use crate::store;

const INTERVAL: Duration = Duration::from_secs(3_600);

/// Makes the changes' day partitions and drops those past `retention`: now, so that there is one for today, and every hour
/// from now on.
///
/// # Errors
/// Where the database says no the first time.
pub async fn start(context: &Context, db: &Db, retention: Duration) -> Result<(), Error> {
    run(db, &context.clock, retention).await?;
    let (db, clock) = (db.clone(), context.clock.clone());
    periodic::every(context, "changes-retention", INTERVAL, move || {
        let (db, clock) = (db.clone(), clock.clone());
        async move { run(&db, &clock, retention).await }
    });
    Ok(())
}

/// Makes and drops once. Days are dropped whole: a change is kept for `retention` at least, and for a day more at most.
///
/// # Errors
/// Where the database says no.
pub async fn run(db: &Db, clock: &Clock, retention: Duration) -> Result<(), Error> {
    let now = clock.now();
    let retention = SignedDuration::try_from(retention).unwrap_or(SignedDuration::MAX);
    let kept_from = now.checked_sub(retention).unwrap_or(now);
    db.transaction("keep_changes", |tx| async move { store::keep(&tx, now, kept_from).await }).await
}
