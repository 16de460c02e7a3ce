//! Much at once: nothing is refused that should pass, and nothing passes that should not.

mod guesses;

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use futures::future::join_all;
use jiff::SignedDuration;
use petty_chassis::types::Clock;
use petty_tests::mesh::Mesh;
use petty_tests::rest::{Answer, Client, PASSWORD};
use petty_tests::tables::Tables;
use reqwest::Method;
use serde_json::{Value, json};

async fn post(client: &Client, path: &str, body: &Value) -> Answer {
    client.send(client.request(Method::POST, path, None).json(body)).await
}

/// Two cores that run two meshes may have to send somebody away for now: sent again it is the same refresh, or another session.
async fn settled(client: &Client, path: &str, body: &Value) -> Value {
    client.settled(|| client.request(Method::POST, path, None).json(body)).await.good()
}

async fn refresh(client: &Client, token: &Value) -> Value {
    settled(client, "/v1/auth/refresh", &json!({"refresh_token": token})).await
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_refreshes_at_once_by_two_replicas_leave_one_live_chain() {
    let mesh = Mesh::start_with(crate::NODE, &[("auth", 2)]).await;
    let client = mesh.client();
    let owner = client.sign_up().await;
    let first = json!(owner.refresh);
    let answers = join_all((0..50).map(|_| refresh(&client, &first))).await;
    let successors: BTreeSet<&str> =
        answers.iter().map(|answer| answer["refresh_token"].as_str().unwrap()).collect();
    assert_eq!(successors.len(), 1, "all were answered the same successor");
    let auth = Tables::of(&mesh.stack, "auth").await;
    assert_eq!(
        auth.count("SELECT count(*) FROM refresh_tokens WHERE used_at IS NULL").await,
        1,
        "live chains"
    );
    for answer in &answers {
        client.get("/v1/me", answer["access_token"].as_str().unwrap()).await.good();
    }
    let next = json!({"refresh_token": successors.first().unwrap()});
    let next = post(&client, "/v1/auth/refresh", &next).await.good();
    // The first token is nobody's predecessor any more: whoever has it has stolen it, and everybody loses the session.
    let body = json!({"refresh_token": first});
    assert_eq!(post(&client, "/v1/auth/refresh", &body).await.status.as_u16(), 401);
    let after = json!({"refresh_token": next["refresh_token"]});
    assert_eq!(post(&client, "/v1/auth/refresh", &after).await.status.as_u16(), 401, "the family has ended");
    petty_tests::eventually("its access tokens too", Duration::from_secs(5), || async {
        client.get("/v1/me", next["access_token"].as_str().unwrap()).await.status.as_u16() == 401
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_refreshes_at_once_of_fifty_sessions_are_all_answered() {
    let mesh = Mesh::start_with(crate::NODE, &[("auth", 2)]).await;
    let client = mesh.client();
    let owner = client.sign_up().await;
    let log_in = json!({"email": owner.email, "password": PASSWORD});
    let mut sessions = Vec::new();
    for _ in 0..50 {
        sessions.push(settled(&client, "/v1/auth/login", &log_in).await);
    }
    let refreshes = sessions.iter().map(|session| refresh(&client, &session["refresh_token"]));
    let successors: BTreeSet<String> = join_all(refreshes)
        .await
        .iter()
        .map(|answer| answer["refresh_token"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(successors.len(), 50);
}

/// A collar that sends without a pause: readings, with a token that it gets anew by the secret it has, now and then.
struct Sender<'a> {
    client: &'a Client,
    secret: &'a Mutex<String>,
    begin: jiff::Timestamp,
    acknowledged: &'a AtomicI64,
}

impl Sender<'_> {
    /// Sends until told to stop. Nothing may be refused.
    async fn send(&self, done: &AtomicBool) {
        while !done.load(Ordering::Acquire) {
            let secret = self.secret.lock().unwrap().clone();
            let token = self.client.device_token(ROTATED, &secret).await;
            for _ in 0..8 {
                let nth = self.acknowledged.fetch_add(1, Ordering::AcqRel);
                let at = self.begin + SignedDuration::from_millis(100 * nth);
                let reading = json!({"collar_id": ROTATED, "timestamp": at.to_string(), "heart_rate": 70});
                let answer = self.client.post("/v1/ingest", &token, &reading).await;
                assert_eq!(answer.status.as_u16(), 201, "reading {nth}: {}", answer.text);
            }
        }
    }
}

const ROTATED: &str = "collar-rotated";

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_is_rotated_while_its_collar_sends_costs_no_reading() {
    let mesh = Mesh::start_with(crate::NODE, &[("auth", 2), ("ingest", 2)]).await;
    let client = mesh.client();
    let owner = client.sign_up().await;
    let pet = client.pet(&owner, "Rex", "DOG").await;
    let begin = Clock::system().now() - SignedDuration::from_hours(2);
    let body = json!({"collar_id": ROTATED, "start_time": begin.to_string()});
    let paired = client.post(&format!("/v1/pets/{pet}/collars"), &owner.token, &body).await.good();
    let first = paired["secret"].as_str().unwrap().to_owned();
    let (secret, acknowledged, done) = (Mutex::new(first.clone()), AtomicI64::new(0), AtomicBool::new(false));
    let sender = Sender { client: &client, secret: &secret, begin, acknowledged: &acknowledged };
    let rotate = format!("/v1/pets/{pet}/collars/{ROTATED}:rotateSecret");
    let rotating = async {
        let mut rotated = String::new();
        for rotation in 1..=3_i64 {
            let answer = client.post(&rotate, &owner.token, &json!({})).await.good();
            answer["secret"].as_str().unwrap().clone_into(&mut rotated);
            // The collar goes on with what it has, for a while; then it is given the new one.
            let reached = acknowledged.load(Ordering::Acquire) + 30;
            petty_tests::eventually("it sends on with its old secret", Duration::from_secs(60), || async {
                acknowledged.load(Ordering::Acquire) >= reached
            })
            .await;
            if rotation == 2 {
                rotated.clone_into(&mut secret.lock().unwrap());
            }
        }
        done.store(true, Ordering::Release);
        rotated
    };
    let senders = join_all((0..3).map(|_| sender.send(&done)));
    let (_, newest) = tokio::join!(senders, rotating);
    let stored = Tables::of(&mesh.stack, "ingest").await.count("SELECT count(*) FROM readings").await;
    assert_eq!(stored, acknowledged.load(Ordering::Acquire), "every one is stored");
    // All that was before can be ended at once, too.
    let old = client.device_token(ROTATED, &first).await;
    let newest_token = client.device_token(ROTATED, &newest).await;
    client.post(&rotate, &owner.token, &json!({"overlap_seconds": 0})).await.good();
    for (what, secret, token) in [("first", &first, &old), ("newest", &newest, &newest_token)] {
        let body = json!({"collar_id": ROTATED, "secret": secret});
        let refused = post(&client, "/v1/collars/token", &body).await;
        assert_eq!(refused.status.as_u16(), 401, "the {what} secret: {}", refused.text);
        let reading = json!({"collar_id": ROTATED, "timestamp": begin.to_string(), "heart_rate": 70});
        petty_tests::eventually("its tokens are refused", Duration::from_secs(5), || async {
            client.post("/v1/ingest", token, &reading).await.status.as_u16() == 401
        })
        .await;
    }
}
