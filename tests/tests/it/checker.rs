//! The checker. Under load everything that a reading passes is killed, over and over, at moments that nobody chose; the disk
//! is filled, and Redis emptied. Each request is noted as acknowledged, refused or unknown. After healing the notes are held
//! against the table, and against what behavior consumed: what was acknowledged is in both exactly once, what was refused in
//! neither, what is unknown at most once, and in both or neither. Who was killed is away: nobody answers that something is broken.

mod blows;
mod full_disk;
mod ledger;
mod load;
mod relay;
mod verdict;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use petty_chassis::types::Entropy;
use petty_scenarios::chance::Chance;
use petty_tests::mesh::Mesh;

use blows::Blow;
use ledger::Ledger;
use load::Load;

/// Of each kind of blow that is listed.
const ROUNDS: usize = 20;
/// A seed to be tried again: what was printed by a run that failed.
const SEED: Option<u64> = None;
/// How many requests must have been acknowledged since the last blow healed before the next is waited for.
const BETWEEN: usize = 8;
/// The longest that a blow is waited with then, or after another, milliseconds.
const LONGEST: u64 = 120;
/// So many blows may fall before the mesh has healed from the first of them.
const MOST_AT_ONCE: u64 = 4;
/// Healing is given so long: two cores may run several meshes.
const HEALED: Duration = Duration::from_secs(120);

#[tokio::test(flavor = "multi_thread")]
async fn every_acknowledged_reading_is_there_once_whatever_is_killed() {
    let seed = SEED.unwrap_or_else(|| u64::from_be_bytes(Entropy.bytes()));
    println!("seed {seed}");
    let mut chance = Chance::of(&[seed]);
    let mut mesh = Mesh::start_alone(crate::NODE, &[]).await;
    let ledger = Ledger::default();
    let load = Load::on(&mesh, &mut chance).await;
    let stop = AtomicBool::new(false);
    let mut blows = blows::all(ROUNDS);
    shuffle(&mut blows, &mut chance);
    let began = tokio::time::Instant::now();
    let fighting = async {
        let mut left = blows.as_slice();
        while !left.is_empty() {
            let at_once = 1 + usize::try_from(chance.number() % MOST_AT_ONCE).unwrap();
            let (round, rest) = left.split_at(at_once.min(left.len()));
            left = rest;
            let reached = ledger.acknowledged() + BETWEEN;
            let told = format!("seed {seed}, before {round:?}, {} left", rest.len());
            heals(&mut mesh, &ledger, reached, &told).await;
            for blow in round {
                tokio::time::sleep(Duration::from_millis(chance.number() % LONGEST)).await;
                blow.fall(&mut mesh).await;
            }
        }
        let reached = ledger.acknowledged() + BETWEEN;
        heals(&mut mesh, &ledger, reached, &format!("seed {seed}, after the last blow")).await;
        stop.store(true, Ordering::Release);
    };
    tokio::join!(load.run(&ledger, &stop), fighting);
    mesh.ready().await;
    let told = format!("seed {seed}, {} blows in {:?}, {}", blows.len(), began.elapsed(), ledger.summary());
    println!("{told}");
    verdict::holds(&mesh, &ledger, &told).await;
    has_no_faults(&ledger, &told);
    assert!(ledger.has_all_kinds(), "blows fall in the middle of the work: {told}");
    assert!(!mesh.logs().contains("panicked"), "nothing panicked");
}

/// Whatever was done to it, no service said that the fault was its own.
fn has_no_faults(ledger: &Ledger, told: &str) {
    let (count, faults) = ledger.faults();
    assert_eq!(count, 0, "{told}: answers that say that something is broken: {faults:#?}");
}

/// Waits until so many requests were acknowledged.
async fn heals(mesh: &mut Mesh, ledger: &Ledger, reached: usize, told: &str) {
    let deadline = tokio::time::Instant::now() + HEALED;
    while ledger.acknowledged() < reached {
        assert!(tokio::time::Instant::now() < deadline, "{told}: it does not heal");
        mesh.revive();
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
}

fn shuffle(blows: &mut [Blow], chance: &mut Chance) {
    for last in (1..blows.len()).rev() {
        let other = usize::try_from(chance.number() % (last as u64 + 1)).unwrap();
        blows.swap(last, other);
    }
}
