//! gRPC's answers of failure, in HTTP's terms.
//!
//! Invariant: an upstream's text passes only with an `ErrorInfo` of ours and only below 500; everything else has a fixed one.

use std::borrow::Cow;
use std::time::Duration;

use http::StatusCode;
use http::header::{HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::problem::{FieldFault, Problem};

/// The domain in our services' `ErrorInfo`.
const DOMAIN: &str = "petty";

/// Reasons that say that the gateway itself was refused: a fault of the installation, not of the client.
const OURS: &[&str] = &["SERVICE_UNKNOWN", "SERVICE_NOT_ALLOWED"];

/// Reasons of 5xx that a client may see.
const CURATED: &[&str] =
    &["UPSTREAM_UNAVAILABLE", "ACCESS_UNKNOWN", "OVERLOADED", "REVOCATION_PENDING", "STORAGE_FULL"];

/// The problem that a status stands for.
pub(crate) fn problem(status: &Status) -> Problem {
    let details = status.get_error_details();
    let info = details.error_info().filter(|info| info.domain == DOMAIN);
    let reason = info.map(|info| info.reason.as_str()).filter(|reason| is_reason(reason));
    if reason.is_some_and(|reason| OURS.contains(&reason)) {
        tracing::error!(reason, "an upstream refused the gateway itself");
        return Problem::internal();
    }
    let (http, code, text) = table(status.code());
    if http.as_u16() == 500 {
        tracing::error!(grpc.code = ?status.code(), reason, "an upstream failed");
        return Problem::internal();
    }
    let mut problem = Problem::new(http, code, text);
    if let Some(reason) = reason {
        if !http.is_server_error() {
            problem.code = Cow::Owned(reason.to_owned());
            problem.detail = Cow::Owned(sentence(status.message()));
        } else if let Some(curated) = CURATED.iter().find(|curated| **curated == reason) {
            problem.code = Cow::Borrowed(curated);
        }
        // A failed precondition of ours is always the one: the key came with another body.
        if status.code() == Code::FailedPrecondition {
            problem.status = StatusCode::UNPROCESSABLE_ENTITY;
        }
        if let Some(bad) = details.bad_request().filter(|_| http == StatusCode::BAD_REQUEST) {
            let violations = bad.field_violations.iter().take(100);
            problem.errors = violations
                .map(|violation| FieldFault::new(violation.field.clone(), violation.description.clone()))
                .collect();
        }
    }
    match http {
        StatusCode::UNAUTHORIZED => {
            // RFC 6750, 3.1: a token that was no good is told from none.
            let bad_token =
                matches!(problem.code.as_ref(), "TOKEN_INVALID" | "TOKEN_EXPIRED" | "SESSION_ENDED");
            let challenge = if bad_token {
                "Bearer realm=\"petty\", error=\"invalid_token\""
            } else {
                "Bearer realm=\"petty\""
            };
            problem.with(WWW_AUTHENTICATE, HeaderValue::from_static(challenge))
        }
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
            let delay =
                details.retry_info().and_then(|info| info.retry_delay).unwrap_or(Duration::from_secs(1));
            problem.with(RETRY_AFTER, retry_after(delay))
        }
        _ => problem,
    }
}

/// `Retry-After`, in whole seconds, never 0.
pub(crate) fn retry_after(delay: Duration) -> HeaderValue {
    let seconds = delay.as_secs() + u64::from(delay.subsec_nanos() > 0);
    HeaderValue::from(seconds.max(1))
}

fn table(code: Code) -> (StatusCode, &'static str, &'static str) {
    match code {
        Code::InvalidArgument | Code::OutOfRange => {
            (StatusCode::BAD_REQUEST, "INVALID_ARGUMENT", "The request is not valid.")
        }
        Code::Unauthenticated => (StatusCode::UNAUTHORIZED, "UNAUTHENTICATED", "Nobody known is calling."),
        Code::PermissionDenied => (StatusCode::FORBIDDEN, "PERMISSION_DENIED", "You may not do this."),
        Code::NotFound => (StatusCode::NOT_FOUND, "NOT_FOUND", "There is no such thing."),
        Code::AlreadyExists => (StatusCode::CONFLICT, "ALREADY_EXISTS", "It exists already."),
        Code::Aborted => (StatusCode::CONFLICT, "ABORTED", "Somebody else is changing it; try again."),
        Code::FailedPrecondition => {
            (StatusCode::CONFLICT, "FAILED_PRECONDITION", "It is not in a state for this.")
        }
        Code::ResourceExhausted => {
            (StatusCode::TOO_MANY_REQUESTS, "RESOURCE_EXHAUSTED", "Too much at once; try later.")
        }
        // The registry of statuses has no 499; http takes any number from 100 to 999.
        Code::Cancelled => (
            StatusCode::from_u16(499).unwrap_or(StatusCode::BAD_REQUEST),
            "CANCELLED",
            "The request was given up before it was answered.",
        ),
        Code::Unavailable => {
            (StatusCode::SERVICE_UNAVAILABLE, "UNAVAILABLE", "Not available just now; try again.")
        }
        Code::DeadlineExceeded => (StatusCode::GATEWAY_TIMEOUT, "DEADLINE_EXCEEDED", "It took too long."),
        Code::Ok | Code::Unknown | Code::Unimplemented | Code::Internal | Code::DataLoss => {
            (StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL", "Something went wrong on our side.")
        }
    }
}

fn is_reason(reason: &str) -> bool {
    (1..=64).contains(&reason.len())
        && reason.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
}

/// A service's text as a sentence: details are shown to people.
pub(crate) fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let mut sentence: String = letters.next().map(|first| first.to_uppercase().collect()).unwrap_or_default();
    sentence.push_str(letters.as_str());
    if !sentence.ends_with(['.', '!', '?']) {
        sentence.push('.');
    }
    sentence
}

#[cfg(test)]
mod tests;
