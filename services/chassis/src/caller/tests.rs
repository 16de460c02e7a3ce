//! What is believed of a token, and what a flood of them costs.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use futures::FutureExt as _;
use futures::future::join_all;
use jiff::SignedDuration;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use petty_proto::auth::v1 as wire;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::*;
use crate::grpc::identity::generate_key;
use crate::types::Clock;

/// auth, as far as its keys go.
#[derive(Clone)]
struct Source {
    keys: Arc<Mutex<Vec<wire::Jwk>>>,
    asked: Arc<AtomicUsize>,
    away: Arc<AtomicBool>,
    /// One permit for each answer.
    answers: Arc<Semaphore>,
}

/// A key pair with its name.
struct Pair {
    kid: &'static str,
    private: SecretString,
    public: wire::Jwk,
}

#[async_trait::async_trait]
impl KeySource for Source {
    async fn keys(&self) -> Result<wire::Jwks, ApiError> {
        self.asked.fetch_add(1, Ordering::AcqRel);
        let permit = self.answers.acquire().await.map_err(ApiError::internal)?;
        drop(permit);
        if self.away.load(Ordering::Acquire) {
            return Err(ApiError::unavailable("KEYS_UNAVAILABLE", "away"));
        }
        Ok(wire::Jwks { keys: self.keys.lock().unwrap().clone() })
    }
}

impl Source {
    fn new(pairs: &[&Pair]) -> Self {
        let source = Self {
            keys: Arc::default(),
            asked: Arc::default(),
            away: Arc::default(),
            answers: Arc::new(Semaphore::new(Semaphore::MAX_PERMITS)),
        };
        source.publish(pairs);
        source
    }

    fn publish(&self, pairs: &[&Pair]) {
        *self.keys.lock().unwrap() = pairs.iter().map(|pair| pair.public.clone()).collect();
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Acquire)
    }

    fn verifier(&self, clock: &Clock) -> Verifier {
        Verifier::new(Box::new(self.clone()), "petty", "petty", clock.clone())
    }
}

impl Pair {
    fn new(kid: &'static str) -> Self {
        let (private, public) = generate_key().unwrap();
        let public = wire::Jwk {
            kty: "OKP".to_owned(),
            kid: kid.to_owned(),
            r#use: "sig".to_owned(),
            alg: "EdDSA".to_owned(),
            crv: Some("Ed25519".to_owned()),
            x: Some(public.trim_end_matches('=').replace('+', "-").replace('/', "_")),
            ..wire::Jwk::default()
        };
        Self { kid, private, public }
    }

    fn sign(&self, claims: &Value) -> String {
        self.sign_as(self.kid, claims)
    }

    fn sign_as(&self, kid: &str, claims: &Value) -> String {
        let mut header = Header::new(Algorithm::EdDSA);
        header.typ = Some(TOKEN_TYPE.to_owned());
        header.kid = Some(kid.to_owned());
        let key = EncodingKey::from_ed_pem(self.private.expose_secret().as_bytes()).unwrap();
        jsonwebtoken::encode(&header, claims, &key).unwrap()
    }
}

fn clock() -> Clock {
    Clock::manual("2026-01-10T12:00:00Z".parse().unwrap())
}

fn pass(clock: &Clock, milliseconds: i64) {
    clock.set(clock.now() + SignedDuration::from_millis(milliseconds));
}

/// The claims of a token that lasts an hour.
fn claims(clock: &Clock) -> Value {
    let now = clock.now().as_second();
    let id = uuid::Uuid::from_u128(7);
    json!({"iss": "petty", "aud": "petty", "sub": id, "exp": now + 3_600, "nbf": now, "iat": now, "jti": "j",
           "scope": "pets:read", "roles": ["support"], "sid": id})
}

fn reason<T>(answer: Result<T, ApiError>) -> &'static str {
    answer.err().map_or("", |error| error.reason)
}

#[tokio::test]
async fn every_claim_counts() {
    let (clock, pair) = (clock(), Pair::new("a"));
    let verifier = Source::new(&[&pair]).verifier(&clock);
    let caller = verifier.verify(&pair.sign(&claims(&clock))).await.unwrap();
    assert!(caller.has_role("support") && !caller.has_role("admin") && caller.has_scope("pets:read"));
    let now = clock.now().as_second();
    for (name, value, expected) in [
        ("iss", json!("else"), "TOKEN_INVALID"),
        ("iss", json!(["petty"]), "TOKEN_INVALID"),
        ("aud", json!("else"), "TOKEN_INVALID"),
        ("aud", json!(["petty"]), ""),
        ("aud", json!(["else"]), "TOKEN_INVALID"),
        ("aud", json!(["petty", "else"]), "TOKEN_INVALID"),
        ("aud", json!([]), "TOKEN_INVALID"),
        ("sub", json!("somebody"), "TOKEN_INVALID"),
        ("sub", json!(7), "TOKEN_INVALID"),
        ("exp", json!(now - 4), ""),
        ("exp", json!(now - 5), "TOKEN_EXPIRED"),
        ("exp", json!(i64::MIN), "TOKEN_EXPIRED"),
        ("exp", json!(i64::MAX), ""),
        ("exp", json!(1e30), "TOKEN_INVALID"),
        ("exp", json!((now + 60).to_string()), "TOKEN_INVALID"),
        ("nbf", json!(now + 5), ""),
        ("nbf", json!(now + 6), "TOKEN_INVALID"),
        ("iat", json!(now + 5), ""),
        ("iat", json!(now + 6), "TOKEN_INVALID"),
        ("jti", json!(""), "TOKEN_INVALID"),
        ("scope", json!(["pets:read"]), "TOKEN_INVALID"),
        ("sid", json!("s"), "TOKEN_INVALID"),
        ("roles", json!("support"), "TOKEN_INVALID"),
        ("more", json!("else"), ""),
    ] {
        let mut changed = claims(&clock);
        changed[name] = value.clone();
        assert_eq!(reason(verifier.verify(&pair.sign(&changed)).await), expected, "{name}: {value}");
    }
    for name in ["iss", "aud", "sub", "exp", "nbf", "iat", "jti", "scope", "sid"] {
        let mut without = claims(&clock);
        without.as_object_mut().unwrap().remove(name);
        assert_eq!(reason(verifier.verify(&pair.sign(&without)).await), "TOKEN_INVALID", "no {name}");
    }
    let mut without = claims(&clock);
    without.as_object_mut().unwrap().remove("roles");
    assert!(verifier.verify(&pair.sign(&without)).await.unwrap().roles().is_empty());
}

#[tokio::test]
async fn a_collar_has_no_role() {
    let (clock, pair) = (clock(), Pair::new("a"));
    let verifier = Source::new(&[&pair]).verifier(&clock);
    let mut claims = claims(&clock);
    claims["sub"] = json!("SN-1A4B7C-9Z");
    claims["device"] = json!({"pet": uuid::Uuid::from_u128(1), "account": uuid::Uuid::from_u128(2)});
    assert!(!verifier.verify(&pair.sign(&claims)).await.unwrap().has_role("support"));
}

#[tokio::test]
async fn a_token_counts_by_its_own_key_alone() {
    let (clock, a, b) = (clock(), Pair::new("a"), Pair::new("b"));
    let verifier = Source::new(&[&a, &b]).verifier(&clock);
    let claims = claims(&clock);
    assert_eq!(reason(verifier.verify(&a.sign(&claims)).await), "");
    assert_eq!(reason(verifier.verify(&a.sign_as("b", &claims)).await), "TOKEN_INVALID");
    let token = b.sign(&claims);
    for cut in [1, 5, 20] {
        assert_eq!(reason(verifier.verify(&token[..token.len() - cut]).await), "TOKEN_INVALID");
    }
}

#[tokio::test]
async fn a_flood_of_unknown_keys_asks_a_bounded_number_of_times() {
    let (clock, pair) = (clock(), Pair::new("a"));
    let source = Source::new(&[&pair]);
    let verifier = source.verifier(&clock);
    verifier.verify(&pair.sign(&claims(&clock))).await.unwrap();
    assert_eq!(source.asked(), 1);

    let flood: Vec<String> =
        (0..1_000).map(|number| pair.sign_as(&format!("random-{number}"), &claims(&clock))).collect();
    let answers = join_all(flood.iter().map(|token| verifier.verify(token))).await;
    assert!(answers.into_iter().all(|answer| reason(answer) == "TOKEN_INVALID"));
    assert!(source.asked() <= 1 + 4, "{} at once", source.asked());

    // Ten minutes of it, ten a second.
    for number in 0..6_000 {
        pass(&clock, 100);
        let token = &flood[number % flood.len()];
        assert_eq!(reason(verifier.verify(token).await), "TOKEN_INVALID");
    }
    // One for an unknown key every 5 s, which leaves nothing to grow stale.
    assert!((100..=130).contains(&source.asked()), "{} in ten minutes", source.asked());
}

#[tokio::test]
async fn a_good_token_waits_for_no_fetch() {
    let (clock, pair) = (clock(), Pair::new("a"));
    let source = Source::new(&[&pair]);
    let verifier = source.verifier(&clock);
    let (one, other) = (pair.sign(&claims(&clock)), pair.sign(&json!({"jti": "k"})));
    verifier.verify(&one).await.unwrap();
    source.answers.forget_permits(Semaphore::MAX_PERMITS);
    let unknown = pair.sign_as("unknown", &claims(&clock));
    let mut waiting = Box::pin(join_all((0..100).map(|_| verifier.verify(&unknown))));
    assert!((&mut waiting).now_or_never().is_none(), "auth has not answered");
    assert_eq!(source.asked(), 2);
    assert!(verifier.verify(&one).now_or_never().unwrap().is_ok(), "remembered");
    let mut claims = claims(&clock);
    claims["jti"] = json!("another");
    assert!(verifier.verify(&pair.sign(&claims)).now_or_never().unwrap().is_ok(), "not remembered");
    assert_eq!(reason(verifier.verify(&other).now_or_never().unwrap()), "TOKEN_INVALID");
    source.answers.add_permits(100);
    assert!(waiting.await.into_iter().all(|answer| reason(answer) == "TOKEN_INVALID"));
}

#[tokio::test]
async fn a_new_key_is_learned_at_once_and_within_seconds_in_a_flood() {
    let (clock, a, b, c) = (clock(), Pair::new("a"), Pair::new("b"), Pair::new("c"));
    let source = Source::new(&[&a]);
    let verifier = source.verifier(&clock);
    verifier.verify(&a.sign(&claims(&clock))).await.unwrap();
    source.publish(&[&a, &b]);
    verifier.verify(&b.sign(&claims(&clock))).await.unwrap();

    for number in 0..100 {
        let token = a.sign_as(&format!("random-{number}"), &claims(&clock));
        assert_eq!(reason(verifier.verify(&token).await), "TOKEN_INVALID");
    }
    source.publish(&[&a, &b, &c]);
    let new = c.sign(&claims(&clock));
    assert_eq!(reason(verifier.verify(&new).await), "TOKEN_INVALID", "the flood has used up what there was");
    pass(&clock, 5_000);
    let token = a.sign_as("random", &claims(&clock));
    assert_eq!(reason(verifier.verify(&token).await), "TOKEN_INVALID");
    verifier.verify(&new).await.unwrap();
}

/// Its request is over before auth answers, which others are waiting for.
#[tokio::test]
async fn who_counts_on_an_answer_that_nobody_waited_for_is_not_told_that_the_token_is_bad() {
    let (clock, a, b) = (clock(), Pair::new("a"), Pair::new("b"));
    let source = Source::new(&[&a]);
    let verifier = source.verifier(&clock);
    verifier.verify(&a.sign(&claims(&clock))).await.unwrap();
    pass(&clock, 5_000);
    source.answers.forget_permits(Semaphore::MAX_PERMITS);
    let new = b.sign(&claims(&clock));
    let mut first = Box::pin(verifier.verify(&new));
    assert!(first.as_mut().now_or_never().is_none());
    let (mut second, mut third) = (Box::pin(verifier.verify(&new)), Box::pin(verifier.verify(&new)));
    assert!(second.as_mut().now_or_never().is_none() && third.as_mut().now_or_never().is_none());
    source.answers.add_permits(1);
    assert_eq!(reason(first.await), "TOKEN_INVALID", "it is not published yet");
    source.answers.forget_permits(1);
    source.publish(&[&a, &b]);
    assert!(second.as_mut().now_or_never().is_none(), "it asks anew");
    drop(second);
    source.answers.add_permits(1);
    assert_eq!(reason(third.await), "KEYS_UNAVAILABLE");
    pass(&clock, 1_000);
    verifier.verify(&new).await.unwrap();
}

#[tokio::test]
async fn a_key_that_is_published_no_more_is_believed_no_more() {
    let (clock, a, b) = (clock(), Pair::new("a"), Pair::new("b"));
    let source = Source::new(&[&a, &b]);
    let verifier = source.verifier(&clock);
    let (old, new) = (a.sign(&claims(&clock)), b.sign(&claims(&clock)));
    verifier.verify(&old).await.unwrap();
    verifier.verify(&new).await.unwrap();
    source.publish(&[&b]);
    pass(&clock, 29_000);
    verifier.verify(&old).await.unwrap();
    pass(&clock, 1_000);
    assert_eq!(reason(verifier.verify(&old).await), "TOKEN_INVALID", "though it was remembered");
    verifier.verify(&new).await.unwrap();
}

#[tokio::test]
async fn keys_outlive_auths_absence_for_a_quarter_of_an_hour() {
    let (clock, pair) = (clock(), Pair::new("a"));
    let source = Source::new(&[&pair]);
    let verifier = source.verifier(&clock);
    let token = pair.sign(&claims(&clock));
    verifier.verify(&token).await.unwrap();
    source.away.store(true, Ordering::Release);
    let unknown = pair.sign_as("unknown", &claims(&clock));
    for _ in 0..90 {
        pass(&clock, 9_999);
        verifier.verify(&token).await.unwrap();
        assert_eq!(reason(verifier.verify(&unknown).await), "KEYS_UNAVAILABLE", "nobody knows");
    }
    pass(&clock, 1_000);
    assert_eq!(reason(verifier.verify(&token).await), "KEYS_UNAVAILABLE");
    let asked = source.asked();
    let answers = join_all((0..1_000).map(|_| verifier.verify(&token))).await;
    assert!(answers.into_iter().all(|answer| reason(answer) == "KEYS_UNAVAILABLE"));
    assert_eq!(source.asked(), asked, "it was asked a moment ago");
    source.away.store(false, Ordering::Release);
    pass(&clock, 200);
    verifier.verify(&token).await.unwrap();
}
