//! A pet's days, as callers are answered them.

use jiff::Timestamp;
use petty_chassis::events::{Failure, topics};
use petty_chassis::types::{AccountId, PetId};
use petty_proto::auth::v1::Pet;
use petty_proto::behavior::v1::episode::Behavior;
use petty_proto::events::v1::DayClosed;
use petty_proto::events::v1::day_closed::Share;
use petty_proto::timeline::v1::timeline_service_server::TimelineService as _;
use petty_proto::timeline::v1::{Day, GetDayRequest};
use petty_testbench::{a_dog, field, now, reason};
use tonic::{Code, Status};

use crate::bench::{Bench, Told, plan};

async fn get(bench: &Bench, account: AccountId, pet: PetId, date: &str) -> Result<Day, Status> {
    let request = GetDayRequest { pet_id: pet.to_string(), date: date.to_owned() };
    Ok(bench.grpc.get_day(bench.request(account, request)).await?.into_inner())
}

async fn day(bench: &Bench, pet: PetId, date: &str) -> Day {
    get(bench, bench.owner_of(pet), pet, date).await.unwrap()
}

/// From one time to another.
fn told(pet: PetId, nth: u128, behavior: Behavior, from: &str, to: &str) -> Told {
    let after_noon = |text: &str| text.parse::<Timestamp>().unwrap().duration_since(now()).as_secs();
    Told::new(pet, nth, behavior, after_noon(from), after_noon(to))
}

/// A dog of Berlin, and what behavior closed of its 9th of January: an hour's walk, and a rest that says nothing here.
fn closed(pet: PetId, version: i32) -> DayClosed {
    let time = |text: &str| Some(text.parse::<Timestamp>().unwrap().into());
    let share = |behavior: Behavior, minutes| Share { behavior: behavior.into(), minutes, episodes: 1 };
    DayClosed {
        pet_id: pet.to_string(),
        date: "2026-01-09".to_owned(),
        time_zone: "Europe/Berlin".to_owned(),
        start_time: time("2026-01-08T23:00:00Z"),
        end_time: time("2026-01-09T23:00:00Z"),
        version,
        covered_minutes: 90.0,
        behaviors: vec![share(Behavior::Walking, 60.0), share(Behavior::Unknown, 30.0)],
        distance_m: Some(4_321.0),
        resting_heart_rate: None,
        rule_version: "spine/1".to_owned(),
        motion_minutes: None,
    }
}

#[tokio::test]
async fn a_day_is_what_its_episodes_are_between_the_pets_midnights() {
    let bench = Bench::new("a_day").await;
    let pet = bench.pet_id();
    bench.pets.say(a_dog(pet, 1));
    for (nth, behavior, from, to) in [
        (1, Behavior::DeepSleep, "2026-01-08T21:00:00Z", "2026-01-09T05:00:00Z"),
        (2, Behavior::Walking, "2026-01-09T06:00:00Z", "2026-01-09T06:40:00Z"),
        (3, Behavior::Resting, "2026-01-09T07:00:00Z", "2026-01-09T08:00:00Z"),
        (4, Behavior::Walking, "2026-01-09T16:00:00Z", "2026-01-09T16:20:00Z"),
        (5, Behavior::DeepSleep, "2026-01-09T22:30:00Z", "2026-01-10T05:00:00Z"),
        (6, Behavior::Running, "2026-01-09T23:00:00Z", "2026-01-10T00:00:00Z"),
    ] {
        bench.tell(&told(pet, nth, behavior, from, to)).await;
    }
    let found = day(&bench, pet, "2026-01-09").await;
    let time = |text: &str| Some(text.parse::<Timestamp>().unwrap().into());
    assert_eq!((found.date.as_str(), found.time_zone.as_str()), ("2026-01-09", "Europe/Berlin"));
    assert_eq!(
        (found.start_time, found.end_time),
        (time("2026-01-08T23:00:00Z"), time("2026-01-09T23:00:00Z"))
    );
    assert_eq!((found.closed, found.version, found.covered_minutes), (false, 0, None));
    let minutes = (found.known_minutes, found.deep_sleep_minutes, found.rest_minutes, found.active_minutes);
    assert_eq!(minutes, (510.0, 390.0, 450.0, 60.0));
    // Every episode of the bench says 55.25.
    assert_eq!((found.resting_heart_rate, found.distance_m), (Some(55.25), None));
    let shares: Vec<_> = found
        .behaviors
        .iter()
        .map(|share| (share.behavior.as_str(), share.minutes, share.episodes))
        .collect();
    // Of equals, the calmer first.
    assert_eq!(shares, [("Deep Sleep", 390.0, 2), ("Resting", 60.0, 1), ("Walking", 60.0, 2)]);
    let walks = &found.behaviors[2];
    assert_eq!(
        (walks.first_start_time, walks.last_end_time),
        (time("2026-01-09T06:00:00Z"), time("2026-01-09T16:20:00Z"))
    );
}

#[tokio::test]
async fn days_of_a_change_of_clocks_have_an_hour_less_or_more() {
    let autumn = plan().starting("2026-11-01T12:00:00Z".parse().unwrap());
    let bench = Bench::on(autumn.lay("clocks").await).await;
    let pet = bench.pet_id();
    bench.pets.say(a_dog(pet, 1));
    for (nth, date, from, to, minutes) in [
        (1, "2026-03-29", "2026-03-28T12:00:00Z", "2026-03-30T12:00:00Z", 23.0 * 60.0),
        (2, "2026-10-25", "2026-10-24T12:00:00Z", "2026-10-26T12:00:00Z", 25.0 * 60.0),
        (3, "2026-06-01", "2026-05-31T12:00:00Z", "2026-06-02T12:00:00Z", 24.0 * 60.0),
    ] {
        bench.tell(&told(pet, nth, Behavior::Resting, from, to)).await;
        let found = day(&bench, pet, date).await;
        assert_eq!((found.rest_minutes, found.known_minutes), (minutes, minutes), "{date}");
        let length = Timestamp::try_from(found.end_time.unwrap())
            .unwrap()
            .duration_since(found.start_time.unwrap().try_into().unwrap());
        assert_eq!(length.as_secs_f64(), minutes * 60.0, "{date}");
    }
}

#[tokio::test]
async fn a_day_is_closed_while_what_was_told_of_it_holds() {
    let bench = Bench::new("closing").await;
    let pet = bench.pet_id();
    bench.pets.say(a_dog(pet, 1));
    let walk = told(pet, 1, Behavior::Walking, "2026-01-09T06:00:00Z", "2026-01-09T07:00:00Z");
    let close =
        |version, payload: &DayClosed| bench.event(&topics::BEHAVIOR_DAY_CLOSED, pet, version, payload);
    // Told before the walk was: topics have no order between them.
    bench.apply(&close(1, &closed(pet, 1))).await.unwrap();
    let found = day(&bench, pet, "2026-01-09").await;
    assert_eq!((found.closed, found.version, found.covered_minutes), (false, 1, None));
    assert_eq!(bench.rows("-- kept\nSELECT minutes::text FROM days").await, [r#"{"walking": 60.0}"#]);
    bench.tell(&walk).await;
    let found = day(&bench, pet, "2026-01-09").await;
    assert_eq!((found.closed, found.version, found.covered_minutes), (true, 1, Some(90.0)));
    assert_eq!((found.distance_m, found.known_minutes), (Some(4_321.0), 60.0));
    // A late reading.
    bench.tell(&Told { version: 2, to: walk.to + 600, ..walk }).await;
    let found = day(&bench, pet, "2026-01-09").await;
    assert_eq!((found.closed, found.version, found.covered_minutes), (false, 1, None));
    assert_eq!((found.known_minutes, found.distance_m), (70.0, None));
    let mut again = closed(pet, 2);
    again.behaviors[0].minutes = 70.0;
    bench.apply(&close(2, &again)).await.unwrap();
    // What was told before, once more.
    bench.apply(&close(1, &closed(pet, 1))).await.unwrap();
    let found = day(&bench, pet, "2026-01-09").await;
    assert_eq!((found.closed, found.version, found.known_minutes), (true, 2, 70.0));
    // In another zone it is another day.
    bench
        .apply(&bench.pet_changed(&Pet { time_zone: "Asia/Tokyo".to_owned(), ..a_dog(pet, 2) }))
        .await
        .unwrap();
    let found = day(&bench, pet, "2026-01-09").await;
    assert_eq!((found.closed, found.version, found.time_zone.as_str()), (false, 2, "Asia/Tokyo"));
}

#[tokio::test]
async fn the_zone_is_asked_of_auth_until_it_is_told() {
    let bench = Bench::new("zones").await;
    let pet = bench.pet_id();
    let account = bench.owner_of(pet);
    let away = get(&bench, account, pet, "2026-01-09").await.unwrap_err();
    assert_eq!((away.code(), reason(&away)), (Code::Unavailable, "PET_UNKNOWN".to_owned()));
    bench.pets.say(a_dog(pet, 3));
    assert_eq!(day(&bench, pet, "2026-01-09").await.time_zone, "Europe/Berlin");
    // Remembered: auth is not asked again, and older news is none.
    bench.pets.say(Pet { time_zone: "Asia/Tokyo".to_owned(), ..a_dog(pet, 9) });
    bench
        .apply(&bench.pet_changed(&Pet { time_zone: "America/Lima".to_owned(), ..a_dog(pet, 2) }))
        .await
        .unwrap();
    assert_eq!(day(&bench, pet, "2026-01-09").await.time_zone, "Europe/Berlin");
    bench
        .apply(&bench.pet_changed(&Pet { time_zone: "Asia/Tokyo".to_owned(), ..a_dog(pet, 4) }))
        .await
        .unwrap();
    assert_eq!(day(&bench, pet, "2026-01-09").await.time_zone, "Asia/Tokyo");
    let gone = bench.pet_id();
    bench.pets.gone(gone);
    let status = get(&bench, bench.owner_of(gone), gone, "2026-01-09").await.unwrap_err();
    assert_eq!((status.code(), reason(&status)), (Code::NotFound, "PET_NOT_FOUND".to_owned()));
}

#[tokio::test]
async fn a_day_of_which_nothing_is_known_is_empty() {
    let bench = Bench::new("empty_days").await;
    let pet = bench.pet_id();
    bench
        .apply(&bench.pet_changed(&Pet { time_zone: "America/Lima".to_owned(), ..a_dog(pet, 1) }))
        .await
        .unwrap();
    // Long before it was known; today; what is tomorrow in Lima, but today further east.
    bench.clock.set("2026-01-10T12:00:00Z".parse().unwrap());
    for date in ["1999-12-31", "2026-01-10", "2026-01-11"] {
        let found = day(&bench, pet, date).await;
        assert_eq!((found.closed, found.known_minutes, found.behaviors.len()), (false, 0.0, 0), "{date}");
        assert_eq!((found.distance_m, found.resting_heart_rate), (None, None));
    }
}

#[tokio::test]
async fn what_is_no_day_is_refused_before_access_is_asked() {
    let bench = Bench::new("no_days").await;
    let (pet, nobody) = (bench.pet_id(), bench.account_id());
    for date in ["", "today", "2026-02-30", "2026-1-1", "20260101", "2026-01-12", "9999-12-31", "0000-01-01"]
    {
        assert_eq!(field(&get(&bench, nobody, pet, date).await.unwrap_err()), "date", "{date}");
    }
    let status = get(&bench, nobody, pet, "2026-01-09").await.unwrap_err();
    assert_eq!(reason(&status), "PET_NOT_FOUND");
}

#[tokio::test]
async fn closed_days_that_cannot_be_used_are_refused() {
    let bench = Bench::new("bad_days").await;
    let (pet, other) = (bench.pet_id(), bench.pet_id());
    for payload in [
        closed(other, 1),
        closed(pet, 0),
        DayClosed { date: "9th".to_owned(), ..closed(pet, 1) },
        DayClosed { end_time: closed(pet, 1).start_time, ..closed(pet, 1) },
        DayClosed { start_time: None, ..closed(pet, 1) },
        DayClosed { covered_minutes: f64::INFINITY, ..closed(pet, 1) },
        DayClosed { distance_m: Some(-1.0), ..closed(pet, 1) },
        DayClosed { behaviors: vec![Share { behavior: 0, minutes: 1.0, episodes: 1 }], ..closed(pet, 1) },
    ] {
        let event = bench.event(&topics::BEHAVIOR_DAY_CLOSED, pet, 1, &payload);
        assert!(matches!(bench.apply(&event).await, Err(Failure::Poison(_))), "{payload:?}");
    }
}

#[tokio::test]
async fn days_and_zones_of_an_erased_pet_are_gone() {
    let bench = Bench::new("erased_days").await;
    let pet = bench.pet_id();
    bench.pets.say(a_dog(pet, 1));
    bench.apply(&bench.event(&topics::BEHAVIOR_DAY_CLOSED, pet, 1, &closed(pet, 1))).await.unwrap();
    day(&bench, pet, "2026-01-09").await;
    bench.apply(&bench.erasing(pet)).await.unwrap();
    // Nor do they come back, from auth's older answer or a late event.
    let status = get(&bench, bench.owner_of(pet), pet, "2026-01-09").await.unwrap_err();
    assert_eq!(reason(&status), "PET_NOT_FOUND");
    bench.apply(&bench.event(&topics::BEHAVIOR_DAY_CLOSED, pet, 2, &closed(pet, 2))).await.unwrap();
    bench.apply(&bench.pet_changed(&a_dog(pet, 2))).await.unwrap();
    for table in ["days", "pets"] {
        assert_eq!(bench.count(&format!("-- left\nSELECT count(*) FROM {table}")).await, 0, "{table}");
    }
}
