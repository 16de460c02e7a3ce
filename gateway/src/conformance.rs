//! A service that nobody has but these tests (`testing/petty/testing/v1/conformance.proto`), which uses all of what annotations
//! and proto3 JSON can say: from its descriptors to routes, to a stand-in that answers by gRPC.
//!
//! Nothing here is about any of its methods but the stand-in and what is asked of it: that is the point.

mod bodies;
mod kinds;
mod paths;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use http::{HeaderMap, Request};
use http_body_util::{BodyExt as _, Full};
use petty_chassis::admin::Readiness;
use petty_chassis::caller::{KeySource, Verifier};
use petty_chassis::types::Clock;
use petty_chassis::{ApiError, Shutdown, Tasks};
use petty_proto::auth::v1::Jwks;
use petty_proto::wkt::Empty;
use serde::Serialize;
use serde_json::Value;
use tonic::{Response, Status};

use crate::edge::{Edge, Process};
use crate::events::{Update, open};
use crate::routes::{Route, Verb, Way};
use crate::schema::{Field, Kind, Schema};
use crate::slot::{Choice, Slot};
use crate::sound::{Sound, Walk};
use crate::upstream::{RequestMessage, exchange};
use crate::{Limits, Upstreams};

use testing::v1::conformance_service_server::{ConformanceService, ConformanceServiceServer};
use testing::v1::*;

#[expect(unreachable_pub, clippy::allow_attributes, reason = "generated")]
mod testing {
    pub mod v1 {
        include!(concat!(env!("OUT_DIR"), "/petty.testing.v1.rs"));
        include!(concat!(env!("OUT_DIR"), "/petty.testing.v1.serde.rs"));
    }
}

#[expect(dead_code, unreachable_pub, reason = "generated")]
mod policy {
    use petty_proto::policy::*;
    include!(concat!(env!("OUT_DIR"), "/testing_policies.rs"));
}

include!(concat!(env!("OUT_DIR"), "/testing_routes.rs"));

/// Says what it was asked.
struct StandIn;

fn seen(request: &impl Serialize) -> Result<Response<Seen>, Status> {
    let text = serde_json::to_string(request).unwrap();
    Ok(Response::new(Seen { request: Some(serde_json::from_str(&text).unwrap()) }))
}

#[tonic::async_trait]
impl ConformanceService for StandIn {
    type CountStream = BoxStream<'static, Result<CountResponse, Status>>;

    async fn echo(&self, request: tonic::Request<EchoRequest>) -> Result<Response<EchoResponse>, Status> {
        Ok(Response::new(EchoResponse { everything: request.into_inner().everything }))
    }

    async fn find_things(
        &self,
        request: tonic::Request<FindThingsRequest>,
    ) -> Result<Response<Seen>, Status> {
        seen(request.get_ref())
    }

    async fn update_thing(
        &self,
        request: tonic::Request<UpdateThingRequest>,
    ) -> Result<Response<Seen>, Status> {
        seen(request.get_ref())
    }

    async fn set_tags(
        &self,
        request: tonic::Request<SetTagsRequest>,
    ) -> Result<Response<SetTagsResponse>, Status> {
        let SetTagsRequest { shelf, mut tags, note } = request.into_inner();
        if !note.is_empty() {
            tags.push(note);
        }
        Ok(Response::new(SetTagsResponse { count: tags.len() as i64 * i64::from(shelf), tags }))
    }

    async fn count(
        &self,
        request: tonic::Request<CountRequest>,
    ) -> Result<Response<Self::CountStream>, Status> {
        let numbers = 1..=request.into_inner().to;
        Ok(Response::new(stream::iter(numbers.map(|number| Ok(CountResponse { number }))).boxed()))
    }

    async fn ping(&self, _: tonic::Request<PingRequest>) -> Result<Response<Empty>, Status> {
        Ok(Response::new(Empty {}))
    }
}

struct NoKeys;

#[async_trait]
impl KeySource for NoKeys {
    async fn keys(&self) -> Result<Jwks, ApiError> {
        Ok(Jwks::default())
    }
}

/// The edge before it.
struct World {
    edge: Arc<Edge>,
    _tasks: Tasks,
}

struct Reply {
    status: u16,
    headers: HeaderMap,
    bytes: Bytes,
}

impl Reply {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or_else(|error| panic!("{error}: {:?}", self.bytes))
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The fields that a 400 names.
    #[track_caller]
    fn faults(&self) -> Vec<String> {
        assert_eq!(self.status, 400, "{:?}", self.bytes);
        let errors = self.json()["errors"].clone();
        errors.as_array().unwrap().iter().map(|error| error["field"].as_str().unwrap().to_owned()).collect()
    }
}

impl World {
    fn new() -> Self {
        let clock = Clock::manual("2026-11-21T12:00:00Z".parse().unwrap());
        let shutdown = Shutdown::new();
        let tasks = Tasks::new(shutdown.clone());
        let process = Process {
            readiness: Readiness::new(shutdown.clone()),
            clock: clock.clone(),
            tasks: tasks.clone(),
            shutdown,
        };
        let verifier = Verifier::new(Box::new(NoKeys), "petty", "petty", clock);
        let upstreams = Upstreams::default().with("testing", ConformanceServiceServer::new(StandIn));
        let edge = Edge::with_routes(ROUTES, upstreams, verifier, process, Limits::default()).unwrap();
        Self { edge: Arc::new(edge), _tasks: tasks }
    }

    async fn send_with(&self, verb: &str, target: &str, headers: &[(&str, &str)], body: &str) -> Reply {
        let mut request = Request::builder().method(verb).uri(target);
        if !body.is_empty() {
            request = request.header("content-type", "application/json");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(Bytes::copy_from_slice(body.as_bytes()))).unwrap();
        let (parts, body) = self.edge.answer(request).await.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        Reply { status: parts.status.as_u16(), headers: parts.headers, bytes }
    }

    async fn send(&self, verb: &str, target: &str, body: &str) -> Reply {
        self.send_with(verb, target, &[], body).await
    }

    /// What the service was asked, defaults left out.
    #[track_caller]
    fn seen(&self, verb: &str, target: &str, body: &str) -> impl Future<Output = Value> {
        let place = std::panic::Location::caller();
        let sent = format!("{place}: {verb} {target} {body}");
        async move {
            let reply = self.send(verb, target, body).await;
            assert_eq!(reply.status, 200, "{sent}: {:?}", reply.bytes);
            without_defaults(reply.json()["request"].clone())
        }
    }
}

/// Without what says nothing.
fn without_defaults(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let says = |value: &Value| match value {
                Value::Null => false,
                Value::Bool(truth) => *truth,
                Value::Number(number) => number.as_f64() != Some(0.0),
                Value::String(text) => !text.is_empty() && text != "0" && text != "COLOR_UNSPECIFIED",
                Value::Array(list) => !list.is_empty(),
                Value::Object(map) => !map.is_empty(),
            };
            let map = map.into_iter().map(|(name, value)| (name, without_defaults(value)));
            Value::Object(map.filter(|(_, value)| says(value)).collect())
        }
        other => other,
    }
}
