//! Shapes that the protos have not, or hardly: the document must be ready for them.

use std::path::Path;

use jsonschema::Draft;
use prost_reflect::DescriptorPool;
use serde_json::{Value, json};

fn document() -> Value {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders = [here.join("tests/protos"), here.join("../../proto")];
    let mut compiler = protox::Compiler::new(folders).unwrap();
    compiler.include_source_info(true).include_imports(true);
    compiler.open_file("petty/shapes/v1/shapes.proto").unwrap();
    let pool = DescriptorPool::decode(compiler.encode_file_descriptor_set().as_slice()).unwrap();
    serde_json::from_str(&petty_openapi::document(&pool, "0.0.0").unwrap()).unwrap()
}

#[test]
fn oneofs_exclude() {
    let document = document();
    for name in ["Shape", "ShapeInput"] {
        let whole = json!({
            "components": document["components"],
            "$ref": format!("#/components/schemas/{name}"),
        });
        let shape = jsonschema::options().with_draft(Draft::Draft202012).build(&whole).unwrap();
        let fits = |more: Value| {
            let mut value = json!({ "count": "1", "names": {}, "mark": "", "holds": [] });
            for (name, member) in more.as_object().unwrap() {
                value[name] = member.clone();
            }
            shape.is_valid(&value)
        };
        assert!(fits(json!({})), "{name}");
        assert!(fits(json!({ "radius": 2 })), "{name}");
        assert!(fits(json!({ "corners": "a" })), "{name}");
        assert!(!fits(json!({ "radius": 2, "corners": "a" })), "{name}");
        assert!(!fits(json!({ "radius": 0 })), "{name}");
        assert!(
            fits(json!({ "count": "-9223372036854775808", "names": { "en": "x" }, "span": "1.5s" })),
            "{name}"
        );
        assert!(!fits(json!({ "count": "many" })), "{name}");
        assert!(!fits(json!({ "names": { "en": 1 } })), "{name}");
        assert!(!fits(json!({ "span": "long" })), "{name}");
        assert!(!fits(json!({ "holds": [{ "radius": 2, "corners": "a" }] })), "{name}: inside, too");
        assert_eq!(fits(json!({ "unknown": 1 })), name == "Shape", "what is answered may grow");
    }
}

#[test]
fn a_body_may_be_a_field_and_so_may_an_answer() {
    let document = document();
    let operation = &document["paths"]["/v1/pets/{pet_id}/shapes"]["post"];
    let of = |holder: &Value| holder["content"]["application/json"]["schema"]["$ref"].clone();
    assert_eq!(of(&operation["requestBody"]), "#/components/schemas/ShapeInput");
    assert_eq!(of(&operation["responses"]["201"]), "#/components/schemas/Shape");
    let parameters: Vec<(&Value, &Value)> = operation["parameters"]
        .as_array()
        .unwrap()
        .iter()
        .map(|parameter| (&parameter["name"], &parameter["in"]))
        .collect();
    assert_eq!(parameters, [(&json!("pet_id"), &json!("path")), (&json!("dry_run"), &json!("query"))]);
    assert_eq!(operation["summary"], "Takes a shape");
    assert!(operation["description"].as_str().unwrap().starts_with("It is kept."));
    let conflict = operation["responses"]["409"]["description"].as_str().unwrap();
    assert!(conflict.contains("SHAPE_EXISTS"), "{conflict}");
}

#[test]
fn paths_of_several_segments_and_queries_into_messages_are_parameters() {
    let document = document();
    let parameters = document["paths"]["/v1/{name}/shape"]["get"]["parameters"].as_array().unwrap();
    assert_eq!((&parameters[0]["name"], &parameters[0]["in"]), (&json!("name"), &json!("path")));
    assert_eq!((&parameters[1]["name"], &parameters[1]["in"]), (&json!("filter.least"), &json!("query")));
    assert_eq!(parameters[1]["schema"]["maximum"], 10);
}
