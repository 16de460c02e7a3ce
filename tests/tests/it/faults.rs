//! Any one process is killed in the middle of a replay, three times, and started again: nothing is lost, nothing doubled.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::join_all;
use jiff::{SignedDuration, Timestamp};
use petty_chassis::types::Clock;
use petty_tests::eventually;
use petty_tests::literal::Species;
use petty_tests::mesh::Mesh;
use petty_tests::rest::Client;
use serde_json::{Value, json};

use crate::episodes;

const PETS: usize = 6;
const BATCHES: usize = 40;
const BATCH: usize = 30;

/// What is killed.
#[derive(Clone, Copy, Debug)]
enum Victim {
    Service(&'static str),
    Postgres,
    Redis,
}

/// A collar's heart rates: spells of steady sleep, of rest, and of something else, a reading every 10 s.
fn readings(collar: &str, pet: usize, begin: Timestamp) -> Vec<Value> {
    (0..BATCHES * BATCH)
        .map(|index| {
            let at = begin + SignedDuration::from_secs(10 * i64::try_from(index).unwrap());
            let phase = (index / 25 + pet) % 4;
            let wobble = f64::from(u32::try_from((index * 7 + pet * 3) % 5).unwrap());
            let heart_rate = match phase {
                0 => 50.0 + wobble / 4.0,
                1 => 80.0 + 3.0 * wobble,
                2 => 58.0 + wobble / 4.0,
                _ => 140.0 + 5.0 * wobble,
            };
            json!({"collar_id": collar, "timestamp": at.to_string(), "heart_rate": heart_rate})
        })
        .collect()
}

async fn survives(victim: Victim) {
    let mut mesh = Mesh::start(crate::NODE).await;
    let client = mesh.client();
    let owner = client.sign_up().await;
    let begin = Clock::system().now() - SignedDuration::from_hours(24);
    let mut species = BTreeMap::new();
    let mut collars = Vec::new();
    for pet in 0..PETS {
        let pet_id = client.pet(&owner, &format!("Pet {pet}"), "DOG").await;
        let collar = format!("collar-{pet}");
        let device = client.pair(&owner, &pet_id, &collar, Some(begin)).await;
        species.insert(pet_id, Species::Dog);
        collars.push((device, readings(&collar, pet, begin)));
    }
    let acknowledged = Arc::new(AtomicUsize::new(0));
    let senders = collars
        .into_iter()
        .map(|(device, readings)| post_all(client.clone(), device, readings, acknowledged.clone()));
    let replay = async { join_all(senders).await.into_iter().sum::<usize>() };
    let faults = async {
        for moment in [1, 2, 3] {
            let reached = PETS * BATCHES * moment / 4;
            eventually("the replay goes on", Duration::from_secs(120), || async {
                acknowledged.load(Ordering::Acquire) >= reached
            })
            .await;
            strike(&mut mesh, victim).await;
        }
    };
    let (_new, ()) = tokio::join!(replay, faults);
    mesh.ready().await;

    // An answer that was lost makes a sender count a duplicate; the table tells what there is.
    let stored = episodes::stored(&mesh).await;
    assert_eq!(stored.len(), PETS);
    for readings in stored.values() {
        let mut times: Vec<i64> = readings.iter().map(|(_, measured)| measured.at_us).collect();
        times.dedup();
        assert_eq!(times.len(), BATCHES * BATCH, "each acknowledged reading is there");
        assert_eq!(readings.len(), BATCHES * BATCH, "and there once");
    }
    episodes::agree(&mesh, &species).await;
}

async fn post_all(
    client: Client,
    device: String,
    readings: Vec<Value>,
    acknowledged: Arc<AtomicUsize>,
) -> usize {
    let mut new = 0;
    for batch in readings.chunks(BATCH) {
        new += client.ingest_patiently(&device, batch).await;
        acknowledged.fetch_add(1, Ordering::AcqRel);
    }
    new
}

async fn strike(mesh: &mut Mesh, victim: Victim) {
    match victim {
        Victim::Service(service) => {
            mesh.kill(service, 0);
            mesh.spawn(service, 0);
        }
        Victim::Postgres => {
            mesh.stack.postgres().kill();
            mesh.stack.postgres().restart().await.unwrap();
        }
        Victim::Redis => {
            mesh.stack.redis().kill();
            mesh.stack.redis().restart().await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn auth_may_be_killed() {
    survives(Victim::Service("auth")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ingest_may_be_killed() {
    survives(Victim::Service("ingest")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn behavior_may_be_killed() {
    survives(Victim::Service("behavior")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nutrition_may_be_killed() {
    survives(Victim::Service("nutrition")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn feedback_may_be_killed() {
    survives(Victim::Service("feedback")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn timeline_may_be_killed() {
    survives(Victim::Service("timeline")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_gateway_may_be_killed() {
    survives(Victim::Service("gateway")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_may_be_killed() {
    survives(Victim::Postgres).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_may_be_killed() {
    survives(Victim::Redis).await;
}
