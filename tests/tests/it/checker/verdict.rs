//! The comparison.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use petty_proto::events::v1::ReadingsAccepted;
use petty_tests::mesh::Mesh;
use petty_tests::tables::Tables;
use prost_reflect::prost::Message as _;

use super::ledger::{Key, Known, Ledger};

/// What was kept is consumed, and what was still on its way is done with, within this time of healing.
const SETTLED: Duration = Duration::from_secs(180);
const PAUSE: Duration = Duration::from_millis(250);

/// The values of a reading, as often as it is somewhere.
pub(super) type Found = BTreeMap<Key, Vec<f64>>;

/// What is in the table.
pub(super) async fn stored(mesh: &Mesh) -> Found {
    in_table(&Tables::of(&mesh.stack, "ingest").await).await
}

/// Holds the notes against the table and against what behavior consumed.
pub(super) async fn holds(mesh: &Mesh, ledger: &Ledger, told: &str) {
    let ingest = Tables::of(&mesh.stack, "ingest").await;
    let behavior = Tables::of(&mesh.stack, "behavior").await;
    let deadline = tokio::time::Instant::now() + SETTLED;
    loop {
        let mut wrong = wrong(&ingest, &behavior, ledger).await;
        if wrong.is_empty() {
            break;
        }
        let count = wrong.len();
        wrong.truncate(20);
        let wrong = wrong.join("\n");
        assert!(tokio::time::Instant::now() < deadline, "{told}: {count} readings are wrong:\n{wrong}");
        tokio::time::sleep(PAUSE).await;
    }
    let dead = behavior.count("SELECT count(*) FROM event_dead_letters").await;
    assert_eq!(dead, 0, "{told}: behavior gave up on nothing");
}

async fn wrong(ingest: &Tables, behavior: &Tables, ledger: &Ledger) -> Vec<String> {
    let table = in_table(ingest).await;
    let consumed = consumed(ingest, behavior).await;
    let sent = ledger.sent();
    let times = |found: &Found, key: &Key| found.get(key).map_or(0, Vec::len);
    let mut wrong = Vec::new();
    for (key, reading) in &sent {
        let (stored, told_of) = (times(&table, key), times(&consumed, key));
        let right = match reading.known {
            Known::Acknowledged => (stored, told_of) == (1, 1),
            Known::Refused => (stored, told_of) == (0, 0),
            Known::Unknown => stored <= 1 && stored == told_of,
        };
        let mut values = table.get(key).into_iter().chain(consumed.get(key)).flatten();
        let same = values.all(|value| (value - reading.heart_rate).abs() < 1e-6);
        if !right || !same {
            let told = format!("stored {stored} times, consumed {told_of} times, unchanged: {same}");
            wrong.push(format!("{key:?} {reading:?}: {told}"));
        }
    }
    let nobodys = table.keys().chain(consumed.keys()).filter(|key| !sent.contains_key(*key));
    wrong.extend(nobodys.map(|key| format!("{key:?} was sent by nobody")));
    wrong
}

async fn in_table(ingest: &Tables) -> Found {
    let sql = "SELECT c.collar_id, (extract(epoch FROM r.measured_at) * 1000000)::int8, r.heart_rate::float8
               FROM readings r JOIN collars c USING (collar_key)";
    let mut found = Found::new();
    for row in ingest.rows(sql).await {
        found.entry((row.get(0), row.get(1))).or_default().push(row.get(2));
    }
    found
}

/// Behavior's inbox has a row of each event and pet that it took in, committed with all that it made of it. What the event
/// said is in ingest's outbox.
async fn consumed(ingest: &Tables, behavior: &Tables) -> Found {
    let inbox: BTreeSet<String> =
        behavior.texts("SELECT event_id || ' ' || pet_id FROM event_inbox").await.into_iter().collect();
    let sql = "SELECT id::text, payload FROM event_outbox WHERE topic = 'readings.accepted'";
    let mut found = Found::new();
    for row in ingest.rows(sql).await {
        let (event, payload): (String, Vec<u8>) = (row.get(0), row.get(1));
        for pet in ReadingsAccepted::decode(payload.as_slice()).unwrap().pets {
            if !inbox.contains(&format!("{event} {}", pet.pet_id)) {
                continue;
            }
            for reading in pet.readings {
                let heart_rate = reading.heart_rate.unwrap_or_default();
                let other = Some(reading.collar_id).filter(|other| !other.is_empty());
                let collar = other.unwrap_or_else(|| pet.collar_id.clone());
                found.entry((collar, reading.time_us)).or_default().push(heart_rate);
            }
        }
    }
    found
}
