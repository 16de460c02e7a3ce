//! What went wrong, as a client is told: `application/problem+json` (RFC 9457).
//!
//! Invariant: a problem is made of fixed texts, of field names, and of texts that a service of ours wrote for clients; never
//! of a cause, an upstream's own text or what a request held.

use std::borrow::Cow;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use http::{Response, StatusCode};
use serde::Serialize;

use crate::answer::AnswerBody;

/// The most faults that one answer lists.
pub(crate) const MOST_FAULTS: usize = 20;

const OVERLOADED: &str = "OVERLOADED";
const CALLER_BUSY: &str = "CALLER_BUSY";

/// The longest field path that an answer repeats: unknown fields have the client's own names.
pub(crate) const LONGEST_FIELD: usize = 128;

/// What is wrong with one field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct FieldFault {
    /// Its path, `readings[3].heart_rate`.
    pub(crate) field: String,
    /// What is wrong, for a person.
    pub(crate) reason: Cow<'static, str>,
}

impl FieldFault {
    pub(crate) fn new(field: impl Into<String>, reason: impl Into<Cow<'static, str>>) -> Self {
        let mut field = field.into();
        if field.len() > LONGEST_FIELD {
            field.truncate(field.floor_char_boundary(LONGEST_FIELD));
            field.push('…');
        }
        Self { field, reason: reason.into() }
    }
}

/// A problem, before it is tied to a request.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    pub(crate) status: StatusCode,
    /// The reason, `UPPER_SNAKE`.
    pub(crate) code: Cow<'static, str>,
    pub(crate) detail: Cow<'static, str>,
    pub(crate) errors: Vec<FieldFault>,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
}

#[derive(Serialize)]
struct Body<'a> {
    r#type: &'static str,
    title: &'static str,
    status: u16,
    detail: &'a str,
    request_id: &'a str,
    code: &'a str,
    errors: &'a [FieldFault],
    /// What the first system's clients show.
    error: &'a str,
}

impl Problem {
    pub(crate) fn new(
        status: StatusCode,
        code: impl Into<Cow<'static, str>>,
        detail: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self { status, code: code.into(), detail: detail.into(), errors: Vec::new(), headers: Vec::new() }
    }

    /// With a header.
    #[must_use]
    pub(crate) fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Bad input.
    pub(crate) fn invalid(errors: Vec<FieldFault>) -> Self {
        Self { errors, ..Self::new(StatusCode::BAD_REQUEST, "INVALID_ARGUMENT", "The request is not valid.") }
    }

    /// A body that is no JSON.
    pub(crate) fn malformed_json(errors: Vec<FieldFault>) -> Self {
        Self { errors, ..Self::new(StatusCode::BAD_REQUEST, "MALFORMED_JSON", "The body is not valid JSON.") }
    }

    /// A path that has other verbs; those go into `Allow`.
    pub(crate) fn method_not_allowed() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", "This path has other verbs.")
    }

    /// More at once than may be.
    pub(crate) fn overloaded() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, OVERLOADED, "Too much at once; try again.")
            .with(RETRY_AFTER, HeaderValue::from_static("1"))
    }

    /// More at once than one caller may have, of what the text says: the others go on.
    pub(crate) fn caller_busy(text: &'static str) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, CALLER_BUSY, text)
            .with(RETRY_AFTER, HeaderValue::from_static("1"))
    }

    /// Whether there is more at once than may be, of all or of the caller.
    pub(crate) fn is_overloaded(&self) -> bool {
        self.code == OVERLOADED || self.code == CALLER_BUSY
    }

    /// A fault of ours.
    pub(crate) fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL", "Something went wrong on our side.")
    }

    /// As JSON.
    pub(crate) fn json(&self, request_id: &str) -> Bytes {
        let body = Body {
            // "about:blank": the title is the status', and `code` says the rest (RFC 9457, 4.2.1).
            r#type: "about:blank",
            title: title(self.status),
            status: self.status.as_u16(),
            detail: &self.detail,
            request_id,
            code: &self.code,
            errors: &self.errors,
            error: &self.detail,
        };
        serde_json::to_vec(&body).map_or(Bytes::from_static(b"{}"), Bytes::from)
    }

    /// The answer.
    pub(crate) fn into_response(self, request_id: &str) -> Response<AnswerBody> {
        let mut response = Response::new(self.json(request_id).into());
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.extend(self.headers);
        response
    }
}

fn title(status: StatusCode) -> &'static str {
    if status.as_u16() == 499 {
        "Client Closed Request"
    } else {
        status.canonical_reason().unwrap_or("Error")
    }
}
