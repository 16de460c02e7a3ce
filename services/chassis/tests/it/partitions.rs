//! The events tables' partitions: made ahead, and the oldest dropped, whatever plan PostgreSQL takes for finding them.

use petty_chassis::postgres::{Db, Error};
use secrecy::ExposeSecret as _;

use crate::world::{GAP_GRACE, HANDLING_DEADLINE, Setup};

/// Both ways of joining that the planner has to choose from; statistics decide, so they change as a database grows.
const PLANS: [&str; 2] = [
    "-- no_nested_loop\nSET LOCAL enable_nestloop = off",
    "-- no_hash_join\nSET LOCAL enable_hashjoin = off",
];

async fn maintain(db: &Db, plan: &'static str, days_ahead: i32) -> Result<(), Error> {
    let sql = "-- maintain\nSELECT event_maintain_partitions(current_date + $1::int)";
    db.transaction("maintain", |tx| async move {
        tx.execute(plan, &[]).await?;
        tx.query_one(sql, &[&days_ahead]).await.map(|_| ())
    })
    .await
}

async fn partitions(db: &Db) -> Vec<String> {
    let sql = "-- partitions\nSELECT relname::text FROM pg_class WHERE relname ~ '^event_(outbox|inbox)_[0-9]{8}$' ORDER BY 1";
    let read = |tx: petty_chassis::postgres::Tx| async move {
        tx.query(sql, &[]).await?.iter().map(|row| Error::column(row, "pg_class", 0)).collect()
    };
    db.read("partitions", read).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_are_kept_whatever_the_plan() {
    let stack = petty_provision::shared().await.unwrap();
    let redis_url = stack.redis().url().expose_secret().to_owned();
    let setup = Setup {
        stack,
        service: "timeline",
        database: "partitions",
        redis_url,
        endpoints: Vec::new(),
        handling_deadline: HANDLING_DEADLINE,
        gap_grace: GAP_GRACE,
    };
    let node = setup.start().await;
    let db = &node.base.db;
    let first = partitions(db).await;
    assert!(!first.is_empty());
    for plan in PLANS {
        maintain(db, plan, 0).await.unwrap();
        assert_eq!(partitions(db).await, first, "nothing is due yet: {plan}");
    }
    for (plan, days) in PLANS.into_iter().zip([100, 200]) {
        maintain(db, plan, days).await.unwrap();
        let now = partitions(db).await;
        assert_eq!(now.len(), first.len(), "{plan}");
        assert!(!now.iter().any(|name| first.contains(name)), "the old ones are gone: {plan}");
    }
}
