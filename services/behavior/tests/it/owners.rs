//! Alerts as owners want them: at the hours they said, when nothing arrives, and of weeks.

use jiff::SignedDuration;
use petty_behavior::DayConfig;
use petty_behavior::alerting::Alerting;
use petty_behavior::days::Closer;
use petty_behavior::domain::Species;
use petty_chassis::events::topics;
use petty_chassis::types::PetId;
use petty_proto::behavior::v1::alert::{Kind, Status};
use petty_proto::behavior::v1::alert_service_server::AlertService as _;
use petty_proto::behavior::v1::safe_zone_service_server::SafeZoneService as _;
use petty_proto::behavior::v1::{CreateSafeZoneRequest, UpdateAlertSettingsRequest, safe_zone};
use petty_proto::events::v1::{AcceptedReading, AlertChanged};
use petty_testbench::at;

use crate::bench::{Bench, asleep, reading, walking};

const DAY: i64 = 1_440;

/// What was told of alerts: kind, status, whether anybody is to be disturbed.
async fn told(bench: &Bench) -> Vec<(Kind, Status, bool)> {
    let written = bench.outbox::<AlertChanged>(&topics::ALERT_CHANGED).await;
    let told = written.into_iter().map(|written| written.payload.alert.unwrap());
    told.map(|alert| (alert.kind(), alert.status(), alert.notify)).collect()
}

async fn look(bench: &Bench) {
    let alerting = Alerting::new(bench.base.db.clone(), bench.clock.clone(), bench.base.events.shards());
    alerting.do_due().await.unwrap();
}

/// A fix so many metres north of home, at so many minutes after noon (13:00 in Berlin, a Saturday).
fn fix(minute: i64, north_m: f64) -> AcceptedReading {
    AcceptedReading {
        collar_id: "collar-1".to_owned(),
        time_us: at(60 * minute).as_microsecond(),
        latitude: Some(52.5 + (north_m / 111_195.0 * 1e6).round() / 1e6),
        longitude: Some(13.4),
        accuracy_m: Some(5.0),
        ..AcceptedReading::default()
    }
}

async fn zone(bench: &Bench, pet: PetId, hours: Vec<safe_zone::Hours>) {
    let center = safe_zone::Place { latitude: 52.5, longitude: 13.4 };
    let zone = CreateSafeZoneRequest {
        pet_id: pet.to_string(),
        name: "Home".to_owned(),
        circle: Some(safe_zone::Circle { center: Some(center), radius_m: 50.0 }),
        hours,
        ..CreateSafeZoneRequest::default()
    };
    bench.grpc.create_safe_zone(bench.request(bench.owner_of(pet), zone)).await.unwrap();
}

#[tokio::test]
async fn a_zone_is_left_only_while_it_applies() {
    let bench = Bench::new("owners_hours").await;
    let pet = bench.pet(Species::Dog);
    let hours =
        |days: Vec<i32>| safe_zone::Hours { days, start: "14:00".to_owned(), end: "15:00".to_owned() };
    zone(&bench, pet, vec![hours(vec![6])]).await;
    bench.take(pet, &[fix(10, 0.0), fix(20, 200.0), fix(21, 200.0), fix(22, 200.0), fix(30, 0.0)]).await;
    assert_eq!(told(&bench).await, [], "it is a quarter past one");
    bench.take(pet, &[fix(70, 0.0), fix(80, 200.0), fix(81, 200.0)]).await;
    assert_eq!(told(&bench).await, [(Kind::SafeZoneLeft, Status::Raised, true)]);
    bench.take(pet, &[fix(119, 200.0), fix(121, 200.0)]).await;
    assert_eq!(told(&bench).await.len(), 1, "at three it might go, and this one is out since before");
    bench.take(pet, &[fix(125, 0.0)]).await;
    assert_eq!(told(&bench).await[1..], [(Kind::SafeZoneLeft, Status::Cleared, true)]);
    // Nor does it apply on another day.
    let next = 24 * 60;
    bench.take(pet, &[fix(next + 70, 0.0), fix(next + 80, 200.0), fix(next + 81, 200.0)]).await;
    assert_eq!(told(&bench).await.len(), 2);
}

#[tokio::test]
async fn in_quiet_hours_a_low_battery_disturbs_nobody_and_an_exit_does() {
    let bench = Bench::new("owners_quiet").await;
    let pet = bench.pet(Species::Dog);
    let settings = UpdateAlertSettingsRequest {
        pet_id: pet.to_string(),
        quiet_start: "12:30".to_owned(),
        quiet_end: "13:30".to_owned(),
        ..UpdateAlertSettingsRequest::default()
    };
    bench.grpc.update_alert_settings(bench.request(bench.owner_of(pet), settings)).await.unwrap();
    zone(&bench, pet, Vec::new()).await;
    bench.take(pet, &[AcceptedReading { battery_level: Some(9.0), ..fix(0, 0.0) }]).await;
    assert_eq!(told(&bench).await, [(Kind::BatteryLow, Status::Raised, false)]);
    bench.take(pet, &[fix(1, 200.0), fix(2, 200.0)]).await;
    assert_eq!(told(&bench).await[1..], [(Kind::SafeZoneLeft, Status::Raised, true)]);
}

/// Heard of all day, and up for twenty minutes each three hours from eight o'clock on, on each of so many days before.
async fn a_dog_of_habits(bench: &Bench, days: i64) -> PetId {
    let pet = bench.pet(Species::Dog);
    for day in -days..0 {
        // Minutes after noon UTC; Berlin is an hour ahead.
        for hour in [-5, -2, 1, 4, 7] {
            bench.take(pet, &walking(day * DAY + 60 * hour, 20)).await;
        }
    }
    pet
}

#[tokio::test]
async fn a_pet_that_lies_for_most_of_the_day_is_told_once_and_until_it_is_up() {
    let bench = Bench::new("owners_lying").await;
    let (pet, new) = (a_dog_of_habits(&bench, 9).await, a_dog_of_habits(&bench, 3).await);
    let charged = a_dog_of_habits(&bench, 9).await;
    // Up at half past seven, and lying from then on. Of one nobody saw that for three hours: its collar was elsewhere.
    for pet in [pet, new, charged] {
        bench.take(pet, &walking(-330, 20)).await;
    }
    for pet in [pet, new] {
        bench.take(pet, &asleep(-310, 441)).await;
    }
    bench.take(charged, &asleep(-310, 100)).await;
    bench.take(charged, &asleep(-30, 161)).await;
    let mut last = 130;
    let mut heard = async |minute: i64| {
        bench.clock.set(at(60 * minute));
        for pet in [pet, new, charged] {
            bench.take(pet, &asleep(last + 1, minute - last)).await;
        }
        last = minute;
    };
    heard(161).await;
    look(&bench).await;
    assert_eq!(told(&bench).await, [], "less than eight hours and a quarter more than ever");
    for minute in [170, 179, 188, 197] {
        heard(minute).await;
        look(&bench).await;
    }
    // Of the other one too little is known.
    assert_eq!(told(&bench).await, [(Kind::Inactivity, Status::Raised, true)]);
    for minute in [206, 215, 224, 233] {
        heard(minute).await;
        look(&bench).await;
    }
    let again = (Kind::Inactivity, Status::Raised, true);
    assert_eq!(
        told(&bench).await,
        [again, again],
        "raised once, and told once more after half an hour: nobody has seen it"
    );
    bench.clock.set(at(60 * 260));
    bench.take(pet, &walking(234, 26)).await;
    look(&bench).await;
    bench.clock.set(at(60 * 265));
    bench.take(pet, &[reading(60 * 265, 55.0, 0)]).await;
    look(&bench).await;
    let last = told(&bench).await.pop().unwrap();
    assert_eq!(last, (Kind::Inactivity, Status::Cleared, true));
}

#[tokio::test]
async fn a_heart_that_rises_for_forty_days_is_told_when_a_day_is() {
    let bench = Bench::new("owners_trend").await;
    let (rising, steady) = (bench.pet(Species::Dog), bench.pet(Species::Dog));
    for day in -40..0 {
        for (pet, slope) in [(rising, 0.35), (steady, 0.0)] {
            let bpm = 58.0 + slope * f64::from(i32::try_from(40 + day).unwrap());
            // Fourteen hours, a reading in five minutes.
            let lying: Vec<AcceptedReading> =
                (0..168).map(|nth| reading(60 * (day * DAY + 5 * nth - 600), bpm, 0)).collect();
            bench.take(pet, &lying).await;
        }
    }
    bench.clock.set(at(0) + SignedDuration::from_hours(24));
    let closer = Closer::new(
        bench.base.db.clone(),
        bench.clock.clone(),
        DayConfig::default(),
        bench.base.events.shards(),
    );
    while closer.close_due().await.unwrap() > 0 {}
    let written = bench.outbox::<AlertChanged>(&topics::ALERT_CHANGED).await;
    let [alert] = written.as_slice() else { panic!("{written:?}") };
    assert_eq!(alert.subject, rising.0);
    let alert = alert.payload.alert.as_ref().unwrap();
    assert_eq!((alert.kind(), alert.status()), (Kind::HeartRateTrend, Status::Raised));
    let rise = alert.evidence.iter().find(|measure| measure.name == "rise_bpm").unwrap().value;
    assert!((rise - 14.0).abs() < 3.0, "{rise}");
}
