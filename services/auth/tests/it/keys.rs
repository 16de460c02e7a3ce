//! Signing keys over time: what signs, what is published, and that no valid token meets a verifier that does not know its key.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures::future::join_all;
use jiff::{SignedDuration, Timestamp};
use petty_chassis::caller::{KeySource, Verifier};
use petty_chassis::{ApiError, Shutdown, Tasks};
use petty_proto::auth::v1 as wire;
use petty_proto::auth::v1::signing_key::State;
use tonic::Code;

use crate::harness::{Harness, boot, refusal};

const STAFF: (&str, &str) = ("staff@example.org", "a passphrase of the staff");
/// Rotation is looked for this often, so that no test waits for it.
const OFTEN: (&str, &str) = ("PETTY_SIGNING_KEY_CHECK", "50ms");

/// The JWKS as somebody has it who fetched it over REST: kept for a minute, as its `Cache-Control` allows.
struct Kept {
    harness: Arc<Harness>,
    kept: Mutex<Option<(Timestamp, wire::Jwks)>>,
}

#[tonic::async_trait]
impl KeySource for Kept {
    async fn keys(&self) -> Result<wire::Jwks, ApiError> {
        let now = self.harness.clock.now();
        let kept = self.kept.lock().unwrap().clone();
        if let Some((at, jwks)) = kept
            && now.duration_since(at) < SignedDuration::from_secs(60)
        {
            return Ok(jwks);
        }
        let jwks = jwks(&self.harness).await;
        *self.kept.lock().unwrap() = Some((now, jwks.clone()));
        Ok(jwks)
    }
}

fn verifier(harness: &Arc<Harness>) -> Verifier {
    let source = Kept { harness: harness.clone(), kept: Mutex::default() };
    Verifier::new(Box::new(source), "petty", "petty", harness.clock.clone())
}

async fn jwks(harness: &Harness) -> wire::Jwks {
    harness.tokens().get_jwks(harness.anonymous(wire::GetJwksRequest {})).await.unwrap().into_inner()
}

/// The `kid` of a token.
pub(crate) fn kid(token: &str) -> String {
    let header = URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap();
    let header: serde_json::Value = serde_json::from_slice(&header).unwrap();
    header["kid"].as_str().unwrap().to_owned()
}

/// Algorithms and states, the next one first.
async fn states(harness: &Harness) -> Vec<Vec<String>> {
    let sql = "SELECT algorithm, state FROM signing_keys
               ORDER BY array_position(ARRAY['next', 'current', 'retired'], state), retired_at DESC";
    harness.rows(sql).await.unwrap()
}

async fn eventually_states(harness: &Harness, expected: &[[&str; 2]]) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    loop {
        let found = states(harness).await;
        if found == expected {
            return;
        }
        assert!(tokio::time::Instant::now() < deadline, "{found:?} instead of {expected:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The staff account's token.
async fn staff(harness: &Harness) -> String {
    let request = crate::harness::credentials(STAFF.0, STAFF.1);
    harness.tokens().log_in(harness.anonymous(request)).await.unwrap().into_inner().access_token
}

/// A request with these two identities.
fn by<M>(harness: &Harness, service: &str, token: &str, message: M) -> tonic::Request<M> {
    let mut request = harness.by(service, message);
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    request
}

async fn with_staff() -> Harness {
    let more = [OFTEN, ("PETTY_BOOTSTRAP_EMAIL", STAFF.0), ("PETTY_BOOTSTRAP_PASSWORD", STAFF.1)];
    Harness::start_with(petty_provision::shared().await.unwrap(), &more).await
}

async fn list(harness: &Harness, token: &str) -> Vec<wire::SigningKey> {
    let request = by(harness, "operator", token, wire::ListSigningKeysRequest {});
    harness.operations().list_signing_keys(request).await.unwrap().into_inner().keys
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_valid_token_is_refused_while_keys_turn() {
    let more = [OFTEN, ("PETTY_SIGNING_KEY_LIFETIME", "10m")];
    let one = Arc::new(Harness::start_with(petty_provision::shared().await.unwrap(), &more).await);
    let two = Arc::new(one.replica().await);
    let verifiers = Arc::new([verifier(&one), verifier(&two)]);
    let (kids, over) = (Arc::new(Mutex::new(BTreeSet::new())), Arc::new(AtomicBool::new(false)));
    let tasks = Tasks::new(Shutdown::new());
    let clients = (0..4).map(|number| {
        let replicas = [one.clone(), two.clone()];
        let (verifiers, kids, over) = (verifiers.clone(), kids.clone(), over.clone());
        tasks.spawn("client", async move {
            let user = replicas[0].user(&format!("user-{number}")).await;
            let (mut refresh, mut held) = (user.refresh, vec![(replicas[0].clock.now(), user.token)]);
            let mut minted = 0_usize;
            while !over.load(Ordering::Acquire) {
                let answer = replicas[minted % 2].refresh(&refresh).await.unwrap();
                refresh = answer.refresh_token;
                kids.lock().unwrap().insert(kid(&answer.access_token));
                held.push((replicas[0].clock.now(), answer.access_token));
                minted += 1;
                // Old and new ones, as long as they are valid, with something left for the verifying itself.
                let youngest = held.len() - 1;
                let oldest_valid = replicas[0].clock.now() - SignedDuration::from_secs(600);
                held.retain(|(at, _)| *at > oldest_valid);
                for index in [0, held.len() / 2, held.len() - 1] {
                    let (at, token) = &held[index];
                    for verifier in verifiers.iter() {
                        let verified = verifier.verify(token).await;
                        assert!(verified.is_ok(), "of {youngest}, from {at}: {verified:?}");
                    }
                    replicas[(minted + 1) % 2].me(token).await.unwrap();
                }
            }
            minted
        })
    });
    let clients: Vec<_> = clients.collect();
    let deadline = tokio::time::Instant::now() + Duration::from_secs(90);
    while kids.lock().unwrap().len() < 7 {
        assert!(tokio::time::Instant::now() < deadline, "{:?}", kids.lock().unwrap());
        assert!(clients.iter().all(|client| !client.is_finished()), "a client has failed");
        one.pass(5);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    over.store(true, Ordering::Release);
    for minted in join_all(clients).await {
        assert!(minted.unwrap().unwrap() > 7);
    }
    let published = jwks(&one).await.keys.len();
    let kids = kids.lock().unwrap().len();
    // All that have signed within the last two days, and the next one.
    assert!(published > kids, "{published} are published, {kids} have signed");
    let entries = one.value("SELECT count(*) FROM audit_log WHERE action = 'ROTATE_SIGNING_KEY'").await;
    assert_eq!(entries, (published - 1).to_string(), "one replica takes each step");
}

#[tokio::test]
async fn a_month_is_what_a_key_signs_and_two_days_what_it_is_published_after() {
    let harness = Harness::start_with(petty_provision::shared().await.unwrap(), &[OFTEN]).await;
    let user = harness.user("ada").await;
    let first = kid(&user.token);
    eventually_states(&harness, &[["ES256", "next"], ["ES256", "current"]]).await;
    harness.pass(30 * 24 * 3_600 - 60);
    let next = jwks(&harness).await.keys.into_iter().find(|key| key.kid != first).unwrap().kid;
    harness.pass(60);
    eventually_states(&harness, &[["ES256", "next"], ["ES256", "current"], ["ES256", "retired"]]).await;
    let current = harness.value("SELECT kid FROM signing_keys WHERE state = 'current'").await;
    assert_eq!(current, next, "the one that was published");
    harness.pass(48 * 3_600 - 1);
    assert_eq!(jwks(&harness).await.keys.len(), 3);
    harness.pass(1);
    assert!(jwks(&harness).await.keys.iter().all(|key| key.kid != first));
}

#[tokio::test]
async fn another_algorithm_comes_by_the_same_road() {
    let harness = Harness::start_with(petty_provision::shared().await.unwrap(), &[OFTEN]).await;
    let user = harness.user("ada").await;
    let other = harness.environment.clone().with("PETTY_TOKEN_ALGORITHM", "EdDSA");
    let (_channel, shutdown) = boot(&other, &harness.clock).await.unwrap();
    eventually_states(&harness, &[["EdDSA", "next"], ["ES256", "current"]]).await;
    let until = harness.pass(299);
    let still = harness.user("bob").await;
    assert_eq!(kid(&still.token), kid(&user.token), "until {until} the old one signs");
    harness.pass(1);
    eventually_states(&harness, &[["EdDSA", "next"], ["EdDSA", "current"], ["ES256", "retired"]]).await;
    harness.me(&user.token).await.unwrap();
    // The replica of the old configuration signs with the new key too, once it has looked.
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    let mut refresh = user.refresh;
    loop {
        let answer = harness.refresh(&refresh).await.unwrap();
        harness.me(&answer.access_token).await.unwrap();
        refresh = answer.refresh_token;
        if kid(&answer.access_token) != kid(&user.token) {
            break;
        }
        assert!(tokio::time::Instant::now() < deadline, "it did not learn of the new key");
    }
    shutdown.cancel();
}

#[tokio::test]
async fn an_operator_rotates_and_nobody_else() {
    let harness = with_staff().await;
    let (staff, user) = (staff(&harness).await, harness.user("ada").await);
    for (service, token, expected) in [
        ("gateway", &staff, (Code::PermissionDenied, "SERVICE_NOT_ALLOWED")),
        ("ingest", &staff, (Code::PermissionDenied, "SERVICE_NOT_ALLOWED")),
        ("operator", &user.token, (Code::PermissionDenied, "SCOPE_MISSING")),
        ("operator", &"garbage".to_owned(), (Code::Unauthenticated, "TOKEN_INVALID")),
    ] {
        let expected = (expected.0, expected.1.to_owned());
        let request = by(&harness, service, token, wire::ListSigningKeysRequest {});
        assert_eq!(refusal(harness.operations().list_signing_keys(request).await), expected);
        let request = by(&harness, service, token, wire::RotateSigningKeysRequest::default());
        assert_eq!(refusal(harness.operations().rotate_signing_keys(request).await), expected);
    }
    let before = list(&harness, &staff).await;
    assert_eq!(before.iter().map(wire::SigningKey::state).collect::<Vec<_>>(), [State::Next, State::Current]);
    let rotate = |kid: &str| {
        let message = wire::RotateSigningKeysRequest { kid: kid.to_owned(), compromised: false };
        let request = by(&harness, "operator", &staff, message);
        let mut operations = harness.operations();
        async move { operations.rotate_signing_keys(request).await.map(tonic::Response::into_inner) }
    };
    assert_eq!(refusal(rotate("").await).0, Code::InvalidArgument);
    assert_eq!(refusal(rotate(&before[0].kid).await), (Code::AlreadyExists, "KEY_NOT_CURRENT".to_owned()));
    for _ in 0..2 {
        let answer = rotate(&before[1].kid).await.unwrap();
        assert_eq!(answer.next_kid, before[0].kid);
        let at = Timestamp::try_from(answer.rotate_time.unwrap()).unwrap();
        assert_eq!(at.duration_since(harness.clock.now()).as_secs().div_euclid(60), 4, "within five minutes");
    }
    harness.pass(300);
    let three = [["ES256", "next"], ["ES256", "current"], ["ES256", "retired"]];
    eventually_states(&harness, &three).await;
    // Sent again after it was done, it replaces nothing.
    assert_eq!(rotate(&before[1].kid).await.unwrap().next_kid, before[0].kid);
    harness.pass(300);
    let after = list(&harness, &staff).await;
    assert_eq!(
        (after[1].kid.as_str(), after[2].kid.as_str()),
        (before[0].kid.as_str(), before[1].kid.as_str())
    );
    assert_eq!(states(&harness).await, three);
    harness.me(&user.token).await.unwrap();
    let asked =
        "SELECT count(*) FROM audit_log WHERE action = 'ASK_FOR_KEY_ROTATION' AND actor_kind = 'ACCOUNT'";
    assert_eq!(harness.value(asked).await, "2");
}

#[tokio::test]
async fn a_key_that_others_know_is_believed_no_more() {
    let harness = with_staff().await;
    let (staff, user) = (staff(&harness).await, harness.user("ada").await);
    harness.me(&user.token).await.unwrap();
    let replica = harness.replica().await;
    replica.me(&user.token).await.unwrap();
    let message = wire::RotateSigningKeysRequest { kid: kid(&user.token), compromised: true };
    let request = by(&harness, "operator", &staff, message);
    harness.operations().rotate_signing_keys(request).await.unwrap();
    harness.pass(30);
    let expected = (Code::Unauthenticated, "TOKEN_INVALID".to_owned());
    for harness in [&harness, &replica] {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
        // What is fetched beside takes a moment.
        while harness.me(&user.token).await.is_ok() {
            assert!(tokio::time::Instant::now() < deadline, "it is still believed");
        }
        assert_eq!(refusal(harness.me(&user.token).await), expected);
    }
    // The session stands: its refresh token gives a token of the next key.
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    let mut refresh = user.refresh;
    loop {
        let answer = harness.refresh(&refresh).await.unwrap();
        refresh = answer.refresh_token;
        if harness.me(&answer.access_token).await.is_ok() {
            break;
        }
        assert!(tokio::time::Instant::now() < deadline, "no good token");
    }
}
