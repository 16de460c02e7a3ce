//! Episodes that grow: told now and then, and at last as they stand.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use petty_behavior::domain::Species;
use petty_behavior::untold::{QUIET, Untold};
use petty_chassis::types::PetId;
use petty_proto::behavior::v1::Episode;
use petty_proto::events::v1::AcceptedReading;

use crate::bench::{Bench, asleep, reading};

const STANDING: &str =
    "-- standing\nSELECT concat_ws(' ', episode_id, behavior, start_at, end_at, open, version) FROM episodes
                        WHERE NOT superseded ORDER BY episode_id";
const UNTOLD: &str = "-- untold\nSELECT count(*) FROM episodes WHERE told_end_at IS NOT NULL";

pub(crate) fn untold(bench: &Bench) -> Untold {
    Untold::new(bench.base.db.clone(), bench.clock.clone(), bench.base.events.shards())
}

/// A second apart, still and steady.
fn each_second(from: i64, seconds: i64) -> Vec<AcceptedReading> {
    (from..from + seconds).map(|second| reading(second, 55.0, 0)).collect()
}

/// What consumers know in the end: of each episode the highest version that was told.
async fn known(bench: &Bench) -> Vec<(i64, Episode)> {
    let mut known: BTreeMap<String, (i64, bool, Episode)> = BTreeMap::new();
    for (version, told) in bench.told().await {
        let episode = told.episode.unwrap();
        let before = known.get(&episode.episode_id);
        assert!(before.is_none_or(|(before, ..)| *before < version), "versions only rise");
        known.insert(episode.episode_id.clone(), (version, told.superseded, episode));
    }
    known.into_values().filter(|(_, gone, _)| !gone).map(|(version, _, episode)| (version, episode)).collect()
}

/// Whether that is what stands.
async fn assert_all_is_known(bench: &Bench) {
    let standing = bench.query(STANDING, &[]).await;
    let known: Vec<String> = known(bench)
        .await
        .into_iter()
        .map(|(version, episode)| format!("{} {version}", episode.episode_id))
        .collect();
    let mut expected: Vec<String> = standing
        .iter()
        .map(|row| {
            let row: String = row.get(0);
            let (id, version) = (row.split(' ').next().unwrap(), row.rsplit(' ').next().unwrap());
            format!("evt_{} {version}", id.replace('-', ""))
        })
        .collect();
    expected.sort();
    assert_eq!(known, expected);
}

#[tokio::test]
async fn an_episode_that_merely_grows_is_told_now_and_then_and_at_last_as_it_stands() {
    let bench = Bench::new("growing").await;
    let dog = bench.pet(Species::Dog);
    bench.take(dog, &asleep(-20, 20)).await;
    let begun = bench.told().await.len();
    for second in 0..290 {
        bench.take(dog, &each_second(second, 1)).await;
    }
    let told = bench.told().await;
    let grown = told.len() - begun;
    assert!(
        (9..=20).contains(&grown),
        "{grown} of 290 flushes were told: one in thirty seconds, and what else changed"
    );
    assert_eq!(bench.count(UNTOLD).await, 1);
    // Readings may still come.
    assert_eq!(untold(&bench).tell(QUIET).await.unwrap(), 0);
    bench.clock.set(bench.clock.now() + QUIET);
    assert_eq!(untold(&bench).tell(QUIET).await.unwrap(), 1);
    assert_all_is_known(&bench).await;
    let (_, last) = known(&bench).await.pop().unwrap();
    assert_eq!(last.end_time.unwrap().seconds, petty_testbench::at(289).as_second());
    // Once is enough.
    assert_eq!(untold(&bench).tell(SignedDuration::ZERO).await.unwrap(), 0);
}

#[tokio::test]
async fn what_ends_is_told_at_once_as_it_ended() {
    let bench = Bench::new("ending").await;
    let dog = bench.pet(Species::Dog);
    bench.take(dog, &asleep(-20, 20)).await;
    for second in 0..40 {
        bench.take(dog, &each_second(second, 1)).await;
    }
    assert_eq!(bench.count(UNTOLD).await, 1);
    // An hour of nothing, then something else.
    let up: Vec<_> = (0..300).map(|second| reading(3_600 + second, 160.0, 2)).collect();
    bench.take(dog, &up).await;
    assert_all_is_known(&bench).await;
    assert_eq!(bench.count(UNTOLD).await, 0);
}

#[tokio::test]
async fn nothing_untold_outlives_its_pet() {
    let bench = Bench::new("growing_erased").await;
    let pets: Vec<PetId> = (0..3).map(|_| bench.pet(Species::Cat)).collect();
    for pet in &pets {
        bench.take(*pet, &asleep(-20, 20)).await;
        bench.take(*pet, &each_second(0, 5)).await;
        bench.take(*pet, &each_second(5, 5)).await;
    }
    assert_eq!(bench.count(UNTOLD).await, 3);
    bench.apply(&bench.erasing(pets[1])).await.unwrap();
    let before = bench.told().await.len();
    assert_eq!(untold(&bench).tell(SignedDuration::ZERO).await.unwrap(), 2);
    assert_eq!(bench.told().await.len(), before + 2);
    assert_eq!(
        bench
            .count(
                "-- left\nSELECT count(*) FROM episodes WHERE pet_id = (SELECT pet_id FROM event_tombstones)"
            )
            .await,
        0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_tell_it_once() {
    let bench = Bench::new("growing_replicas").await;
    for _ in 0..8 {
        let pet = bench.pet(Species::Dog);
        bench.take(pet, &asleep(-20, 20)).await;
        bench.take(pet, &each_second(0, 5)).await;
        bench.take(pet, &each_second(5, 5)).await;
    }
    let before = bench.told().await.len();
    let replicas: Vec<Untold> = (0..4).map(|_| untold(&bench)).collect();
    let told = futures::future::join_all(replicas.iter().map(|one| one.tell(SignedDuration::ZERO))).await;
    let mut count: usize = told.into_iter().map(Result::unwrap).sum();
    // What one passed over because another held it, that one told.
    count += untold(&bench).tell(SignedDuration::ZERO).await.unwrap();
    assert_eq!((count, bench.told().await.len()), (8, before + 8));
    assert_all_is_known(&bench).await;
}
