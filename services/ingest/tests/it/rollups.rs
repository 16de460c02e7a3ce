//! Sums of minutes and hours: what they follow, what takes them away, and which of them a list picks.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use petty_chassis::access::Role;
use petty_ingest::store::Retention;
use petty_proto::ingest::v1 as wire;
use petty_proto::ingest::v1::list_readings_request::Resolution;

use crate::world::{World, ago, at, reading};

fn beat(collar: &str, seconds: i64, heart_rate: f64) -> wire::Reading {
    wire::Reading { heart_rate: Some(heart_rate), ..reading(collar, ago(seconds)) }
}

#[tokio::test]
async fn late_readings_change_their_minute_and_hour() {
    let world = World::new("rollups_late").await;
    let owner = world.person();
    let pet = world.owned(&owner, "collar-1");
    let points = async |resolution: Resolution| {
        let request = wire::ListReadingsRequest {
            pet_id: pet.to_string(),
            end_time: Some(ago(-1).into()),
            resolution: resolution.into(),
            ..Default::default()
        };
        let answer = world.list(&owner, request).await.unwrap();
        assert_eq!(answer.point_seconds, if resolution == Resolution::Hour { 3_600 } else { 60 });
        let seconds = |one: &wire::Reading| ago(0).as_second() - one.timestamp.unwrap().seconds;
        answer.readings.iter().map(|one| (seconds(one), one.heart_rate.unwrap())).collect::<Vec<_>>()
    };
    world.ingest_batch(&owner, vec![beat("collar-1", 10, 100.0), beat("collar-1", 130, 60.0)]).await.unwrap();
    world.rolled_up().await;
    assert_eq!(points(Resolution::Minute).await, [(60, 100.0), (180, 60.0)]);
    assert_eq!(points(Resolution::Hour).await, [(3_600, 80.0)]);
    // Late, into a minute that is there, one that is not, and twice.
    let late = vec![beat("collar-1", 20, 50.0), beat("collar-1", 7_000, 70.0), beat("collar-1", 20, 50.0)];
    world.ingest_batch(&owner, late).await.unwrap();
    world.ingest(&owner, beat("collar-1", 20, 51.0)).await.unwrap();
    world.rolled_up().await;
    assert_eq!(points(Resolution::Minute).await, [(60, 75.0), (180, 60.0), (7_020, 70.0)]);
    assert_eq!(points(Resolution::Hour).await, [(3_600, 70.0), (7_200, 70.0)]);
    let notes = world.count("-- notes\nSELECT count(*) FROM readings_dirty").await;
    assert_eq!(notes, 0, "what was summed is not summed again");
}

#[tokio::test]
async fn an_erased_pet_leaves_no_sums_and_none_come_back() {
    let world = World::new("rollups_erased").await;
    let owner = world.person();
    let (kept, gone) = (world.pet_id(), world.pet_id());
    world.pair(&owner, Role::Owner, "collar-1", kept, at("2020-01-01T00:00:00Z"), Some(ago(30)));
    world.pair(&owner, Role::Owner, "collar-1", gone, ago(30), None);
    // Both in one minute.
    world.ingest_batch(&owner, vec![beat("collar-1", 40, 60.0), beat("collar-1", 20, 90.0)]).await.unwrap();
    world.rolled_up().await;
    let sums = "-- sums\nSELECT pet_id::text FROM readings_minute UNION ALL SELECT pet_id::text FROM readings_hour ORDER BY 1";
    let mut both = vec![kept.to_string(), kept.to_string(), gone.to_string(), gone.to_string()];
    both.sort();
    assert_eq!(world.rows(sums).await, both);
    // A note from before the erasure, taken after it.
    world.ingest(&owner, beat("collar-1", 10, 91.0)).await.unwrap();
    world.erase(gone).await;
    world.rolled_up().await;
    assert_eq!(world.rows(sums).await, [kept.to_string(), kept.to_string()]);
}

#[tokio::test]
async fn what_is_older_than_it_is_kept_is_dropped_and_means_outlive_readings() {
    let world = World::new("rollups_retention").await;
    let owner = world.person();
    let pet = world.owned(&owner, "collar-1");
    world.ingest(&owner, beat("collar-1", 10, 60.0)).await.unwrap();
    world.rolled_up().await;
    let days = |days: i64| SignedDuration::from_hours(24 * days);
    let retention = Retention { raw: days(32), minutes: days(365), hours: days(1_825) };
    let left = async || {
        let mut counts = Vec::new();
        for table in ["readings", "readings_minute", "readings_hour"] {
            counts.push(world.count(&format!("-- left\nSELECT count(*) FROM {table}")).await);
        }
        counts
    };
    for (age, expected) in [
        (days(32), [1, 1, 1]),
        (days(33), [0, 1, 1]),
        (days(364), [0, 1, 1]),
        (days(365), [0, 1, 1]),
        (days(396), [0, 0, 1]),
        (days(365 * 6), [0, 0, 0]),
    ] {
        world.clock.set(ago(0) + age);
        world.store.drop_partitions(retention).await.unwrap();
        assert_eq!(left().await, expected, "{age:#}");
        if expected[2] == 1 {
            let request = wire::ListReadingsRequest {
                pet_id: pet.to_string(),
                start_time: Some(ago(86_400).into()),
                end_time: Some(ago(-1).into()),
                ..Default::default()
            };
            let answer = world.list(&owner, request).await.unwrap();
            // Only what is sure to be kept is answered from: the month of a minute's mean may be there a while longer.
            let seconds = if age <= days(364) { 120 } else { 3_600 };
            assert_eq!((answer.readings.len(), answer.point_seconds), (1, seconds), "{age:#}");
        }
    }
}

#[tokio::test]
async fn a_list_picks_what_leaves_about_a_thousand_points() {
    let world = World::new("rollups_pick").await;
    let owner = world.person();
    let pet = world.owned(&owner, "collar-1");
    world.clock.set(ago(0));
    let batch = |from: i64, count: i64| {
        (from..from + count).map(|n| beat("collar-1", n * 80, 60.0)).collect::<Vec<_>>()
    };
    let list = async |page_size: i32, token: String| {
        let request = wire::ListReadingsRequest {
            pet_id: pet.to_string(),
            end_time: Some(ago(-1).into()),
            page_size,
            page_token: token,
            ..Default::default()
        };
        world.list(&owner, request).await.unwrap()
    };
    world.ingest_batch(&owner, batch(0, 1_000)).await.unwrap();
    world.rolled_up().await;
    let whole = list(1_000, String::new()).await;
    assert_eq!((whole.readings.len(), whole.point_seconds), (1_000, 0));
    // A page of each reading goes on as it began, though one more would have been means.
    let first = list(600, String::new()).await;
    world.ingest_batch(&owner, batch(1_000, 80)).await.unwrap();
    world.rolled_up().await;
    let rest = list(600, first.next_page_token).await;
    assert_eq!((first.point_seconds, rest.point_seconds, rest.readings.len()), (0, 0, 480));
    // A day of more is means of two minutes: page by page.
    let first = list(500, String::new()).await;
    let rest = list(500, first.next_page_token).await;
    assert_eq!((first.point_seconds, rest.point_seconds), (120, 120));
    assert_eq!((first.readings.len() + rest.readings.len(), rest.next_page_token.as_str()), (721, ""));
    // Unless told otherwise.
    let request = wire::ListReadingsRequest {
        pet_id: pet.to_string(),
        end_time: Some(ago(-1).into()),
        page_size: 1_000,
        resolution: Resolution::Raw.into(),
        ..Default::default()
    };
    let raw = world.list(&owner, request).await.unwrap();
    assert_eq!((raw.readings.len(), raw.point_seconds), (1_000, 0));
}

/// By collar and start: how many readings, their beats' sum and the newest time.
pub(crate) type Sums = BTreeMap<(String, i64), (i32, f64, i64)>;

pub(crate) async fn sums(world: &World, table: &str) -> Sums {
    let sql = format!(
        "-- sums\nSELECT collar_id, span_start, readings, heart_rate_sum, newest_at FROM {table} JOIN collars USING (collar_key)"
    );
    let rows = world.query(&sql, &[]).await;
    let micros = |time: Timestamp| time.as_microsecond();
    rows.iter()
        .map(|row| ((row.get(0), micros(row.get(1))), (row.get(2), row.get(3), micros(row.get(4)))))
        .collect()
}

/// What sums of so many seconds must be, of readings that are each there once: collar, time in microseconds, beats.
pub(crate) fn summed(readings: &[(String, i64, f64)], seconds: i64) -> Sums {
    let mut sums = Sums::new();
    let span = seconds * 1_000_000;
    for (collar, time, beats) in readings {
        let one = sums.entry((collar.clone(), time.div_euclid(span) * span)).or_insert((0, 0.0, i64::MIN));
        *one = (one.0 + 1, one.1 + beats, one.2.max(*time));
    }
    sums
}

#[tokio::test]
async fn more_minutes_than_are_summed_at_once_are_summed_all_the_same() {
    const BATCHES: i64 = 18;
    let world = World::new("rollups_many").await;
    let owner = world.person();
    world.owned(&owner, "collar-1");
    world.clock.set(ago(0));
    // A minute each, twelve days and a half: a note for each day of a batch.
    for batch in 0..BATCHES {
        let minutes = batch * 1_000..(batch + 1) * 1_000;
        let readings = minutes.map(|minute| beat("collar-1", minute * 60, 60.0)).collect();
        world.ingest_batch(&owner, readings).await.unwrap();
    }
    let notes = "-- notes\nSELECT count(*) FROM readings_dirty";
    let minutes = "-- minutes\nSELECT coalesce(sum(readings), 0)::int8 FROM readings_minute";
    let hours = "-- hours\nSELECT coalesce(sum(readings), 0)::int8 FROM readings_hour";
    assert!(world.store.roll_up().await.unwrap(), "there is more");
    let first = world.count(minutes).await;
    assert!(
        (16_384..17_384).contains(&first),
        "as many as are taken at once, and what the last note names: {first}"
    );
    assert_eq!(world.count(hours).await, first);
    assert!(world.count(notes).await > 0);
    world.rolled_up().await;
    assert_eq!((world.count(minutes).await, world.count(hours).await), (BATCHES * 1_000, BATCHES * 1_000));
    assert_eq!(world.count(notes).await, 0);
}
