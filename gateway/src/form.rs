//! The forms in which a stream goes out, and which of them a client wants.
//!
//! Invariants: of several ranges that fit a form, the closest counts (RFC 9110, 12.5.1), and of forms that a client likes alike,
//! events; a line is one message, whole, or a blank, or the error that is the last.

use std::cmp::Reverse;

use bytes::{BufMut as _, Bytes, BytesMut};
use http::header::{ACCEPT, HeaderValue, VARY};
use http::{HeaderMap, StatusCode};

use crate::problem::Problem;

/// How a stream is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Form {
    /// As server-sent events.
    #[default]
    Events,
    /// As one JSON message a line, by this name.
    Lines(&'static str),
}

/// What there is, the best first.
const FORMS: &[Form] = &[
    Form::Events,
    Form::Lines("application/x-ndjson"),
    Form::Lines("application/jsonl"),
    Form::Lines("application/ndjson"),
];

impl Form {
    /// The media type.
    pub(crate) fn media_type(self) -> &'static str {
        match self {
            Self::Events => "text/event-stream",
            Self::Lines(name) => name,
        }
    }

    /// What a client reads first: how long it waits before it comes back.
    pub(crate) fn opening(self) -> Option<Bytes> {
        (self == Self::Events).then_some(Bytes::from_static(b"retry: 1000\n\n"))
    }

    /// What says that the stream is still there, to whoever reads it and to whoever is on the way, and nothing else.
    pub(crate) fn heartbeat(self) -> Bytes {
        Bytes::from_static(if self == Self::Events { b":\n\n" } else { b"\n" })
    }

    /// The last of a stream that ends because the gateway, or the service behind it, goes away: nothing is wrong. Lines just end.
    pub(crate) fn going(self) -> Option<Bytes> {
        (self == Self::Events).then_some(Bytes::from_static(b": going away, come back\n\n"))
    }

    /// A message. JSON has no line breaks of its own; an id that had one would not be an id.
    pub(crate) fn message(self, id: &str, event: &'static str, json: &[u8]) -> Bytes {
        match self {
            Self::Events => {
                let mut frame = BytesMut::with_capacity(json.len() + id.len() + event.len() + 24);
                if !id.is_empty() && !id.bytes().any(|byte| byte.is_ascii_control()) {
                    frame.put_slice(b"id: ");
                    frame.put_slice(id.as_bytes());
                    frame.put_u8(b'\n');
                }
                frame.put_slice(b"event: ");
                frame.put_slice(event.as_bytes());
                frame.put_slice(b"\ndata: ");
                frame.put_slice(json);
                frame.put_slice(b"\n\n");
                frame.freeze()
            }
            Self::Lines(_) => [json, b"\n"].concat().into(),
        }
    }

    /// What tells a client what went wrong. It has no id: a client comes back with that of the last message.
    pub(crate) fn problem(self, problem: &Problem, request_id: &str) -> Bytes {
        let json = problem.json(request_id);
        match self {
            Self::Events => self.message("", "error", &json),
            Self::Lines(_) => [&b"{\"error\":"[..], &json, b"}\n"].concat().into(),
        }
    }
}

/// The form that a client likes best.
pub(crate) fn negotiate(headers: &HeaderMap) -> Result<Form, Problem> {
    let ranges: Vec<(String, u16)> = headers
        .get_all(ACCEPT)
        .iter()
        .flat_map(|value| value.to_str().unwrap_or_default().split(','))
        .map(range)
        .filter(|(kind, _)| !kind.is_empty())
        .collect();
    if ranges.is_empty() {
        return Ok(Form::default());
    }
    let liked = FORMS.iter().enumerate().map(|(at, form)| (quality(*form, &ranges), Reverse(at), *form));
    match liked.max_by_key(|(quality, at, _)| (*quality, *at)) {
        Some((1.., _, form)) => Ok(form),
        _ => Err(Problem::new(
            StatusCode::NOT_ACCEPTABLE,
            "NOT_ACCEPTABLE",
            "What is here is text/event-stream or application/x-ndjson.",
        )
        .with(VARY, HeaderValue::from_static("accept"))),
    }
}

/// A range of media types, and how much it is liked, in thousandths.
fn range(text: &str) -> (String, u16) {
    let mut parts = text.split(';');
    let kind = parts.next().unwrap_or_default().trim().to_ascii_lowercase();
    let quality = parts.find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("q").then(|| thousandths(value.trim()))
    });
    (kind, quality.unwrap_or(1_000))
}

/// A quality (RFC 9110, 12.4.2); what is none counts as not said.
fn thousandths(text: &str) -> u16 {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if fraction.len() > 3 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return 1_000;
    }
    match whole {
        "0" => format!("{fraction:0<3}").parse().unwrap_or(1_000),
        _ => 1_000,
    }
}

/// How much a form is liked, by the closest of the ranges; of two that are as close, the better.
fn quality(form: Form, ranges: &[(String, u16)]) -> u16 {
    let name = form.media_type();
    let group = name.split_once('/').map_or("", |(group, _)| group);
    let closeness = |kind: &str| match kind.split_once('/') {
        _ if kind == name => Some(2),
        Some((theirs, "*")) if theirs == group => Some(1),
        Some(("*", "*")) => Some(0),
        _ => None,
    };
    let fits = ranges.iter().filter_map(|(kind, quality)| Some((closeness(kind)?, *quality)));
    fits.max().map_or(0, |(_, quality)| quality)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn liked(accept: &[&str]) -> Option<&'static str> {
        let mut headers = HeaderMap::new();
        for accept in accept {
            headers.append(ACCEPT, HeaderValue::from_str(accept).unwrap());
        }
        negotiate(&headers).ok().map(Form::media_type)
    }

    #[test]
    fn the_form_that_is_liked_best_is_taken() {
        const EVENTS: Option<&str> = Some("text/event-stream");
        const LINES: Option<&str> = Some("application/x-ndjson");
        for (accept, form) in [
            (&[][..], EVENTS),
            (&[""], EVENTS),
            (&["*/*"], EVENTS),
            (&["text/event-stream, application/x-ndjson"], EVENTS),
            (&["application/x-ndjson, text/event-stream"], EVENTS),
            (&["application/x-ndjson, text/event-stream;q=0.9"], LINES),
            (&["application/x-ndjson", "text/event-stream; Q=0.999"], LINES),
            (&["Application/X-NDJSON"], LINES),
            (&["application/x-ndjson;charset=utf-8"], LINES),
            (&["application/jsonl"], Some("application/jsonl")),
            (&["application/ndjson"], Some("application/ndjson")),
            (&["application/*"], LINES),
            (&["application/*, application/x-ndjson;q=0"], Some("application/jsonl")),
            (&["*/*, text/event-stream;q=0"], LINES),
            (&["*/*;q=0.1, text/*;q=0.05"], LINES),
            (&["application/json, text/plain, */*"], EVENTS),
            (&["application/x-ndjson;q=0.001, application/json"], LINES),
            (&["text/event-stream;q=broken"], EVENTS),
            (&["application/json"], None),
            (&["text/html, application/json"], None),
            (&["*/*;q=0"], None),
            (&["*/*;q=0.000"], None),
            (&["text/event-stream;q=0"], None),
            (&["*/json"], None),
        ] {
            assert_eq!(liked(accept), form, "{accept:?}");
        }
    }

    #[test]
    fn a_line_is_a_message_and_the_last_may_be_an_error() {
        let lines = Form::Lines("application/x-ndjson");
        assert_eq!(lines.message("7", "ready", b"{\"id\":\"7\"}"), "{\"id\":\"7\"}\n");
        assert_eq!((lines.opening(), lines.going(), lines.heartbeat().as_ref()), (None, None, &b"\n"[..]));
        let problem = lines.problem(&Problem::internal(), "r-1");
        let value: serde_json::Value = serde_json::from_slice(&problem).unwrap();
        assert_eq!((&value["error"]["code"], problem.last()), (&"INTERNAL".into(), Some(&b'\n')));
    }

    proptest! {
        #[test]
        fn whatever_is_accepted_a_form_is_taken_that_is_not_refused(
            kinds in proptest::collection::vec(
                (prop::sample::select(vec![
                    "text/event-stream", "application/x-ndjson", "application/jsonl", "application/ndjson",
                    "*/*", "text/*", "application/*", "application/json",
                ]), 0_u16..=1_000),
                1..6,
            ),
        ) {
            let text: Vec<String> =
                kinds.iter().map(|(kind, q)| format!("{kind};q={}.{:03}", q / 1_000, q % 1_000)).collect();
            let taken = liked(&[&text.join(", ")]);
            let said = |name: &str| kinds.iter().filter(|(kind, _)| *kind == name).map(|(_, q)| *q).max();
            for form in FORMS.iter().map(|form| form.media_type()) {
                let (group, _) = form.split_once('/').unwrap();
                let likes = said(form).or_else(|| said(&format!("{group}/*"))).or_else(|| said("*/*")).unwrap_or(0);
                match taken {
                    Some(taken) if taken == form => prop_assert!(likes > 0),
                    Some(taken) => {
                        let (theirs, _) = taken.split_once('/').unwrap();
                        let best = said(taken).or_else(|| said(&format!("{theirs}/*"))).or_else(|| said("*/*"));
                        prop_assert!(best.unwrap() >= likes, "{} over {}", taken, form);
                    }
                    None => prop_assert_eq!(likes, 0),
                }
            }
        }
    }
}
