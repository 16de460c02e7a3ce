//! What describes the API: `/openapi.json`, and at `/docs` a page that shows it.
//!
//! Invariants: the document is made of the descriptors that the routes are made of (`build.rs`); all files come out of this
//! binary, and the page may load, and call, nothing but what is here. A file is packed once for each coding, not for each request.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use bytes::Bytes;
use futures::FutureExt as _;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, Method, Request, Response};
use http_body_util::BodyExt as _;
use swagger_ui_dist::{ApiDefinition, OpenApiSource, generate_routes};
use tower::ServiceExt as _;

use crate::answer::AnswerBody;
use crate::coding::Kept;
use crate::etag;
use crate::probes::other_verb;
use crate::problem::Problem;

const DOCUMENT: &str = include_str!(concat!(env!("OUT_DIR"), "/openapi.json"));
const PAGE: &str = include_str!("docs/page.html");
const START: &str = include_str!("docs/start.js");

/// What the page may do: run its own scripts, which set styles of their own, show pictures that stand in its styles, and
/// call the API that it comes from.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);
/// Nothing in it is anybody's own. A new build's is found by its tag.
const KEEP: HeaderValue = HeaderValue::from_static("public, max-age=300");

/// The page's files, by path.
static FILES: LazyLock<BTreeMap<&'static str, File>> = LazyLock::new(|| {
    let files = [
        File::new("/openapi.json", "application/json", Some(DOCUMENT.into())),
        File::new("/docs", "text/html; charset=utf-8", Some(PAGE.into())),
        File::new("/docs/start.js", "text/javascript; charset=utf-8", Some(START.into())),
        File::new("/docs/swagger-ui.css", "text/css; charset=utf-8", vendored("/docs/swagger-ui.css")),
        File::new(
            "/docs/swagger-ui-bundle.js",
            "text/javascript; charset=utf-8",
            vendored("/docs/swagger-ui-bundle.js"),
        ),
    ];
    files.into_iter().flatten().map(|file| (file.path, file)).collect()
});

/// A file.
#[derive(Debug)]
struct File {
    path: &'static str,
    kind: HeaderValue,
    kept: Kept,
    tag: Option<HeaderValue>,
}

impl File {
    fn new(path: &'static str, kind: &'static str, bytes: Option<Bytes>) -> Option<Self> {
        let bytes = bytes?;
        Some(Self {
            path,
            kind: HeaderValue::from_static(kind),
            tag: etag::of_bytes(&bytes),
            kept: Kept::new(bytes),
        })
    }
}

/// The answer, where the path is one of them.
pub(crate) fn answer(
    method: &Method,
    path: &str,
    headers: &HeaderMap,
) -> Option<Result<Response<AnswerBody>, Problem>> {
    if !path.starts_with("/docs") && path != "/openapi.json" {
        return None;
    }
    let file = FILES.get(path)?;
    if let Some(other) = other_verb(method) {
        return Some(other);
    }
    let mut response = file.kept.answer();
    let said = response.headers_mut();
    said.insert(CONTENT_TYPE, file.kind.clone());
    said.insert(CACHE_CONTROL, KEEP);
    if path == "/docs" {
        said.insert(CONTENT_SECURITY_POLICY, POLICY);
    }
    Some(Ok(etag::stamp(headers, file.tag.clone(), response)))
}

/// A file of Swagger UI's. The crate shows it by a route alone, which never waits.
fn vendored(path: &'static str) -> Option<Bytes> {
    let routes = generate_routes(ApiDefinition {
        uri_prefix: "/docs",
        api_definition: OpenApiSource::Uri("/openapi.json"),
        title: None,
    });
    let request = Request::get(path).body(axum::body::Body::empty()).ok()?;
    let response = routes.oneshot(request).now_or_never()?.ok()?;
    if !response.status().is_success() {
        tracing::error!(path, "Swagger UI has no such file");
        return None;
    }
    let bytes = response.into_body().collect().now_or_never()?.ok()?;
    Some(bytes.to_bytes())
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::routes::ROUTES;

    #[test]
    fn every_route_is_in_the_document_and_nothing_else_but_what_the_gateway_answers_itself() {
        let document: Value = serde_json::from_str(DOCUMENT).unwrap();
        let paths = document["paths"].as_object().unwrap();
        let public = || ROUTES.iter().filter(|route| !route.is_for_staff());
        for route in public() {
            let operation = &paths[route.template][route.verb.as_str().to_ascii_lowercase()];
            let status = route.policy.success_status.to_string();
            assert!(
                operation["responses"].get(&status).is_some(),
                "{} {}",
                route.verb.as_str(),
                route.template
            );
            assert_eq!(operation["deprecated"] == true, route.successor.is_some(), "{}", route.template);
            let body = operation.get("requestBody").map(|body| &body["content"]);
            assert_eq!(body.is_some(), route.takes_body, "{}", route.template);
            let takes = |kind: &str| body.is_some_and(|body| body.get(kind).is_some());
            assert_eq!(takes("application/x-ndjson"), route.takes_lines(), "{}", route.template);
            assert_eq!(takes("application/x-www-form-urlencoded"), route.takes_forms(), "{}", route.template);
        }
        let described: usize = paths.values().map(|verbs| verbs.as_object().unwrap().len()).sum();
        assert_eq!(described, public().count() + 4);
    }

    #[test]
    fn the_page_asks_for_nothing_that_is_not_here() {
        for file in ["docs/swagger-ui.css", "docs/swagger-ui-bundle.js", "docs/start.js"] {
            assert!(PAGE.contains(&format!("\"{file}\"")), "{file}");
            assert!(FILES.contains_key(format!("/{file}").as_str()), "{file}");
        }
        assert!(!PAGE.contains("://") && !START.contains("://"));
        assert!(!PAGE.contains("<script>"), "the policy lets no script in the page run");
    }
}
