//! What the gateway answers itself, and what there is to say of all of it.

use std::collections::BTreeMap;

use crate::answers;
use crate::node::{Node, Object, reference};

const TAG: &str = "Gateway";

const ABOUT: &str = "Smart collars' readings, and what Petty makes of them: behaviours, alerts, a timeline, feeding plans.\n\n\
- **JSON** is proto3 JSON. Names go out in `snake_case`; coming in, `birthDate` is taken for `birth_date`, a number may stand in a \
string, an enum's value may be its number, and `null` is the same as absent. Unknown members and parameters are refused, but for the \
first system's calls. What is absent in an answer is not known; `0`, `false` and `[]` are values, and are written out. Be prepared for \
members and enum values that are not listed here: they will be added.\n\
- **Times** are RFC 3339, answered in UTC with `Z`.\n\
- **Failures** are `application/problem+json` (RFC 9457) with a `code` for programs.\n\
- **HEAD** works where GET does; **OPTIONS** answers `Allow`; another verb is 405.\n\
- **Sizes**: bodies have at most 1 MiB (`:batch` and `:analyze` 4 MiB), nested at most 32 deep; `Content-Encoding: gzip` is unpacked.\n\
- **Staff** who look at somebody's pet say why in `X-Access-Reason`.\n\n\
Petty informs; it does not diagnose.";

/// `info`.
pub(crate) fn info(version: &str) -> Object {
    Object::new()
        .with("title", "Petty")
        .with("summary", "The REST API of the pet collar's back end.")
        .with("description", ABOUT)
        .with("contact", Object::new().with("name", "The maintainers of Petty"))
        .with("license", Object::new().with("name", "Apache License 2.0").with("identifier", "Apache-2.0"))
        .with("version", version)
}

/// The tags of what is no method's.
pub(crate) fn tags() -> Vec<Object> {
    vec![Object::new().with("name", TAG).with("description", "What the gateway says of itself.")]
}

/// The paths of what is no method's.
pub(crate) fn paths() -> BTreeMap<String, Object> {
    let text = |description: &str| Object::new().with("type", "string").with("description", description);
    let schema = |properties: Object| {
        let required: Vec<String> = properties.members().map(|(name, _)| name.to_owned()).collect();
        Object::new().with("type", "object").with("properties", properties).with("required", required)
    };
    let mut paths = BTreeMap::new();
    let health = schema(Object::new().with("status", text("Always `ok`.").with("const", "ok")));
    let answer = json(health, Object::new().with("status", "ok"));
    add(
        &mut paths,
        "/health",
        operation("getHealth", "Whether the gateway runs", "200 as long as it does.")
            .with("responses", Object::new().with("200", success("It runs.", answer, &[]))),
    );
    let ready = schema(
        Object::new()
            .with("status", text("`ready` or `not ready`.").with("enum", ["ready", "not ready"]))
            .with(
                "ready",
                Object::new().with("type", "boolean").with("description", "The same as a boolean."),
            ),
    );
    let is_ready = json(ready.clone(), Object::new().with("status", "ready").with("ready", true));
    let is_not = json(ready, Object::new().with("status", "not ready").with("ready", false));
    add(
        &mut paths,
        "/ready",
        operation(
            "getReady",
            "Whether the gateway can answer",
            "503 while it starts, drains, or lacks what it needs.",
        )
        .with(
            "responses",
            Object::new()
                .with("200", success("It can.", is_ready, &[]))
                .with("503", success("It cannot just now.", is_not, &["Retry-After"])),
        ),
    );
    let version = schema(
        Object::new()
            .with("name", text("Always `petty`.").with("const", "petty"))
            .with("version", text("The version of the build."))
            .with(
                "api_versions",
                Object::new()
                    .with("type", "array")
                    .with("items", Object::new().with("type", "string"))
                    .with("description", "The versions that paths may begin with."),
            ),
    );
    let example = Object::new().with("name", "petty").with("version", "0.1.0").with("api_versions", ["v1"]);
    add(
        &mut paths,
        "/version",
        operation("getVersion", "Which version runs", "The build's, and the API's.").with(
            "responses",
            Object::new().with("200", success("The versions.", json(version, example), &[])),
        ),
    );
    let document = schema(Object::new().with("openapi", text("Always `3.1.0`.").with("const", "3.1.0")));
    let document = Object::new().with("schema", document);
    let kept = ["ETag"];
    add(
        &mut paths,
        "/openapi.json",
        operation("getOpenapi", "This document", "OpenAPI 3.1.")
            .with("parameters", [reference("parameters", "IfNoneMatch")])
            .with(
                "responses",
                Object::new()
                    .with(
                        "200",
                        success("The document.", Object::new().with("application/json", document), &kept),
                    )
                    .with("304", reference("responses", "NotModified")),
            ),
    );
    paths
}

fn add(paths: &mut BTreeMap<String, Object>, path: &str, operation: Object) {
    let security: Vec<Node> = Vec::new();
    paths.insert(path.to_owned(), Object::new().with("get", operation.with("security", security)));
}

fn operation(id: &str, summary: &str, description: &str) -> Object {
    Object::new()
        .with("tags", [TAG])
        .with("summary", summary)
        .with("description", description)
        .with("operationId", id)
}

fn json(schema: Object, example: Object) -> Object {
    Object::new().with("application/json", Object::new().with("schema", schema).with("example", example))
}

fn success(description: &str, content: Object, more: &[&str]) -> Object {
    let mut headers = answers::everywhere().with("Cache-Control", reference("headers", "Cache-Control"));
    for name in more {
        headers.set(*name, reference("headers", name));
    }
    Object::new().with("description", description).with("headers", headers).with("content", content)
}
