//! Why the gateway and Envoy differ where they do.

use petty_proto::policy::MethodPolicy;
use serde_json::Value;

use super::samples;
use super::{Outcome, Pair};

/// One thing in which they differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Difference {
    /// Petty answers what Envoy refuses.
    PettyTakes,
    /// Envoy answers what Petty refuses.
    EnvoyTakes,
    /// Both refuse, one as the client's fault and the other as the server's.
    Class,
    /// Another message arrived, or at another method.
    Message,
    /// A message arrived by one alone, though both answer alike.
    Arrival,
    /// Success has another status.
    Status,
    /// Success has other JSON.
    Json,
}

/// A difference that is meant.
pub(super) struct Rule {
    /// What it is about.
    pub(super) subject: &'static str,
    pub(super) petty: &'static str,
    pub(super) envoy: &'static str,
    pub(super) reason: &'static str,
    when: fn(&Pair, &Difference) -> bool,
}

/// All differences of a request.
pub(super) fn differences(pair: &Pair) -> Vec<Difference> {
    let mut found = Vec::new();
    let (petty, envoy) = (&pair.petty, &pair.envoy);
    let class = |outcome: &Outcome| outcome.reply.status / 100;
    match (class(petty), class(envoy)) {
        (2, 2) => {
            let (one, other) = (&petty.reply, &envoy.reply);
            if one.status != other.status {
                found.push(Difference::Status);
            }
            // An answer without content has none to compare.
            if one.status != 204
                && one.body != other.body
                && !same_json(one.json().as_ref(), other.json().as_ref())
            {
                found.push(Difference::Json);
            }
        }
        (2, _) => found.push(Difference::PettyTakes),
        (_, 2) => found.push(Difference::EnvoyTakes),
        (one, other) if one != other => found.push(Difference::Class),
        _ => {}
    }
    match (&petty.asked, &envoy.asked) {
        (Some(one), Some(other))
            if one.method != other.method || !samples::same(&one.message, &other.message) =>
        {
            found.push(Difference::Message);
        }
        // Where one refuses, that is said already.
        (Some(_), None) | (None, Some(_)) if found.is_empty() => found.push(Difference::Arrival),
        _ => {}
    }
    found
}

fn same_json(one: Option<&Value>, other: Option<&Value>) -> bool {
    matches!((one, other), (Some(one), Some(other)) if same_value(one, other))
}

/// Alike but for how a number is written: 0 and 0.0 are one.
fn same_value(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => one == other || one.as_f64() == other.as_f64(),
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same_value(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one.iter().all(|(name, one)| other.get(name).is_some_and(|other| same_value(one, other)))
        }
        _ => one == other,
    }
}

/// The rule that explains a difference.
pub(super) fn explain(pair: &Pair, difference: &Difference) -> Option<usize> {
    RULES.iter().position(|rule| (rule.when)(pair, difference))
}

/// Whether a shape begins with one of these.
fn shaped(pair: &Pair, shapes: &[&str]) -> bool {
    shapes.iter().any(|shape| pair.case.shape.starts_with(shape))
}

/// What Petty names as the fault.
fn code(pair: &Pair) -> String {
    let code = |value: Value| value["code"].as_str().map(str::to_owned);
    pair.petty.reply.json().and_then(code).unwrap_or_default()
}

fn policy(pair: &Pair) -> Option<&'static MethodPolicy> {
    let method = &pair.case.route.method;
    petty_proto::policy::of(&format!("/{}/{}", method.parent_service().full_name(), method.name()))
}

fn is_lenient(pair: &Pair) -> bool {
    policy(pair).is_some_and(|policy| policy.lenient_json)
}

/// Every difference that is meant. The first that fits explains.
pub(super) static RULES: &[Rule] = &[
    Rule {
        subject: "routes of the staff",
        petty: "404 here; they are answered on the admin port alone",
        envoy: "answers every route on its one port",
        reason: "what only staff may do is not reachable from outside",
        when: |pair, _| {
            policy(pair).is_some_and(|policy| policy.scope == "staff") && code(pair) == "ROUTE_NOT_FOUND"
        },
    },
    Rule {
        subject: "a slash at the end",
        petty: "404",
        envoy: "the path without it, so that `DELETE /v1/me/sessions/` with an empty id ends all sessions",
        reason: "an id that is empty by mistake must not become another call",
        when: |pair, difference| {
            *difference == Difference::EnvoyTakes
                && shaped(pair, &["a slash at the end", "path: empty"])
                && code(pair) == "ROUTE_NOT_FOUND"
        },
    },
    Rule {
        subject: "streams (SSE)",
        petty: "`text/event-stream`, or lines; a stream that cannot begin has its own status; nothing is held back",
        envoy: "a JSON array, 200 whatever comes of it",
        reason: "browsers read events, and take them up again with `Last-Event-ID`; see [api.md](api.md)",
        when: |pair, difference| {
            pair.case.route.method.is_server_streaming()
                && (*difference == Difference::Json
                    || (*difference == Difference::EnvoyTakes && shaped(pair, &["answered"])))
        },
    },
    Rule {
        subject: "status of success",
        petty: "200, 201, 202 or 204, as the method's policy says",
        envoy: "200",
        reason: "the first system's clients expect 201, and so do HTTP's own rules",
        when: |_, difference| *difference == Difference::Status,
    },
    Rule {
        subject: "HEAD",
        petty: "wherever there is a GET: the same, without the body",
        envoy: "404",
        reason: "RFC 9110, 9.1",
        when: |pair, difference| pair.case.verb == "HEAD" && *difference == Difference::PettyTakes,
    },
    Rule {
        subject: "OPTIONS",
        petty: "204 with `Allow`",
        envoy: "404",
        reason: "RFC 9110, 9.3.7",
        when: |pair, difference| pair.case.verb == "OPTIONS" && *difference == Difference::PettyTakes,
    },
    Rule {
        subject: "a field that the message does not have",
        petty: "400, naming it (the first system's calls ignore up to 64)",
        envoy: "ignored",
        reason: "a misspelt field that is dropped in silence is a wrong answer later",
        when: |pair, difference| {
            *difference == Difference::EnvoyTakes
                && shaped(pair, &["body: an unknown", "body: single quotes"])
                && code(pair) == "INVALID_ARGUMENT"
        },
    },
    Rule {
        subject: "a parameter that the request does not have",
        petty: "the first system's calls ignore up to 64",
        envoy: "400 (as configured; Petty's other calls say the same)",
        reason: "the first system's clients send some",
        when: |pair, difference| {
            *difference == Difference::PettyTakes
                && shaped(pair, &["an unknown parameter", "query: not UTF-8"])
                && is_lenient(pair)
        },
    },
    Rule {
        subject: "`request_id` in a body",
        petty: "400; the first system's calls ignore it",
        envoy: "taken",
        reason: "it is made of caller, method and `Idempotency-Key`: nobody may state another's",
        when: |pair, difference| {
            shaped(pair, &["body: request_id", "query: request_id"])
                && matches!(difference, Difference::EnvoyTakes | Difference::Message)
        },
    },
    Rule {
        subject: "a field of the body in the query",
        petty: "400 (the first system's calls ignore it)",
        envoy: "taken",
        reason: "with `body: \"*\"` there are no parameters: google.api.http says so",
        when: |pair, difference| {
            shaped(pair, &["a field of the body in the query"])
                && matches!(difference, Difference::EnvoyTakes | Difference::Message | Difference::PettyTakes)
        },
    },
    Rule {
        subject: "a field twice",
        petty: "400, naming it, in whichever spelling",
        envoy: "the last one counts, of a list all",
        reason: "one reader checks the first and another uses the last: a known way around checks",
        when: |pair, difference| {
            *difference == Difference::EnvoyTakes && shaped(pair, &["field: twice", "query: twice"])
        },
    },
    Rule {
        subject: "a field in the path and elsewhere",
        petty: "400 where the body says another; 400 in the query at all",
        envoy: "the path's counts",
        reason: "a request that contradicts itself is a mistake, and which half was meant is not ours to guess",
        when: |pair, difference| {
            shaped(pair, &["path and body", "path and query"])
                && matches!(difference, Difference::EnvoyTakes | Difference::Message)
        },
    },
    Rule {
        subject: "what is nearly JSON",
        petty: "400: RFC 8259 to the letter",
        envoy: "trailing commas, single quotes, raw control characters, unknown escapes, `5.` and halves of surrogate pairs are read",
        reason: "who is strict is never in doubt what was meant",
        when: |pair, difference| {
            *difference == Difference::EnvoyTakes
                && shaped(
                    pair,
                    &[
                        "body: a comma",
                        "body: single",
                        "text: a bad escape",
                        "text: a raw tab",
                        "text: half",
                        "number: no digit",
                        "number: bare",
                        "integer: a zero in front",
                        "integer: a plus",
                        "body: a comment",
                        "body: something after",
                        "body: cut",
                        "body: a mark",
                    ],
                )
        },
    },
    Rule {
        subject: "content types",
        petty: "415 for a body that is not said to be JSON; a form only where the method takes one; a charset is let pass",
        envoy: "no look at it, or passed on as gRPC",
        reason: "a body of another kind is a client that does not know what it sends; plain text from another origin's form is no JSON",
        when: |pair, _| pair.petty.reply.status == 415,
    },
    Rule {
        subject: "U+0000 in a text",
        petty: "400",
        envoy: "taken",
        reason: "no text of ours may hold it: PostgreSQL does not",
        when: |pair, difference| *difference == Difference::EnvoyTakes && pair.case.shape.ends_with("U+0000"),
    },
    Rule {
        subject: "bytes that are not UTF-8, in a path or a query",
        petty: "400, naming the field",
        envoy: "passed on to the service, which cannot decode the message (503), or taken",
        reason: "the fault is the client's",
        when: |pair, difference| {
            pair.case.shape.ends_with("not UTF-8")
                && matches!(difference, Difference::Class | Difference::EnvoyTakes)
        },
    },
    Rule {
        subject: "a plus in a query",
        petty: "a space, but in a time, where it is an offset's",
        envoy: "a plus",
        reason: "forms and most clients' libraries write spaces so",
        when: |pair, difference| *difference == Difference::Message && shaped(pair, &["query, text: a plus"]),
    },
    Rule {
        subject: "a parameter without `=`, or empty",
        petty: "an empty value: of a text that; of anything else 400",
        envoy: "ignored, or the default",
        reason: "an empty number is a client's mistake",
        when: |pair, difference| {
            shaped(pair, &["query: no value", "query: empty"])
                && matches!(difference, Difference::EnvoyTakes | Difference::Message)
        },
    },
    Rule {
        subject: "true and false",
        petty: "`true` and `false` alone",
        envoy: "the texts \"true\" and \"yes\", in a query also `1`, `TRUE` and `yes`",
        reason: "proto3 JSON has the two literals",
        when: |pair, difference| {
            *difference == Difference::EnvoyTakes && shaped(pair, &["bool:", "query, bool:"])
        },
    },
    Rule {
        subject: "enums",
        petty: "a value's name, or its number; 400 for what is neither",
        envoy: "any number; a number in a text; some names in small letters",
        reason: "a value that no service knows is refused where the client still hears of it",
        when: |pair, difference| {
            *difference == Difference::EnvoyTakes && shaped(pair, &["enum:", "query, enum:"])
        },
    },
    Rule {
        subject: "numbers that are none",
        petty: "400 for NaN and the infinities, for an empty text, and for what is beyond the type",
        envoy: "taken",
        reason: "no quantity of ours can be that; a client that sends it has divided by zero",
        when: |pair, difference| {
            *difference == Difference::EnvoyTakes
                && shaped(pair, &["number:", "integer:", "query, number:", "query, integer:"])
        },
    },
    Rule {
        subject: "lists",
        petty: "an array of what the list is of",
        envoy: "also a single value, an object or a list in it, and nulls in it, which are dropped",
        reason: "proto3 JSON has arrays, and no nulls in them",
        when: |pair, difference| {
            *difference == Difference::EnvoyTakes && shaped(pair, &["list:", "message: a list"])
        },
    },
    Rule {
        subject: "null for any JSON",
        petty: "absent, as for every other field",
        envoy: "the value null",
        reason: "the first system's clients send null for what they do not have",
        when: |pair, difference| *difference == Difference::Message && shaped(pair, &["field: null"]),
    },
    Rule {
        subject: "times",
        petty: "RFC 3339, small letters and a space for the T too; up to 9999-12-30; a leap second is the second before; no `{\"seconds\": …}`; \
                the first system's calls read a time without an offset as UTC",
        envoy: "capitals and T alone; `{\"seconds\": …}` too; a leap second is the second after",
        reason: "RFC 3339, 5.6, lets both spellings be; the last day of year 9999 is beyond our library's times in some zone",
        when: |pair, difference| {
            shaped(pair, &["time:", "query, time:"])
                && matches!(difference, Difference::EnvoyTakes | Difference::PettyTakes | Difference::Message)
        },
    },
];
