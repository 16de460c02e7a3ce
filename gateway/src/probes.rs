//! `/health`, `/ready` and `/version`: what the first system's clients ask.
//!
//! They say no more than that: which of the parts is not ready is for the admin port.

use http::header::{ALLOW, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use http::{Method, Response, StatusCode};
use petty_chassis::admin::Readiness;
use serde_json::json;

use crate::answer::AnswerBody;
use crate::problem::Problem;

/// The answer, where the path is one of them.
pub(crate) fn answer(
    method: &Method,
    path: &str,
    readiness: &Readiness,
) -> Option<Result<Response<AnswerBody>, Problem>> {
    let (status, body) = match path {
        "/health" => (StatusCode::OK, json!({ "status": "ok" })),
        "/ready" if readiness.is_ready() => (StatusCode::OK, json!({ "status": "ready", "ready": true })),
        "/ready" => (StatusCode::SERVICE_UNAVAILABLE, json!({ "status": "not ready", "ready": false })),
        "/version" => (
            StatusCode::OK,
            json!({ "name": "petty", "version": env!("CARGO_PKG_VERSION"), "api_versions": ["v1"] }),
        ),
        _ => return None,
    };
    if let Some(other) = other_verb(method) {
        return Some(other);
    }
    let mut response = Response::new(AnswerBody::from(body.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    Some(Ok(response))
}

/// What a path that is only read answers to other verbs.
pub(crate) fn other_verb(method: &Method) -> Option<Result<Response<AnswerBody>, Problem>> {
    let allow = HeaderValue::from_static("GET, HEAD, OPTIONS");
    match *method {
        Method::GET | Method::HEAD => None,
        Method::OPTIONS => {
            let mut response = Response::new(AnswerBody::default());
            *response.status_mut() = StatusCode::NO_CONTENT;
            response.headers_mut().insert(ALLOW, allow);
            Some(Ok(response))
        }
        _ => Some(Err(Problem::method_not_allowed().with(ALLOW, allow))),
    }
}
