//! One gateway after the other is replaced, over and over, while others read, write, measure, and follow what is measured.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::future::join_all;
use jiff::SignedDuration;
use jiff::Timestamp;
use petty_tests::mesh::Mesh;
use petty_tests::rest::Client;
use petty_tests::tables::Tables;

use super::follower::{Follower, addresses};
use super::traffic::Traffic;
use crate::streaming::{Scene, minute_of};

/// So many times a gateway is replaced.
const RESTARTS: usize = 20;
const READERS: usize = 5;
const WRITERS: usize = 3;
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) async fn restarts_lose_nothing(mesh: &mut Mesh, gateways: &[Client; 2]) -> String {
    let scene = Scene::new(mesh).await;
    // Of another one is written, so that nothing but what is measured is on the timeline of the one that is followed.
    let writer = gateways[0].sign_up().await;
    let weighed = gateways[0].pet(&writer, "Mia", "CAT").await;
    let traffic = Traffic::through(gateways);
    let (head, addresses) = (AtomicU64::new(0), addresses(mesh));
    let follower = || Follower::new(&traffic, &scene, &head);
    let restarts = async {
        for restart in 0..RESTARTS {
            let replica = restart % 2;
            assert_eq!(mesh.retire("gateway", replica).await, Some(0), "it went in good order");
            mesh.spawn("gateway", replica);
            mesh.ready().await;
            let known = || async { traffic.knows(replica) };
            petty_tests::eventually("it is known to be ready", Duration::from_secs(10), known).await;
        }
        traffic.end();
    };
    let measuring = async {
        let readings = traffic.measure(&scene).await;
        head.store(whole(&scene, readings).await, Ordering::SeqCst);
        readings
    };
    let (_, written, readings, by_events, by_socket, (), ()) = tokio::join!(
        join_all((0..READERS).map(|_| traffic.read(&scene.owner))),
        join_all((0..WRITERS).map(|nth| traffic.write(&writer, &weighed, nth))),
        measuring,
        follower().by_events(),
        follower().by_socket(addresses),
        restarts,
        traffic.look(),
    );
    let (lost, answered) = traffic.lost();
    let told = format!(
        "{answered} answers, {written:?} writes, {readings} readings, {} and {} moves",
        by_events.moves, by_socket.moves
    );
    assert!(lost.is_empty(), "{} of {told}: {lost:#?}", lost.len());
    assert!(answered > 100 && written.iter().all(|writes| *writes > RESTARTS), "there was load: {told}");
    wrote_once(mesh, &weighed, &written).await;
    let all: Vec<u64> = (1..=head.load(Ordering::SeqCst)).collect();
    for (how, follower) in [("events", by_events), ("socket", by_socket)] {
        assert_eq!(follower.seen, all, "by {how}: every number once, in order");
        // Whoever was with the other one at first moved for the first time with the second restart.
        assert!(follower.moves >= RESTARTS - 1, "by {how}: it was told to move: {told}");
    }
    told
}

/// Waits until so many readings are on the timeline; its last number then.
async fn whole(scene: &Scene, readings: i64) -> u64 {
    let end = scene.begin + SignedDuration::from_mins(minute_of(readings - 1));
    let path = format!("/v1/pets/{}/timeline", scene.pet);
    let listed = || scene.client.get(&path, &scene.owner.token);
    petty_tests::eventually("the timeline is whole", PATIENCE, || async {
        let newest = listed().await.body["entries"][0]["end_time"].as_str().map(str::parse::<Timestamp>);
        newest.is_some_and(|newest| newest.is_ok_and(|newest| newest >= end))
    })
    .await;
    listed().await.good()["last_event_id"].as_str().and_then(|id| id.parse().ok()).unwrap()
}

/// Each write's effect is there, once.
async fn wrote_once(mesh: &Mesh, weighed: &str, written: &[usize]) {
    let names = "SELECT name FROM pets WHERE name LIKE 'rolling-%'";
    let mut names = Tables::of(&mesh.stack, "auth").await.texts(names).await;
    names.sort_unstable();
    let all = written
        .iter()
        .enumerate()
        .flat_map(|(writer, count)| (0..*count).step_by(2).map(move |nth| format!("rolling-{writer}-{nth}")));
    let mut all: Vec<String> = all.collect();
    all.sort_unstable();
    assert_eq!(names, all, "every pet is there once");
    let weights = format!("SELECT count(*) FROM weights WHERE pet_id = '{weighed}'");
    let weights = Tables::of(&mesh.stack, "nutrition").await.count(&weights).await;
    let expected: usize = written.iter().map(|count| count / 2).sum();
    assert_eq!(usize::try_from(weights).unwrap(), expected, "every weight is there once");
}
