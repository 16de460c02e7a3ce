//! What a pet's days say, and what readings say that nobody keeps.

use jiff::SignedDuration;
use petty_behavior::days::Closer;
use petty_behavior::domain::Species;
use petty_chassis::events::topics;
use petty_chassis::types::PetId;
use petty_proto::behavior::v1::alert::Kind;
use petty_proto::behavior::v1::analyze_readings_request::Reading;
use petty_proto::behavior::v1::behavior_service_server::BehaviorService as _;
use petty_proto::behavior::v1::episode::Behavior;
use petty_proto::behavior::v1::{
    AnalyzeReadingsRequest, GetBaselineRequest, GetForecastRequest, GetHealthScoreRequest,
};
use petty_proto::events::v1::{AcceptedReading, AlertChanged};
use petty_testbench::{at, fields};

use crate::bench::{Bench, asleep, reading, walking};

const DAY: i64 = 1_440;

/// Thirteen hours of each of so many days: asleep but for an hour's walk, the heart a beat faster each third day.
fn days(count: i64) -> Vec<AcceptedReading> {
    let asleep = |day: i64, from: i64, minutes: i64| {
        (from..from + minutes).map(move |minute| reading(60 * (day * DAY + minute), 55.0, 0))
    };
    // Behind the bench's own day: outboxes have partitions for the days about it.
    (-count..0)
        .flat_map(|day| asleep(day, 0, 360).chain(walking(day * DAY + 360, 60)).chain(asleep(day, 420, 360)))
        .collect()
}

async fn lived(bench: &Bench, count: i64) -> PetId {
    let pet = bench.pet(Species::Dog);
    for some in days(count).chunks(2_000) {
        bench.take(pet, some).await;
    }
    bench.clock.set(at(60 * DAY * 2));
    let closer = Closer::new(bench.base.db.clone(), bench.clock.clone(), bench.base.events.shards());
    closer.close_due().await.unwrap();
    pet
}

#[tokio::test]
async fn a_pet_without_days_says_what_is_missing() {
    let bench = Bench::new("insights_none").await;
    let pet = bench.pet(Species::Dog);
    let account = bench.owner_of(pet);
    let pet_id = pet.to_string();
    let ask = || bench.request(account, GetHealthScoreRequest { pet_id: pet_id.clone() });
    let score = bench.grpc.get_health_score(ask()).await.unwrap().into_inner();
    assert_eq!((score.score, score.days, score.missing_days), (None, 0, 10));
    let ask = bench.request(account, GetBaselineRequest { pet_id: pet_id.clone() });
    let baseline = bench.grpc.get_baseline(ask).await.unwrap().into_inner();
    assert!(baseline.calibrating && baseline.active_minutes.is_none());
    let ask = bench.request(account, GetForecastRequest { pet_id });
    let forecast = bench.grpc.get_forecast(ask).await.unwrap().into_inner();
    assert_eq!(
        (forecast.date.as_str(), forecast.active_minutes.unwrap().missing.as_str()),
        ("", "TOO_FEW_DAYS")
    );
}

#[tokio::test]
async fn a_pet_of_twelve_days_has_a_baseline_and_a_score() {
    let bench = Bench::new("insights_days").await;
    let pet = lived(&bench, 12).await;
    let account = bench.owner_of(pet);
    let pet_id = pet.to_string();
    let ask = bench.request(account, GetBaselineRequest { pet_id: pet_id.clone() });
    let baseline = bench.grpc.get_baseline(ask).await.unwrap().into_inner();
    assert!(!baseline.calibrating && (54.0..56.5).contains(&baseline.sleeping_heart_rate), "{baseline:?}");
    let active = baseline.active_minutes.unwrap();
    assert!((50.0..70.0).contains(&active.median) && active.days >= 11, "{active:?}");
    // It walks at the same hour each day, and sleeps through the others.
    let hours: Vec<_> = baseline.hours.iter().filter(|hour| !hour.weekend).collect();
    let up = hours.iter().filter(|hour| hour.active_minutes.is_some_and(|usual| usual.median > 20.0)).count();
    assert!((11..=14).contains(&hours.len()) && (1..=2).contains(&up), "{hours:?}");
    assert!(baseline.anomaly.unwrap().score < 50.0);
    let ask = bench.request(account, GetHealthScoreRequest { pet_id });
    let score = bench.grpc.get_health_score(ask).await.unwrap().into_inner();
    assert!(
        score.score.unwrap() > 60.0 && score.missing_days == 0 && score.vitals.unwrap() > 90.0,
        "{score:?}"
    );
}

#[tokio::test]
async fn a_restless_night_is_told_when_its_day_is() {
    let bench = Bench::new("insights_night").await;
    let pet = bench.pet(Species::Dog);
    // Nine nights of sleep from 22:00 of Berlin's clock on, and one of walking about.
    for night in 0..10 {
        let from = (night - 10) * DAY + 540;
        let some = if night < 9 { asleep(from, 720) } else { walking(from, 720) };
        bench.take(pet, &some).await;
        bench.take(pet, &asleep(from + 720, 60)).await;
    }
    bench.clock.set(at(60 * 2 * DAY));
    let closer = Closer::new(bench.base.db.clone(), bench.clock.clone(), bench.base.events.shards());
    closer.close_due().await.unwrap();
    let told = bench.outbox::<AlertChanged>(&topics::ALERT_CHANGED).await;
    let kinds: Vec<Kind> = told.iter().map(|told| told.payload.alert.as_ref().unwrap().kind()).collect();
    assert!(kinds.contains(&Kind::NightRestlessness), "{kinds:?}");
    assert!(kinds.iter().all(|kind| *kind == Kind::NightRestlessness), "{kinds:?}");
}

#[tokio::test]
async fn readings_are_analysed_and_not_kept() {
    let bench = Bench::new("analysed").await;
    let account = bench.account_id();
    let asleep = (0..60).map(|minute| Reading {
        timestamp: Some((at(0) + SignedDuration::from_mins(minute)).into()),
        heart_rate: Some(55.0),
        activity_level: Some(0),
        ..Reading::default()
    });
    let request = AnalyzeReadingsRequest {
        species: "DOG".to_owned(),
        sampling_interval_seconds: Some(60),
        readings: asleep.collect(),
    };
    let answer =
        bench.grpc.analyze_readings(bench.request(account, request.clone())).await.unwrap().into_inner();
    let [episode] = answer.episodes.as_slice() else { panic!("{answer:?}") };
    assert_eq!(
        (episode.behavior(), episode.episode_id.as_str(), episode.version),
        (Behavior::DeepSleep, "", 0)
    );
    let evidence = episode.evidence.as_ref().unwrap();
    assert!(evidence.calibrating && evidence.contributions.len() == 9 && evidence.readings == 60);
    assert_eq!(bench.count("-- kept\nSELECT count(*) FROM pet_states").await, 0);
    let bad = AnalyzeReadingsRequest {
        species: "HORSE".to_owned(),
        sampling_interval_seconds: Some(0),
        readings: vec![
            Reading { heart_rate: Some(f64::NAN), ..request.readings[0] },
            Reading { timestamp: None, latitude: Some(1.0), ..request.readings[0] },
        ],
    };
    let refused = bench.grpc.analyze_readings(bench.request(account, bad)).await.unwrap_err();
    let expected = [
        "species",
        "sampling_interval_seconds",
        "readings[0].heart_rate",
        "readings[1].timestamp",
        "readings[1].longitude",
    ];
    assert_eq!(fields(&refused), expected);
}
