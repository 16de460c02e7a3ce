//! The routes, read from the descriptors anew: what the gateway made of them is what is judged.

use anyhow::{Context as _, Result};
use prost_reflect::{DescriptorPool, DynamicMessage, FieldDescriptor, MethodDescriptor};

/// One binding of a method.
#[derive(Clone, Debug)]
pub(super) struct Route {
    pub(super) verb: &'static str,
    pub(super) template: String,
    /// Whether the body is the request.
    pub(super) takes_body: bool,
    pub(super) method: MethodDescriptor,
}

impl Route {
    /// The fields that the path states.
    pub(super) fn path_fields(&self) -> impl Iterator<Item = &str> {
        self.template.split('{').skip(1).filter_map(|rest| rest.split_once('}').map(|(name, _)| name))
    }

    /// The request's other fields, but the one that the gateway sets itself.
    pub(super) fn other_fields(&self) -> Vec<FieldDescriptor> {
        let is_other = |field: &FieldDescriptor| {
            field.name() != "request_id" && self.path_fields().all(|name| name != field.name())
        };
        self.method.input().fields().filter(is_other).collect()
    }

    /// Its path, with such a value in every place.
    pub(super) fn path(&self, value: &str) -> String {
        let mut path = String::new();
        for (nth, part) in self.template.split('{').enumerate() {
            match part.split_once('}') {
                Some((_, rest)) if nth > 0 => {
                    path.push_str(value);
                    path.push_str(rest);
                }
                _ => path.push_str(part),
            }
        }
        path
    }
}

/// All routes of all services.
pub(super) fn all(pool: &DescriptorPool) -> Result<Vec<Route>> {
    let http = pool.get_extension_by_name("google.api.http").context("no google.api.http")?;
    let mut routes = Vec::new();
    let services = pool.services().filter(|service| service.full_name().starts_with("petty."));
    for method in services.flat_map(|service| service.methods().collect::<Vec<_>>()) {
        let options = method.options();
        if options.has_extension(&http) {
            let rule = options.get_extension(&http);
            add(&mut routes, &method, rule.as_message().context("an HttpRule")?);
        }
    }
    Ok(routes)
}

fn add(routes: &mut Vec<Route>, method: &MethodDescriptor, rule: &DynamicMessage) {
    let text = |name: &str| rule.get_field_by_name(name).and_then(|value| value.as_str().map(str::to_owned));
    let verbs = [("get", "GET"), ("put", "PUT"), ("post", "POST"), ("delete", "DELETE"), ("patch", "PATCH")];
    for (name, verb) in verbs {
        if rule.has_field_by_name(name) {
            let takes_body = text("body").is_some_and(|body| !body.is_empty());
            let template = text(name).unwrap_or_default();
            routes.push(Route { verb, template, takes_body, method: method.clone() });
        }
    }
    if let Some(more) = rule.get_field_by_name("additional_bindings") {
        for rule in more.as_list().unwrap_or_default().iter().filter_map(|rule| rule.as_message()) {
            add(routes, method, rule);
        }
    }
}
