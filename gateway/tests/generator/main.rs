//! What the generator of routes refuses: a binary of its own, for it is the build script's code.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

#[path = "../../build/bindings.rs"]
mod bindings;
#[path = "../../build/generator.rs"]
mod generator;
#[path = "../../build/messages.rs"]
mod messages;
#[path = "../../../proto/build/policies.rs"]
#[expect(dead_code, reason = "of it, the generator uses how names are written")]
mod policies;
#[path = "../../src/template.rs"]
mod template;

use std::path::Path;

use prost_reflect::DescriptorPool;
use protox::file::{ChainFileResolver, File, FileResolver, GoogleFileResolver, IncludeFileResolver};

use generator::Generator;

struct Source(String);

impl FileResolver for Source {
    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        if name == "case.proto" {
            File::from_source(name, &self.0)
        } else {
            Err(protox::Error::file_not_found(name))
        }
    }
}

/// The routes of a method with this rule, whose request and answer have these fields.
fn routes(stream: &str, rule: &str, request: &str, answer: &str) -> Result<String, String> {
    let proto = format!(
        r#"syntax = "proto3";
        package petty.case.v1;
        import "google/api/annotations.proto";
        import "google/protobuf/any.proto";
        import "google/protobuf/field_mask.proto";
        import "petty/options/v1/policy.proto";
        service CaseService {{
          rpc Try(TryRequest) returns ({stream} TryResponse) {{
            option (google.api.http) = {{ {rule} }};
            option (petty.options.v1.policy) = {{
              audience: PUBLIC services: ["gateway"] repeat: IDEMPOTENT rate_class: READ deadline_ms: 1 success_status: 200
            }};
          }}
        }}
        message Part {{ string name = 1; int32 size = 2; }}
        message TryRequest {{ string id = 1; {request} }}
        message TryResponse {{ {answer} }}"#
    );
    let mut files = ChainFileResolver::new();
    files.add(Source(proto));
    files.add(IncludeFileResolver::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("../proto")));
    files.add(GoogleFileResolver::new());
    let mut compiler = protox::Compiler::with_file_resolver(files);
    compiler.include_imports(true).open_file("case.proto").unwrap_or_else(|error| panic!("{rule}: {error}"));
    let pool = DescriptorPool::decode(compiler.encode_file_descriptor_set().as_slice()).unwrap();
    let generated = Generator::new(&pool, "x").and_then(Generator::generate);
    generated.map_err(|error| format!("{error:#}"))
}

#[test]
fn what_can_be_translated_is() {
    for (rule, request, parts) in [
        (
            r#"get: "/v1/x/{id}""#,
            "",
            &["Verb::Get", "takes_body: false", r#""id" => Slot::state(&mut self.id"#][..],
        ),
        (r#"post: "/v1/x" body: "*""#, "", &["takes_body: true, body_field: None"]),
        (r#"put: "/v1/x" body: "part""#, "Part part = 2;", &[r#"body_field: Some("part")"#]),
        (
            r#"patch: "/v1/x/{part.name}" body: "part""#,
            "Part part = 2; google.protobuf.FieldMask update_mask = 3;",
            &["self.part.get_or_insert_default().name", "fn update_mask"],
        ),
        (
            r#"get: "/v1/x" additional_bindings { get: "/x" }"#,
            "",
            &[r#"template: "/x""#, r#"successor: Some("/v1/x")"#],
        ),
        (
            r#"get: "/v1/x""#,
            "map<string, Part> parts = 2;",
            &["Kind::Map(&Kind::Message(&PETTY_CASE_V1_PART))", "has_map: true"],
        ),
        (
            r#"get: "/v1/x""#,
            "oneof a { string b = 2; bytes c = 3; }",
            &[r#"oneof: Some("a")"#, "A::B(value)", "A::C(_)"],
        ),
    ] {
        let code = routes("", rule, request, "").unwrap();
        for part in parts {
            assert!(code.contains(part), "{rule}: no {part} in {code}");
        }
    }
}

#[test]
fn what_cannot_be_translated_does_not_build() {
    for (stream, rule, request, answer, reason) in [
        ("", r#"get: "/v1/x" body: "*""#, "", "", "do not go together"),
        ("", r#"post: "/v1/x""#, "", "", "do not go together"),
        ("", r#"custom { kind: "LINK" path: "/v1/x" }"#, "", "", "one verb"),
        ("", r#"get: "v1/x""#, "", "", "does not begin with /"),
        ("", r#"get: "/v1/{other}""#, "", "", "no field other"),
        ("", r#"get: "/v1/{id}/{id}""#, "", "", "twice"),
        ("", r#"get: "/v1/{id=**}/x""#, "", "", "not the last"),
        ("", r#"get: "/v1/x:Look""#, "", "", "like:thisOne"),
        ("", r#"get: "/v1/{ids}""#, "repeated string ids = 2;", "", "several"),
        ("", r#"get: "/v1/{part}""#, "Part part = 2;", "", "part is a"),
        ("", r#"get: "/v1/{id.x}""#, "", "", "has no fields"),
        ("", r#"get: "/v1/{part.name}""#, "repeated Part part = 2;", "", "several"),
        ("", r#"get: "/v1/{b}""#, "oneof a { string b = 2; Part c = 3; }", "", "alternatives"),
        ("", r#"get: "/v1/{c.name}""#, "oneof a { string b = 2; Part c = 3; }", "", "alternatives"),
        ("", r#"get: "/v1/{part.size=a/*}""#, "Part part = 2;", "", "several segments"),
        ("", r#"get: "/v1/{data}""#, "bytes data = 2;", "", "data is a"),
        ("", r#"put: "/v1/x" body: "other""#, "", "", "no field"),
        ("", r#"put: "/v1/x" body: "c""#, "oneof a { string b = 2; Part c = 3; }", "", "alternatives"),
        ("", r#"put: "/v1/x" body: "request_id""#, "string request_id = 2;", "", "the body is request_id"),
        ("", r#"get: "/v1/x" response_body: "other""#, "", "", "no field"),
        ("", r#"get: "/v1/x""#, "map<int32, string> names = 2;", "", "by names"),
        ("", r#"get: "/v1/x""#, "google.protobuf.Any any = 2;", "", "Any has no translation"),
        ("", r#"get: "/v1/x""#, "string update_mask = 2;", "", "no FieldMask"),
        ("stream", r#"post: "/v1/x" body: "*""#, "", "", "GET alone"),
        ("stream", r#"get: "/v1/x" response_body: "a""#, "", "string a = 1;", "whole"),
        ("stream", r#"get: "/v1/x""#, "", "string id = 1;", "go together"),
        ("stream", r#"get: "/v1/x""#, "string last_event_id = 2;", "", "go together"),
        ("stream", r#"get: "/v1/x""#, "", "string error = 1;", "the last"),
        ("stream", r#"get: "/v1/x""#, "", "string type = 1;", "not an enum"),
    ] {
        let refused = routes(stream, rule, request, answer).expect_err(rule);
        assert!(refused.contains(reason), "{rule}: {refused}");
    }
}
