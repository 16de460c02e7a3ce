//! What both must have made of a request for a rule to explain how they differ.

use petty_proto::policy::MethodPolicy;
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MethodDescriptor, ReflectMessage as _, Value};

use super::super::service::Answer;
use super::super::{Pair, routes, samples};
use super::same_value;

/// What a path's fields are set to where the path is not what is special.
const ID: &str = "some-id_1";

fn policy(pair: &Pair) -> Option<&'static MethodPolicy> {
    let method = &pair.case.route.method;
    petty_proto::policy::of(&format!("/{}/{}", method.parent_service().full_name(), method.name()))
}

/// Whether the method's JSON is read as the first system read it.
pub(super) fn is_lenient(pair: &Pair) -> bool {
    policy(pair).is_some_and(|policy| policy.lenient_json)
}

/// Whether it answers with a stream.
pub(super) fn streams(pair: &Pair) -> bool {
    pair.case.route.method.is_server_streaming()
}

/// Petty refused it so, and nothing arrived at a service.
fn refused(pair: &Pair, status: u16, code: &str) -> bool {
    let reply = &pair.petty.reply;
    let is_code = reply.json().is_some_and(|problem| problem["code"] == code);
    reply.status == status && is_code && pair.petty.asked.is_none()
}

/// Petty refused it as bad input, and names the field.
pub(super) fn bad_field(pair: &Pair) -> bool {
    refused(pair, 400, "INVALID_ARGUMENT") && names(pair)
}

/// Petty refused it as no JSON, and names the field where it stopped reading.
pub(super) fn bad_json(pair: &Pair) -> bool {
    refused(pair, 400, "MALFORMED_JSON") && names(pair)
}

/// Petty knows no such path.
pub(super) fn no_route(pair: &Pair) -> bool {
    refused(pair, 404, "ROUTE_NOT_FOUND")
}

/// Petty knows no such path where everybody may call: it is the staff's.
pub(super) fn of_the_staff(pair: &Pair) -> bool {
    no_route(pair) && policy(pair).is_some_and(|policy| policy.scope == "staff")
}

/// Petty does not read bodies of that type.
pub(super) fn bad_type(pair: &Pair) -> bool {
    refused(pair, 415, "UNSUPPORTED_MEDIA_TYPE")
}

/// Petty says that the path has other verbs, and which; Envoy knows no such path.
pub(super) fn other_verbs(pair: &Pair) -> bool {
    let is_refused = (pair.petty.reply.status, pair.envoy.reply.status) == (405, 404);
    is_refused && pair.petty.asked.is_none() && allows(pair, pair.case.route.verb)
}

/// Petty says which verbs the path has; Envoy knows no such path.
pub(super) fn options(pair: &Pair) -> bool {
    let is_told = (pair.petty.reply.status, pair.envoy.reply.status) == (204, 404);
    is_told && pair.petty.asked.is_none() && allows(pair, pair.case.route.verb) && allows(pair, "OPTIONS")
}

fn allows(pair: &Pair, verb: &str) -> bool {
    pair.petty.reply.allow.split(',').any(|allowed| allowed.trim() == verb)
}

/// Whether Petty's problem names the field that is special; where none is, any.
fn names(pair: &Pair) -> bool {
    let field = pair.case.field.as_str();
    let is_it = |name: &str| match name.strip_prefix(field) {
        Some(rest) => field.is_empty() || rest.is_empty() || rest.starts_with(['[', '.']),
        None => false,
    };
    let problem = pair.petty.reply.json().unwrap_or_default();
    let errors = problem["errors"].as_array();
    errors.is_some_and(|errors| errors.iter().any(|error| error["field"].as_str().is_some_and(is_it)))
}

/// The status is the one that the method's policy says, and Envoy's 200.
pub(super) fn by_policy(pair: &Pair) -> bool {
    let status = pair.petty.reply.status;
    let is_said =
        |policy: &MethodPolicy| status == policy.success_status || (status == 202 && policy.may_be_accepted);
    pair.envoy.reply.status == 200 && policy(pair).is_some_and(is_said)
}

/// Of a stream: Petty's events hold what Envoy's array does, and nothing else.
pub(super) fn same_events(pair: &Pair) -> bool {
    let text = String::from_utf8_lossy(&pair.petty.reply.body);
    let events = text.lines().filter_map(|line| line.strip_prefix("data: "));
    let Ok(events) = events.map(serde_json::from_str).collect::<Result<Vec<serde_json::Value>, _>>() else {
        return false;
    };
    streams(pair)
        && pair.petty.reply.status == 200
        && pair.envoy.reply.json().is_some_and(|array| same_value(&events.into(), &array))
}

/// Of a stream: the service refused both; Petty tells it by the status.
pub(super) fn refused_stream(pair: &Pair) -> bool {
    let status = match pair.case.answer {
        Answer::Error(3) => 400,
        Answer::Error(5) => 404,
        Answer::Error(14) => 503,
        Answer::Full | Answer::Empty | Answer::Error(_) => return false,
    };
    let both_asked = pair.petty.asked.is_some() && pair.envoy.asked.is_some();
    streams(pair) && both_asked && pair.petty.reply.status == status
}

/// The message that arrived by Petty is what the path says, with what is set in it besides.
fn arrived(pair: &Pair, besides: impl FnOnce(&mut DynamicMessage)) -> bool {
    arrived_at(pair, &pair.case.route.method, besides)
}

fn arrived_at(pair: &Pair, method: &MethodDescriptor, besides: impl FnOnce(&mut DynamicMessage)) -> bool {
    let mut expected = DynamicMessage::new(method.input());
    besides(&mut expected);
    for name in pair.case.route.path_fields() {
        expected.set_field_by_name(name, Value::String(ID.to_owned()));
    }
    pair.petty
        .asked
        .as_ref()
        .is_some_and(|asked| asked.method == method.full_name() && samples::same(&asked.message, &expected))
}

/// HEAD, answered as the GET of the path, of whose answer there is no body.
pub(super) fn head(pair: &Pair) -> bool {
    let (petty, envoy, route) = (&pair.petty.reply, &pair.envoy.reply, &pair.case.route);
    let Ok(routes) = routes::all(route.method.parent_pool()) else { return false };
    let get = routes.iter().find(|other| other.verb == "GET" && other.template == route.template);
    (petty.status, envoy.status) == (200, 404)
        && petty.body.is_empty()
        && get.is_some_and(|get| arrived_at(pair, &get.method, |_| {}))
}

/// Petty took the request as though what is not known in it were not there; Envoy refused it.
pub(super) fn as_without(pair: &Pair) -> bool {
    let input = pair.case.route.method.input();
    let is_asked = arrived(pair, |message| {
        if pair.case.route.takes_body {
            *message = samples::message(&input, 0);
            message.clear_field_by_name("request_id");
        }
    });
    is_lenient(pair) && succeeded(pair) && pair.envoy.reply.status == 400 && is_asked
}

/// Petty's status is its method's.
fn succeeded(pair: &Pair) -> bool {
    policy(pair).is_some_and(|policy| pair.petty.reply.status == policy.success_status)
}

/// Petty took it as 2026-02-01T12:00:00Z; Envoy refused it.
pub(super) fn noon(pair: &Pair) -> bool {
    let is_asked = arrived(pair, |message| {
        let field = message.descriptor().get_field_by_name(&pair.case.field);
        if let Some((field, Kind::Message(kind))) = field.map(|field| (field.clone(), field.kind())) {
            let mut time = DynamicMessage::new(kind);
            time.set_field_by_name("seconds", Value::I64(1_769_947_200));
            message.set_field(&field, Value::Message(time));
        }
    });
    succeeded(pair) && pair.envoy.reply.status == 400 && is_asked
}

/// Both passed on the same, but for the field that is special: there Petty's was this and Envoy's that, if anything.
pub(super) fn only_differs(
    pair: &Pair,
    petty: impl FnOnce(Option<&Value>) -> bool,
    envoy: impl FnOnce(Option<&Value>) -> bool,
) -> bool {
    let (Some(one), Some(other)) = (&pair.petty.asked, &pair.envoy.asked) else { return false };
    let Some(field) = one.message.descriptor().get_field_by_name(&pair.case.field) else { return false };
    let (one_value, one_rest) = apart(&one.message, &field);
    let (other_value, other_rest) = apart(&other.message, &field);
    one.method == other.method
        && samples::same(&one_rest, &other_rest)
        && petty(one_value.as_ref())
        && envoy(other_value.as_ref())
}

/// A field's value, where it is set, and the message without it.
fn apart(message: &DynamicMessage, field: &FieldDescriptor) -> (Option<Value>, DynamicMessage) {
    let value = message.has_field(field).then(|| message.get_field(field).into_owned());
    let mut rest = message.clone();
    rest.clear_field(field);
    (value, rest)
}

/// Whether it is this text, or a list of it.
pub(super) fn is_text(value: Option<&Value>, text: &str) -> bool {
    match value {
        Some(Value::String(found)) => found == text,
        Some(Value::List(found)) => matches!(found.as_slice(), [Value::String(found)] if found == text),
        _ => false,
    }
}

/// Whether it is the time of so many seconds.
pub(super) fn is_second(value: Option<&Value>, seconds: i64) -> bool {
    let Some(Value::Message(time)) = value else { return false };
    let part = |name: &str| time.get_field_by_name(name).map(std::borrow::Cow::into_owned);
    part("seconds") == Some(Value::I64(seconds)) && part("nanos") == Some(Value::I32(0))
}

/// Whether it is any JSON's null.
pub(super) fn is_null(value: Option<&Value>) -> bool {
    matches!(value, Some(Value::Message(value)) if value.has_field_by_name("null_value"))
}
