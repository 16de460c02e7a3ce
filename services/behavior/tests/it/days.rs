//! Days are told once they are over, and again where they changed after that.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use petty_behavior::DayConfig;
use petty_behavior::days::Closer;
use petty_behavior::domain::Species;
use petty_chassis::events::topics;
use petty_chassis::types::PetId;
use petty_proto::behavior::v1::episode::Behavior;
use petty_proto::events::v1::DayClosed;
use petty_testbench::a_dog;

use crate::bench::{Bench, asleep, reading};

fn closer(bench: &Bench) -> Closer {
    Closer::new(bench.base.db.clone(), bench.clock.clone(), DayConfig::default(), bench.base.events.shards())
}

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

async fn told(bench: &Bench) -> Vec<DayClosed> {
    let written = bench.outbox::<DayClosed>(&topics::BEHAVIOR_DAY_CLOSED).await;
    written
        .into_iter()
        .map(|written| {
            assert_eq!(written.version, i64::from(written.payload.version));
            assert_eq!(written.subject.to_string(), written.payload.pet_id);
            written.payload
        })
        .collect()
}

fn minutes(day: &DayClosed) -> BTreeMap<Behavior, f64> {
    day.behaviors.iter().map(|share| (share.behavior(), share.minutes)).collect()
}

/// Asleep from noon to 12:59 on 10 January: one hour later in Berlin, where the dog lives.
async fn a_sleeping_dog(bench: &Bench) -> PetId {
    let pet = bench.pet(Species::Dog);
    bench.take(pet, &asleep(0, 60)).await;
    pet
}

/// Six hours after midnight in Berlin.
fn due() -> Timestamp {
    time("2026-01-11T05:00:00Z")
}

#[tokio::test]
async fn a_day_is_told_six_hours_after_its_end_in_the_pets_own_zone() {
    let bench = Bench::new("day_due").await;
    let pet = a_sleeping_dog(&bench).await;
    let closer = closer(&bench);
    bench.clock.set(due() - SignedDuration::from_micros(1));
    assert_eq!(closer.close_due().await.unwrap(), 0);
    bench.clock.set(due());
    assert_eq!(closer.close_due().await.unwrap(), 1);
    let days = told(&bench).await;
    let [day] = days.as_slice() else { panic!("{days:?}") };
    assert_eq!((day.pet_id.as_str(), day.date.as_str(), day.version), (&*pet.to_string(), "2026-01-10", 1));
    assert_eq!(day.time_zone, "Europe/Berlin");
    assert_eq!(day.start_time, Some(time("2026-01-09T23:00:00Z").into()));
    assert_eq!(day.end_time, Some(time("2026-01-10T23:00:00Z").into()));
    assert_eq!(minutes(day), BTreeMap::from([(Behavior::DeepSleep, 59.0)]));
    assert!((day.covered_minutes - 59.0).abs() < 1e-9);
    assert!((day.resting_heart_rate.unwrap() - 55.0).abs() < 1e-9);
    assert_eq!(day.distance_m, None);
    assert_eq!(day.rule_version, "v1/5");
    // Told is told.
    bench.clock.set(due() + SignedDuration::from_hours(100));
    assert_eq!(closer.close_due().await.unwrap(), 0);
}

#[tokio::test]
async fn a_late_reading_opens_the_day_again_and_a_repeated_one_does_not() {
    let bench = Bench::new("day_late").await;
    let pet = a_sleeping_dog(&bench).await;
    let closer = closer(&bench);
    bench.clock.set(due());
    assert_eq!(closer.close_due().await.unwrap(), 1);

    bench.take(pet, &asleep(0, 60)).await;
    bench.clock.set(due() + SignedDuration::from_hours(1));
    assert_eq!(closer.close_due().await.unwrap(), 0, "a repetition changed nothing");

    bench.take(pet, &asleep(60, 10)).await;
    assert_eq!(closer.close_due().await.unwrap(), 0, "more may be on its way");
    bench.clock.set(due() + SignedDuration::from_mins(75));
    assert_eq!(closer.close_due().await.unwrap(), 1);
    let days = told(&bench).await;
    assert_eq!(days.iter().map(|day| day.version).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(minutes(&days[1]), BTreeMap::from([(Behavior::DeepSleep, 69.0)]));
}

#[tokio::test]
async fn a_night_belongs_to_both_of_its_days() {
    let bench = Bench::new("day_night").await;
    let pet = bench.pet(Species::Dog);
    // From 22:30 to 23:30 UTC: Berlin's midnight is in the middle.
    bench.take(pet, &asleep(630, 61)).await;
    bench.clock.set(due() + SignedDuration::from_hours(24));
    assert_eq!(closer(&bench).close_due().await.unwrap(), 2);
    let days: BTreeMap<String, BTreeMap<Behavior, f64>> =
        told(&bench).await.iter().map(|day| (day.date.clone(), minutes(day))).collect();
    let half = BTreeMap::from([(Behavior::DeepSleep, 30.0)]);
    assert_eq!(
        days,
        BTreeMap::from([("2026-01-10".to_owned(), half.clone()), ("2026-01-11".to_owned(), half)])
    );
}

#[tokio::test]
async fn of_several_replicas_one_tells_each_day() {
    let bench = Bench::new("day_replicas").await;
    let mut pets = Vec::new();
    for _ in 0..25 {
        pets.push(a_sleeping_dog(&bench).await.to_string());
    }
    bench.clock.set(due());
    let (one, another, third) = (closer(&bench), closer(&bench), closer(&bench));
    let (first, second, last) = tokio::join!(one.close_due(), another.close_due(), third.close_due());
    assert_eq!(first.unwrap() + second.unwrap() + last.unwrap(), 25);
    let mut told: Vec<String> = told(&bench).await.into_iter().map(|day| day.pet_id).collect();
    told.sort_unstable();
    pets.sort_unstable();
    assert_eq!(told, pets);
}

#[tokio::test]
async fn days_follow_the_pet_into_another_zone() {
    let bench = Bench::new("day_zone").await;
    let pet = a_sleeping_dog(&bench).await;
    let closer = closer(&bench);
    bench.clock.set(due());
    assert_eq!(closer.close_due().await.unwrap(), 1);
    let moved = petty_proto::auth::v1::Pet { time_zone: "America/New_York".to_owned(), ..a_dog(pet, 2) };
    bench.apply(&bench.pet_changed(&moved)).await.unwrap();
    bench.clock.set(due() + SignedDuration::from_mins(15));
    assert_eq!(closer.close_due().await.unwrap(), 0, "in New York the day goes on");
    bench.take(pet, &[reading(59 * 60 + 60, 55.0, 0)]).await;
    bench.clock.set(due() + SignedDuration::from_mins(60));
    assert_eq!(closer.close_due().await.unwrap(), 0, "in New York the day is not over for long enough");
    bench.clock.set(time("2026-01-11T11:00:00Z"));
    assert_eq!(closer.close_due().await.unwrap(), 1);
    let days = told(&bench).await;
    assert_eq!(days[1].time_zone, "America/New_York");
    assert_eq!(days[1].end_time, Some(time("2026-01-11T05:00:00Z").into()));
}

#[tokio::test]
async fn a_day_with_other_bounds_is_told_though_its_totals_are_the_same() {
    let bench = Bench::new("day_bounds").await;
    let pet = a_sleeping_dog(&bench).await;
    let closer = closer(&bench);
    bench.clock.set(due());
    assert_eq!(closer.close_due().await.unwrap(), 1);
    let moved = petty_proto::auth::v1::Pet { time_zone: "Europe/Athens".to_owned(), ..a_dog(pet, 2) };
    bench.apply(&bench.pet_changed(&moved)).await.unwrap();
    bench.clock.set(due() + SignedDuration::from_mins(15));
    assert_eq!(closer.close_due().await.unwrap(), 1);
    let days = told(&bench).await;
    // What was slept at noon was slept on that day there, too.
    assert_eq!(minutes(&days[0]), minutes(&days[1]));
    assert_eq!((days[1].time_zone.as_str(), days[1].version), ("Europe/Athens", 2));
    assert_eq!(days[1].start_time, Some(time("2026-01-09T22:00:00Z").into()));
}

#[tokio::test]
async fn what_is_of_another_day_by_the_new_clock_is_told_of_that_day() {
    let bench = Bench::new("day_beside").await;
    let pet = a_sleeping_dog(&bench).await;
    let closer = closer(&bench);
    bench.clock.set(due());
    assert_eq!(closer.close_due().await.unwrap(), 1);
    // Noon in Greenwich is the next day there.
    let moved = petty_proto::auth::v1::Pet { time_zone: "Pacific/Kiritimati".to_owned(), ..a_dog(pet, 2) };
    bench.apply(&bench.pet_changed(&moved)).await.unwrap();
    bench.clock.set(time("2026-01-11T17:00:00Z"));
    assert_eq!(closer.close_due().await.unwrap(), 2, "and of the day before both nothing");
    let days = told(&bench).await;
    let dates: Vec<(&str, i32)> = days.iter().map(|day| (day.date.as_str(), day.version)).collect();
    assert_eq!(dates, [("2026-01-10", 1), ("2026-01-10", 2), ("2026-01-11", 1)]);
    assert_eq!((minutes(&days[1]).len(), minutes(&days[2])), (0, minutes(&days[0])));
}

#[tokio::test]
async fn of_a_forgotten_pet_no_day_is_told() {
    let bench = Bench::new("day_erased").await;
    let pet = a_sleeping_dog(&bench).await;
    bench.apply(&bench.erasing(pet)).await.unwrap();
    assert_eq!(bench.count("-- count_days\nSELECT count(*) FROM days").await, 0);
    bench.clock.set(due());
    assert_eq!(closer(&bench).close_due().await.unwrap(), 0);
    assert_eq!(told(&bench).await, []);
    assert_eq!(bench.count("-- count_states\nSELECT count(*) FROM pet_states").await, 0);
}

#[tokio::test]
async fn what_no_episode_covers_any_more_is_told_too() {
    let bench = Bench::new("day_shrunk").await;
    let pet = bench.pet(Species::Dog);
    let closer = closer(&bench);
    // Nine minutes apart, with Berlin's midnight at 660 between them: as far as is known, a slow collar.
    bench.take(pet, &[reading(60 * 654, 90.0, 1), reading(60 * 663, 90.0, 1)]).await;
    bench.clock.set(due() + SignedDuration::from_hours(24));
    assert_eq!(closer.close_due().await.unwrap(), 2);
    // It was a quick one after all: between the two nothing is known.
    let quick: Vec<_> = (0..61).map(|nth| reading(60 * 645 + 10 * nth, 90.0, 1)).collect();
    bench.take(pet, &quick).await;
    bench.clock.set(due() + SignedDuration::from_hours(25));
    assert_eq!(closer.close_due().await.unwrap(), 2);
    let days: Vec<(String, i32, f64)> = told(&bench)
        .await
        .into_iter()
        .map(|day| (day.date, day.version, (day.covered_minutes * 1e6).round() / 1e6))
        .collect();
    let expected =
        [("2026-01-10", 1, 6.0), ("2026-01-11", 1, 3.0), ("2026-01-10", 2, 10.0), ("2026-01-11", 2, 0.0)];
    assert_eq!(days, expected.map(|(date, version, minutes)| (date.to_owned(), version, minutes)));
}
