//! Replicas of behavior are killed twenty times, at moments that nobody chose, while readings come in and while pets are looked at though
//! nothing comes in: the episodes are those of all readings together, and each alert was raised once.

mod due;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::join_all;
use jiff::{SignedDuration, Timestamp};
use petty_chassis::types::{Clock, Entropy};
use petty_tests::eventually;
use petty_tests::literal::Species;
use petty_tests::mesh::Mesh;
use petty_tests::rest::Client;
use petty_tests::tables::Tables;
use serde_json::{Value, json};

use crate::episodes;
use due::Due;

const PETS: usize = 3;
const KILLS: usize = 20;
/// Readings of one request, 10 s apart.
const BATCH: i64 = 10;
/// So many requests of each collar go out between one blow and the next, at least: more only once the blow has fallen.
const BETWEEN: i64 = 12;
/// The longest that is waited before a blow, milliseconds.
const LONGEST: u64 = 600;
/// So many blows at the least fall when some of what is due about them is told and some is not, and as many when both replicas are at
/// the same of it.
const AMID: usize = 2;

/// A batch: sleep, rest and walks; out of the zone for some minutes; later on, a low battery.
fn batch(collar: &str, pet: usize, begin: Timestamp, nth: i64) -> Vec<Value> {
    let out = (30..36).contains(&nth);
    (nth * BATCH..(nth + 1) * BATCH)
        .map(|index| {
            let at = begin + SignedDuration::from_secs(10 * index);
            let wobble = (index * 7 + i64::try_from(pet).unwrap() * 3) % 5;
            let heart_rate = [50, 80, 56, 140][usize::try_from(index / 70 % 4).unwrap()] + wobble;
            let north = if out { 3_000 } else { wobble * 10 };
            let latitude = f64::from(i32::try_from(52_500_000 + north).unwrap()) / 1e6;
            json!({
                "collar_id": collar, "timestamp": at.to_string(), "heart_rate": heart_rate,
                "location": {"type": "Point", "coordinates": [13.4, latitude], "accuracy": 5},
                "battery_level": if nth >= 40 { 15 } else { 80 },
            })
        })
        .collect()
}

async fn send(
    client: &Client,
    device: &str,
    (collar, pet): (&str, usize),
    begin: Timestamp,
    blows: &AtomicUsize,
) {
    for nth in 0..BETWEEN * i64::try_from(KILLS).unwrap() {
        let fallen = || async { i64::try_from(blows.load(Ordering::Acquire)).unwrap() >= nth / BETWEEN };
        eventually("the blow before has fallen", Duration::from_secs(240), fallen).await;
        client.ingest_patiently(device, &batch(collar, pet, begin, nth)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_behavior_replica_may_be_killed_twenty_times_under_load() {
    let mut mesh = Mesh::start_alone(crate::NODE, &[("behavior", 2)]).await;
    let client = mesh.client();
    let owner = client.sign_up().await;
    let begin = Clock::system().now() - SignedDuration::from_hours(24);
    let mut species = BTreeMap::new();
    let mut collars = Vec::new();
    for pet in 0..PETS {
        let pet_id = client.pet(&owner, &format!("Pet {pet}"), "DOG").await;
        let collar = format!("collar-killed-{pet}");
        let device = client.pair(&owner, &pet_id, &collar, Some(begin)).await;
        let center = json!({"latitude": 52.5, "longitude": 13.4});
        let zone = json!({"name": "Home", "circle": {"center": center, "radius_m": 100}});
        client.post(&format!("/v1/pets/{pet_id}/safe-zones"), &owner.token, &zone).await.good();
        species.insert(pet_id, Species::Dog);
        collars.push((device, collar));
    }
    let due = Due::prepared(&mesh, &client, &owner).await;
    species.extend(due.lying.iter().map(|pet| (pet.clone(), Species::Dog)));
    let blows = AtomicUsize::new(0);
    let senders = collars
        .iter()
        .enumerate()
        .map(|(pet, (device, collar))| send(&client, device, (collar.as_str(), pet), begin, &blows));
    let (mut amid, mut held) = (0, 0);
    let striking = async {
        for round in 0..KILLS {
            let delay = u64::from(u16::from_be_bytes(Entropy.bytes())) * LONGEST / u64::from(u16::MAX);
            due.comes(round).await;
            // Each replica's turn comes with it and without.
            let holder = if round / 2 % 2 == 1 { Some(due.hold(&mesh, round).await) } else { None };
            tokio::time::sleep(Duration::from_millis(delay)).await;
            match &holder {
                Some(holder) => held += usize::from(holder.is_waited_for().await),
                None => amid += usize::from(due.is_amid(round).await),
            }
            mesh.kill("behavior", round % 2);
            if let Some(holder) = holder {
                holder.let_go().await;
            }
            mesh.spawn("behavior", round % 2);
            mesh.ready().await;
            blows.fetch_add(1, Ordering::AcqRel);
        }
    };
    tokio::join!(join_all(senders), striking);
    let told = format!(
        "of {KILLS} blows {amid} fell while some was told, and {held} while both replicas were at it"
    );
    println!("{told}");
    assert!(amid >= AMID && held >= AMID, "{told}");
    episodes::agree(&mesh, &species).await;

    let behavior = Tables::of(&mesh.stack, "behavior").await;
    let of_readings = species.keys().filter(|pet| !due.lying.contains(pet));
    let of_readings = of_readings
        .flat_map(|pet| [format!("{pet} battery_low raised"), format!("{pet} safe_zone_left cleared")]);
    let mut expected: Vec<String> = of_readings.chain(due.expected()).collect();
    expected.sort();
    let alerts = "SELECT pet_id || ' ' || kind || ' ' || status FROM alerts";
    let raised = || async {
        let mut raised = behavior.texts(alerts).await;
        raised.sort();
        raised
    };
    episodes::come_to("what was due was told, and each alert raised once", &expected, raised).await;
    // Each version of each was told once: two of what was cleared, one of what was not.
    let told = "SELECT count(*) FROM event_outbox WHERE topic = 'alert.changed'";
    assert_eq!(behavior.count(told).await, i64::try_from(expected.len() + PETS).unwrap());
    let timeline = Tables::of(&mesh.stack, "timeline").await;
    let entries = "SELECT count(*) FROM entries WHERE kind = 'alert'";
    eventually("timelines show them", Duration::from_secs(120), || async {
        timeline.count(entries).await == i64::try_from(expected.len()).unwrap()
    })
    .await;
    assert!(!mesh.logs().contains("panicked"), "nothing panicked");
}
