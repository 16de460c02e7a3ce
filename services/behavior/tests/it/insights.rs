//! What a pet's days say, and what readings say that nobody keeps.

use jiff::SignedDuration;
use petty_behavior::DayConfig;
use petty_behavior::days::Closer;
use petty_behavior::domain::Species;
use petty_chassis::events::topics;
use petty_chassis::types::PetId;
use petty_proto::behavior::v1::alert::Kind;
use petty_proto::behavior::v1::analyze_readings_request::Reading;
use petty_proto::behavior::v1::behavior_service_server::BehaviorService as _;
use petty_proto::behavior::v1::episode::Behavior;
use petty_proto::behavior::v1::{
    AnalyzeReadingsRequest, Baseline, GetBaselineRequest, GetForecastRequest, GetHealthScoreRequest,
};
use petty_proto::events::v1::{AcceptedReading, AlertChanged};
use petty_testbench::{at, fields};

use crate::bench::{Bench, about, asleep, reading, walking};

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
    let closer = Closer::new(
        bench.base.db.clone(),
        bench.clock.clone(),
        DayConfig::default(),
        bench.base.events.shards(),
    );
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
    assert!(baseline.prior.is_none() && baseline.expected_resting_heart_rate.is_none());
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
    // Of today, and not of the day after the last one that was lived, which is over.
    let ask = bench.request(account, GetForecastRequest { pet_id: pet_id.clone() });
    let forecast = bench.grpc.get_forecast(ask).await.unwrap().into_inner();
    let today = bench.clock.now().to_zoned(jiff::tz::TimeZone::UTC).date();
    assert_eq!(forecast.date, today.to_string());
    let ask = bench.request(account, GetHealthScoreRequest { pet_id });
    let score = bench.grpc.get_health_score(ask).await.unwrap().into_inner();
    assert!(
        score.score.unwrap() > 60.0 && score.missing_days == 0 && score.vitals.unwrap() > 90.0,
        "{score:?}"
    );
}

async fn baseline(bench: &Bench, pet: PetId) -> Baseline {
    let ask = bench.request(bench.owner_of(pet), GetBaselineRequest { pet_id: pet.to_string() });
    bench.grpc.get_baseline(ask).await.unwrap().into_inner()
}

#[tokio::test]
async fn until_it_has_days_of_its_own_a_pet_is_like_its_kind() {
    let bench = Bench::new("insights_kin").await;
    // What is known of it says nothing of its heart: as of any dog.
    let unknown = bench.pet(Species::Dog);
    bench.take(unknown, &asleep(0, 5)).await;
    let prior = baseline(&bench, unknown).await.prior.unwrap();
    assert_eq!((prior.size.as_str(), prior.stage.as_str()), ("", ""));
    assert_eq!(
        (prior.resting_heart_rate, prior.sleeping_heart_rate, prior.respiratory_rate),
        (60.5, 56.0, 13.0)
    );
    assert_eq!((prior.heart_rate_share, prior.respiratory_rate_share), (1.0, 1.0));
    // A small breed's beats faster, and a puppy's of ten weeks 170 against 92.
    let (small, puppy) = (bench.pet_id(), bench.pet_id());
    let dog = |pet, breed: &str, born: &str| petty_proto::auth::v1::Pet {
        breed: Some(breed.to_owned()),
        birth_date: Some(born.to_owned()),
        ..about(pet, Species::Dog, 1)
    };
    bench.pets.say(dog(small, "chihuahua", "2020-05-01"));
    bench.apply(&bench.pet_changed(&dog(puppy, "Mixed breed", "2025-11-01"))).await.unwrap();
    bench.take(small, &asleep(0, 5)).await;
    let told = baseline(&bench, small).await;
    let prior = told.prior.unwrap();
    assert_eq!((prior.size.as_str(), prior.stage.as_str(), told.calibrating), ("SMALL", "GROWN", true));
    assert!((prior.resting_heart_rate - 68.6).abs() < 0.1, "{prior:?}");
    assert!((told.sleeping_heart_rate - 63.5).abs() < 0.1);
    // Its sleep is told by that: of a grown dog 104 beats a minute would be none.
    let lying = |pet| {
        let readings: Vec<AcceptedReading> = (0..60).map(|minute| reading(60 * minute, 104.0, 0)).collect();
        let bench = &bench;
        async move { bench.take(pet, &readings).await }
    };
    lying(puppy).await;
    let grown = bench.pet(Species::Dog);
    lying(grown).await;
    let told = baseline(&bench, puppy).await;
    assert_eq!(told.prior.unwrap().stage, "YOUNG");
    assert!((told.sleeping_heart_rate - 103.9).abs() < 1.0, "{}", told.sleeping_heart_rate);
    let asleep = "-- asleep\nSELECT pet_id::text FROM episodes WHERE NOT superseded AND behavior = 'deep_sleep' AND end_at - start_at > '30 min'";
    assert_eq!(bench.rows(asleep).await, [puppy.to_string()]);
    // It was born years before, as somebody says now: what was told follows.
    let older = petty_proto::auth::v1::Pet { version: 2, ..dog(puppy, "Mixed breed", "2020-11-01") };
    bench.apply(&bench.pet_changed(&older)).await.unwrap();
    assert_eq!(bench.rows(asleep).await, Vec::<String>::new());
    assert!((baseline(&bench, puppy).await.sleeping_heart_rate - 56.0).abs() < 1e-9);
}

#[tokio::test]
async fn its_own_days_take_the_place_of_its_kinds() {
    let bench = Bench::new("insights_own").await;
    let pet = lived(&bench, 12).await;
    let told = baseline(&bench, pet).await;
    let prior = told.prior.unwrap();
    assert!(!told.calibrating && prior.heart_rate_share < 0.02, "{prior:?}");
    let expected = told.expected_resting_heart_rate.unwrap();
    assert!((expected - 55.0).abs() < 1.5 && prior.resting_heart_rate > 60.0, "{expected}");
}

#[tokio::test]
async fn nights_say_how_heart_and_breath_go_asleep() {
    let bench = Bench::new("insights_nights").await;
    let pet = bench.pet(Species::Dog);
    // Nine nights from 22:00 of Berlin's clock on, a little faster each, and the days awake and up.
    for night in -9..0 {
        let from = night * DAY + 540;
        let breaths = 18.0 + f64::from(i32::try_from(night).unwrap()) / 10.0;
        let breathing = |reading| AcceptedReading { respiratory_rate: Some(breaths), ..reading };
        let some: Vec<AcceptedReading> = asleep(from, 480).into_iter().map(breathing).collect();
        bench.take(pet, &some).await;
        bench.take(pet, &walking(from + 480, 300)).await;
    }
    // The last of them is over by noon.
    bench.take(pet, &[AcceptedReading { respiratory_rate: Some(17.0), ..reading(60 * 540, 55.0, 0) }]).await;
    bench.clock.set(at(60 * 2 * DAY));
    let closer = Closer::new(
        bench.base.db.clone(),
        bench.clock.clone(),
        DayConfig::default(),
        bench.base.events.shards(),
    );
    closer.close_due().await.unwrap();
    let told = baseline(&bench, pet).await;
    let heart = told.night_resting_heart_rate.unwrap();
    assert!((heart.median - 55.0).abs() < 1.0 && heart.days >= 7, "{heart:?}");
    let breaths = told.night_respiratory_rate.unwrap();
    assert!((breaths.median - 17.5).abs() < 0.6 && breaths.days == 9, "{breaths:?}");
    // Nine of its own against one of its kind.
    let (expected, share) =
        (told.expected_respiratory_rate.unwrap(), told.prior.unwrap().respiratory_rate_share);
    assert!((share - 0.1).abs() < 1e-9);
    assert!((expected - (0.9 * breaths.median + 0.1 * 13.0)).abs() < 1e-9, "{expected}");
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
    let closer = Closer::new(
        bench.base.db.clone(),
        bench.clock.clone(),
        DayConfig::default(),
        bench.base.events.shards(),
    );
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
            Reading { respiratory_rate: Some(0.9), ..request.readings[0] },
        ],
    };
    let refused = bench.grpc.analyze_readings(bench.request(account, bad)).await.unwrap_err();
    let expected = [
        "species",
        "sampling_interval_seconds",
        "readings[0].heart_rate",
        "readings[1].timestamp",
        "readings[1].longitude",
        "readings[2].respiratory_rate",
    ];
    assert_eq!(fields(&refused), expected);
}
