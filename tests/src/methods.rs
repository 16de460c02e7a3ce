//! Every method of every service, as the descriptors have it: a request written down once, as JSON, is sent over each of its
//! REST routes and over gRPC. So a method that is new is met by every test that goes through all of them.

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use petty::mesh::SERVICES;
use petty_proto::FILE_DESCRIPTOR_SET;
use petty_proto::policy::{METHODS, MethodPolicy};
use prost_reflect::prost::Message as _;
use prost_reflect::prost::bytes::Bytes;
use prost_reflect::{DescriptorPool, DynamicMessage, MethodDescriptor, Value as ProtoValue};
use reqwest::Method as Verb;
use serde_json::{Map, Value};

static POOL: LazyLock<DescriptorPool> =
    LazyLock::new(|| DescriptorPool::decode(FILE_DESCRIPTOR_SET).expect("the build encoded it"));

/// A method.
#[derive(Clone, Debug)]
pub struct Method {
    /// What it says of itself.
    pub policy: &'static MethodPolicy,
    /// Its REST routes; none where it is for services alone.
    pub routes: Vec<Route>,
    descriptor: MethodDescriptor,
}

/// A REST route.
#[derive(Clone, Debug)]
pub struct Route {
    /// The HTTP verb.
    pub verb: Verb,
    /// The path, with the request's fields in braces.
    pub template: String,
    /// Whether it takes the request, but for what is in the path, as its body.
    pub takes_body: bool,
}

/// A request as REST has it.
#[derive(Clone, Debug)]
pub struct RestRequest {
    /// The HTTP verb.
    pub verb: Verb,
    /// The path with its query.
    pub path: String,
    /// The body, where the route takes one.
    pub body: Option<Value>,
}

/// Every method.
///
/// # Panics
/// Where the descriptors and the policies disagree.
#[must_use]
pub fn all() -> Vec<Method> {
    let http = POOL.get_extension_by_name("google.api.http").expect("google.api.http");
    METHODS
        .iter()
        .map(|policy| {
            let service = POOL.get_service_by_name(policy.service).expect("a service");
            let descriptor =
                service.methods().find(|method| method.name() == policy.method).expect("a method");
            let options = descriptor.options();
            let mut routes = Vec::new();
            if options.has_extension(&http) {
                bindings(options.get_extension(&http).as_message().expect("an HttpRule"), &mut routes);
            }
            Method { policy, routes, descriptor }
        })
        .collect()
}

fn bindings(rule: &DynamicMessage, found: &mut Vec<Route>) {
    let text = |name: &str| {
        rule.get_field_by_name(name).and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
    };
    for name in ["get", "put", "post", "delete", "patch"] {
        if rule.has_field_by_name(name) {
            let verb = name.to_uppercase().parse().expect("a verb");
            found.push(Route { verb, template: text(name), takes_body: text("body") == "*" });
        }
    }
    let more = rule.get_field_by_name("additional_bindings");
    for rule in more.iter().filter_map(|more| more.as_list()).flatten().filter_map(ProtoValue::as_message) {
        bindings(rule, found);
    }
}

impl Method {
    /// The services that answer it.
    #[must_use]
    pub fn answered_by(&self) -> Vec<&'static str> {
        let package = self.policy.service.split('.').nth(1).unwrap_or_default();
        // Each service answers for its own outbox.
        SERVICES.into_iter().filter(|service| package == "events" || package == *service).collect()
    }

    /// A request over a route. Fields of the path are taken from the request, the others go into the body or the query.
    ///
    /// # Panics
    /// Where the request is no object, or lacks a field of the path.
    #[must_use]
    pub fn rest(&self, route: &Route, request: &Value) -> RestRequest {
        let mut fields = request.as_object().expect("a request is an object").clone();
        let mut path = String::new();
        for (index, part) in route.template.split(['{', '}']).enumerate() {
            if index % 2 == 0 {
                path.push_str(part);
            } else {
                let value = fields.remove(part);
                let value = value.unwrap_or_else(|| panic!("{}: the sample has no {part}", self.policy.path));
                path.push_str(value.as_str().expect("fields of a path are texts"));
            }
        }
        if route.takes_body {
            return RestRequest { verb: route.verb.clone(), path, body: Some(Value::Object(fields)) };
        }
        let query = query(&fields);
        if !query.is_empty() {
            path = format!("{path}?{query}");
        }
        RestRequest { verb: route.verb.clone(), path, body: None }
    }

    /// The request as protobuf; with a new `request_id`, where the method has one.
    ///
    /// # Panics
    /// Where the JSON is not the request's.
    #[must_use]
    pub fn protobuf(&self, request: &Value) -> Bytes {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let input = self.descriptor.input();
        let mut message = DynamicMessage::deserialize(input.clone(), request)
            .unwrap_or_else(|error| panic!("{}: the sample is no request: {error}", self.policy.path));
        if input.get_field_by_name("request_id").is_some() {
            let id = format!("sample-{}", COUNT.fetch_add(1, Ordering::Relaxed));
            message.set_field_by_name("request_id", ProtoValue::String(id));
        }
        message.encode_to_vec().into()
    }
}

/// The first system's bare paths and all the others: `verb template`, with the methods they belong to.
#[must_use]
pub fn routes() -> BTreeMap<String, &'static MethodPolicy> {
    let named = |method: Method| {
        let name = |route: Route| (format!("{} {}", route.verb, route.template), method.policy);
        method.routes.into_iter().map(name).collect::<Vec<_>>()
    };
    all().into_iter().flat_map(named).collect()
}

fn query(fields: &Map<String, Value>) -> String {
    let mut url = reqwest::Url::parse("http://localhost").expect("a URL");
    {
        let mut pairs = url.query_pairs_mut();
        for (name, value) in fields {
            let values = value.as_array().map_or_else(|| vec![value.clone()], Clone::clone);
            for value in values {
                let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                pairs.append_pair(name, &text);
            }
        }
    }
    url.query().unwrap_or_default().to_owned()
}
