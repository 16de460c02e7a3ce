//! Collars that fall silent, and pets without one.

use jiff::{SignedDuration, Timestamp};
use petty_behavior::domain::Species;
use petty_chassis::events::topics;
use petty_chassis::types::PetId;
use petty_proto::behavior::v1::Episode;
use petty_proto::behavior::v1::alert::{Kind, Status};
use petty_proto::behavior::v1::episode::Behavior;
use petty_proto::events::v1::{AcceptedReading, BehaviorChanged, CollarUnpaired, ReadingsSilent};
use petty_testbench::at;

use super::{alerting, alerts, battery, told};
use crate::bench::{Bench, asleep, reading};

#[tokio::test(flavor = "multi_thread")]
async fn of_several_replicas_one_tells_that_a_collar_is_silent() {
    let bench = Bench::new("silent").await;
    let pet = bench.pet(Species::Dog);
    for minute in 0..5 {
        bench.clock.set(at(60 * minute));
        bench.take(pet, &[reading(60 * minute, 60.0, 0)]).await;
    }
    let (one, another, third) = (alerting(&bench), alerting(&bench), alerting(&bench));
    bench.clock.set(at(240 + 599));
    one.do_due().await.unwrap();
    assert_eq!(told(&bench).await, [], "ten minutes are not over");
    bench.clock.set(at(240 + 601));
    let (first, second, last) = tokio::join!(one.do_due(), another.do_due(), third.do_due());
    assert!(first.unwrap() + second.unwrap() + last.unwrap() >= 1);
    assert_eq!(told(&bench).await, [(Kind::SilentCollar, Status::Raised, 1)]);
    // Nobody has seen it: told once more, once.
    bench.clock.set(at(240 + 601) + SignedDuration::from_mins(30));
    let (first, second, last) = tokio::join!(one.do_due(), another.do_due(), third.do_due());
    assert!(first.unwrap() + second.unwrap() + last.unwrap() >= 1);
    let escalated = alerts(&bench, pet).await.pop().unwrap();
    assert!(
        escalated.escalate_time.is_some() && escalated.status() == Status::Raised && escalated.version == 2
    );
    // It speaks again.
    bench.take(pet, &[reading(4_000, 60.0, 0)]).await;
    assert_eq!(told(&bench).await[2..], [(Kind::SilentCollar, Status::Cleared, 3)]);
}

#[tokio::test]
async fn a_collar_that_falls_silent_again_before_the_kind_may_be_told_is_told_once_it_may() {
    let bench = Bench::new("again").await;
    let pet = bench.pet(Species::Dog);
    let alerting = alerting(&bench);
    live(&bench, pet, &asleep(0, 10)).await;
    let look = async |minute: i64| {
        bench.clock.set(at(60 * minute));
        alerting.do_due().await.unwrap();
    };
    look(11).await;
    look(20).await;
    // It is heard for a moment, and never again.
    live(&bench, pet, &asleep(22, 2)).await;
    let raised = (Kind::SilentCollar, Status::Raised, 1);
    let before = [raised, (Kind::SilentCollar, Status::Cleared, 2)];
    assert_eq!(told(&bench).await, before);
    for minute in [34, 40, 51] {
        look(minute).await;
        assert_eq!(told(&bench).await, before, "it rests for half an hour");
    }
    look(53).await;
    assert_eq!(told(&bench).await[2..], [raised]);
    look(54).await;
    assert_eq!(told(&bench).await.len(), 3, "once");
}

#[tokio::test]
async fn nobody_is_told_of_silence_before_what_waited_for_this_service_is_taken() {
    let bench = Bench::new("away").await;
    let (back, gone) = (bench.pet(Species::Dog), bench.pet(Species::Dog));
    for pet in [back, gone] {
        live(&bench, pet, &asleep(0, 10)).await;
    }
    let alerting = alerting(&bench);
    // It was due at the nineteenth minute, and nobody looked for hours.
    let look = async |minute: i64| {
        bench.clock.set(at(60 * minute));
        alerting.do_due().await.unwrap();
    };
    look(200).await;
    assert_eq!(told(&bench).await, []);
    // What waited comes now, of one of them.
    bench.take(back, &asleep(10, 190)).await;
    look(203).await;
    assert_eq!(told(&bench).await, [(Kind::SilentCollar, Status::Raised, 1)]);
    let raised = alerts(&bench, gone).await.pop().unwrap();
    // However long ago that was, it is of now, and told.
    assert_eq!((raised.notify, raised.raise_time), (true, Some(at(60 * 203).into())));
    look(260).await;
    assert_eq!(alerts(&bench, gone).await.pop().unwrap().escalate_time, Some(at(60 * 260).into()));
}

#[tokio::test]
async fn a_pet_without_a_collar_is_not_told_as_silent_and_what_was_told_of_its_collar_is_over() {
    let bench = Bench::new("bare").await;
    let (moved, low, said_later) =
        (bench.pet(Species::Dog), bench.pet(Species::Dog), bench.pet(Species::Dog));
    let alerting = alerting(&bench);
    let off = async |pet: PetId, second: i64, worn: i32| {
        let payload = CollarUnpaired {
            pet_id: pet.to_string(),
            collar_id: "collar-1".to_owned(),
            end_time: Some(at(second).into()),
            worn,
        };
        bench.apply(&bench.event(&topics::COLLAR_UNPAIRED, pet, 0, &payload)).await.unwrap();
    };
    live(&bench, said_later, &asleep(0, 20)).await;
    live(&bench, moved, &asleep(0, 20)).await;
    bench.take(low, &[battery(19 * 60, 5.0)]).await;
    assert_eq!(told(&bench).await, [(Kind::BatteryLow, Status::Raised, 1)]);
    let open = "-- open\nSELECT count(*) FROM episodes WHERE open AND NOT superseded";
    let before = bench.count(open).await;
    // It wears another one, and goes on.
    off(moved, 20 * 60, 1).await;
    assert_eq!(bench.count(open).await, before);
    off(moved, 20 * 60, 0).await;
    off(low, 20 * 60, 0).await;
    // By now it is known that it was taken off ten minutes ago, and that it went on measuring.
    bench.clock.set(at(20 * 60));
    off(said_later, 10 * 60, 0).await;
    assert_eq!(bench.count(open).await, 0);
    assert_eq!(told(&bench).await[1..], [(Kind::BatteryLow, Status::Cleared, 2)]);
    // What was measured before comes after that.
    bench.clock.set(at(21 * 60));
    bench.take(moved, &[reading(20 * 60 - 5, 55.0, 0)]).await;
    assert_eq!(bench.count(open).await, 0);
    for minute in [25, 31, 32, 60] {
        bench.clock.set(at(60 * minute));
        alerting.do_due().await.unwrap();
    }
    assert_eq!(told(&bench).await.len(), 2, "of a collar that it does not wear nobody hears");
    // Another one is put on: it is heard, and missed.
    live(&bench, moved, &asleep(61, 5)).await;
    off(moved, 20 * 60, 0).await;
    for minute in [71, 72, 76] {
        bench.clock.set(at(60 * minute));
        alerting.do_due().await.unwrap();
    }
    assert_eq!(told(&bench).await[2..], [(Kind::SilentCollar, Status::Raised, 1)]);
    off(moved, 77 * 60, 0).await;
    assert_eq!(told(&bench).await[3..], [(Kind::SilentCollar, Status::Cleared, 2)]);
}

/// What ingest tells of a collar whose last reading was at so many seconds.
async fn falls_silent(bench: &Bench, pet: PetId, last: i64) {
    let silent = ReadingsSilent {
        pet_id: pet.to_string(),
        collar_id: "collar-1".to_owned(),
        last_time: Some(at(last).into()),
        receive_time: Some(at(last).into()),
        interval_seconds: 60.0,
    };
    bench.apply(&bench.event(&topics::READINGS_SILENT, pet, 0, &silent)).await.unwrap();
}

/// Each reading at its own time.
async fn live(bench: &Bench, pet: PetId, readings: &[AcceptedReading]) {
    for reading in readings {
        bench.clock.set(Timestamp::from_microsecond(reading.time_us).unwrap());
        bench.take(pet, std::slice::from_ref(reading)).await;
    }
}

#[tokio::test]
async fn a_collar_that_ingest_misses_ends_what_goes_on_until_it_is_back() {
    let bench = Bench::new("missed").await;
    let pet = bench.pet(Species::Dog);
    live(&bench, pet, &asleep(0, 20)).await;
    let last = |told: Vec<(i64, BehaviorChanged)>| {
        let (version, told) = told.last().unwrap().clone();
        let episode = told.episode.unwrap();
        assert!(!told.superseded && i64::from(episode.version) == version);
        (told_of(&episode), version)
    };
    let told_of_open = bench.told().await;
    let ((behavior, end, open), version) = last(told_of_open.clone());
    assert!(open && end == at(19 * 60) && behavior == Behavior::DeepSleep);
    // Another reading is on its way, or another collar was heard: it is not known that the pet is silent.
    falls_silent(&bench, pet, 18 * 60).await;
    falls_silent(&bench, pet, 20 * 60).await;
    falls_silent(&bench, bench.pet_id(), 0).await;
    assert_eq!(bench.told().await.len(), told_of_open.len());
    for _ in 0..2 {
        falls_silent(&bench, pet, 19 * 60).await;
        assert_eq!(last(bench.told().await), ((behavior, end, false), version + 1));
    }
    assert_eq!(bench.told().await.len(), told_of_open.len() + 1, "told once");
    assert_eq!(told(&bench).await, [], "its owner is told after ten minutes");
    // Nobody looked for nine minutes: two more for what may wait.
    for second in [601, 601 + 120] {
        bench.clock.set(at(19 * 60 + second));
        alerting(&bench).do_due().await.unwrap();
    }
    assert_eq!(told(&bench).await, [(Kind::SilentCollar, Status::Raised, 1)]);
    // What comes late is of before: nothing goes on for that.
    let late = AcceptedReading { heart_rate: Some(57.0), ..reading(19 * 60 - 30, 57.0, 0) };
    bench.take(pet, &[late]).await;
    let open = "-- open\nSELECT count(*) FROM episodes WHERE open AND NOT superseded";
    assert_eq!(bench.count(open).await, 0);
    // It is back.
    live(&bench, pet, &asleep(30, 5)).await;
    assert_eq!(bench.count(open).await, 1);
    assert_eq!(told(&bench).await[1..], [(Kind::SilentCollar, Status::Cleared, 2)]);
}

fn told_of(episode: &Episode) -> (Behavior, Timestamp, bool) {
    (episode.behavior(), episode.end_time.unwrap().try_into().unwrap(), episode.open)
}

#[tokio::test]
async fn what_ingest_misses_is_looked_at_sooner_than_was_noted() {
    let bench = Bench::new("sooner").await;
    let pet = bench.pet(Species::Dog);
    let alerting = alerting(&bench);
    // A collar that is heard of each hour: it is to be looked at three hours after it was heard last.
    for hour in 0..4 {
        live(&bench, pet, &asleep(60 * hour, 1)).await;
        bench.clock.set(at(3_600 * hour + 610));
        alerting.do_due().await.unwrap();
    }
    let raised = told(&bench).await.len();
    // Then each minute, and then not at all.
    live(&bench, pet, &asleep(190, 20)).await;
    let last = 60 * 209;
    bench.clock.set(at(last + 601));
    alerting.do_due().await.unwrap();
    assert_eq!(told(&bench).await.len(), raised, "what is due is due later");
    falls_silent(&bench, pet, last).await;
    assert_eq!(told(&bench).await[raised..], [(Kind::SilentCollar, Status::Raised, 1)]);
    alerting.do_due().await.unwrap();
    falls_silent(&bench, pet, last).await;
    assert_eq!(told(&bench).await.len(), raised + 1, "and raised once");
}
