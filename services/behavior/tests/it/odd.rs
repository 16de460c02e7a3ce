//! Readings that are right, and odd.

use petty_behavior::domain::Species;
use petty_proto::events::v1::AcceptedReading;
use petty_testbench::at;

use crate::bench::{Bench, asleep, reading};

const EPISODES: &str = "-- episodes\nSELECT concat_ws(' ', behavior, start_at, end_at) FROM episodes WHERE NOT superseded ORDER BY start_at";

#[tokio::test]
async fn one_reading_is_kept_and_says_nothing() {
    let bench = Bench::new("odd_one").await;
    let pet = bench.pet(Species::Dog);
    bench.take(pet, &asleep(0, 1)).await;
    assert_eq!(bench.rows(EPISODES).await, Vec::<String>::new());
    assert_eq!(bench.count("-- slices\nSELECT count(*) FROM reading_slices").await, 1);
    // A second one makes the first episode, from the first on.
    bench.take(pet, &asleep(1, 1)).await;
    assert_eq!(bench.rows(EPISODES).await.len(), 1);
}

#[tokio::test]
async fn ten_thousand_readings_of_one_second_are_one() {
    let bench = Bench::new("odd_second").await;
    let pet = bench.pet(Species::Dog);
    let crowd: Vec<AcceptedReading> = (0..10_000)
        .map(|nth| AcceptedReading { time_us: at(0).as_microsecond() + 99 * nth, ..reading(0, 55.0, 0) })
        .collect();
    bench.take(pet, &crowd).await;
    bench.take(pet, &asleep(1, 30)).await;
    let rows = bench.rows(EPISODES).await;
    assert!(rows.len() == 1 && rows[0].starts_with("deep_sleep"), "{rows:?}");
    let counted = "-- counted\nSELECT (evidence ->> 'readings')::int8 FROM episodes WHERE NOT superseded";
    assert_eq!(bench.count(counted).await, 31);
}

#[tokio::test]
async fn two_collars_of_one_pet_tell_one_story() {
    let bench = Bench::new("odd_collars").await;
    let pet = bench.pet(Species::Dog);
    for minute in 0..60 {
        let other =
            AcceptedReading { collar_id: "collar-2".to_owned(), ..reading(60 * minute + 30, 56.0, 0) };
        bench.take(pet, &[reading(60 * minute, 55.0, 0), other]).await;
    }
    let rows = bench.rows(EPISODES).await;
    assert!(rows.len() == 1 && rows[0].starts_with("deep_sleep"), "{rows:?}");
}

#[tokio::test]
async fn a_collar_that_moves_at_noon_tells_of_each_pet_its_own() {
    let bench = Bench::new("odd_moved").await;
    let (before, after) = (bench.pet(Species::Dog), bench.pet(Species::Dog));
    bench.take(before, &asleep(-60, 60)).await;
    bench.take(after, &asleep(0, 60)).await;
    let whose =
        "-- whose\nSELECT concat_ws(' ', pet_id, behavior, extract(epoch FROM end_at - start_at)::int8)
                 FROM episodes WHERE NOT superseded ORDER BY start_at";
    let expected = [before, after].map(|pet| format!("{pet} deep_sleep 3540"));
    assert_eq!(bench.rows(whose).await, expected);
}

#[tokio::test]
async fn places_at_the_ends_of_the_map_are_places() {
    let bench = Bench::new("odd_places").await;
    let pet = bench.pet(Species::Dog);
    for (nth, (latitude, longitude)) in
        [(0.0, 0.0), (90.0, 13.0), (-90.0, -77.0), (0.0, 180.0), (0.0, -180.0), (89.9, 179.9)]
            .into_iter()
            .enumerate()
    {
        let begin = 1_500 * i64::try_from(nth).unwrap();
        let still: Vec<AcceptedReading> = (0..10)
            .map(|step| AcceptedReading {
                latitude: Some(latitude),
                longitude: Some(longitude),
                accuracy_m: Some(5.0),
                ..reading(begin + 60 * step, 55.0, 0)
            })
            .collect();
        bench.take(pet, &still).await;
    }
    // At each place it sleeps through all of its readings, and nobody walks from pole to pole.
    let slept = (0..6).map(|nth| {
        let [start, end] = [1_500 * nth, 1_500 * nth + 540].map(|second| at(second).as_second());
        format!("deep_sleep {start} {end}")
    });
    let told =
        "-- told\nSELECT concat_ws(' ', behavior, extract(epoch FROM start_at)::int8, extract(epoch FROM end_at)::int8)
         FROM episodes WHERE NOT superseded ORDER BY start_at";
    assert_eq!(bench.rows(told).await, slept.collect::<Vec<_>>());
}
