//! The headers that every request may bring and every answer has.

use std::sync::LazyLock;

use http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue, LINK,
    REFERRER_POLICY, STRICT_TRANSPORT_SECURITY, VARY, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use http::{HeaderMap, StatusCode};
use petty_chassis::access::{ACCESS_REASON_HEADER, AccessReason};
use petty_chassis::caller::Caller;
use petty_chassis::grpc::RequestId;
use petty_chassis::types::Clock;
use petty_proto::policy::{Audience, MethodPolicy, Repeat};

use crate::form::Form;
use crate::problem::{FieldFault, Problem};
use crate::routes::{Route, Verb};

pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The alias of X-Request-ID.
const CORRELATION_ID: HeaderName = HeaderName::from_static("x-correlation-id");
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const IDEMPOTENCY_REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
const API_VERSION: HeaderName = HeaderName::from_static("api-version");
const DEPRECATION: HeaderName = HeaderName::from_static("deprecation");
const SUNSET: HeaderName = HeaderName::from_static("sunset");
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
pub(crate) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Paths without a version are deprecated since 2026-11-01 (RFC 9745: a structured date).
const DEPRECATED_SINCE: HeaderValue = HeaderValue::from_static("@1793491200");
/// And answer until then, at least (RFC 8594: an HTTP date).
const SUNSET_AT: HeaderValue = HeaderValue::from_static("Mon, 01 Nov 2027 00:00:00 GMT");

const LONGEST_KEY: usize = 255;
/// How many headers an answer may have before its map grows.
const MOST_HEADERS: usize = 24;

/// What an answer says where it says nothing else.
static USUAL: LazyLock<HeaderMap> = LazyLock::new(|| {
    let mut headers = HeaderMap::with_capacity(MOST_HEADERS);
    for (name, value) in [
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        (REFERRER_POLICY, "no-referrer"),
        (CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (CACHE_CONTROL, "no-store"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers
});

/// The request's id: the client's where it is harmless, a new one otherwise.
pub(crate) fn request_id(headers: &HeaderMap, clock: &Clock) -> RequestId {
    [REQUEST_ID, CORRELATION_ID]
        .iter()
        .find_map(|name| headers.get(name)?.to_str().ok().and_then(RequestId::parse))
        .unwrap_or_else(|| RequestId::new(clock))
}

/// The trace that the request is part of.
pub(crate) fn traceparent(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(TRACEPARENT)?.to_str().ok()?;
    let is_plain = text.len() == 55 && text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    is_plain.then(|| text.to_owned())
}

/// The one Authorization header.
pub(crate) fn authorization(headers: &HeaderMap) -> Result<HeaderValue, Problem> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return Err(token_missing()) };
    let mut value = value.clone();
    value.set_sensitive(true);
    Ok(value)
}

/// Why a member of the staff looks at somebody's pet. Of anybody else the header is not looked at.
pub(crate) fn access_reason(headers: &HeaderMap, caller: &Caller) -> Result<Option<AccessReason>, Problem> {
    if !caller.is_staff() {
        return Ok(None);
    }
    let bad = |reason: &'static str| Problem::invalid(vec![FieldFault::new(ACCESS_REASON_HEADER, reason)]);
    let mut values = headers.get_all(ACCESS_REASON_HEADER).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(bad("is given twice"));
    }
    let text = std::str::from_utf8(value.as_bytes()).map_err(|_| bad("must be UTF-8"))?;
    AccessReason::parse(text).map(Some).map_err(bad)
}

/// The token that it holds.
pub(crate) fn bearer(authorization: &HeaderValue) -> Result<&str, Problem> {
    let text = authorization.to_str().ok();
    let (scheme, token) = text.and_then(|text| text.split_once(' ')).ok_or_else(token_missing)?;
    let token = token.trim();
    if !scheme.eq_ignore_ascii_case("bearer") || token.is_empty() {
        return Err(token_missing());
    }
    Ok(token)
}

fn token_missing() -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, "TOKEN_MISSING", "An access token is needed.")
        .with(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"petty\""))
}

/// The key by which a second sending is known, where the method goes by one.
pub(crate) fn idempotency_key(headers: &HeaderMap, policy: &MethodPolicy) -> Result<Option<String>, Problem> {
    if !matches!(policy.repeat, Repeat::RequestId | Repeat::RequestIdSecret) {
        return Ok(None);
    }
    let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let bad = |reason: &'static str| Err(Problem::invalid(vec![FieldFault::new("Idempotency-Key", reason)]));
    match value.to_str() {
        _ if values.next().is_some() => bad("is given twice"),
        Ok(key) if (1..=LONGEST_KEY).contains(&key.len()) => Ok(Some(key.to_owned())),
        _ => bad("must be 1 to 255 printable ASCII characters"),
    }
}

/// What a client of a stream saw last. It sends none where it saw nothing yet.
pub(crate) fn last_event_id(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    // By the name of the request's field: that is what the service says as well.
    let bad = |reason: &'static str| Err(Problem::invalid(vec![FieldFault::new("last_event_id", reason)]));
    let mut values = headers.get_all(LAST_EVENT_ID).iter();
    let Some(value) = values.next() else { return Ok(None) };
    match value.to_str() {
        _ if values.next().is_some() => bad("is given twice"),
        Ok("") => Ok(None),
        Ok(seen) => Ok(Some(seen.to_owned())),
        Err(_) => bad("is not an id of ours"),
    }
}

/// What a stream says of itself besides: nobody on the way may keep it, nor hold it back until there is more of it.
pub(crate) fn stamp_stream(headers: &mut HeaderMap, form: Form) {
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(form.media_type()));
    headers.append(VARY, HeaderValue::from_static("accept"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(ACCEL_BUFFERING, HeaderValue::from_static("no"));
}

/// On a path without a version, the version may stand in a header; there is one.
pub(crate) fn check_version(headers: &HeaderMap, route: &Route) -> Result<(), Problem> {
    match headers.get(API_VERSION) {
        Some(version) if route.successor.is_some() && version != "v1" => {
            Err(Problem::invalid(vec![FieldFault::new("API-Version", "must be v1")]))
        }
        _ => Ok(()),
    }
}

/// What every answer says of the request it belongs to and of how to treat it.
pub(crate) fn stamp(headers: &mut HeaderMap, request_id: &RequestId) {
    // What the answer says itself comes first. Copying a map of them costs less than putting one after the other into it.
    let own = std::mem::replace(headers, USUAL.clone());
    headers.extend(own);
    if let Ok(value) = HeaderValue::from_str(request_id.as_str()) {
        headers.insert(CORRELATION_ID, value.clone());
        headers.insert(REQUEST_ID, value);
    }
}

/// What an answer over TLS says besides: that this name speaks nothing else, for two years (RFC 6797).
pub(crate) fn stamp_secure(headers: &mut HeaderMap) {
    headers
        .insert(STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=63072000; includeSubDomains"));
}

/// What an answer on a path without a version says besides.
pub(crate) fn stamp_bare(headers: &mut HeaderMap, route: &Route) {
    let Some(successor) = route.successor else { return };
    headers.insert(DEPRECATION, DEPRECATED_SINCE);
    headers.insert(SUNSET, SUNSET_AT);
    if let Ok(link) = HeaderValue::from_str(&format!("<{successor}>; rel=\"successor-version\"")) {
        headers.insert(LINK, link);
    }
}

/// What an answer of success says besides. What is not said to be kept is not kept: [`stamp`].
pub(crate) fn stamp_success(headers: &mut HeaderMap, route: &Route, replayed: bool) {
    if replayed {
        headers.insert(IDEMPOTENCY_REPLAYED, HeaderValue::from_static("true"));
    }
    if route.verb == Verb::Get {
        let keep = match route.policy.audience {
            Audience::Public => "public, max-age=60",
            Audience::Account
            | Audience::AccountOrDevice
            | Audience::Service
            | Audience::ServiceForCaller => "private, no-cache",
        };
        headers.insert(CACHE_CONTROL, HeaderValue::from_static(keep));
    }
}
