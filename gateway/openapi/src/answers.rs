//! What every answer is like (docs/api.md, "Every answer"): problems, headers, proofs of who is calling.

use crate::node::{Object, reference};

/// The ways to fail: status, component, what it is, and what a client is told for example.
const FAILURES: &[(u16, &str, &str, &str, &str)] = &[
    (
        400,
        "BadRequest",
        "The request could not be used; `errors` says what is wrong with which field.",
        "INVALID_ARGUMENT",
        "The request is not valid.",
    ),
    (401, "Unauthorized", "Nobody known is calling.", "TOKEN_MISSING", "An access token is needed."),
    (
        403,
        "Forbidden",
        "The caller may not do this.",
        "SCOPE_MISSING",
        "The token lacks the scope that this needs.",
    ),
    (
        404,
        "NotFound",
        "It does not exist, or the caller may not see it: the two are answered alike.",
        "NOT_FOUND",
        "There is no such thing.",
    ),
    (
        406,
        "NotAcceptable",
        "It has no representation that the client takes.",
        "NOT_ACCEPTABLE",
        "What is here is text/event-stream or application/x-ndjson.",
    ),
    (
        408,
        "RequestTimeout",
        "The body took too long to arrive.",
        "REQUEST_TIMEOUT",
        "The body took too long to arrive.",
    ),
    (
        409,
        "Conflict",
        "It is not in a state for this, or somebody else is changing it.",
        "ALREADY_EXISTS",
        "It exists already.",
    ),
    (
        413,
        "ContentTooLarge",
        "The body is too large, packed or unpacked.",
        "BODY_TOO_LARGE",
        "The body is too large.",
    ),
    (
        415,
        "UnsupportedMediaType",
        "The body's type or encoding is not one that is read here.",
        "UNSUPPORTED_MEDIA_TYPE",
        "The body must be application/json.",
    ),
    (
        422,
        "UnprocessableContent",
        "The `Idempotency-Key` was used with another request.",
        "IDEMPOTENCY_KEY_REUSED",
        "The key came with another request before.",
    ),
    (
        429,
        "TooManyRequests",
        "Too much at once, or too often; `Retry-After` says when to come back.",
        "RESOURCE_EXHAUSTED",
        "Too much at once; try later.",
    ),
    (
        500,
        "InternalServerError",
        "A fault of ours; `request_id` finds it in our log.",
        "INTERNAL",
        "Something went wrong on our side.",
    ),
    (
        503,
        "ServiceUnavailable",
        "Something is away just now; `Retry-After` says when to come back.",
        "UNAVAILABLE",
        "Not available just now; try again.",
    ),
    (
        504,
        "GatewayTimeout",
        "It took too long. Whether it was done is not known: send it again.",
        "DEADLINE_EXCEEDED",
        "It took too long.",
    ),
];

/// A reference to the answer of a failure, with what is said of it here.
pub(crate) fn failure(status: u16, said: Option<&str>) -> Option<Object> {
    let (_, name, description, ..) = FAILURES.iter().find(|failure| failure.0 == status)?;
    let said = said.filter(|said| !said.is_empty()).map(|said| format!("{description} Here: {said}."));
    Some(reference("responses", name).with_some("description", said))
}

/// `components.responses`.
pub(crate) fn responses() -> Object {
    let mut responses = Object::new();
    for (status, name, description, code, detail) in FAILURES {
        let mut headers = on_routes();
        match status {
            401 | 403 => headers.set("WWW-Authenticate", reference("headers", "WWW-Authenticate")),
            429 | 503 => headers.set("Retry-After", reference("headers", "Retry-After")),
            _ => {}
        }
        let content = Object::new()
            .with("schema", reference("schemas", "Problem"))
            .with("example", problem(*status, code, detail));
        responses.set(
            *name,
            Object::new()
                .with("description", *description)
                .with("headers", headers)
                .with("content", Object::new().with("application/problem+json", content)),
        );
    }
    responses.set(
        "NotModified",
        Object::new()
            .with("description", "Nothing changed since the answer that `If-None-Match` names.")
            .with("headers", everywhere().with("ETag", reference("headers", "ETag"))),
    );
    responses
}

fn problem(status: u16, code: &str, detail: &str) -> Object {
    let errors = if status == 400 {
        vec![Object::new().with("field", "heart_rate").with("reason", "must be 30 to 300")]
    } else {
        Vec::new()
    };
    Object::new()
        .with("type", "about:blank")
        .with("title", title(status))
        .with("status", i64::from(status))
        .with("detail", detail)
        .with("request_id", "01a1fddd-8f09-760b-9f94-ec0a2aa64f93")
        .with("code", code)
        .with("errors", errors)
        .with("error", detail)
}

fn title(status: u16) -> &'static str {
    match status {
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        406 => "Not Acceptable",
        408 => "Request Timeout",
        409 => "Conflict",
        413 => "Payload Too Large",
        415 => "Unsupported Media Type",
        422 => "Unprocessable Entity",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        _ => "Gateway Timeout",
    }
}

/// The schemas of problems.
pub(crate) fn problem_schemas() -> [(&'static str, Object); 2] {
    let text = |description: &str| Object::new().with("type", "string").with("description", description);
    let fault = Object::new()
        .with("type", "object")
        .with("description", "What is wrong with one field.")
        .with(
            "properties",
            Object::new()
                .with("field", text("Its path, `readings[3].heart_rate`; cut after 128 bytes."))
                .with("reason", text("What is wrong, for a person.")),
        )
        .with("required", ["field", "reason"]);
    let status = Object::new()
        .with("type", "integer")
        .with("format", "int32")
        .with("minimum", 400_i64)
        .with("maximum", 599_i64)
        .with("description", "The HTTP status.");
    let errors = Object::new()
        .with("type", "array")
        .with("items", reference("schemas", "FieldFault"))
        .with("description", "The fields at fault; empty for everything but bad input.");
    let problem = Object::new()
        .with("type", "object")
        .with("description", "What went wrong (RFC 9457). Decide by `code`, never by a text.")
        .with(
            "properties",
            Object::new()
                .with(
                    "type",
                    text("Always `about:blank`: the title is the status'.").with("const", "about:blank"),
                )
                .with("title", text("The status in words."))
                .with("status", status)
                .with("detail", text("What happened, for a person."))
                .with(
                    "request_id",
                    text("As in `X-Request-ID`: what to name in a report.").with("minLength", 1_i64),
                )
                .with("code", text("The reason, for a program.").with("pattern", "^[A-Z][A-Z0-9_]{0,63}$"))
                .with("errors", errors)
                .with("error", text("As `detail`: what the first system's clients show.")),
        )
        .with("required", ["type", "title", "status", "detail", "request_id", "code", "errors", "error"]);
    [("FieldFault", fault), ("Problem", problem)]
}

/// The headers of every answer on a method's route.
pub(crate) fn on_routes() -> Object {
    ["RateLimit", "RateLimit-Policy"]
        .into_iter()
        .fold(everywhere(), |headers, name| headers.with(name, reference("headers", name)))
}

/// The headers of every answer.
pub(crate) fn everywhere() -> Object {
    ["X-Request-ID", "X-Correlation-ID"]
        .into_iter()
        .fold(Object::new(), |headers, name| headers.with(name, reference("headers", name)))
}

/// `components.headers`.
pub(crate) fn headers() -> Object {
    let header = |description: &str, schema: Object| {
        Object::new().with("description", description).with("schema", schema)
    };
    let text = || Object::new().with("type", "string");
    let id = || {
        header(
            "The request's id: the client's own where it sent one, else a new one.",
            text().with("pattern", "^[A-Za-z0-9._-]{1,128}$"),
        )
        .with("required", true)
    };
    Object::new()
        .with("X-Request-ID", id())
        .with("X-Correlation-ID", id())
        .with(
            "RateLimit",
            header(
                "What is left of the caller's quota of this class: `r` requests; all of it is there again in `t` seconds.",
                text(),
            ),
        )
        .with("RateLimit-Policy", header("The quota: `q` requests in `w` seconds.", text()))
        .with("WWW-Authenticate", header("What proof is asked for (RFC 6750).", text()))
        .with(
            "Retry-After",
            header(
                "So many seconds at least should pass before the next try.",
                Object::new().with("type", "integer").with("minimum", 1_i64),
            )
            .with("required", true),
        )
        .with(
            "ETag",
            header(
                "Of this state, as this caller sees it; weak. To be sent as `If-None-Match`.",
                text().with("pattern", "^(W/)?\"[^\"]*\"$"),
            )
            .with("required", true),
        )
        .with(
            "Cache-Control",
            header("Who may keep the answer, and for how long.", text()).with("required", true),
        )
        .with(
            "Idempotency-Replayed",
            header("`true` where this is the first answer once more.", text().with("const", "true")),
        )
        .with(
            "Deprecation",
            header("Since when the path is deprecated (RFC 9745).", text().with("pattern", "^@[0-9]+$"))
                .with("required", true),
        )
        .with("Sunset", header("Until when it answers, at least (RFC 8594).", text()).with("required", true))
        .with("Link", header("What replaces it: `rel=\"successor-version\"`.", text()).with("required", true))
}

/// `components.parameters`.
pub(crate) fn parameters() -> Object {
    let header = |name: &str, description: &str, schema: Object| {
        Object::new()
            .with("name", name)
            .with("in", "header")
            .with("description", description)
            .with("schema", schema)
    };
    let text = || Object::new().with("type", "string");
    Object::new()
        .with(
            "IdempotencyKey",
            header(
                "Idempotency-Key",
                "Makes a second sending harmless: the same key and request within 24 h get the first answer once more. A random \
                 UUID for instance; it is the caller's own, and of one route.",
                text().with("pattern", "^[ -~]{1,255}$"),
            )
            .with("example", "7d0f4a4e-52c1-4c5e-9a3a-0c3f0f0f5a11"),
        )
        .with(
            "IfNoneMatch",
            header(
                "If-None-Match",
                "The `ETag` of the answer that the client has: 304 where it is still true.",
                text(),
            )
            .with("example", "W/\"9f86d081884c7d659a2feaa0c55ad015\""),
        )
        .with(
            "LastEventId",
            header(
                "Last-Event-ID",
                "The id of the last event that was seen: the stream goes on behind it. It wins over the parameter.",
                text().with("pattern", "^[0-9]{0,18}$"),
            )
            .with("example", "8"),
        )
        .with(
            "ApiVersion",
            header("API-Version", "The version, on a path without one.", text().with("const", "v1"))
                .with("example", "v1"),
        )
}

/// `components.securitySchemes`.
pub(crate) fn security() -> Object {
    Object::new()
        .with(
            "bearer",
            Object::new()
                .with("type", "http")
                .with("scheme", "bearer")
                .with("bearerFormat", "JWT")
                .with(
                    "description",
                    "An access token (RFC 9068): an account's by `POST /v1/auth/login`, a collar's by `POST /v1/collars/token`; or an \
                     account's personal access token (`petty_pat_…`). What an operation lists beside it are the scopes that the token \
                     must hold.",
                ),
        )
        .with(
            "ticket",
            Object::new()
                .with("type", "apiKey")
                .with("in", "query")
                .with("name", "ticket")
                .with(
                    "description",
                    "In place of a token where a browser opens a stream: by `POST /v1/stream/ticket`, good once and for 30 s.",
                ),
        )
}
