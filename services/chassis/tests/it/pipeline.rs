//! Pipelines: all of it or nothing, and the connection is as good afterwards.

use petty_chassis::postgres::{Db, Error, Step};
use uuid::Uuid;

use crate::world::node;

// Any table of the chassis' own where a key is taken once.
const PUT: &str =
    "-- put\nINSERT INTO event_tombstones (pet_id, created_at) VALUES ($1, '2026-01-01T00:00:00Z')";
const COPY: &str = "-- copy\nCOPY event_tombstones (pet_id, created_at) FROM STDIN";

fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

fn put(id: &Uuid) -> Step<'_> {
    Step::Execute { sql: PUT, parameters: vec![id] }
}

/// As COPY's text format has it.
fn copy(numbers: std::ops::Range<u128>) -> Step<'static> {
    let rows: String = numbers.map(|number| format!("{}\t2026-01-01T00:00:00Z\n", id(number))).collect();
    Step::Copy { sql: COPY, rows: rows.into() }
}

async fn count(db: &Db) -> i64 {
    let sql = "-- count\nSELECT count(*) FROM event_tombstones";
    db.read("count", |tx| async move { Error::column(&tx.query_one(sql, &[]).await?, "event_tombstones", 0) })
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipeline_is_committed_as_a_whole_or_not_at_all() {
    let node = node("pipeline_whole").await;
    let db = &node.base.db;
    let ids = [id(1), id(2), id(3)];
    let [before, after, fresh] = &ids;
    let touched = db.pipeline(&[put(before), copy(10..15), put(after)]).await.unwrap();
    assert_eq!(touched, [1, 5, 1]);
    assert_eq!(count(db).await, 7);

    // More often than the pool has connections: each is as good as before.
    for round in 0..20 {
        // The COPY fails in its middle; the statement before it, and the one behind it.
        for steps in [
            vec![put(fresh), copy(13..18), put(after)],
            vec![put(before), copy(100..200)],
            vec![copy(100..200), put(after)],
        ] {
            let refused = db.pipeline(&steps).await.unwrap_err();
            assert!(matches!(refused, Error::Conflict { .. }), "{round}: {refused:?}");
        }
        let absurd = Step::Execute { sql: "-- absurd\nSELECT 1 / $1::int4", parameters: vec![&0_i32] };
        let refused = db.pipeline(&[copy(100..200), absurd]).await.unwrap_err();
        assert!(refused.refuses_a_row(), "{refused:?}");
        assert_eq!(count(db).await, 7, "{round}");
    }
    assert_eq!(db.pipeline(&[put(fresh), copy(100..200)]).await.unwrap(), [1, 100]);
    assert_eq!(count(db).await, 108);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_written_outside_of_a_transaction() {
    let node = node("pipeline_read_only").await;
    let sql = "-- setting\nSELECT current_setting('default_transaction_read_only')";
    let setting: Result<String, Error> = node
        .base
        .db
        .read("setting", |tx| async move { Error::column(&tx.query_one(sql, &[]).await?, "pg_settings", 0) })
        .await;
    assert_eq!(setting.unwrap(), "on");
}
