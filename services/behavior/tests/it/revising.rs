//! What readings do to tables and outbox, whatever their order.

use futures::future::join_all;
use jiff::Timestamp;
use petty_behavior::domain::v1::{self, Rules};
use petty_behavior::domain::{Build, Kin, Params, Reading, Species};
use petty_chassis::events::{Failure, topics};
use petty_proto::auth::v1::Pet;
use petty_proto::behavior::v1::episode::Behavior;
use petty_proto::events::v1::AcceptedReading;
use petty_testbench::{a_cat, a_dog, at};

use crate::bench::{Bench, asleep, flush, reading, walking};

/// The episodes that stand, without what depends on when they were first told.
const STANDING: &str =
    "-- standing\nSELECT concat_ws(' ', behavior, start_at, end_at, open, confidence, evidence) FROM episodes
                        WHERE NOT superseded ORDER BY pet_id, start_at";
/// Everything but when it was written.
const ALL: &str = "-- all\nSELECT concat_ws(' ', episode_id, behavior, start_at, end_at, open, confidence, evidence, version,
                   superseded, replaced_by) FROM episodes ORDER BY episode_id";
const STATES: &str =
    "-- states\nSELECT concat_ws(' ', pet_id, species, time_zone, md5(head)) FROM pet_states ORDER BY pet_id";
const OUTBOX: &str = "-- outbox\nSELECT count(*) FROM event_outbox";

/// Half a day with some of everything.
fn half_a_day() -> Vec<AcceptedReading> {
    (0..720)
        .map(|minute| match minute / 20 % 3 {
            0 => reading(60 * minute, 55.0, 0),
            1 => reading(60 * minute, 90.0, 1),
            _ => reading(60 * minute, 170.0, 2),
        })
        .collect()
}

#[tokio::test]
async fn sleep_is_told_as_it_begins_grows_and_ends() {
    let bench = Bench::new("told").await;
    let dog = bench.pet(Species::Dog);
    for readings in [&asleep(0, 30)[..], &asleep(30, 31), &walking(61, 30)] {
        bench.take(dog, readings).await;
    }
    let told = bench.told().await;
    let short: Vec<_> = told
        .iter()
        .map(|(version, told)| {
            let episode = told.episode.as_ref().unwrap();
            assert_eq!((i64::from(episode.version), &episode.pet_id), (*version, &dog.to_string()));
            (episode.behavior(), *version, episode.open, told.superseded)
        })
        .collect();
    assert_eq!(
        short,
        [
            (Behavior::DeepSleep, 1, true, false),
            (Behavior::DeepSleep, 2, true, false),
            (Behavior::DeepSleep, 3, false, false),
            (Behavior::Walking, 1, true, false),
        ]
    );
    let end = |nth: usize| told[nth].1.episode.as_ref().unwrap().end_time;
    assert_eq!(
        (end(0), end(1), end(3)),
        (Some(at(29 * 60).into()), Some(at(3_600).into()), Some(at(5_400).into()))
    );
    let sleep = told[0].1.episode.as_ref().unwrap();
    assert!(sleep.episode_id.starts_with("evt_") && sleep.episode_id.len() == 36);
    let evidence = sleep.evidence.as_ref().unwrap();
    assert_eq!(
        (evidence.rule.as_str(), evidence.rule_version.as_str(), evidence.readings, evidence.mean_heart_rate),
        ("deep_sleep", "v1/5", 30, Some(55.0))
    );
    assert!(sleep.confidence > 0.5);
}

#[tokio::test]
async fn a_late_reading_revises_what_was_told_of_its_time() {
    let bench = Bench::new("late").await;
    let dog = bench.pet(Species::Dog);
    let (early, late): (Vec<_>, Vec<_>) = [asleep(0, 60), walking(60, 30), asleep(90, 600)]
        .concat()
        .into_iter()
        .enumerate()
        .partition(|(nth, _)| !(60..90).contains(nth));
    let taken = |some: Vec<(usize, AcceptedReading)>| -> Vec<AcceptedReading> {
        some.into_iter().map(|(_, reading)| reading).collect()
    };
    bench.take(dog, &taken(early)).await;
    let before = bench.told().await.len();
    // Ten hours later the collar sends what it had kept: a walk in between.
    bench.take(dog, &taken(late)).await;
    let news: Vec<_> = bench.told().await.split_off(before);
    let walk = news.iter().find(|(_, told)| told.episode.as_ref().unwrap().behavior() == Behavior::Walking);
    assert!(walk.is_some_and(|(_, told)| !told.superseded), "an event says which: {news:?}");
    let other = Bench::new("not_late").await;
    other.pets.say(a_dog(dog, 1));
    other.take(dog, &[asleep(0, 60), walking(60, 30), asleep(90, 600)].concat()).await;
    assert_eq!(bench.rows(STANDING).await, other.rows(STANDING).await);
}

#[tokio::test]
async fn order_and_repetition_change_nothing_that_stands() {
    let (one, other) = (Bench::new("in_order").await, Bench::new("disordered").await);
    let dog = one.pet(Species::Dog);
    other.pets.say(a_dog(dog, 1));
    let readings = half_a_day();
    for some in readings.chunks(50) {
        one.take(dog, some).await;
    }
    let mut chunks: Vec<&[AcceptedReading]> = readings.chunks(7).collect();
    // A fixed disorder: every fifth first, the rest from the end, and a third of it twice.
    let (mut some, rest): (Vec<_>, Vec<_>) = chunks.drain(..).enumerate().partition(|(nth, _)| nth % 5 == 0);
    some.extend(rest.into_iter().rev());
    let again: Vec<_> = some.iter().copied().filter(|(nth, _)| nth % 3 == 0).collect();
    for (_, readings) in some.into_iter().chain(again) {
        other.take(dog, readings).await;
    }
    let standing = one.rows(STANDING).await;
    assert!(standing.len() > 20, "{standing:#?}");
    assert_eq!(other.rows(STANDING).await, standing);
}

#[tokio::test]
async fn a_puppys_readings_in_any_order_say_what_all_of_them_say() {
    let bench = Bench::new("puppy").await;
    let pet = bench.pet_id();
    let born = "2025-11-20";
    bench.pets.say(Pet { birth_date: Some(born.to_owned()), ..a_dog(pet, 1) });
    // Two days: the first quarter stands on what puppies are like, the others on it and the pet's own.
    let beats = |minute: i64| [104.0, 120.0, 190.0][usize::try_from(minute / 40 % 3).unwrap()];
    let readings: Vec<AcceptedReading> = (0..2_880)
        .map(|minute| reading(60 * minute, beats(minute), i32::from(minute / 40 % 3 == 2)))
        .collect();
    let (some, rest): (Vec<_>, Vec<_>) = readings.chunks(60).enumerate().partition(|(nth, _)| nth % 3 == 0);
    for (_, readings) in some.into_iter().chain(rest.into_iter().rev()) {
        bench.take(pet, readings).await;
    }
    let build = Build::new(None, Some(born.parse().unwrap()));
    let params = Params::of_kin(Kin { species: Species::Dog, build });
    let whole: Vec<Reading> = readings
        .iter()
        .map(|reading| Reading {
            at: Timestamp::from_microsecond(reading.time_us).unwrap(),
            heart_rate: reading.heart_rate,
            activity_level: reading.activity_level.and_then(|level| u8::try_from(level).ok()),
            respiratory_rate: reading.respiratory_rate,
            position: None,
        })
        .collect();
    let told = |episode: v1::Episode| {
        let (start, end) = (episode.start.as_microsecond(), episode.end.as_microsecond());
        format!("{} {start} {end} {:.3}", episode.behavior.slug(), episode.evidence.baseline_bpm)
    };
    let expected: Vec<String> =
        v1::interpret(&Rules::built_in().unwrap(), &params, &whole).into_iter().map(told).collect();
    let standing = "-- puppy\nSELECT concat_ws(' ', behavior, (extract(epoch FROM start_at) * 1000000)::int8,
                        (extract(epoch FROM end_at) * 1000000)::int8, round((evidence ->> 'baseline_bpm')::numeric, 3))
                    FROM episodes WHERE NOT superseded ORDER BY start_at";
    assert_eq!(bench.rows(standing).await, expected);
    assert!(expected[0].starts_with("deep_sleep"), "{expected:?}");
}

#[tokio::test]
async fn the_same_readings_again_write_nothing() {
    let bench = Bench::new("again").await;
    let dog = bench.pet(Species::Dog);
    bench.take(dog, &half_a_day()).await;
    let before = (bench.rows(ALL).await, bench.rows(STATES).await, bench.count(OUTBOX).await);
    bench.take(dog, &half_a_day()).await;
    assert_eq!((bench.rows(ALL).await, bench.rows(STATES).await, bench.count(OUTBOX).await), before);
}

#[tokio::test]
async fn what_is_told_and_what_is_kept_agree() {
    let bench = Bench::new("agree").await;
    let dog = bench.pet(Species::Dog);
    let readings = half_a_day();
    // Backwards, so that much is revised.
    for some in readings.chunks(30).rev() {
        bench.take(dog, some).await;
    }
    crate::growing::untold(&bench).tell(jiff::SignedDuration::ZERO).await.unwrap();
    let mut last = std::collections::BTreeMap::new();
    for (version, told) in bench.told().await {
        let id = told.episode.as_ref().unwrap().episode_id.clone();
        let before = last.insert(id, (version, told.superseded));
        assert!(before.map_or(0, |(version, _)| version) < version, "versions rise");
        assert!(!before.is_some_and(|(_, superseded)| superseded), "superseded is final");
    }
    let told: Vec<String> = last
        .iter()
        .map(|(id, (version, superseded))| format!("{id} {version} {}", if *superseded { "t" } else { "f" }))
        .collect();
    let kept =
        "-- kept\nSELECT concat_ws(' ', 'evt_' || replace(episode_id::text, '-', ''), version, superseded)
                FROM episodes ORDER BY episode_id";
    assert_eq!(bench.rows(kept).await, told);
}

#[tokio::test(flavor = "multi_thread")]
async fn appliers_of_one_pet_beside_each_other_end_as_one_after_the_other() {
    let (one, other) = (Bench::new("alone").await, Bench::new("beside").await);
    let dog = one.pet(Species::Dog);
    other.pets.say(a_dog(dog, 1));
    let readings = half_a_day();
    one.take(dog, &readings).await;
    join_all(readings.chunks(45).map(|some| other.take(dog, some))).await;
    assert_eq!(other.rows(STANDING).await, one.rows(STANDING).await);
    let twice = "-- twice\nSELECT count(*) FROM episodes a JOIN episodes b ON a.pet_id = b.pet_id AND a.episode_id < b.episode_id
                 WHERE NOT a.superseded AND NOT b.superseded AND a.start_at < b.end_at AND b.start_at < a.end_at";
    assert_eq!(other.count(twice).await, 0, "what stands does not overlap");
}

#[tokio::test]
async fn readings_before_the_pet_ask_auth_what_it_is() {
    let bench = Bench::new("before").await;
    let pet = bench.pet_id();
    let still: Vec<_> = (0..30).map(|minute| reading(60 * minute, 105.0, 0)).collect();
    let event = bench.event(&topics::READINGS_ACCEPTED, pet, 0, &flush([(pet, still)]));
    // Nobody can be asked: the readings wait, and nothing is written of them.
    assert!(matches!(bench.apply(&event).await, Err(Failure::Away(_))));
    assert_eq!(bench.rows(STATES).await.len(), 0);
    // 105 beats a minute: a cat's sleep, and no dog's. It lies by its level.
    bench.pets.say(a_cat(pet, 5));
    bench.apply(&event).await.unwrap();
    assert!(bench.rows(STANDING).await[0].starts_with("deep_sleep"));
    // What auth said was at version 5: older news do not undo it, newer do.
    bench.apply(&bench.pet_changed(&a_dog(pet, 4))).await.unwrap();
    assert!(bench.rows(STANDING).await[0].starts_with("deep_sleep"));
    bench.apply(&bench.pet_changed(&a_dog(pet, 6))).await.unwrap();
    assert!(!bench.rows(STANDING).await[0].starts_with("deep_sleep"));
    let (_, last) = bench.told().await.pop().unwrap();
    assert!(last.superseded && last.episode.unwrap().behavior() == Behavior::DeepSleep);
}

#[tokio::test]
async fn a_pet_that_is_known_is_not_asked_about() {
    let bench = Bench::new("known").await;
    // Nothing was said of it to `pets`: asking would fail.
    let pet = bench.pet_id();
    bench.apply(&bench.pet_changed(&a_dog(pet, 1))).await.unwrap();
    bench.take(pet, &asleep(0, 6)).await;
    assert!(bench.rows(STANDING).await[0].starts_with("deep_sleep"));
}

#[tokio::test]
async fn readings_of_a_pet_that_is_gone_leave_nothing() {
    let bench = Bench::new("gone").await;
    let pet = bench.pet_id();
    bench.pets.gone(pet);
    bench.take(pet, &asleep(0, 6)).await;
    assert_eq!(
        (bench.rows(STATES).await.len(), bench.rows(ALL).await.len(), bench.count(OUTBOX).await),
        (0, 0, 0)
    );
}

#[tokio::test]
async fn erasing_forgets_everything_of_the_pet_alone() {
    let bench = Bench::new("erasing").await;
    let (dog, other) = (bench.pet(Species::Dog), bench.pet(Species::Dog));
    bench.take(dog, &half_a_day()).await;
    bench.take(other, &asleep(0, 6)).await;
    bench.apply(&bench.erasing(dog)).await.unwrap();
    assert_eq!((bench.rows(STATES).await.len(), bench.rows(ALL).await.len()), (1, 1));
    let erased = "-- erased\nSELECT subject::text FROM event_outbox WHERE topic = 'data.erased'";
    assert_eq!(bench.rows(erased).await, [dog.to_string()]);
    // Even where the consumer looked for the tombstone before it was there.
    bench.take(dog, &asleep(0, 6)).await;
    bench.apply(&bench.pet_changed(&a_dog(dog, 9))).await.unwrap();
    assert_eq!((bench.rows(STATES).await.len(), bench.rows(ALL).await.len()), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_outlives_an_erasing_beside_it() {
    let bench = Bench::new("racing").await;
    let readings = half_a_day();
    for _ in 0..10 {
        let dog = bench.pet(Species::Dog);
        let erasing = bench.erasing(dog);
        let taking = join_all(readings.chunks(180).map(|some| bench.take(dog, some)));
        let (erased, _) = tokio::join!(bench.apply(&erasing), taking);
        erased.unwrap();
    }
    assert_eq!((bench.rows(STATES).await.len(), bench.rows(ALL).await.len()), (0, 0));
}

#[tokio::test]
async fn a_thousand_readings_with_hundreds_of_changes_are_one_quick_transaction() {
    let bench = Bench::new("quick").await;
    let dog = bench.pet(Species::Dog);
    // Heard of for two minutes of every quarter of an hour.
    let readings: Vec<_> = (0..1_000).map(|nth| reading(900 * (nth / 3) + 60 * (nth % 3), 90.0, 1)).collect();
    let began = std::time::Instant::now();
    bench.take(dog, &readings).await;
    let took = began.elapsed();
    let told = bench.told().await.len();
    assert!(told > 300, "{told}");
    println!("{told} changes of 1,000 readings in {took:?}");
    assert!(took < std::time::Duration::from_secs(5), "{took:?} for {told} changes");
}
