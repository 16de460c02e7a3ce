//! The access matrix: everybody × every method is allowed, or answered 401, 403 or 404, exactly as `access-matrix.md` says;
//! and what was refused wrote nothing.
//!
//! Methods come from the descriptors: one that the table lacks fails here, with the row as it would be now.

mod callers;
mod table;

use std::collections::BTreeMap;

use futures::StreamExt as _;
use petty_proto::ingest::v1::{IngestReadingsResponse, RejectedReading, StreamReadingsResponse};
use petty_tests::grpc::{Credentials, service_token};
use petty_tests::methods::{self, Method, Route};
use prost_reflect::prost::Message as _;
use serde_json::Value;
use tonic::Code;

use crate::matrix::samples::Purpose;
use crate::matrix::scene::{Scene, changed};
use crate::matrix::{PATIENCE, PAUSE, calling_service, is_for_later};
use callers::{Caller, Who};
use table::{Row, Table};

const AT_ONCE: usize = 12;
/// Whoever sees a pet for a reason is written down, also where they then want to do what they may not; and when a personal
/// token was last used.
const NOTES: &[&str] = &["auth.staff_accesses", "auth.audit_log", "auth.personal_tokens"];
/// How an outcome begins that is none.
const LATER: &str = "later";

/// One request to be refused, by one way.
struct Attempt<'a> {
    method: &'a Method,
    who: Who,
    expected: &'a str,
    route: Option<&'a Route>,
    target: &'static str,
    request: &'a Value,
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_may_do_exactly_what_the_table_says_and_what_is_refused_writes_nothing() {
    let table = Table::read();
    let scene = Scene::set().await;
    let methods = methods::all();
    let known: Vec<&str> = methods.iter().map(|method| method.policy.path).collect();
    let gone: Vec<&str> = table.methods().filter(|path| !known.contains(path)).collect();
    assert!(gone.is_empty(), "access-matrix.md has rows of methods that there are no more: {gone:?}");
    let mut samples = BTreeMap::new();
    let mut without = Vec::new();
    for method in &methods {
        match scene.sample(method.policy, Purpose::Refused, &scene.owner).await {
            Some(sample) => drop(samples.insert(method.policy.path, sample)),
            None => without.push(method.policy.path),
        }
    }
    assert!(without.is_empty(), "tests/it/matrix/samples.rs has no good request of {without:?}");
    for method in &methods {
        if let Some(row) = table.row(method.policy.path) {
            let mut services = method.policy.services.to_vec();
            services.sort_unstable();
            assert_eq!(row.services, services, "who may call {}", method.policy.path);
        }
    }

    let callers = Caller::all(&scene).await;
    let leaves_a_note = |who| [Who::StaffWithReason, Who::OwnersPersonalToken].contains(&who);
    let before = scene.snapshot().await;
    refused(&scene, &table, (&methods, &samples), &callers, |who| !leaves_a_note(who)).await;
    let after = scene.snapshot().await;
    assert_eq!(changed(&before, &after), Vec::<&str>::new(), "what was refused wrote nothing");
    refused(&scene, &table, (&methods, &samples), &callers, leaves_a_note).await;
    let last = scene.snapshot().await;
    let written: Vec<&str> =
        changed(&after, &last).into_iter().filter(|table| !NOTES.contains(table)).collect();
    assert_eq!(written, Vec::<&str>::new(), "what was refused wrote nothing but who was there");
    allowed(&scene, &table, &methods).await;
    missing(&scene, &table, &methods).await;
}

/// Whatever the table refuses, at once.
async fn refused(
    scene: &Scene,
    table: &Table,
    (methods, samples): (&[Method], &BTreeMap<&str, Value>),
    callers: &BTreeMap<Who, Caller>,
    of: impl Fn(Who) -> bool,
) {
    let mut attempts = Vec::new();
    for method in methods {
        let (path, target) = (method.policy.path, method.answered_by()[0]);
        let Some(row) = table.row(path) else { continue };
        let request = &samples[path];
        for (who, expected) in row.cells().filter(|(who, expected)| of(*who) && *expected != "ok") {
            let ways = method.routes.iter().map(Some).chain([None]);
            attempts.extend(ways.map(|route| Attempt { method, who, expected, route, target, request }));
        }
    }
    let outcomes = futures::stream::iter(attempts).map(|attempt| async move {
        let Attempt { method, who, expected, route, target, request } = attempt;
        let outcome = try_once(scene, method, &callers[&who], route, target, request).await;
        (outcome != expected).then(|| told(method, who, route, expected, &outcome))
    });
    let wrong: Vec<Option<String>> = outcomes.buffer_unordered(AT_ONCE).collect().await;
    none(wrong);
}

/// Whatever the table allows, one after the other: each may use up what it is about.
async fn allowed(scene: &Scene, table: &Table, methods: &[Method]) {
    let mut wrong = Vec::new();
    for method in methods {
        let Some(row) = table.row(method.policy.path) else { continue };
        for (who, expected) in row.cells().filter(|(_, expected)| *expected == "ok") {
            for route in method.routes.iter().map(Some).chain([None]) {
                let caller = Caller::of(scene, who, method).await;
                let sample = scene.sample(method.policy, Purpose::Allowed, &caller.account).await.unwrap();
                let target = method.answered_by()[0];
                let outcome = try_once(scene, method, &caller, route, target, &sample).await;
                wrong.push((outcome != expected).then(|| told(method, who, route, expected, &outcome)));
            }
        }
    }
    none(wrong);
}

/// What the table does not know is tried last, and told.
async fn missing(scene: &Scene, table: &Table, methods: &[Method]) {
    let mut rows = Vec::new();
    for method in methods.iter().filter(|method| table.row(method.policy.path).is_none()) {
        let mut cells = Vec::new();
        // Whoever may least comes first, so that nothing is used up early.
        for who in Who::ALL.into_iter().rev() {
            let mut outcomes = Vec::new();
            for route in method.routes.iter().map(Some).chain([None]) {
                let target = method.answered_by()[0];
                let mut outcome = String::new();
                for purpose in [Purpose::Allowed, Purpose::Refused] {
                    let caller = Caller::of(scene, who, method).await;
                    let sample = scene.sample(method.policy, purpose, &caller.account).await.unwrap();
                    outcome = try_once(scene, method, &caller, route, target, &sample).await;
                    if outcome == "ok" {
                        break;
                    }
                }
                outcomes.push(outcome);
            }
            outcomes.dedup();
            cells.push(outcomes.join("/"));
        }
        cells.reverse();
        rows.push(Row::write(method.policy, &cells));
    }
    assert!(
        rows.is_empty(),
        "access-matrix.md lacks these; as they are now, to be looked at before they are added:\n{}",
        rows.join("\n")
    );
}

/// One request by one way; what came of it, as the table says it.
async fn try_once(
    scene: &Scene,
    method: &Method,
    caller: &Caller,
    route: Option<&Route>,
    target: &'static str,
    request: &Value,
) -> String {
    let mut outcome = String::new();
    for _ in 0..PATIENCE {
        outcome = match route {
            Some(route) => over_rest(scene, method, caller, route, request).await,
            None => over_grpc(scene, method, caller, target, request).await,
        };
        if !outcome.starts_with(LATER) {
            break;
        }
        tokio::time::sleep(PAUSE).await;
    }
    outcome
}

async fn over_rest(
    scene: &Scene,
    method: &Method,
    caller: &Caller,
    route: &Route,
    request: &Value,
) -> String {
    let asked = method.rest(route, request);
    let mut request = scene.client.request(asked.verb, &asked.path, caller.token.as_deref());
    if let Some(body) = &asked.body {
        request = request.json(body);
    }
    if let Some(reason) = caller.reason {
        request = request.header("x-access-reason", reason);
    }
    if method.policy.streams {
        // What is streamed has no end to be waited for.
        let status = request.send().await.unwrap().status();
        return word(status.as_u16());
    }
    let answer = scene.client.send(request).await;
    match answer.body["rejected"][0]["code"].as_str() {
        Some(code) if answer.status.is_success() => rejected(code),
        _ if answer.status.is_success() || [401, 403, 404].contains(&answer.status.as_u16()) => {
            word(answer.status.as_u16())
        }
        _ if is_for_later(answer.status.as_u16()) => format!("{LATER}: {}", answer.text),
        _ => format!("{} {}", answer.status.as_u16(), answer.text),
    }
}

async fn over_grpc(
    scene: &Scene,
    method: &Method,
    caller: &Caller,
    target: &'static str,
    request: &Value,
) -> String {
    let proof = service_token(&scene.mesh, calling_service(method.policy), target);
    let authorization = caller.exchanged.as_ref().map(|token| format!("Bearer {token}"));
    let credentials = Credentials { service: Some(&proof), authorization: authorization.as_deref() };
    let reason: Vec<(&'static str, &str)> =
        caller.reason.map(|reason| ("x-petty-access-reason", reason)).into_iter().collect();
    let message = method.protobuf(request);
    let outcome = scene.grpc.call((target, method.policy), credentials, &reason, message).await;
    match outcome.code {
        Code::Ok if method.policy.method == "IngestReadings" => {
            of_batch(IngestReadingsResponse::decode(outcome.answer).unwrap().rejected)
        }
        Code::Ok if method.policy.method == "StreamReadings" => {
            of_batch(StreamReadingsResponse::decode(outcome.answer).unwrap().rejected)
        }
        Code::Ok => "ok".to_owned(),
        Code::Unauthenticated => "401".to_owned(),
        Code::PermissionDenied => "403".to_owned(),
        Code::NotFound => "404".to_owned(),
        code @ (Code::Unavailable | Code::DeadlineExceeded | Code::ResourceExhausted) => {
            format!("{LATER}: {code:?} {}", outcome.reason)
        }
        other => format!("{other:?} {} {}", outcome.reason, outcome.message),
    }
}

fn word(status: u16) -> String {
    if (200..300).contains(&status) { "ok".to_owned() } else { status.to_string() }
}

/// A batch is answered reading by reading: what the one reading in it was told.
fn rejected(code: &str) -> String {
    match code {
        "COLLAR_NOT_FOUND" => "404".to_owned(),
        "PERMISSION_DENIED" => "403".to_owned(),
        other => other.to_owned(),
    }
}

fn of_batch(readings: Vec<RejectedReading>) -> String {
    readings.first().map_or_else(|| "ok".to_owned(), |reading| rejected(&reading.code))
}

fn told(method: &Method, who: Who, route: Option<&Route>, expected: &str, outcome: &str) -> String {
    let way = route.map_or_else(|| "gRPC".to_owned(), |route| format!("{} {}", route.verb, route.template));
    format!("{} by {} over {way}: {outcome}, not {expected}", method.policy.path, who.name())
}

fn none(wrong: Vec<Option<String>>) {
    let count = wrong.len();
    let wrong: Vec<String> = wrong.into_iter().flatten().collect();
    assert!(wrong.is_empty(), "{} of {count} are not as the table says:\n{}", wrong.len(), wrong.join("\n"));
}
