//! Services that are not who they say, or not who may call.

use petty::mesh::{GATEWAY, OPERATOR, RELAY, SERVICES};
use petty_chassis::types::Clock;
use petty_tests::forge::Draft;
use petty_tests::grpc::{Credentials, service_key, service_token};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use tonic::Code;

use super::{Tried, none_of};
use crate::matrix::calling_service;
use crate::matrix::scene::Scene;

/// Every method is called with a user's good token, and a service token that is not.
pub(super) async fn no_method_takes_a_service_that_is_not_named(scene: &Scene, all: &[Tried]) {
    let mut tries = Vec::new();
    for tried in all {
        for target in tried.method.answered_by() {
            for (name, proof) in forged(scene, calling_service(tried.method.policy), target) {
                tries.push(refused(
                    scene,
                    tried,
                    target,
                    name,
                    proof,
                    (Code::Unauthenticated, "SERVICE_UNKNOWN"),
                ));
            }
            for service in SERVICES.into_iter().chain([GATEWAY, OPERATOR, RELAY]) {
                if tried.method.policy.services.contains(&service) {
                    continue;
                }
                let proof = Some(service_token(&scene.mesh, service, target));
                let name = format!("{service} calling");
                tries.push(refused(
                    scene,
                    tried,
                    target,
                    name,
                    proof,
                    (Code::PermissionDenied, "SERVICE_NOT_ALLOWED"),
                ));
            }
        }
    }
    none_of(tries, "services were not refused").await;
}

async fn refused(
    scene: &Scene,
    tried: &Tried,
    target: &'static str,
    name: String,
    proof: Option<String>,
    expected: (Code, &str),
) -> Option<String> {
    let authorization = format!("Bearer {}", scene.owner.token);
    let credentials = Credentials { service: proof.as_deref(), authorization: Some(&authorization) };
    let policy = tried.method.policy;
    let outcome = scene.grpc.call_patiently((target, policy), credentials, tried.protobuf()).await;
    let told = || format!("{} at {target}, {name}: {:?} {}", policy.path, outcome.code, outcome.reason);
    ((outcome.code, outcome.reason.as_str()) != expected).then(told)
}

/// Service tokens with one fault each; signed with the caller's own key, unless that is the fault.
fn forged(scene: &Scene, caller: &'static str, target: &str) -> Vec<(String, Option<String>)> {
    let mesh = &scene.mesh;
    let key = |service| service_key(mesh, service).expose_secret().to_owned();
    let other = SERVICES.into_iter().find(|service| *service != caller && *service != target).unwrap();
    let elsewhere = SERVICES.into_iter().find(|service| *service != target).unwrap();
    let good = service_token(mesh, caller, target);
    let draft = Draft::of(&good);
    let own = key(caller);
    let now = Clock::system().now().as_second();
    let signed = |draft: Draft| Some(draft.ed25519(&own));
    let (signed_part, _) = good.rsplit_once('.').unwrap();
    let mut all = vec![
        ("no proof".to_owned(), None),
        ("garbage".to_owned(), Some("garbage".to_owned())),
        ("a user's token".to_owned(), Some(scene.owner.token.clone())),
        ("a staff account's token".to_owned(), Some(scene.staff.token.clone())),
        ("a collar's token".to_owned(), Some(scene.device.clone())),
        ("a proof for another target".to_owned(), Some(service_token(mesh, caller, elsewhere))),
        ("no signature".to_owned(), Some(format!("{signed_part}."))),
        ("alg none".to_owned(), Some(format!("{}.", draft.clone().header("alg", json!("none")).unsigned()))),
        ("a user token's type".to_owned(), signed(draft.clone().header("typ", json!("at+jwt")))),
        ("no type".to_owned(), signed(draft.clone().header("typ", Value::Null))),
        ("another service's signature".to_owned(), Some(draft.ed25519(&key(other)))),
        (
            "a name that has no key".to_owned(),
            signed(draft.clone().claim("iss", json!("nobody")).claim("sub", json!("nobody"))),
        ),
        ("a subject that is not the issuer".to_owned(), signed(draft.clone().claim("sub", json!(other)))),
        ("another issuer".to_owned(), signed(draft.clone().claim("iss", json!(other)))),
        (
            "expired".to_owned(),
            signed(draft.clone().claim("iat", json!(now - 400)).claim("exp", json!(now - 100))),
        ),
        (
            "from the future".to_owned(),
            signed(draft.clone().claim("iat", json!(now + 3_600)).claim("exp", json!(now + 3_880))),
        ),
        ("good for a day".to_owned(), signed(draft.clone().claim("exp", json!(now + 86_400)))),
        ("no end".to_owned(), signed(draft.clone().claim("exp", Value::Null))),
        ("no target".to_owned(), signed(draft.clone().claim("aud", Value::Null))),
        ("too long".to_owned(), signed(draft.clone().claim("jti", json!("j".repeat(3_000))))),
    ];
    let environment = mesh.plan.environment(GATEWAY, 0).unwrap();
    let public: Value = serde_json::from_str(&environment["PETTY_SERVICE_KEYS"]).unwrap();
    let public = public[caller].as_str().unwrap().as_bytes();
    all.push((
        "HS256 with the public key".to_owned(),
        Some(draft.header("alg", json!("HS256")).hmac(public)),
    ));
    all
}
