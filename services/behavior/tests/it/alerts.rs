//! Alerts: raised once, cleared, told, by readings and by time.

mod silence;

use petty_behavior::alerting::Alerting;
use petty_behavior::domain::Species;
use petty_chassis::events::topics;
use petty_chassis::types::PetId;
use petty_proto::behavior::v1::alert::{Kind, Severity, Status};
use petty_proto::behavior::v1::alert_service_server::AlertService as _;
use petty_proto::behavior::v1::safe_zone_service_server::SafeZoneService as _;
use petty_proto::behavior::v1::{
    AcknowledgeAlertRequest, Alert, CreateSafeZoneRequest, DeleteSafeZoneRequest, GetAlertSettingsRequest,
    GetSafeZoneRequest, ListAlertsRequest, ListSafeZonesRequest, SafeZone, UpdateAlertSettingsRequest,
    UpdateSafeZoneRequest, safe_zone,
};
use petty_proto::events::v1::{AcceptedReading, AlertChanged};
use petty_testbench::{at, field, fields, reason};

use crate::bench::{Bench, asleep, reading};

const HOME: (f64, f64) = (52.5, 13.4);

/// A fix so many metres north of home.
fn fix(seconds: i64, north_m: f64, accuracy_m: f64) -> AcceptedReading {
    AcceptedReading {
        collar_id: "collar-1".to_owned(),
        time_us: at(seconds).as_microsecond(),
        latitude: Some(((HOME.0 + north_m / 111_195.0) * 1e6).round() / 1e6),
        longitude: Some(HOME.1),
        accuracy_m: Some(accuracy_m),
        ..AcceptedReading::default()
    }
}

fn home(pet: PetId) -> CreateSafeZoneRequest {
    let center = safe_zone::Place { latitude: HOME.0, longitude: HOME.1 };
    CreateSafeZoneRequest {
        pet_id: pet.to_string(),
        name: "Home".to_owned(),
        circle: Some(safe_zone::Circle { center: Some(center), radius_m: 50.0 }),
        ..CreateSafeZoneRequest::default()
    }
}

async fn fenced(bench: &Bench) -> (PetId, SafeZone) {
    let pet = bench.pet(Species::Dog);
    let request = bench.request(bench.owner_of(pet), home(pet));
    let zone = bench.grpc.create_safe_zone(request).await.unwrap().into_inner();
    (pet, zone)
}

async fn told(bench: &Bench) -> Vec<(Kind, Status, i64)> {
    let written = bench.outbox::<AlertChanged>(&topics::ALERT_CHANGED).await;
    let told = written.into_iter().map(|written| {
        let alert = written.payload.alert.unwrap();
        assert_eq!(i64::from(alert.version), written.version);
        (alert.kind(), alert.status(), written.version)
    });
    told.collect()
}

async fn alerts(bench: &Bench, pet: PetId) -> Vec<Alert> {
    let (start_time, end_time) = (Some(at(-86_400).into()), Some(at(10 * 86_400).into()));
    let request = ListAlertsRequest { pet_id: pet.to_string(), start_time, end_time, ..Default::default() };
    bench.grpc.list_alerts(bench.request(bench.owner_of(pet), request)).await.unwrap().into_inner().alerts
}

fn alerting(bench: &Bench) -> Alerting {
    Alerting::new(bench.base.db.clone(), bench.clock.clone(), bench.base.events.shards())
}

#[tokio::test]
async fn one_bad_fix_raises_no_exit_and_two_raise_one() {
    let bench = Bench::new("exit").await;
    let (pet, zone) = fenced(&bench).await;
    bench.take(pet, &[fix(0, 0.0, 5.0), fix(60, 5.0, 5.0), fix(120, 200.0, 2.0), fix(180, 3.0, 5.0)]).await;
    assert_eq!(told(&bench).await, []);
    // Not one after the other, and one that says it is bad.
    bench
        .take(pet, &[fix(240, 200.0, 2.0), fix(300, 3.0, 5.0), fix(360, 200.0, 2.0), fix(420, 200.0, 150.0)])
        .await;
    assert_eq!(told(&bench).await, []);
    bench.take(pet, &[fix(480, 190.0, 2.0)]).await;
    assert_eq!(told(&bench).await, []);
    bench.take(pet, &[fix(540, 200.0, 2.0)]).await;
    bench.take(pet, &[fix(540, 200.0, 2.0), fix(600, 210.0, 2.0), fix(360, 0.0, 2.0)]).await;
    assert_eq!(told(&bench).await, [(Kind::SafeZoneLeft, Status::Raised, 1)]);
    let [alert] = alerts(&bench, pet).await.try_into().unwrap();
    assert_eq!((alert.severity(), alert.zone_id), (Severity::Critical, zone.zone_id));
    assert_eq!(alert.raise_time, Some(at(540).into()));
    let distance = alert.evidence.iter().find(|measure| measure.name == "distance_m").unwrap().value;
    assert!((distance - 150.0).abs() < 1.0, "{distance}");
    // Home again: cleared at once; and out again at once: it rests for a while.
    bench.take(pet, &[fix(660, 0.0, 5.0), fix(700, 200.0, 2.0), fix(720, 200.0, 2.0)]).await;
    assert_eq!(told(&bench).await[1..], [(Kind::SafeZoneLeft, Status::Cleared, 2)]);
    bench.take(pet, &[fix(960, 200.0, 2.0), fix(970, 200.0, 2.0)]).await;
    assert_eq!(told(&bench).await[2..], [(Kind::SafeZoneLeft, Status::Raised, 1)]);
}

#[tokio::test]
async fn what_is_open_is_listed_however_long_ago_it_began() {
    let bench = Bench::new("open_long").await;
    let (pet, _) = fenced(&bench).await;
    bench.take(pet, &[fix(0, 0.0, 5.0), fix(60, 200.0, 2.0), fix(120, 210.0, 2.0)]).await;
    let listed = async |open_only: bool| {
        let request = ListAlertsRequest { pet_id: pet.to_string(), open_only, ..Default::default() };
        let answer = bench.grpc.list_alerts(bench.request(bench.owner_of(pet), request)).await;
        answer.unwrap().into_inner().alerts.len()
    };
    // By the clock of a collar that is ahead it has only just begun, or is to begin.
    for now in [120, 121 - 3_600] {
        bench.clock.set(at(now));
        assert_eq!((listed(true).await, listed(false).await), (1, 1), "{now}");
    }
    bench.clock.set(at(31 * 86_400));
    assert_eq!((listed(true).await, listed(false).await), (1, 0));
}

#[tokio::test]
async fn a_pet_that_was_in_no_zone_has_left_none_and_a_second_zone_is_as_safe() {
    let bench = Bench::new("zones").await;
    let (pet, _) = fenced(&bench).await;
    let account = bench.owner_of(pet);
    bench.take(pet, &[fix(0, 500.0, 5.0), fix(60, 500.0, 5.0), fix(120, 500.0, 5.0)]).await;
    assert_eq!(told(&bench).await, []);
    let corner =
        |north: f64, east: f64| safe_zone::Place { latitude: HOME.0 + north, longitude: HOME.1 + east };
    let park = CreateSafeZoneRequest {
        name: "Park".to_owned(),
        circle: None,
        corners: vec![
            corner(0.003, -0.001),
            corner(0.003, 0.001),
            corner(0.006, 0.001),
            corner(0.006, -0.001),
        ],
        ..home(pet)
    };
    bench.grpc.create_safe_zone(bench.request(account, park)).await.unwrap();
    // Home, the way to the park in one step, the park; and then beyond it.
    bench
        .take(pet, &[fix(180, 0.0, 5.0), fix(240, 500.0, 5.0), fix(300, 500.0, 5.0), fix(360, 0.0, 5.0)])
        .await;
    assert_eq!(told(&bench).await, []);
    bench.take(pet, &[fix(420, 900.0, 5.0), fix(480, 900.0, 5.0)]).await;
    assert_eq!(told(&bench).await, [(Kind::SafeZoneLeft, Status::Raised, 1)]);
}

#[tokio::test]
async fn zones_are_drawn_changed_and_removed_and_every_fault_is_named() {
    let bench = Bench::new("drawing").await;
    let (pet, zone) = fenced(&bench).await;
    let account = bench.owner_of(pet);
    assert_eq!((zone.version, zone.buffer_m, zone.corners.len()), (1, 15.0, 0));
    let hours =
        vec![safe_zone::Hours { days: vec![1, 7], start: "22:00".to_owned(), end: "06:30".to_owned() }];
    let update = UpdateSafeZoneRequest {
        pet_id: pet.to_string(),
        zone_id: zone.zone_id.clone(),
        name: "Home at night".to_owned(),
        circle: zone.circle,
        hours,
        ..UpdateSafeZoneRequest::default()
    };
    for _ in 0..2 {
        let answer =
            bench.grpc.update_safe_zone(bench.request(account, update.clone())).await.unwrap().into_inner();
        assert_eq!((answer.version, answer.hours.len(), answer.name.as_str()), (2, 1, "Home at night"));
    }
    let bad = CreateSafeZoneRequest {
        name: String::new(),
        circle: Some(safe_zone::Circle {
            center: Some(safe_zone::Place { latitude: 91.0, longitude: f64::NAN }),
            radius_m: 50.0,
        }),
        buffer_m: Some(-1.0),
        hours: vec![safe_zone::Hours { days: vec![8], start: "25:00".to_owned(), end: String::new() }],
        ..home(pet)
    };
    let refused = bench.grpc.create_safe_zone(bench.request(account, bad)).await.unwrap_err();
    let expected = [
        "name",
        "buffer_m",
        "circle.center.latitude",
        "circle.center.longitude",
        "hours[0].days",
        "hours[0].start",
        "hours[0].end",
    ];
    assert_eq!(fields(&refused), expected);
    let list = ListSafeZonesRequest { pet_id: pet.to_string(), ..Default::default() };
    let listed = bench.grpc.list_safe_zones(bench.request(account, list.clone())).await.unwrap().into_inner();
    assert_eq!(listed.safe_zones.len(), 1);
    let (pet_id, zone_id) = (pet.to_string(), zone.zone_id);
    for _ in 0..2 {
        let delete = DeleteSafeZoneRequest { pet_id: pet_id.clone(), zone_id: zone_id.clone() };
        assert!(
            bench.grpc.delete_safe_zone(bench.request(account, delete)).await.unwrap().into_inner().success
        );
    }
    let gone = bench.grpc.get_safe_zone(bench.request(account, GetSafeZoneRequest { pet_id, zone_id })).await;
    assert_eq!(reason(&gone.unwrap_err()), "SAFE_ZONE_NOT_FOUND");
}

fn battery(seconds: i64, percent: f64) -> AcceptedReading {
    AcceptedReading { battery_level: Some(percent), ..reading(seconds, 60.0, 0) }
}

#[tokio::test]
async fn a_low_battery_is_told_once_and_cleared_only_well_above() {
    let bench = Bench::new("battery").await;
    let pet = bench.pet(Species::Dog);
    for (second, percent) in [(0, 25.0), (60, 20.0), (120, 19.0), (180, 25.0), (240, 20.0), (300, 29.9)] {
        bench.take(pet, &[battery(second, percent)]).await;
    }
    assert_eq!(told(&bench).await, [(Kind::BatteryLow, Status::Raised, 1)]);
    bench.take(pet, &[battery(360, 30.0)]).await;
    assert_eq!(told(&bench).await[1..], [(Kind::BatteryLow, Status::Cleared, 2)]);
    let settings = UpdateAlertSettingsRequest {
        pet_id: pet.to_string(),
        disabled_kinds: vec![Kind::BatteryLow.into()],
        ..UpdateAlertSettingsRequest::default()
    };
    let account = bench.owner_of(pet);
    bench.grpc.update_alert_settings(bench.request(account, settings)).await.unwrap();
    bench.take(pet, &[battery(9_000, 10.0)]).await;
    assert_eq!(told(&bench).await.len(), 2, "nobody wants to hear of it");
}

#[tokio::test]
async fn fast_breathing_for_two_hours_asleep_is_told_and_panting_after_a_run_is_not() {
    let bench = Bench::new("breathing").await;
    let (ill, well) = (bench.pet(Species::Dog), bench.pet(Species::Dog));
    let breathing = |minutes: i64, rate: fn(i64) -> f64| -> Vec<AcceptedReading> {
        let breath = |minute: i64| AcceptedReading {
            respiratory_rate: Some(rate(minute)),
            ..reading(60 * minute, 55.0, 0)
        };
        (0..minutes).map(breath).collect()
    };
    bench.take(ill, &breathing(120, |_| 40.0)).await;
    bench.take(well, &breathing(120, |minute| if minute < 40 { 34.0 } else { 16.0 })).await;
    assert_eq!(told(&bench).await, [(Kind::RespiratoryRateHigh, Status::Raised, 1)]);
    assert_eq!(alerts(&bench, ill).await[0].raise_time, Some(at(3_600).into()));
}

#[tokio::test]
async fn an_alert_is_acknowledged_once_by_who_may_and_found_by_nobody_else() {
    let bench = Bench::new("seen").await;
    let pet = bench.pet(Species::Dog);
    let (owner, stranger) = (bench.owner_of(pet), bench.account_id());
    bench.take(pet, &[battery(0, 5.0)]).await;
    let alert_id = alerts(&bench, pet).await[0].alert_id.clone();
    let seen = |account, alert_id: &str| {
        bench.grpc.acknowledge_alert(
            bench.request(account, AcknowledgeAlertRequest { alert_id: alert_id.to_owned() }),
        )
    };
    assert_eq!(reason(&seen(stranger, &alert_id).await.unwrap_err()), "ALERT_NOT_FOUND");
    let unknown = "00000000-0000-4000-8000-000000000000";
    assert_eq!(reason(&seen(owner, unknown).await.unwrap_err()), "ALERT_NOT_FOUND");
    assert_eq!(field(&seen(owner, "1").await.unwrap_err()), "alert_id");
    for _ in 0..2 {
        let alert = seen(owner, &alert_id).await.unwrap().into_inner();
        assert_eq!((alert.status(), alert.version), (Status::Acknowledged, 2));
    }
    assert_eq!(told(&bench).await.len(), 2);
}

#[tokio::test]
async fn settings_are_as_usual_until_somebody_says_otherwise() {
    let bench = Bench::new("settings").await;
    let pet = bench.pet(Species::Dog);
    let account = bench.owner_of(pet);
    let asked = GetAlertSettingsRequest { pet_id: pet.to_string() };
    let usual =
        bench.grpc.get_alert_settings(bench.request(account, asked.clone())).await.unwrap().into_inner();
    assert_eq!((usual.version, usual.escalate_after_minutes, usual.quiet_start.as_str()), (0, 30, ""));
    let wanted = UpdateAlertSettingsRequest {
        pet_id: pet.to_string(),
        disabled_kinds: vec![Kind::Inactivity.into()],
        quiet_start: "22:00".to_owned(),
        quiet_end: "07:00".to_owned(),
        escalate_after_minutes: Some(0),
    };
    for _ in 0..2 {
        let now = bench
            .grpc
            .update_alert_settings(bench.request(account, wanted.clone()))
            .await
            .unwrap()
            .into_inner();
        assert_eq!((now.version, now.escalate_after_minutes, now.quiet_end.as_str()), (1, 0, "07:00"));
    }
    for (bad, expected) in [
        (UpdateAlertSettingsRequest { quiet_end: String::new(), ..wanted.clone() }, "quiet_end"),
        (UpdateAlertSettingsRequest { quiet_start: "late".to_owned(), ..wanted.clone() }, "quiet_start"),
        (UpdateAlertSettingsRequest { disabled_kinds: vec![99], ..wanted.clone() }, "disabled_kinds[0]"),
        (
            UpdateAlertSettingsRequest { escalate_after_minutes: Some(-1), ..wanted.clone() },
            "escalate_after_minutes",
        ),
    ] {
        let refused = bench.grpc.update_alert_settings(bench.request(account, bad)).await.unwrap_err();
        assert_eq!(field(&refused), expected);
    }
}

#[tokio::test]
async fn an_erased_pets_alerts_zones_and_settings_are_gone() {
    let bench = Bench::new("alerts_erased").await;
    let (pet, _) = fenced(&bench).await;
    bench.take(pet, &[battery(0, 5.0)]).await;
    bench.take(pet, &asleep(10, 20)).await;
    bench.apply(&bench.erasing(pet)).await.unwrap();
    let left = "-- left\nSELECT (SELECT count(*) FROM alerts) + (SELECT count(*) FROM safe_zones) + (SELECT count(*) FROM dues)
                + (SELECT count(*) FROM reading_slices) + (SELECT count(*) FROM quarters) + (SELECT count(*) FROM pet_states)";
    assert_eq!(bench.count(left).await, 0);
    let refused =
        bench.grpc.create_safe_zone(bench.request(bench.owner_of(pet), home(pet))).await.unwrap_err();
    assert_eq!(reason(&refused), "PET_NOT_FOUND");
}
