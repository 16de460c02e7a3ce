use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderValue;
use jiff::{SignedDuration, Timestamp};
use rcgen::{CertificateParams, KeyPair};
use secrecy::{ExposeSecret as _, SecretString};

use super::token::Verifier;
use super::*;
use crate::config::ServicePublicKey;

struct Keys {
    private: BTreeMap<&'static str, SecretString>,
    public: BTreeMap<String, ServicePublicKey>,
}

fn keys(services: &[&'static str]) -> Keys {
    let mut keys = Keys { private: BTreeMap::new(), public: BTreeMap::new() };
    for service in services {
        let (private, public) = generate_key().unwrap();
        keys.private.insert(service, private);
        keys.public.insert((*service).to_owned(), public.parse().unwrap());
    }
    keys
}

fn clock() -> Clock {
    Clock::manual("2026-03-01T12:00:00Z".parse().unwrap())
}

fn later(clock: &Clock, seconds: i64) {
    clock.set(clock.now() + SignedDuration::from_secs(seconds));
}

fn mint(keys: &Keys, service: &'static str, target: &str, clock: &Clock) -> HeaderValue {
    Minter::new(service, &keys.private[service], clock.clone()).unwrap().token(target).unwrap()
}

/// A token with claims and header of one's own, signed with a service's key.
fn forge(key: &SecretString, typ: &str, claims: &serde_json::Value) -> Vec<u8> {
    let key = jsonwebtoken::EncodingKey::from_ed_pem(key.expose_secret().as_bytes()).unwrap();
    let header = jsonwebtoken::Header {
        typ: Some(typ.to_owned()),
        ..jsonwebtoken::Header::new(jsonwebtoken::Algorithm::EdDSA)
    };
    jsonwebtoken::encode(&header, claims, &key).unwrap().into_bytes()
}

#[tokio::test]
async fn a_token_proves_its_service_to_its_target_until_it_ends() {
    let (keys, clock) = (keys(&["gateway", "auth"]), clock());
    let verifier = Verifier::new("auth", &keys.public, clock.clone());
    let token = mint(&keys, "gateway", "auth", &clock);
    for _ in 0..2 {
        assert_eq!(verifier.verify(token.as_bytes()).await.unwrap().as_str(), "gateway");
    }
    later(&clock, 329);
    assert!(verifier.verify(token.as_bytes()).await.is_ok(), "clocks may differ a little");
    later(&clock, 1);
    assert!(verifier.verify(token.as_bytes()).await.is_err(), "remembered, and still over");
    let fresh = Verifier::new("auth", &keys.public, clock.clone());
    assert!(fresh.verify(token.as_bytes()).await.is_err());
}

#[tokio::test]
async fn a_token_is_kept_until_a_minute_before_its_end() {
    let (keys, clock) = (keys(&["gateway"]), clock());
    let minter = Minter::new("gateway", &keys.private["gateway"], clock.clone()).unwrap();
    let first = minter.token("auth").unwrap();
    assert!(first.is_sensitive());
    later(&clock, 239);
    assert_eq!(minter.token("auth").unwrap(), first);
    assert_ne!(minter.token("ingest").unwrap(), first);
    later(&clock, 1);
    assert_ne!(minter.token("auth").unwrap(), first);
}

#[tokio::test]
async fn what_does_not_prove_it_is_refused() {
    let (ours, theirs, clock) = (keys(&["gateway", "auth"]), keys(&["gateway", "stranger"]), clock());
    let now = clock.now().as_second();
    let claims = |issuer: &str, subject: &str, audience: &str, from: i64, to: i64| serde_json::json!({"iss": issuer, "sub": subject, "aud": audience, "iat": now + from, "exp": now + to, "jti": "x"});
    let key = &ours.private["gateway"];
    const TYP: &str = "petty-service+jwt";
    let good = forge(key, TYP, &claims("gateway", "gateway", "auth", 0, 300));

    let unsigned = {
        let header = URL_SAFE_NO_PAD.encode(r#"{"typ":"petty-service+jwt","alg":"none"}"#);
        let payload = URL_SAFE_NO_PAD.encode(claims("gateway", "gateway", "auth", 0, 300).to_string());
        format!("{header}.{payload}.").into_bytes()
    };
    let swapped = {
        let signature = good.rsplit(|byte| *byte == b'.').next().unwrap();
        let other = forge(key, TYP, &claims("gateway", "gateway", "auth", 0, 299));
        let body = other.len() - signature.len();
        [&other[..body], signature].concat()
    };
    let refused: &[(&str, Vec<u8>)] = &[
        ("nothing", Vec::new()),
        ("no token", b"gateway".to_vec()),
        ("unsigned", unsigned),
        ("another one's signature", swapped),
        (
            "signed with another key",
            forge(&theirs.private["gateway"], TYP, &claims("gateway", "gateway", "auth", 0, 300)),
        ),
        (
            "by a stranger",
            forge(&theirs.private["stranger"], TYP, &claims("stranger", "stranger", "auth", 0, 300)),
        ),
        ("in another's name", forge(key, TYP, &claims("auth", "auth", "auth", 0, 300))),
        ("for another subject", forge(key, TYP, &claims("gateway", "auth", "auth", 0, 300))),
        ("for another target", forge(key, TYP, &claims("gateway", "gateway", "ingest", 0, 300))),
        ("expired", forge(key, TYP, &claims("gateway", "gateway", "auth", -400, -100))),
        ("from the future", forge(key, TYP, &claims("gateway", "gateway", "auth", 60, 300))),
        ("for too long", forge(key, TYP, &claims("gateway", "gateway", "auth", 0, 3600))),
        ("of another kind", forge(key, "JWT", &claims("gateway", "gateway", "auth", 0, 300))),
        (
            "without an end",
            forge(key, TYP, &serde_json::json!({"iss": "gateway", "sub": "gateway", "aud": "auth"})),
        ),
        ("endless text", vec![b'a'; 100_000]),
    ];
    let verifier = Verifier::new("auth", &ours.public, clock);
    assert!(verifier.verify(&good).await.is_ok());
    for (what, token) in refused {
        assert!(verifier.verify(token).await.is_err(), "{what}");
    }
}

#[test]
fn a_key_of_another_kind_is_no_key() {
    for text in ["", "hunter2", &KeyPair::generate().unwrap().serialize_pem()] {
        assert_eq!(Minter::new("auth", &text.into(), clock()).map(drop), Err(KeyError), "{text}");
    }
}

#[test]
fn a_certificate_names_one_service() {
    for (names, service) in [
        (&["auth"] as &[&str], Some("auth")),
        (&["auth.petty"], Some("auth")),
        (&["auth", "auth.petty", "auth.petty.svc.cluster.local"], Some("auth")),
        (&["auth", "localhost"], Some("auth")),
        (&["auth", "ingest"], None),
        (&["auth.example.com"], None),
        (&["auth.pettyfake.com"], None),
        (&["*.petty"], None),
        (&["localhost"], None),
        (&[], None),
    ] {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(names.clone()).unwrap().self_signed(&key).unwrap();
        let identity = certificate::identity(&[certificate.der().clone()]);
        assert_eq!(identity.ok().as_ref().map(ServiceIdentity::as_str), service, "{names:?}");
    }
    assert!(certificate::identity(&[]).is_err());
    assert!(certificate::identity(&[vec![1, 2, 3].into()]).is_err());
}

#[test]
fn nothing_shows_a_key() {
    let keys = keys(&["gateway"]);
    let minter =
        Minter::new("gateway", &keys.private["gateway"], Clock::manual(Timestamp::UNIX_EPOCH)).unwrap();
    let token = minter.token("auth").unwrap();
    assert_eq!(format!("{minter:?}"), "Minter { service: \"gateway\", .. }");
    assert_eq!(format!("{token:?}"), "Sensitive");
}
