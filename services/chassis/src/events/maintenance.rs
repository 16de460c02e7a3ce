//! The housekeeping of the events tables: partitions ahead, what is past its time away.
//!
//! Invariant: nobody who writes events or handles them waits for it for longer than a second.

use std::time::Duration;

use super::dead_letters;
use crate::calendar::utc_date;
use crate::periodic;
use crate::postgres::{Db, Error};
use crate::service::Context;
use crate::types::Clock;

const INTERVAL: Duration = Duration::from_secs(600);

/// Now, so that there is a partition for today, and every ten minutes from now on.
pub(super) async fn start(context: &Context, db: &Db) -> Result<(), Error> {
    run(db, &context.clock).await?;
    let (db, clock) = (db.clone(), context.clock.clone());
    periodic::every(context, "events-maintenance", INTERVAL, move || {
        let (db, clock) = (db.clone(), clock.clone());
        async move { run(&db, &clock).await }
    });
    Ok(())
}

async fn run(db: &Db, clock: &Clock) -> Result<(), Error> {
    let now = clock.now();
    let today = utc_date(now);
    db.transaction("make_event_partitions", |tx| async move {
        tx.query("-- maintain_partitions\nSELECT event_maintain_partitions($1)", &[&today]).await.map(drop)
    })
    .await?;
    // Each by itself, and what is slow by itself: the table is locked for everybody until its transaction ends.
    for parent in ["event_inbox", "event_outbox"] {
        db.transaction("drop_event_partitions", |tx| async move {
            let sql = "-- drop_partitions\nSELECT event_drop_partitions($1, $2)";
            tx.query(sql, &[&parent, &today]).await.map(drop)
        })
        .await?;
    }
    db.transaction("forget_events", |tx| async move {
        let hours = |hours| now - jiff::SignedDuration::from_hours(hours);
        tx.execute("-- forget_requests\nDELETE FROM event_requests WHERE created_at < $1", &[&hours(25)])
            .await?;
        tx.execute(
            "-- forget_dead_letters\nDELETE FROM event_dead_letters WHERE created_at < $1",
            &[&(now - dead_letters::KEPT)],
        )
        .await?;
        tx.execute("-- forget_failures\nDELETE FROM event_failures WHERE failed_at < $1", &[&hours(22 * 24)])
            .await?;
        Ok(())
    })
    .await
}
