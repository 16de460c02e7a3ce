//! Whatever the order, the split and the repetitions: the same table, and the outbox tells exactly it.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::join_all;
use petty_proto::ingest::v1 as wire;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::rollups::{summed, sums};
use crate::served::own;
use crate::world::{World, ago, reading};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn overlapping_batches_at_once_store_each_reading_exactly_once() {
    let world = World::new("concurrent").await;
    let owner = world.person();
    let collars: Vec<String> = (0..6).map(|n| format!("collar-{n}")).collect();
    let mut pets = BTreeMap::new();
    for collar in &collars {
        pets.insert(collar.clone(), world.owned(&owner, collar));
    }
    // Task n sends seconds 10 n to 10 n + 59 of every collar, half of them backwards: each second comes up to six times,
    // and flushes meet in opposite orders.
    let sent: Vec<Vec<wire::Reading>> = (0..16_i64)
        .map(|task| {
            let mut batch: Vec<_> = (0..60)
                .flat_map(|n| collars.iter().map(move |collar| reading(collar, ago(task * 10 + n))))
                .collect();
            if task % 2 == 1 {
                batch.reverse();
            }
            batch
        })
        .collect();
    let unique: BTreeSet<(String, i64)> = sent
        .iter()
        .flatten()
        .map(|one| (one.collar_id.clone(), one.timestamp.unwrap().seconds * 1_000_000))
        .collect();
    let total: usize = sent.iter().map(Vec::len).sum();

    let (world, owner) = (&world, &owner);
    let tasks = sent.into_iter().map(|batch| async move {
        let (head, tail) = (batch[..7].to_vec(), batch[7..].to_vec());
        let (mut accepted, mut duplicates) = (0, 0);
        for part in [head, tail] {
            let answer = world.ingest_batch(owner, part).await.unwrap();
            assert_eq!(answer.rejected, []);
            accepted += usize::try_from(answer.accepted).unwrap();
            duplicates += usize::try_from(answer.duplicates).unwrap();
        }
        (accepted, duplicates)
    });
    let counts = join_all(tasks).await;
    assert_eq!(counts.iter().map(|(accepted, _)| accepted).sum::<usize>(), unique.len());
    assert_eq!(counts.iter().map(|(_, duplicates)| duplicates).sum::<usize>(), total - unique.len());

    let expected: Vec<_> =
        unique.into_iter().map(|(collar, time)| (collar.clone(), time, pets[&collar])).collect();
    assert_eq!(world.stored().await, expected);
    assert_eq!(world.announced().await, expected);
    for collar in &collars {
        assert_eq!(world.latest(collar).await, Some((ago(0).as_microsecond(), pets[collar])));
    }
}

/// A collar's beats at a second: not the same sum in another order, unless summed in one.
fn beats(collar: u8, second: i64) -> f64 {
    60.1 + f64::from(collar) / 3.0 + f64::from(i32::try_from(second % 1_000).unwrap()) / 7.0
}

/// Batches of (collar, second): with repetitions within and between them.
fn batches() -> impl Strategy<Value = Vec<Vec<(u8, i64)>>> {
    // Of several minutes, hours and days.
    let second =
        (0..12_i64, prop::sample::select(vec![0, 55, 3_595, 86_395])).prop_map(|(n, around)| around + n);
    let one = (0..3_u8, second);
    prop::collection::vec(prop::collection::vec(one, 1..12), 1..8)
}

#[test]
fn any_split_order_and_repetition_ends_in_the_same_table_sums_and_newest_readings() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let world = runtime.block_on(World::served("any_order", own));
    let owner = world.person();
    let case = std::cell::Cell::new(0);
    let mut runner = TestRunner::new(Config {
        cases: 40,
        max_shrink_iters: 50,
        failure_persistence: None,
        ..Config::default()
    });
    let outcome = runner.run(&(batches(), any::<bool>()), |(batches, at_once)| {
        case.set(case.get() + 1);
        let prefix = format!("case-{}-", case.get());
        let name = |collar: u8| format!("{prefix}{collar}");
        let pets: Vec<_> = (0..3).map(|collar| world.owned(&owner, &name(collar))).collect();
        let requests: Vec<Vec<wire::Reading>> = batches
            .iter()
            .map(|batch| {
                let one = |(collar, second): &(u8, i64)| wire::Reading {
                    heart_rate: Some(beats(*collar, *second)),
                    ..reading(&name(*collar), ago(*second))
                };
                batch.iter().map(one).collect()
            })
            .collect();
        runtime.block_on(async {
            let sending = requests.into_iter().map(|request| world.ingest_batch(&owner, request));
            if at_once {
                // Sums are made meanwhile as well.
                let (answers, summed) = futures::join!(join_all(sending), world.store.roll_up());
                for answer in answers {
                    answer.unwrap();
                }
                summed.unwrap();
            } else {
                for (nth, sent) in sending.enumerate() {
                    sent.await.unwrap();
                    if nth % 2 == 0 {
                        world.store.roll_up().await.unwrap();
                    }
                }
            }
        });
        let unique: BTreeSet<(u8, i64)> =
            batches.into_iter().flatten().map(|(collar, second)| (collar, -second)).collect();
        let expected: Vec<_> = unique
            .iter()
            .map(|(collar, second)| {
                (name(*collar), ago(-second).as_microsecond(), pets[usize::from(*collar)])
            })
            .collect();
        let own = |all: Vec<(String, i64, _)>| {
            all.into_iter().filter(|one| one.0.starts_with(&prefix)).collect::<Vec<_>>()
        };
        prop_assert_eq!(own(runtime.block_on(world.stored())), expected.clone());
        prop_assert_eq!(own(runtime.block_on(world.announced())), expected);
        runtime.block_on(world.rolled_up());
        let mut once: Vec<(String, i64, f64)> = unique
            .iter()
            .map(|(collar, second)| (name(*collar), ago(-second).as_microsecond(), beats(*collar, -second)))
            .collect();
        once.sort_by(|a, b| (&a.0, a.1).cmp(&(&b.0, b.1)));
        for (table, seconds) in [("readings_minute", 60), ("readings_hour", 3_600)] {
            let mut found = runtime.block_on(sums(&world, table));
            found.retain(|(collar, _), _| collar.starts_with(&prefix));
            let expected = summed(&once, seconds);
            prop_assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
            for (key, (readings, beats, newest)) in expected {
                let (found_readings, found_beats, found_newest) = found[&key];
                prop_assert_eq!((found_readings, found_newest), (readings, newest));
                // An hour's is the sum of its minutes' sums.
                prop_assert!((found_beats - beats).abs() < 1e-9, "{} {}", found_beats, beats);
            }
        }
        for collar in 0..3 {
            let newest = unique
                .iter()
                .filter(|one| one.0 == collar)
                .map(|(_, second)| ago(-second).as_microsecond())
                .max();
            let latest = runtime.block_on(world.latest(&name(collar)));
            prop_assert_eq!(latest, newest.map(|time| (time, pets[usize::from(collar)])));
            // And what is answered, from Redis where it knows one.
            let told = runtime.block_on(world.realtime(&owner, &name(collar))).ok();
            let told = told.and_then(|told| Some((told.timestamp?, told.heart_rate, told.pet_id)));
            let expected = newest.map(|time| {
                let second = ago(0).as_second() - time / 1_000_000;
                let pet = pets[usize::from(collar)].to_string();
                (ago(second).into(), Some(beats(collar, second)), pet)
            });
            prop_assert_eq!(told, expected);
        }
        Ok(())
    });
    outcome.unwrap();
}
