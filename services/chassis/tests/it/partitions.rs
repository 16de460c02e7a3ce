//! The events tables' partitions: made ahead, and the oldest dropped, whatever plan PostgreSQL takes for finding them.

use petty_chassis::postgres::{Class, Db, Error};
use secrecy::ExposeSecret as _;
use tokio::sync::Notify;

use crate::world::{GAP_GRACE, HANDLING_DEADLINE, Node, Setup};

/// Both ways of joining that the planner has to choose from; statistics decide, so they change as a database grows.
const PLANS: [&str; 2] = [
    "-- no_nested_loop\nSET LOCAL enable_nestloop = off",
    "-- no_hash_join\nSET LOCAL enable_hashjoin = off",
];

const MAKE: &str = "-- make\nSELECT event_maintain_partitions(current_date + $1::int)";
const DROP: [&str; 2] = [
    "-- drop_inbox\nSELECT event_drop_partitions('event_inbox', current_date + $1::int)",
    "-- drop_outbox\nSELECT event_drop_partitions('event_outbox', current_date + $1::int)",
];

async fn maintain(db: &Db, plan: &'static str, days_ahead: i32) -> Result<(), Error> {
    for sql in [MAKE].into_iter().chain(DROP) {
        db.transaction("maintain", |tx| async move {
            tx.execute(plan, &[]).await?;
            tx.query_one(sql, &[&days_ahead]).await.map(drop)
        })
        .await?;
    }
    Ok(())
}

async fn partitions(db: &Db) -> Vec<String> {
    let sql = "-- partitions\nSELECT relname::text FROM pg_class WHERE relname ~ '^event_(outbox|inbox)_[0-9]{8}$' ORDER BY 1";
    let read = |tx: petty_chassis::postgres::Tx| async move {
        tx.query(sql, &[]).await?.iter().map(|row| Error::column(row, "pg_class", 0)).collect()
    };
    db.read("partitions", read).await.unwrap()
}

async fn node(database: &'static str) -> Node {
    let stack = petty_provision::shared().await.unwrap();
    let redis_url = stack.redis().url().expose_secret().to_owned();
    let setup = Setup {
        stack,
        service: "timeline",
        database,
        redis_url,
        endpoints: Vec::new(),
        handling_deadline: HANDLING_DEADLINE,
        gap_grace: GAP_GRACE,
    };
    setup.start().await
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_are_kept_whatever_the_plan() {
    let node = node("partitions").await;
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

/// Whoever writes events or handles them holds both tables until the transaction ends.
#[tokio::test(flavor = "multi_thread")]
async fn partitions_are_made_beside_whoever_writes_and_dropped_where_that_takes_no_time() {
    let node = node("partitions_beside").await;
    let db = &node.base.db;
    let before = partitions(db).await;
    let (written, over) = (&Notify::new(), &Notify::new());
    let writing = db.transaction("write", |tx| async move {
        for sql in [
            "-- inbox\nDELETE FROM event_inbox WHERE false",
            "-- outbox\nDELETE FROM event_outbox WHERE false",
        ] {
            tx.execute(sql, &[]).await?;
        }
        written.notify_one();
        over.notified().await;
        Ok::<(), Error>(())
    });
    let housekeeping = async {
        written.notified().await;
        let made: Result<(), Error> = db
            .transaction("make", |tx| async move {
                tx.execute("-- hurry\nSET LOCAL lock_timeout = '100ms'", &[]).await?;
                tx.query_one(MAKE, &[&60_i32]).await.map(drop)
            })
            .await;
        made.unwrap();
        assert!(partitions(db).await.len() > before.len());
        for sql in DROP {
            let began = std::time::Instant::now();
            let dropped: Result<(), Error> = db
                .transaction("drop", |tx| async move { tx.query_one(sql, &[&60_i32]).await.map(drop) })
                .await;
            assert_eq!(dropped.unwrap_err().class(), Class::Away, "it is tried again: {sql}");
            // Any other statement waits for ten.
            assert!(began.elapsed().as_secs() < 8, "{sql}");
        }
        over.notify_one();
    };
    let (wrote, ()) = tokio::join!(writing, housekeeping);
    wrote.unwrap();
    maintain(db, PLANS[0], 60).await.unwrap();
    let now = partitions(db).await;
    assert!(!now.iter().any(|name| before.contains(name)), "the old ones are gone");
    // What is made in one of them is as it is in any other.
    let sql = "-- storage\nSELECT count(*) FROM pg_attribute a JOIN pg_inherits i ON i.inhrelid = a.attrelid \
               WHERE i.inhparent = 'event_outbox'::regclass AND a.attname = 'payload' AND a.attstorage <> 'e'";
    let packed =
        db.read("storage", |tx| async move { Error::column(&tx.query_one(sql, &[]).await?, "it", 0) });
    let packed: i64 = packed.await.unwrap();
    assert_eq!(packed, 0, "payloads are not packed");
}
