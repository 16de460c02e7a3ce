//! The first minutes of a collar.

use std::time::Duration;

use jiff::SignedDuration;
use petty::mesh::{GATEWAY, SERVICES};
use petty_chassis::types::Clock;
use petty_tests::eventually;
use petty_tests::mesh::Mesh;
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn three_readings_a_minute_apart_are_enough_for_a_first_behaviour() {
    let mesh = Mesh::start(crate::NODE).await;
    let client = mesh.client();
    let owner = client.sign_up().await;
    let pet = client.pet(&owner, "Rex", "DOG").await;
    let begin = Clock::system().now() - SignedDuration::from_mins(5);
    let device = client.pair(&owner, &pet, "collar-first", Some(begin)).await;
    for minute in 0..3 {
        let at = begin + SignedDuration::from_mins(minute + 1);
        let reading = json!({
            "collar_id": "collar-first", "timestamp": at.to_string(), "heart_rate": 72, "activity_level": 0,
            "location": {"type": "Point", "coordinates": [13.4, 52.5], "accuracy": 5},
        });
        let answer = client.post("/v1/ingest", &device, &reading).await;
        assert_eq!(answer.status.as_u16(), 201, "{}", answer.text);
        assert_eq!(answer.body, json!({"success": true, "accepted": 1, "duplicates": 0}));
    }
    let path = "/v1/pet-timeline?collar_id=collar-first&hours=24";
    eventually("a behaviour is on the timeline", Duration::from_secs(20), || async {
        let timeline = client.get(path, &owner.token).await.good();
        timeline["timeline"].as_array().is_some_and(|events| !events.is_empty())
    })
    .await;
    let timeline = client.get(path, &owner.token).await.good();
    let event = &timeline["timeline"][0];
    assert_eq!(timeline["collar_id"], "collar-first");
    assert_eq!(event["behavior"], "Resting", "{timeline}");
    assert!(event["event_id"].as_str().is_some_and(|id| id.starts_with("evt_")), "{timeline}");
    let confidence = event["confidence"].as_f64().unwrap();
    assert!(confidence > 0.0 && confidence <= 1.0, "{timeline}");
    // The collar's own token sees it too; the newer timeline agrees.
    let by_device = client.get(path, &device).await.good();
    assert_eq!(by_device["timeline"][0]["event_id"], event["event_id"]);
    let entries = client.all(&format!("/v1/pets/{pet}/timeline"), &owner.token, "entries").await;
    assert_eq!(entries[0]["event_id"], event["event_id"]);
    let realtime = client.get("/v1/realtime?collar_id=collar-first", &owner.token).await.good();
    assert_eq!(realtime["heart_rate"], 72.0, "{realtime}");
    assert_eq!(realtime["pet_id"], json!(pet));
    let bare = client.get("/pet-timeline?collar_id=collar-first", &owner.token).await;
    assert!(bare.headers.contains_key("deprecation"), "the bare path says that it is deprecated");
    assert_eq!(bare.good()["timeline"][0]["event_id"], event["event_id"]);

    // Another pet wears it now: what the first one did goes on no longer, and nobody waits to hear of it.
    let behaviors = || async {
        let listed = client.get(&format!("/v1/pets/{pet}/behaviors"), &owner.token).await.good();
        listed["episodes"][0]["open"].clone()
    };
    assert_eq!(behaviors().await, true);
    let other = client.pet(&owner, "Luna", "DOG").await;
    client.pair(&owner, &other, "collar-first", None).await;
    eventually("it has ended", Duration::from_secs(20), || async { behaviors().await == false }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collar_that_tells_whole_seconds_may_report_right_after_its_pairing() {
    let mesh = Mesh::start(crate::NODE).await;
    let client = mesh.client();
    let owner = client.sign_up().await;
    let pet = client.pet(&owner, "Rex", "DOG").await;
    let second = jiff::Timestamp::from_second(Clock::system().now().as_second()).unwrap();
    let device = client.pair(&owner, &pet, "collar-whole", None).await;
    let collars = client.all(&format!("/v1/pets/{pet}/collars"), &owner.token, "collars").await;
    let start: jiff::Timestamp = collars[0]["start_time"].as_str().unwrap().parse().unwrap();
    assert_eq!(start.subsec_nanosecond(), 0, "the pairing begins with its second");
    let at = second.max(start);
    let reading = json!({"collar_id": "collar-whole", "timestamp": at.to_string(), "heart_rate": 72});
    let answer = client.post("/v1/ingest", &device, &reading).await;
    assert_eq!(answer.status.as_u16(), 201, "{}", answer.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drained_service_exits_with_0_and_no_secret_or_position_was_logged() {
    let mut mesh = Mesh::start(crate::NODE).await;
    let client = mesh.client();
    let owner = client.sign_up().await;
    let pet = client.pet(&owner, "Rex", "DOG").await;
    let now = Clock::system().now();
    let device = client.pair(&owner, &pet, "collar-quiet", Some(now - SignedDuration::from_mins(5))).await;
    let reading = json!({
        "collar_id": "collar-quiet", "timestamp": now.to_string(), "heart_rate": 71,
        "location": {"coordinates": [13.987654, 52.123457]},
    });
    client.post("/v1/ingest", &device, &reading).await.good();
    client.get("/v1/realtime?collar_id=collar-quiet", &owner.token).await.good();
    client.get("/v1/pets/not-a-pet", &owner.token).await.names("pet_id");
    let logs = mesh.logs();
    for secret in [
        &owner.token,
        &owner.refresh,
        &device,
        &owner.email,
        "13.987654",
        "52.123457",
        petty_tests::rest::PASSWORD,
    ] {
        assert!(!logs.contains(secret), "a log holds {secret}");
    }
    for line in logs.lines() {
        let parsed: Result<serde_json::Value, _> = serde_json::from_str(line);
        assert!(parsed.is_ok(), "not JSON: {line}");
    }
    for service in [GATEWAY].into_iter().chain(SERVICES.into_iter().rev()) {
        assert_eq!(mesh.terminate(service, 0), Some(0), "{service} drains and exits with 0");
    }
}
