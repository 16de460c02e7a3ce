//! One exchange with an upstream: the request decoded, sent with its deadline and identities, the answer encoded.
//!
//! Invariant: the user's token is forwarded as it came; the gateway says nothing of its own about who the user is.

use std::collections::BTreeMap;
use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use http::uri::PathAndQuery;
use http::{Extensions, StatusCode};
use petty_chassis::access::{ACCESS_REASON, AccessReason};
use petty_chassis::grpc::gate::ACCEPTED;
use petty_chassis::grpc::{CLIENT_ADDRESS, CallScope, Deadline};
use petty_proto::policy::MethodPolicy;
use petty_proto::wkt::FieldMask;
use prost::Message;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tonic::client::Grpc;
use tonic::metadata::MetadataMap;
use tonic::{Code, Status};
use tower::ServiceExt as _;
use tower::util::BoxCloneSyncService;

use crate::body::Content;
use crate::codec::AsBytes;
use crate::form::Form;
use crate::headers;
use crate::idempotency::Sendings;
use crate::json;
use crate::problem::{FieldFault, Problem};
use crate::query::{self, Taken};
use crate::routes::{Route, Verb};
use crate::schema::Schema;
use crate::sound::Sound;
use crate::status;
use crate::turn::{Openings, Place, Places};

/// The largest answer that is taken from an upstream.
const MOST_ANSWER_BYTES: usize = 32 << 20;

/// The headers of a call, with those that its way to the upstream adds.
const MOST_CARRIED: usize = 12;
const ADDRESS: HeaderName = HeaderName::from_static(CLIENT_ADDRESS);

/// How much longer than its deadline an upstream is waited for, so that its own answer comes first.
const GRACE: Duration = Duration::from_millis(250);

/// A failure to reach an upstream at all.
pub type BoxError = Box<dyn StdError + Send + Sync>;

/// A way to an upstream.
pub(crate) type Channel =
    BoxCloneSyncService<http::Request<tonic::body::Body>, http::Response<tonic::body::Body>, Status>;

/// The ways to all upstreams, by service.
#[derive(Clone, Default)]
pub struct Upstreams(BTreeMap<&'static str, Way>);

/// The way to one, and how many may be on it at once.
#[derive(Clone)]
struct Way {
    channel: Channel,
    places: Arc<Places>,
    openings: Openings,
}

impl Upstreams {
    /// With a way to a service, `auth` for example.
    #[must_use]
    pub fn with<C, B>(mut self, service: &'static str, channel: C) -> Self
    where
        C: tower::Service<http::Request<tonic::body::Body>, Response = http::Response<B>>
            + Clone
            + Send
            + Sync
            + 'static,
        C::Error: Into<BoxError>,
        C::Future: Send + 'static,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let channel = channel
            .map_response(|response| response.map(tonic::body::Body::new))
            .map_err(|error: C::Error| unreachable(error.into().as_ref()));
        let places = Places::new(usize::MAX, 0);
        let openings = Openings::new(&places, usize::MAX, 0);
        self.0.insert(service, Way { channel: BoxCloneSyncService::new(channel), places, openings });
        self
    }

    /// Each of them with so many calls at once, for which so many may wait. Subscriptions that are being opened have half of them.
    pub(crate) fn each_with(mut self, most: usize, line: usize) -> Self {
        let half = most.div_ceil(2);
        for way in self.0.values_mut() {
            // Subscriptions come beside those who may wait here.
            way.places = Places::new(most, line.saturating_add(half));
            way.openings = Openings::new(&way.places, half, line);
        }
        self
    }

    /// The way to a service.
    pub(crate) fn get(&self, service: &str) -> Option<Channel> {
        self.0.get(service).map(|way| way.channel.clone())
    }

    /// A place among a service's calls, until it is dropped.
    pub(crate) async fn place(&self, service: &str) -> Result<Place, Problem> {
        self.0.get(service).ok_or_else(Problem::internal)?.places.take().await
    }

    /// The places among a service's calls of subscriptions that are being opened.
    pub(crate) fn openings(&self, service: &str) -> Result<Openings, Problem> {
        self.0.get(service).map(|way| way.openings.clone()).ok_or_else(Problem::internal)
    }
}

/// What could not be sent was not answered: later it may go through. (tonic would call most of it unknown.)
fn unreachable(error: &(dyn StdError + Send + Sync + 'static)) -> Status {
    match error.downcast_ref::<Status>() {
        Some(status) => status.clone(),
        None => {
            tracing::warn!(%error, "an upstream cannot be reached");
            Status::unavailable("cannot be reached")
        }
    }
}

impl fmt::Debug for Upstreams {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.0.keys()).finish()
    }
}

/// A request message of a route; implemented by the generated code.
pub(crate) trait RequestMessage: Message + DeserializeOwned + Default + Sound + 'static {
    /// What it looks like.
    const SCHEMA: &'static Schema;

    /// States a field that a path has.
    ///
    /// # Errors
    ///
    /// What is wrong with the text.
    fn state(&mut self, name: &str, text: &str) -> Result<(), &'static str>;

    /// Its `request_id`, where it has one.
    fn request_id(&mut self) -> Option<&mut String> {
        None
    }

    /// Which fields are to be changed, where it says that.
    fn update_mask(&mut self) -> Option<&mut Option<FieldMask>> {
        None
    }

    /// Of a stream: what a client saw last, where the request has that.
    fn last_event_id(&mut self) -> Option<&mut String> {
        None
    }
}

/// All that a request brings.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) route: &'static Route,
    pub(crate) channel: Channel,
    /// The fields in the path, decoded.
    pub(crate) path: Vec<(&'static str, String)>,
    pub(crate) query: Option<String>,
    pub(crate) body: Content,
    /// As whom the caller is known; empty for anybody.
    pub(crate) subject: String,
    pub(crate) authorization: Option<HeaderValue>,
    /// Why staff looks.
    pub(crate) access_reason: Option<AccessReason>,
    pub(crate) idempotency_key: Option<String>,
    /// What the client of a stream saw last, by its header.
    pub(crate) last_event_id: Option<String>,
    /// How a stream goes out.
    pub(crate) form: Form,
    /// The request's id and trace.
    pub(crate) scope: CallScope,
    /// The keys of requests that are being answered.
    pub(crate) sendings: Sendings,
}

/// An answer of success.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: Bytes,
    /// Whether it is the answer to an earlier sending.
    pub(crate) replayed: bool,
}

/// Decodes, calls, encodes.
pub(crate) fn exchange<Req, Resp>(
    exchange: Exchange,
) -> impl Future<Output = Result<Answer, Problem>> + Send + 'static
where
    Req: RequestMessage,
    Resp: Message + Serialize + Default + 'static,
{
    // What depends on the messages is compiled for each method, and so is kept short; the call itself is of bytes.
    let asked = decode::<Req>(&exchange).map(|mut message| {
        let id = message.request_id().cloned();
        Asked { message: message.encode_to_vec().into(), id }
    });
    ask(exchange, asked, said::<Resp>)
}

/// A request, as protobuf.
struct Asked {
    message: Bytes,
    id: Option<String>,
}

/// Why there is no JSON of an answer.
enum Unsaid {
    Unread(prost::DecodeError),
    Unwritten(serde_json::Error),
}

impl Unsaid {
    fn problem(self, policy: &MethodPolicy) -> Problem {
        match self {
            Self::Unread(error) => status::problem(&Status::internal(error.to_string())),
            Self::Unwritten(error) => {
                tracing::error!(%error, method = policy.path, "an upstream's answer has no JSON");
                Problem::internal()
            }
        }
    }
}

/// An answer as JSON, or one field of it.
fn said<Resp: Message + Serialize + Default>(answer: Bytes, field: Option<&str>) -> Result<Vec<u8>, Unsaid> {
    let answer = Resp::decode(answer).map_err(Unsaid::Unread)?;
    match field {
        None => serde_json::to_vec(&answer),
        Some(name) => {
            serde_json::to_value(&answer).and_then(|answer| serde_json::to_vec(&json::part(answer, name)))
        }
    }
    .map_err(Unsaid::Unwritten)
}

async fn ask(
    exchange: Exchange,
    asked: Result<Asked, Problem>,
    said: fn(Bytes, Option<&str>) -> Result<Vec<u8>, Unsaid>,
) -> Result<Answer, Problem> {
    let policy = exchange.route.policy;
    let Asked { message, id } = asked?;
    let sending = match (&exchange.idempotency_key, id) {
        (Some(_), Some(id)) => Box::pin(exchange.sendings.begin(policy, &id, &message)).await?,
        _ => None,
    };
    let request = carrying(&exchange, message);
    let mut client = Grpc::new(exchange.channel).max_decoding_message_size(MOST_ANSWER_BYTES);
    // Pinned where it is made: what takes it by value would hold it once more, and it is large.
    let call = std::pin::pin!(async {
        client.ready().await?;
        client.unary(request, PathAndQuery::from_static(policy.path), AsBytes).await
    });
    let response = within(policy, exchange.scope, call).await?;
    if let Some(sending) = sending {
        Box::pin(sending.answered(policy)).await;
    }
    let (metadata, answer, _) = response.into_parts();
    let replayed = metadata.get("idempotency-replayed").is_some_and(|value| value == "true");
    let accepted = policy.may_be_accepted && metadata.get(ACCEPTED).is_some();
    let status = StatusCode::from_u16(policy.success_status).unwrap_or(StatusCode::OK);
    let status = if accepted { StatusCode::ACCEPTED } else { status };
    let body = if status == StatusCode::NO_CONTENT {
        Bytes::new()
    } else if accepted {
        Bytes::from_static(b"{}")
    } else {
        said(answer, exchange.route.answer_field).map_err(|unsaid| unsaid.problem(policy))?.into()
    };
    Ok(Answer { status, body, replayed })
}

/// The message, and what goes with it.
pub(crate) fn request<Req: RequestMessage>(exchange: &Exchange) -> Result<tonic::Request<Req>, Problem> {
    Ok(carrying(exchange, decode(exchange)?))
}

/// A message, with what goes with it.
pub(crate) fn carrying<Req>(exchange: &Exchange, message: Req) -> tonic::Request<Req> {
    let mut headers = HeaderMap::with_capacity(MOST_CARRIED);
    if let Some(value) = &exchange.authorization {
        headers.insert(AUTHORIZATION, value.clone());
    }
    let mut request =
        tonic::Request::from_parts(MetadataMap::from_headers(headers), Extensions::new(), message);
    request.set_timeout(exchange.route.policy.deadline);
    carry(request.metadata_mut(), &exchange.scope);
    if let Some(value) = exchange.access_reason.as_ref().and_then(AccessReason::metadata) {
        request.metadata_mut().insert(ACCESS_REASON, value);
    }
    request
}

/// What every call of the gateway's carries of the request that it is made for. Nothing of it is a header as the client sent
/// it.
pub(crate) fn carry(metadata: &mut MetadataMap, scope: &CallScope) {
    let address = scope.client_address.map(|address| address.to_string());
    let carried = [
        (headers::TRACEPARENT, scope.traceparent.as_deref()),
        (headers::REQUEST_ID, Some(scope.request_id.as_str())),
        (ADDRESS, address.as_deref()),
    ];
    for (name, value) in carried {
        if let Some(value) = value.and_then(|value| HeaderValue::from_str(value).ok()) {
            metadata.as_mut().insert(name, value);
        }
    }
}

/// What a call of this method answers, within its deadline; of a stream, the head of the answer.
pub(crate) async fn within<T>(
    policy: &MethodPolicy,
    scope: CallScope,
    call: impl Future<Output = Result<T, Status>>,
) -> Result<T, Problem> {
    let scope = CallScope { deadline: Some(Deadline::after(policy.deadline)), ..scope };
    match tokio::time::timeout(policy.deadline + GRACE, scope.run(call)).await {
        Ok(Ok(response)) => Ok(response),
        Ok(Err(status)) => Err(status::problem(&status)),
        Err(_) => Err(status::problem(&Status::new(Code::DeadlineExceeded, "no answer"))),
    }
}

/// The request message of path, query, body, key and what was seen last.
fn decode<Req: RequestMessage>(exchange: &Exchange) -> Result<Req, Problem> {
    let lenient = exchange.route.policy.lenient_json;
    let query = exchange.query.as_deref().unwrap_or_default();
    let taken = Taken::Some { path: &exchange.path, body: exchange.route.body_field };
    let mut message: Req = if let Some(field) = exchange.route.body_field {
        member(exchange, query::parse(query, Req::SCHEMA, taken, lenient)?, field)?
    } else if exchange.route.takes_body {
        query::parse(query, Req::SCHEMA, Taken::All, lenient)?;
        match &exchange.body {
            Content::Json(body) => json::decode(body, Req::SCHEMA, lenient, exchange.route.most_objects())?,
            Content::Form(body) => {
                let form = std::str::from_utf8(body).map_err(|_| {
                    Problem::invalid(vec![FieldFault::new("body", "must be percent-encoded UTF-8")])
                })?;
                let value = query::parse(form, Req::SCHEMA, taken, lenient)?;
                json::decode_value(value, Req::SCHEMA, lenient)?
            }
        }
    } else if query.is_empty() {
        Req::default()
    } else {
        let value = query::parse(query, Req::SCHEMA, taken, lenient)?;
        json::decode_value(value, Req::SCHEMA, lenient)?
    };
    for (name, value) in &exchange.path {
        let fault = |reason| Problem::invalid(vec![FieldFault::new(*name, reason)]);
        message.state(name, value).map_err(fault)?;
    }
    // The client itself keeps the header up to date when it comes back; its URL stays as it was.
    if let Some(seen) = &exchange.last_event_id
        && let Some(field) = message.last_event_id()
    {
        field.clone_from(seen);
    }
    if let Some(request_id) = message.request_id() {
        // What is well-formed is read without the schema, which has no request_id.
        if !request_id.is_empty() && !lenient {
            return Err(Problem::invalid(vec![FieldFault::new(
                "request_id",
                "is not a field of this request",
            )]));
        }
        *request_id = match &exchange.idempotency_key {
            Some(key) => derive_request_id(&exchange.subject, exchange.route.policy.path, key),
            None => String::new(),
        };
    }
    Ok(message)
}

/// The message of a body that is one of its fields, and of a query for the others. Which fields a PATCH changes is what its body
/// names, unless the query says so.
fn member<Req: RequestMessage>(
    exchange: &Exchange,
    query: Value,
    field: &'static str,
) -> Result<Req, Problem> {
    let lenient = exchange.route.policy.lenient_json;
    let Content::Json(body) = &exchange.body else { return Err(Problem::internal()) };
    let mut message: Req = json::decode_member(body, field, lenient, exchange.route.most_objects())?;
    if query.as_object().is_none_or(|query| !query.is_empty()) {
        // Of no field do both say something: that would be a parameter that the request does not have.
        let others: Req = json::decode_value(query, Req::SCHEMA, lenient)?;
        message.merge(others.encode_to_vec().as_slice()).map_err(|error| {
            tracing::error!(%error, "a message cannot be read again");
            Problem::internal()
        })?;
    }
    if exchange.route.verb == Verb::Patch
        && let Some(mask) = message.update_mask()
        && mask.as_ref().is_none_or(|mask| mask.paths.is_empty())
        && let Some(field) = Req::SCHEMA.field(field)
    {
        let mut paths = json::named(body, field)?;
        // What the path states is not what changes.
        let within = |name: &str, path: &str| name.split_once('.') == Some((field.name, path));
        paths.retain(|path| !exchange.path.iter().any(|(name, _)| within(name, path)));
        *mask = Some(FieldMask { paths });
    }
    Ok(message)
}

/// The `request_id` of a key: the caller's own, and of one method.
pub(crate) fn derive_request_id(subject: &str, method: &str, key: &str) -> String {
    let mut hash = Sha256::new();
    for part in [subject, method, key] {
        // With its length, so that no two triples read alike.
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    hex::encode(hash.finalize())
}

#[cfg(test)]
mod tests;
