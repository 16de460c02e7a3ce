//! Readings by stream from a hub: they get to the timeline, and the call ends with its sender's access.

use std::time::Duration;

use futures::StreamExt as _;
use jiff::SignedDuration;
use petty_chassis::types::Clock;
use petty_proto::ingest::v1 as wire;
use petty_tests::eventually;
use petty_tests::mesh::Mesh;
use petty_tests::relay::Relay;
use petty_tests::tables::Tables;
use reqwest::Method;
use serde_json::json;
use tokio::time::Instant;
use tonic::Code;

/// Withdrawn access is in force everywhere within this time.
const IN_FORCE: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_secs(30);
/// A message every so often.
const PACE: Duration = Duration::from_millis(30);

/// A reading a message, of ten seconds each, without an end.
fn messages(collar: &str) -> impl futures::Stream<Item = wire::StreamReadingsRequest> + Send + 'static {
    let (collar, begin) = (collar.to_owned(), Clock::system().now() - SignedDuration::from_hours(20));
    futures::stream::unfold(1_i64, move |number| {
        let at = begin + SignedDuration::from_secs(10 * number);
        let collar_id = collar.clone();
        async move {
            tokio::time::sleep(PACE).await;
            let heart_rate = Some(52.0);
            let reading = wire::Reading {
                collar_id,
                timestamp: Some(at.into()),
                heart_rate,
                ..wire::Reading::default()
            };
            Some((wire::StreamReadingsRequest { number, readings: vec![reading] }, number + 1))
        }
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_hub_sends_is_kept_and_its_call_ends_with_its_access() {
    let mesh = Mesh::start(crate::NODE).await;
    let client = mesh.client();
    let begin = Clock::system().now() - SignedDuration::from_hours(24);
    let ingest = Tables::of(&mesh.stack, "ingest").await;
    let relay = Relay::to(&mesh);
    for (collar, how) in
        [("collar-a", "a log-out"), ("collar-b", "a collar taken off"), ("collar-c", "a secret rotated")]
    {
        let owner = client.sign_up().await;
        let pet = client.pet(&owner, "Rex", "DOG").await;
        let device = client.pair(&owner, &pet, collar, Some(begin)).await;
        let token = if how == "a log-out" { owner.token.clone() } else { device };
        let mut answers = relay.open(&token, messages(collar)).await.unwrap();
        for number in 1..=60 {
            let answer = tokio::time::timeout(PATIENCE, answers.message()).await.unwrap().unwrap().unwrap();
            assert_eq!((answer.number, answer.accepted), (number, 1));
        }
        if how == "a log-out" {
            eventually("the timeline tells of it", PATIENCE, || async {
                let timeline = client.get(&format!("/v1/pets/{pet}/timeline"), &owner.token).await;
                timeline.body["entries"].as_array().is_some_and(|entries| !entries.is_empty())
            })
            .await;
        }
        let (method, path, body) = match how {
            "a log-out" => (Method::POST, "/v1/auth/logout".to_owned(), json!({})),
            "a collar taken off" => (Method::DELETE, format!("/v1/pets/{pet}/collars/{collar}"), json!(null)),
            _ => {
                let path = format!("/v1/pets/{pet}/collars/{collar}:rotateSecret");
                (Method::POST, path, json!({"overlap_seconds": 0}))
            }
        };
        let mut request = client.request(method, &path, Some(&owner.token));
        if !body.is_null() {
            request = request.json(&body);
        }
        let asked = Instant::now();
        client.send(request).await.good();
        let revoked = Instant::now();
        let status = loop {
            match tokio::time::timeout(PATIENCE, answers.next()).await.expect("it ends") {
                Some(Ok(_)) => {}
                Some(Err(status)) => break status,
                None => panic!("{how}: it ended for no reason"),
            }
        };
        assert_eq!(status.code(), Code::Unauthenticated, "{how}: {status:?}");
        assert!(revoked.elapsed() < IN_FORCE, "{how}: ended {:?} after it was asked for", asked.elapsed());
        let count = format!(
            "SELECT count(*) FROM readings JOIN collars USING (collar_key) WHERE collar_id = '{collar}'"
        );
        let stored = ingest.count(&count).await;
        let refused = relay.open(&token, messages(collar)).await.err().map(|status| status.code());
        assert_eq!(refused, Some(Code::Unauthenticated), "{how}: nor by another call");
        assert_eq!(ingest.count(&count).await, stored, "{how}: nothing is taken in after it");
    }
}
