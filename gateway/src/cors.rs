//! Which pages of other origins may call.
//!
//! Invariants: an origin is allowed only where it stands in the list, letter by letter; nothing is ever allowed to all, and
//! no cookie counts anywhere, so credentials are not allowed either. Who is not allowed is answered as anybody is: it is the
//! browser that keeps the answer from the page.

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, ALLOW, HeaderValue,
    ORIGIN, VARY,
};
use http::request::Parts;
use http::{HeaderMap, Method, Uri};
use petty_chassis::config::Reader;

/// What a page may send.
const HEADERS: HeaderValue = HeaderValue::from_static(
    "authorization, content-type, content-encoding, idempotency-key, if-none-match, last-event-id, x-request-id, \
     x-correlation-id, x-access-reason, api-version, traceparent",
);
/// What it may read besides what everybody may.
const EXPOSED: HeaderValue = HeaderValue::from_static(
    "etag, x-request-id, x-correlation-id, retry-after, ratelimit, ratelimit-policy, idempotency-replayed, \
     deprecation, sunset, link, www-authenticate",
);
/// How long a browser need not ask again, in seconds.
const MAX_AGE: HeaderValue = HeaderValue::from_static("600");

/// The origins whose pages may call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origins(Vec<HeaderValue>);

impl Origins {
    /// Reads `PETTY_CORS_ORIGINS`.
    pub(crate) fn read(reader: &mut Reader<'_>) -> Self {
        const NAME: &str = "PETTY_CORS_ORIGINS";
        let mut origins = Vec::new();
        for item in reader.list(NAME) {
            let item = item.trim();
            match HeaderValue::from_str(item) {
                Ok(value) if is_origin(item) => origins.push(value),
                _ => reader.fault(
                    NAME,
                    format!("{item:?} is not an origin as browsers write it, e.g. https://app.example"),
                ),
            }
        }
        Self(origins)
    }

    /// What an answer says to a page of another origin.
    pub(crate) fn stamp(&self, parts: &Parts, headers: &mut HeaderMap) {
        if self.0.is_empty() {
            return;
        }
        // Said to everybody: what is kept on the way for one origin is not for another.
        headers.append(VARY, HeaderValue::from_static("origin"));
        let mut asked = parts.headers.get_all(ORIGIN).iter();
        let (Some(origin), None) = (asked.next(), asked.next()) else { return };
        if !self.0.contains(origin) {
            return;
        }
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        if parts.method == Method::OPTIONS && parts.headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD) {
            if let Some(allow) = headers.get(ALLOW).cloned() {
                headers.insert(ACCESS_CONTROL_ALLOW_METHODS, allow);
            }
            headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HEADERS);
            headers.insert(ACCESS_CONTROL_MAX_AGE, MAX_AGE);
        } else {
            headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
        }
    }
}

/// Scheme, host and perhaps a port, in lower case, and nothing after.
fn is_origin(text: &str) -> bool {
    let Ok(uri) = text.parse::<Uri>() else { return false };
    let (Some(scheme @ ("http" | "https")), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        return false;
    };
    let plain = format!("{scheme}://{authority}");
    text == plain && !authority.as_str().contains(['@', '*']) && text == text.to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use petty_chassis::config::{Environment, Faults, load};

    use super::*;
    use crate::config::GatewayConfig;

    fn origins(text: &str) -> Result<Origins, Faults> {
        let environment = Environment::from_iter([("PETTY_CORS_ORIGINS", text.to_owned())]);
        load::<GatewayConfig>(&environment).map(|config| config.cors)
    }

    #[test]
    fn a_list_is_trimmed_and_what_is_no_origin_is_a_fault() {
        let read = origins(" https://app.example , http://localhost:5173").unwrap();
        assert_eq!(read.0, ["https://app.example", "http://localhost:5173"]);
        for text in
            ["*", "null", "app.example", "https://app.example/", "https://*.example", "HTTPS://app.example"]
        {
            let read = origins(text);
            // A star within a host is no wildcard: it allows nobody, and is better refused.
            let faults = read.expect_err(text);
            assert!(faults.iter().any(|fault| fault.starts_with("PETTY_CORS_ORIGINS")), "{text}: {faults:?}");
        }
    }

    fn said(method: Method, origin: &str, preflight: bool) -> HeaderMap {
        let mut request = http::Request::builder().method(method).header(ORIGIN, origin);
        if preflight {
            request = request.header(ACCESS_CONTROL_REQUEST_METHOD, "PUT");
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let mut headers = HeaderMap::new();
        headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD, OPTIONS"));
        origins("https://app.example").unwrap().stamp(&parts, &mut headers);
        headers
    }

    #[test]
    fn an_origin_is_let_in_letter_by_letter() {
        let allowed = said(Method::GET, "https://app.example", false);
        assert_eq!(allowed[ACCESS_CONTROL_ALLOW_ORIGIN], "https://app.example");
        assert!(allowed[ACCESS_CONTROL_EXPOSE_HEADERS].to_str().unwrap().contains("x-request-id"));
        assert_eq!(allowed[VARY], "origin");
        for other in [
            "https://app.example.evil.example",
            "https://evil-app.example",
            "http://app.example",
            "https://app.example:8443",
            "https://APP.example",
            "null",
        ] {
            let refused = said(Method::GET, other, false);
            assert!(!refused.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN), "{other}");
            assert_eq!(refused[VARY], "origin", "what is kept on the way is kept by origin");
        }
    }

    #[test]
    fn a_preflight_learns_the_verbs_that_the_path_has() {
        let allowed = said(Method::OPTIONS, "https://app.example", true);
        assert_eq!(allowed[ACCESS_CONTROL_ALLOW_METHODS], "GET, HEAD, OPTIONS");
        assert_eq!(allowed[ACCESS_CONTROL_MAX_AGE], "600");
        assert!(!allowed.contains_key("access-control-allow-credentials"));
        let refused = said(Method::OPTIONS, "https://evil.example", true);
        assert!(!refused.contains_key(ACCESS_CONTROL_ALLOW_METHODS));
    }
}
