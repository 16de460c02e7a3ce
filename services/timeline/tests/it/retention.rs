//! How far back a stream can be taken up.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use petty_proto::behavior::v1::episode::Behavior;
use petty_proto::timeline::v1::timeline_update::Type;
use petty_testbench::now;
use petty_timeline::retention;

use crate::bench::{Bench, Told};
use crate::following::{expected, open};

const KEPT: Duration = Duration::from_secs(72 * 3_600);

fn hours(hours: i64) -> Timestamp {
    now() + SignedDuration::from_hours(hours)
}

async fn keep(bench: &Bench) {
    retention::run(&bench.base.db, &bench.clock, KEPT).await.unwrap();
}

#[tokio::test]
async fn what_is_kept_follows_exactly_and_the_rest_is_said_to_be_gone() {
    let bench = Bench::new("retention").await;
    let pet = bench.pet_id();
    let caller = (bench.owner_of(pet), pet);
    let walk = |nth: u128| Told::new(pet, nth, Behavior::Walking, 0, 60);
    // Noon of the 10th, two of the 10th and three of the 11th.
    for (hour, nth) in [(0, 1), (11, 2), (12, 3), (24, 4), (35, 5)] {
        bench.clock.set(hours(hour));
        bench.tell(&walk(nth)).await;
    }
    // The last moment of the 13th: three days back it was the 10th.
    bench.clock.set(hours(83) + SignedDuration::from_secs(3_599));
    keep(&bench).await;
    let mut stream = open(&bench.grpc, &bench, caller, "0").await.unwrap();
    assert_eq!(stream.take(5).await.len(), 5);
    bench.clock.set(hours(84));
    keep(&bench).await;
    keep(&bench).await;
    for (last, told) in [
        ("0", vec![(5, Type::Resync)]),
        ("1", vec![(5, Type::Resync)]),
        ("2", vec![(3, Type::Entry), (4, Type::Entry), (5, Type::Entry)]),
        ("3", vec![(4, Type::Entry), (5, Type::Entry)]),
        ("5", vec![]),
        ("6", vec![(5, Type::Resync)]),
        ("", vec![(5, Type::Ready)]),
    ] {
        let mut stream = open(&bench.grpc, &bench, caller, last).await.unwrap();
        assert_eq!(stream.told(told.len()).await, expected(&told), "behind {last:?}");
        assert!(stream.is_silent(), "behind {last:?}");
    }
    // All of it gone: numbers go on where they were.
    bench.clock.set(hours(24 * 10));
    keep(&bench).await;
    assert_eq!(bench.count("-- changes\nSELECT count(*) FROM changes").await, 0);
    let mut stream = open(&bench.grpc, &bench, caller, "4").await.unwrap();
    assert_eq!(stream.told(1).await, expected(&[(5, Type::Resync)]));
    bench.tell(&walk(6)).await;
    assert_eq!(stream.told(1).await, expected(&[(6, Type::Entry)]));
    assert_eq!(
        open(&bench.grpc, &bench, caller, "5").await.unwrap().told(1).await,
        expected(&[(6, Type::Entry)])
    );
}

#[tokio::test]
async fn a_stream_that_was_overtaken_by_the_housekeeping_is_told_so() {
    let bench = Bench::new("overtaken").await;
    let pet = bench.pet_id();
    let caller = (bench.owner_of(pet), pet);
    // More than the stream reads at once.
    for nth in 1..=60 {
        bench.tell(&Told::new(pet, nth, Behavior::Walking, 0, 60)).await;
    }
    let mut stream = open(&bench.grpc, &bench, caller, "0").await.unwrap();
    assert_eq!(stream.told(1).await, expected(&[(1, Type::Entry)]));
    // The stream's token lasts on: only the changes grow old.
    let kept_from = (hours(24)).to_zoned(jiff::tz::TimeZone::UTC).date();
    bench.execute("-- keep\nSELECT timeline_keep_changes($1, $1)", &[&kept_from]).await;
    let rest = stream.take(50).await;
    assert_eq!(rest[48].id, "50");
    assert_eq!((rest[49].id.as_str(), rest[49].r#type()), ("60", Type::Resync));
}

#[tokio::test]
async fn a_clock_that_goes_back_does_not_make_newer_changes_go_first() {
    let bench = Bench::new("clock_back").await;
    let pet = bench.pet_id();
    for (hour, nth) in [(12, 1), (0, 2), (11, 3)] {
        bench.clock.set(hours(hour));
        bench.tell(&Told::new(pet, nth, Behavior::Walking, 0, 60)).await;
    }
    let days = bench.rows("-- days\nSELECT day::text FROM changes ORDER BY sequence").await;
    assert_eq!(days, ["2026-01-11"; 3]);
}

#[tokio::test]
async fn days_are_made_and_dropped_whatever_the_plan() {
    let bench = Bench::new("plans").await;
    let date = |days: i64| (hours(24 * days)).to_zoned(jiff::tz::TimeZone::UTC).date();
    let partitions = || {
        bench.rows("-- partitions\nSELECT relname::text FROM pg_class WHERE relname ~ '^changes_[0-9]{8}$'")
    };
    // Both ways of joining that the planner has to choose from; statistics decide, so they change as a database grows.
    for (plan, days) in
        [("-- one\nSET LOCAL enable_nestloop = off", 100), ("-- other\nSET LOCAL enable_hashjoin = off", 200)]
    {
        let (from, until) = (date(days), date(days + 1));
        let kept: Result<(), petty_chassis::postgres::Error> = bench
            .base
            .db
            .transaction("keep", |tx| async move {
                tx.execute(plan, &[]).await?;
                tx.query_one("-- keep\nSELECT timeline_keep_changes($1, $2)", &[&from, &until])
                    .await
                    .map(|_| ())
            })
            .await;
        kept.unwrap();
        let names = partitions().await;
        let first = format!("changes_{}", from.strftime("%Y%m%d"));
        assert!(names.contains(&first) && names.iter().all(|name| *name >= first), "{plan}: {names:?}");
    }
}
