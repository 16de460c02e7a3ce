//! What an operator does with events, on a mesh that runs: a Redis that lost everything is refilled, and it makes no
//! difference what had been handled.

use std::time::Duration;

use jiff::SignedDuration;
use petty_chassis::types::Clock;
use petty_proto::events::v1::{ReplayEventsRequest, ReplayEventsResponse};
use petty_proto::policy::EVENT_OPERATIONS_SERVICE_REPLAY_EVENTS as REPLAY;
use petty_tests::eventually;
use petty_tests::grpc::{Credentials, Grpc, service_token};
use petty_tests::mesh::Mesh;
use petty_tests::rest::Account;
use petty_tests::tables::Tables;
use prost_reflect::prost::Message as _;
use serde_json::{Value, json};
use tonic::Code;

const PATIENCE: Duration = Duration::from_secs(120);
/// What consumers make of events, each with the service whose it is: what is told of it is in no column that a second
/// handling would not change.
const STATE: &[(&str, &str)] = &[
    ("behavior", "episodes"),
    ("behavior", "days"),
    ("timeline", "entries"),
    ("timeline", "changes"),
    ("feedback", "episodes"),
    ("nutrition", "day_activity"),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_refills_a_redis_that_lost_everything_and_changes_nothing_that_was_handled() {
    // Nobody fetches what they miss: what arrives was sent again.
    let mut mesh = Mesh::start_set(crate::NODE, &[], &[("PETTY_EVENTS_GAP_GRACE", "1h")]).await;
    let client = mesh.client();
    let (owner, staff) = (client.sign_up().await, client.staff().await);
    let begin = Clock::system().now() - SignedDuration::from_hours(2);
    let pet = client.pet(&owner, "Rex", "DOG").await;
    let device = client.pair(&owner, &pet, "collar-1", Some(begin)).await;
    let path = format!("/v1/pets/{pet}/timeline");
    let entries = || async { client.all(&path, &owner.token, "entries").await.len() };

    // The first half is handled by all, the second one by nobody.
    client.ingest_patiently(&device, &spells(begin, 0..120)).await;
    eventually("the first half is on the timeline", PATIENCE, || async { entries().await > 0 }).await;
    at_rest(&mesh).await;
    let half = entries().await;
    mesh.kill("behavior", 0);
    client.ingest_patiently(&device, &spells(begin, 120..360)).await;
    let ingest = Tables::of(&mesh.stack, "ingest").await;
    let unsent = "SELECT count(*) FROM event_outbox WHERE sent_at IS NULL";
    eventually("all is sent", PATIENCE, || async { ingest.count(unsent).await == 0 }).await;
    mesh.stack.redis().flushall().await.unwrap();
    mesh.spawn("behavior", 0);
    mesh.ready().await;
    let grpc = Grpc::of(&mesh.plan);
    assert!(replay(&mesh, &grpc, &staff, "ingest", begin).await > 0);
    eventually("the second half is on the timeline", PATIENCE, || async { entries().await > half }).await;
    at_rest(&mesh).await;

    // Everything once more, on top of what is there.
    let before = state(&mesh).await;
    for service in petty::mesh::SERVICES {
        replay(&mesh, &grpc, &staff, service, begin).await;
        let tables = Tables::of(&mesh.stack, service).await;
        eventually("all is sent again", PATIENCE, || async { tables.count(unsent).await == 0 }).await;
    }
    at_rest(&mesh).await;
    assert_eq!(state(&mesh).await, before);
    for service in petty::mesh::SERVICES {
        let tables = Tables::of(&mesh.stack, service).await;
        assert_eq!(tables.count("SELECT count(*) FROM event_dead_letters").await, 0, "{service}");
        let noted = "SELECT count(*) FROM event_operations WHERE action = 'REPLAY'";
        assert!(tables.count(noted).await > 0, "{service} has noted who had it sent");
    }
}

/// Steady sleep and something else, in turn, a reading every 20 s.
fn spells(begin: jiff::Timestamp, which: std::ops::Range<i64>) -> Vec<Value> {
    which
        .map(|index| {
            let at = begin + SignedDuration::from_secs(20 * index);
            let (heart_rate, level) = if (index / 40) % 2 == 0 { (52, 0) } else { (150, 2) };
            json!({"collar_id": "collar-1", "timestamp": at.to_string(), "heart_rate": heart_rate, "activity_level": level})
        })
        .collect()
}

async fn replay(
    mesh: &Mesh,
    grpc: &Grpc,
    staff: &Account,
    service: &'static str,
    since: jiff::Timestamp,
) -> i64 {
    let proof = service_token(mesh, "operator", service);
    let authorization = format!("Bearer {}", staff.token);
    let (mut count, mut page_token) = (0, String::new());
    loop {
        let request = ReplayEventsRequest { since: Some(since.into()), topic: String::new(), page_token };
        let credentials = Credentials { service: Some(&proof), authorization: Some(authorization.as_str()) };
        let outcome =
            grpc.call_patiently((service, &REPLAY), credentials, request.encode_to_vec().into()).await;
        assert_eq!(outcome.code, Code::Ok, "{}", outcome.message);
        let page = ReplayEventsResponse::decode(outcome.answer).unwrap();
        count += page.count;
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return count;
        }
    }
}

async fn state(mesh: &Mesh) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for (service, table) in STATE {
        let digests = Tables::of(&mesh.stack, service).await.digests(&[]).await;
        let digest = digests.into_iter().find(|(name, _)| name == table);
        let (name, digest) = digest.unwrap_or_else(|| panic!("{service} has no table {table}"));
        all.push((format!("{service}.{name}"), digest));
    }
    all
}

/// Waits until nothing moves any more.
async fn at_rest(mesh: &Mesh) {
    let before = std::sync::Mutex::new(state(mesh).await);
    eventually("everything comes to rest", PATIENCE, || async {
        tokio::time::sleep(Duration::from_secs(2)).await;
        let now = state(mesh).await;
        let mut before = before.lock().unwrap();
        let rests = *before == now;
        *before = now;
        rests
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collar_that_stops_is_told_to_behavior_once_though_two_replicas_look() {
    let mesh = Mesh::start_with(crate::NODE, &[("ingest", 2)]).await;
    let client = mesh.client();
    let owner = client.sign_up().await;
    let now = Clock::system().now();
    let pet = client.pet(&owner, "Rex", "DOG").await;
    let device = client.pair(&owner, &pet, "collar-1", Some(now - SignedDuration::from_mins(10))).await;
    let readings: Vec<Value> = (0..24)
        .map(|index| {
            let at = now - SignedDuration::from_secs(5 * (23 - index));
            json!({"collar_id": "collar-1", "timestamp": at.to_string(), "heart_rate": 60})
        })
        .collect();
    client.ingest_patiently(&device, &readings).await;
    let (ingest, behavior) =
        (Tables::of(&mesh.stack, "ingest").await, Tables::of(&mesh.stack, "behavior").await);
    let told = "SELECT id::text FROM event_outbox WHERE topic = 'readings.silent'";
    eventually("it is told", PATIENCE, || async { !ingest.texts(told).await.is_empty() }).await;
    let late = "SELECT extract(epoch FROM o.created_at - s.received_at)::float8::text
                FROM event_outbox o, latest_states s WHERE o.topic = 'readings.silent'";
    let late: f64 = ingest.texts(late).await[0].parse().unwrap();
    // A machine that is full may come to it late, by half an interval.
    assert!((12.5..=17.5).contains(&late), "after two and a half intervals of 5 s, and within three: {late}");
    let [id] = ingest.texts(told).await.try_into().unwrap();
    let handled = format!("SELECT count(*) FROM event_inbox WHERE event_id = '{id}' AND pet_id = '{pet}'");
    eventually("behavior has it", PATIENCE, || async { behavior.count(&handled).await == 1 }).await;
    // Both replicas have looked again since.
    let looked = "SELECT count(*) FROM collar_watches WHERE silent AND look_at > now() + interval '1 second'";
    eventually("it was looked at again", PATIENCE, || async { ingest.count(looked).await == 1 }).await;
    assert_eq!(ingest.texts(told).await, [id]);
    assert_eq!(behavior.count("SELECT count(*) FROM event_dead_letters").await, 0);
}
