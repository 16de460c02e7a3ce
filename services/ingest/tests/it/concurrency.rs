//! Whatever the order, the split and the repetitions: the same table, and the outbox tells exactly it.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::join_all;
use petty_proto::ingest::v1 as wire;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

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

/// Batches of (collar, second): with repetitions within and between them.
fn batches() -> impl Strategy<Value = Vec<Vec<(u8, i64)>>> {
    let one = (0..3_u8, 0..12_i64);
    prop::collection::vec(prop::collection::vec(one, 1..12), 1..8)
}

#[test]
fn any_split_order_and_repetition_ends_in_the_same_table() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let world = runtime.block_on(World::new("any_order"));
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
            .map(|batch| batch.iter().map(|(collar, second)| reading(&name(*collar), ago(*second))).collect())
            .collect();
        runtime.block_on(async {
            let sending = requests.into_iter().map(|request| world.ingest_batch(&owner, request));
            if at_once {
                for answer in join_all(sending).await {
                    answer.unwrap();
                }
            } else {
                for sent in sending {
                    sent.await.unwrap();
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
        for collar in 0..3 {
            let newest = unique
                .iter()
                .filter(|one| one.0 == collar)
                .map(|(_, second)| ago(-second).as_microsecond())
                .max();
            let latest = runtime.block_on(world.latest(&name(collar)));
            prop_assert_eq!(latest.map(|(time, _)| time), newest);
        }
        Ok(())
    });
    outcome.unwrap();
}
