//! The REST API as an OpenAPI 3.1 document, made of the protos' descriptors: the same from which the gateway's routes come.
//!
//! Invariant: nothing is in the document that is not in a descriptor, in a comment, or true of every answer
//! (`answers`); so a route cannot be without its description, nor a description without its route.

mod answers;
mod bounds;
mod comments;
mod example;
mod http;
mod node;
mod operation;
mod own;
mod schema;
mod streams;

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use prost_reflect::DescriptorPool;

use comments::Comments;
use node::Object;
use operation::{Operation, tag};
use schema::{Schemas, object_of};

/// The document of what is public, as JSON that people can read.
///
/// # Errors
///
/// The descriptors have no comments, or say something that has no translation.
pub fn document(pool: &DescriptorPool, version: &str) -> Result<String> {
    let comments = Comments::of(pool);
    let mut schemas = Schemas::new(&comments);
    let mut operations = Vec::new();
    let mut tags = own::tags();
    for service in pool.services().filter(|service| service.full_name().starts_with("petty.")) {
        let mut has_routes = false;
        for method in service.methods() {
            let context = || method.full_name().to_owned();
            let bindings = http::bindings(pool, &method).with_context(context)?;
            if bindings.is_empty() {
                continue;
            }
            let policy = http::policy(pool, &method).with_context(context)?;
            // Answered on the admin port alone: to everybody else these are paths that do not exist.
            if policy.scope == "staff" {
                continue;
            }
            has_routes = true;
            let operation = Operation { method: method.clone(), policy, bindings };
            operation.want(&mut schemas).with_context(context)?;
            operations.push(operation);
        }
        if has_routes {
            let description = comments.at(&service.parent_file(), service.path());
            tags.push(Object::new().with("name", tag(service.name())).with("description", description));
        }
    }
    tags.sort_by_key(|tag| tag.get("name").and_then(node::Node::as_text).map(str::to_owned));
    let document = Object::new()
        .with("openapi", "3.1.0")
        .with("info", own::info(version))
        .with(
            "servers",
            [Object::new().with("url", "/").with("description", "The gateway that this comes from.")],
        )
        .with("tags", tags)
        .with("paths", paths(&operations, &comments, &schemas)?)
        .with("components", components(&schemas)?);
    let mut text = serde_json::to_string_pretty(&document)?;
    text.push('\n');
    Ok(text)
}

fn paths(operations: &[Operation], comments: &Comments, schemas: &Schemas<'_>) -> Result<Object> {
    let mut paths: BTreeMap<String, Object> = own::paths();
    let mut ids = Vec::new();
    for operation in operations {
        for (at, binding) in operation.bindings.iter().enumerate() {
            let object = operation
                .object(at, comments, schemas)
                .with_context(|| operation.method.full_name().to_owned())?;
            let id = object.get("operationId").cloned();
            ensure!(!ids.contains(&id), "{} is the name of two operations", operation.method.full_name());
            ids.push(id);
            paths.entry(binding.path.clone()).or_default().set(binding.verb, object);
        }
    }
    Ok(object_of(paths))
}

fn components(schemas: &Schemas<'_>) -> Result<Object> {
    let mut all = schemas.components()?;
    for (name, schema) in answers::problem_schemas() {
        ensure!(all.insert(name.to_owned(), schema).is_none(), "{name} is a message's name too");
    }
    Ok(Object::new()
        .with("schemas", object_of(all))
        .with("responses", answers::responses())
        .with("parameters", answers::parameters())
        .with("headers", answers::headers())
        .with("securitySchemes", answers::security()))
}
