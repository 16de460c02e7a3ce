//! The forgery matrix: every REST route and every gRPC method against every token that is not good.
//!
//! Methods come from the descriptors, so a new one is tried from the moment it is there. Tokens are made with the mesh's own
//! signing key, so each differs from a good one in what its name says and in nothing else. Requests are good ones: were a
//! token believed, something would be written.

mod cases;
mod services;

use futures::StreamExt as _;
use petty_proto::policy::{Audience, Repeat};
use petty_tests::forge::{Draft, Forge};
use petty_tests::grpc::{Credentials, service_token};
use petty_tests::methods::{self, Method, Route};
use petty_tests::rest::Answer;
use serde_json::{Value, json};

use crate::matrix::samples::Purpose;
use crate::matrix::scene::{Scene, changed};
use crate::matrix::{PATIENCE, PAUSE, calling_service, is_for_later, takes_caller};
use cases::Case;

/// Calls at once.
const AT_ONCE: usize = 12;

/// A method with a good request.
struct Tried {
    method: Method,
    request: Value,
    /// Whether the request is one that would do something; it is an empty one where nobody has written a sample.
    complete: bool,
}

impl Tried {
    fn rest(&self, route: &Route) -> (reqwest::Method, String, Option<Value>) {
        if self.complete {
            let request = self.method.rest(route, &self.request);
            return (request.verb, request.path, request.body);
        }
        empty(route)
    }

    fn protobuf(&self) -> prost_reflect::prost::bytes::Bytes {
        if self.complete { self.method.protobuf(&self.request) } else { Default::default() }
    }
}

/// A request that names nothing. Whether the caller is known is decided before that is seen.
fn empty(route: &Route) -> (reqwest::Method, String, Option<Value>) {
    let path = route.template.split(['{', '}']).enumerate();
    let path = path.map(|(index, part)| if index % 2 == 0 { part } else { "x" }).collect();
    (route.verb.clone(), path, route.takes_body.then(|| json!({})))
}

async fn tried(scene: &Scene) -> Vec<Tried> {
    let mut all = Vec::new();
    for method in methods::all() {
        let sample = scene.sample(method.policy, Purpose::Refused, &scene.owner).await;
        let complete = sample.is_some();
        all.push(Tried { method, request: sample.unwrap_or_default(), complete });
    }
    all
}

async fn over_rest(scene: &Scene, tried: &Tried, route: &Route, case: &Case) -> Option<String> {
    let (verb, path, body) = tried.rest(route);
    let answer = rest(scene, verb, &path, body, case.authorization.as_deref()).await;
    let (status, code) = case.expected(tried.method.policy);
    let told = format!("{} {path} with {}: {} {}", route.verb, case.name, answer.status, answer.text);
    let is_problem =
        answer.headers.get("content-type").is_some_and(|kind| kind == "application/problem+json");
    let named = answer.body["code"].as_str().is_some_and(|told| code.is_none_or(|code| code == told));
    let challenged = status != 401 || answer.headers.contains_key("www-authenticate");
    (answer.status.as_u16() != status || !is_problem || !named || !challenged).then_some(told)
}

async fn rest(
    scene: &Scene,
    verb: reqwest::Method,
    path: &str,
    body: Option<Value>,
    authorization: Option<&str>,
) -> Answer {
    let mut request = scene.client.request(verb, path, None);
    if let Some(body) = body {
        request = request.json(&body);
    }
    if let Some(authorization) = authorization {
        request = request.header("authorization", authorization);
    }
    let again = || request.try_clone().expect("a body that can be sent again");
    let mut answer = scene.client.send(again()).await;
    for _ in 0..PATIENCE {
        if !is_for_later(answer.status.as_u16()) {
            break;
        }
        tokio::time::sleep(PAUSE).await;
        answer = scene.client.send(again()).await;
    }
    answer
}

async fn over_grpc(
    scene: &Scene,
    tried: &Tried,
    target: &'static str,
    proof: &str,
    case: &Case,
) -> Option<String> {
    let policy = tried.method.policy;
    let credentials = Credentials { service: Some(proof), authorization: case.authorization.as_deref() };
    let outcome = scene.grpc.call_patiently((target, policy), credentials, tried.protobuf()).await;
    let (status, code) = case.expected(policy);
    let expected = if status == 401 { tonic::Code::Unauthenticated } else { tonic::Code::PermissionDenied };
    let named = !outcome.reason.is_empty() && code.is_none_or(|code| code == outcome.reason);
    (outcome.code != expected || !named).then(|| {
        format!(
            "{} with {}: {:?} {} {}",
            policy.path, case.name, outcome.code, outcome.reason, outcome.message
        )
    })
}

/// Everything is tried at once; what was not refused as it must be is told together.
async fn none_of(tries: Vec<impl Future<Output = Option<String>>>, what: &str) {
    let count = tries.len();
    let wrong: Vec<Option<String>> = futures::stream::iter(tries).buffer_unordered(AT_ONCE).collect().await;
    let wrong: Vec<String> = wrong.into_iter().flatten().collect();
    assert!(wrong.is_empty(), "{} of {count} {what}:\n{}", wrong.len(), wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_route_and_no_method_takes_a_token_that_is_not_good_and_nothing_is_written() {
    let scene = Scene::set().await;
    let forge = Forge::open(&scene.mesh).await;
    let of_owner = cases::of(&scene.owner, &scene, &forge).await;
    let of_staff = cases::of(&scene.staff, &scene, &forge).await;
    // A wrong scope is said before a session that has ended: where staff is wanted, it is staff's tokens that are forged.
    let cases_of = |tried: &Tried| if tried.method.policy.scope == "staff" { &of_staff } else { &of_owner };
    let all = tried(&scene).await;
    let before = scene.snapshot().await;

    let of_callers = || all.iter().filter(|tried| takes_caller(tried.method.policy));
    let mut tries = Vec::new();
    for tried in of_callers() {
        for route in &tried.method.routes {
            tries.extend(cases_of(tried).iter().map(|case| over_rest(&scene, tried, route, case)));
        }
    }
    none_of(tries, "forgeries over REST were not refused").await;

    let proofs: Vec<(&Tried, &'static str, String)> = of_callers()
        .flat_map(|tried| tried.method.answered_by().into_iter().map(move |target| (tried, target)))
        .map(|(tried, target)| {
            (tried, target, service_token(&scene.mesh, calling_service(tried.method.policy), target))
        })
        .collect();
    let mut tries = Vec::new();
    for (tried, target, proof) in &proofs {
        tries.extend(cases_of(tried).iter().map(|case| over_grpc(&scene, tried, target, proof, case)));
    }
    none_of(tries, "forgeries over gRPC were not refused").await;

    services::no_method_takes_a_service_that_is_not_named(&scene, &all).await;
    cases::no_token_buys_another(&scene).await;

    let after = scene.snapshot().await;
    assert_eq!(changed(&before, &after), Vec::<&str>::new(), "nothing was written");

    // The same forger, without a fault, is believed by every one of them.
    for tried in of_callers() {
        is_believed(&scene, &forge, &tried.method).await;
    }
}

/// A token that the forger signed anew, changing nothing that matters, is taken by a method.
async fn is_believed(scene: &Scene, forge: &Forge, method: &Method) {
    let policy = method.policy;
    // Some requests need no field to end a session, or more.
    let account = match policy.repeat {
        Repeat::ReadOnly if policy.scope == "staff" => scene.staff.clone(),
        Repeat::ReadOnly => scene.owner.clone(),
        _ => scene.client.sign_up().await,
    };
    let token = forge.sign(&Draft::of(&account.token).claim("jti", json!("another")));
    let authorization = format!("Bearer {token}");
    if policy.audience != Audience::ServiceForCaller {
        for route in method.routes.iter().filter(|_| !policy.streams) {
            let (verb, path, body) = empty(route);
            let answer = rest(scene, verb, &path, body, Some(&authorization)).await;
            assert_ne!(answer.status.as_u16(), 401, "{} {path}: {}", route.verb, answer.text);
        }
    }
    if policy.repeat != Repeat::ReadOnly && !method.routes.is_empty() {
        return;
    }
    for target in method.answered_by() {
        let proof = service_token(&scene.mesh, calling_service(policy), target);
        let credentials = Credentials { service: Some(&proof), authorization: Some(&authorization) };
        let outcome = scene.grpc.call((target, policy), credentials, &[], Default::default()).await;
        assert_ne!(outcome.code, tonic::Code::Unauthenticated, "{}: {}", policy.path, outcome.reason);
    }
}
