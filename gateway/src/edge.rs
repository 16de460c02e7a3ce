//! One request's way through the edge.
//!
//! Invariant, the order in which requests are refused: unknown path 404, other verb 405, unknown caller 401, wrong scope 403,
//! bad shape 400 (406, 413, 415), and only then whatever the service says. Nobody unknown gets a body looked at.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use anyhow::Context as _;
use bytes::Bytes;
use futures::FutureExt as _;
use http::header::{ALLOW, CONTENT_LENGTH, CONTENT_TYPE, EXPECT, HeaderValue, WWW_AUTHENTICATE};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode, Version};
use http_body::Body;
use petty_chassis::admin::Readiness;
use petty_chassis::caller::{Caller, Unfit, Verifier};
use petty_chassis::grpc::CallScope;
use petty_chassis::types::Clock;
use petty_chassis::{Shutdown, Tasks, telemetry};
use petty_proto::policy::{Audience, MethodPolicy};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tonic::Status;
use tracing::Instrument as _;

use crate::answer::AnswerBody;
use crate::body::{self, Bounds, Content, Held, Room};
use crate::config::Limits;
use crate::cors::Origins;
use crate::metrics::Metrics;
use crate::origin::{Origin, TrustedProxies};
use crate::personal::{self, Exchanges};
use crate::problem::{FieldFault, Problem};
use crate::router::{Found, Router};
use crate::routes::{ROUTES, Route, Verb, Way};
use crate::stream::Streams;
use crate::upload::{self, Uploads};
use crate::upstream::{Answer, Channel, Exchange, Upstreams};
use crate::{etag, headers, probes, status, ticket};

/// The edge: everything between a request and the services.
#[derive(Debug)]
pub struct Edge {
    router: Router,
    upstreams: Upstreams,
    verifier: Verifier,
    readiness: Readiness,
    clock: Clock,
    limits: Limits,
    proxies: TrustedProxies,
    cors: Origins,
    permits: Semaphore,
    streams: Streams,
    uploads: Uploads,
    room: Room,
    metrics: Metrics,
    personal: Exchanges,
}

/// The process that an edge is part of.
#[derive(Clone, Debug)]
pub struct Process {
    /// Whether it is ready.
    pub readiness: Readiness,
    /// The time.
    pub clock: Clock,
    /// What runs beside requests: streams.
    pub tasks: Tasks,
    /// Its end, which is that of streams.
    pub shutdown: Shutdown,
}

/// An answer, and the route it came by.
struct Answered {
    response: Result<Response<AnswerBody>, Problem>,
    route: Option<&'static Route>,
}

impl Edge {
    /// An edge in front of these upstreams.
    ///
    /// # Errors
    ///
    /// Two routes cannot be told apart, or one has no upstream.
    pub fn new(
        upstreams: Upstreams,
        verifier: Verifier,
        process: Process,
        limits: Limits,
    ) -> anyhow::Result<Self> {
        let router = Router::new(ROUTES).context("two routes cannot be told apart")?;
        for route in ROUTES {
            upstreams
                .get(route.upstream)
                .with_context(|| format!("{} is answered by nobody", route.template))?;
        }
        let Process { readiness, clock, tasks, shutdown } = process;
        let permits = Semaphore::new(limits.concurrency);
        let streams = Streams::new(limits, tasks, shutdown);
        let metrics = Metrics::new();
        let personal = Exchanges::new(clock.clone());
        let proxies = TrustedProxies::default();
        Ok(Self {
            router,
            upstreams,
            verifier,
            readiness,
            clock,
            limits,
            proxies,
            cors: Origins::default(),
            permits,
            streams,
            uploads: Uploads::new(limits),
            room: Room::new(limits.bodies_bytes.max(limits.batch_bytes).max(limits.body_bytes)),
            metrics,
            personal,
        })
    }

    /// Behind these proxies, which are believed of where a client is.
    #[must_use]
    pub fn behind(self, proxies: TrustedProxies) -> Self {
        Self { proxies, ..self }
    }

    /// Letting the pages of these origins call.
    #[must_use]
    pub fn letting(self, cors: Origins) -> Self {
        Self { cors, ..self }
    }

    /// What is too much.
    #[must_use]
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Answers a request, whatever happens.
    pub async fn answer<B>(&self, request: Request<B>) -> Response<AnswerBody>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let began = Instant::now();
        let (parts, mut body) = request.into_parts();
        let request_id = headers::request_id(&parts.headers, &self.clock);
        let traceparent = headers::traceparent(&parts.headers);
        let verb = verb(&parts.method);
        let span = tracing::info_span!(
            "request",
            otel.kind = "server",
            otel.name = tracing::field::Empty,
            http.request.method = verb,
            http.route = tracing::field::Empty,
            http.response.status_code = tracing::field::Empty,
            request_id = request_id.as_str(),
        );
        if let Some(traceparent) = &traceparent {
            telemetry::follow(&span, traceparent);
        }
        let client_address =
            parts.extensions.get::<Origin>().map(|origin| self.proxies.client(origin.0, &parts.headers));
        let scope = CallScope { request_id: request_id.clone(), traceparent, deadline: None, client_address };
        let work = async {
            let scope = CallScope { traceparent: telemetry::traceparent().or(scope.traceparent), ..scope };
            let work = AssertUnwindSafe(self.dispatch(&parts, &mut body, scope)).catch_unwind();
            let answered = work.await.unwrap_or_else(|panic| panicked(panic.as_ref()));
            let gave_up =
                matches!(&answered.response, Err(problem) if problem.status == StatusCode::REQUEST_TIMEOUT);
            if !gave_up && is_still_written(&parts, &body) {
                body::discard(&mut body).await;
            }
            let mut response = match answered.response {
                Ok(response) => response,
                Err(problem) => problem.into_response(request_id.as_str()),
            };
            headers::stamp(response.headers_mut(), &request_id);
            self.cors.stamp(&parts, response.headers_mut());
            let template = answered.route.map_or("", |route| route.template);
            if let Some(route) = answered.route {
                headers::stamp_bare(response.headers_mut(), route);
                span.record("otel.name", format!("{verb} {template}"));
            }
            if parts.method == Method::HEAD {
                response = head_of(response);
            }
            let status = response.status();
            span.record("http.route", template);
            span.record("http.response.status_code", status.as_u16());
            self.metrics.answered(verb, template, status, began.elapsed());
            let took_us = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
            // One line a request would cost more than many a request: the metrics count them all.
            if status.is_server_error() {
                tracing::warn!(status = status.as_u16(), took_us, "answered");
            } else {
                tracing::debug!(status = status.as_u16(), took_us, "answered");
            }
            response
        };
        work.instrument(span.clone()).await
    }

    async fn dispatch<B>(&self, parts: &Parts, body: &mut B, scope: CallScope) -> Answered
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let path = parts.uri.path();
        if let Some(response) = probes::answer(&parts.method, path, &self.readiness) {
            return Answered { response, route: None };
        }
        let Ok(_permit) = self.permits.try_acquire() else {
            return Answered { response: Err(Problem::overloaded()), route: None };
        };
        let (route, fields) = match self.router.find(&parts.method, path) {
            Found::Route(route, fields) => (route, Ok(fields)),
            Found::BadSegment(route, name) => (route, Err(name)),
            Found::OtherVerbs(allow) => {
                let problem = Problem::method_not_allowed().with(ALLOW, header(&allow));
                return Answered { response: Err(problem), route: None };
            }
            Found::Options(allow) => {
                let mut response = Response::new(AnswerBody::default());
                *response.status_mut() = StatusCode::NO_CONTENT;
                response.headers_mut().insert(ALLOW, header(&allow));
                return Answered { response: Ok(response), route: None };
            }
            Found::Nothing => {
                let problem =
                    Problem::new(StatusCode::NOT_FOUND, "ROUTE_NOT_FOUND", "There is nothing at this path.");
                return Answered { response: Err(problem), route: None };
            }
        };
        Answered { response: self.translate(route, fields, parts, body, scope).await, route: Some(route) }
    }

    async fn translate<B>(
        &self,
        route: &'static Route,
        fields: Result<Vec<(&'static str, String)>, &'static str>,
        parts: &Parts,
        body: &mut B,
        scope: CallScope,
    ) -> Result<Response<AnswerBody>, Problem>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let policy = route.policy;
        let streams = matches!(route.way, Way::Stream(_));
        // Taken before a ticket is used up in vain.
        let place = if streams { Some(self.streams.place()?) } else { None };
        let ticket::Query { rest: query, ticket } = if streams {
            ticket::take(parts)
        } else {
            ticket::Query { rest: parts.uri.query().map(str::to_owned), ticket: None }
        };
        let (caller, authorization) = self.caller(parts, policy, ticket, &scope).await?;
        headers::check_version(&parts.headers, route)?;
        let access_reason = match &caller {
            Some(caller) => headers::access_reason(&parts.headers, caller)?,
            None => None,
        };
        let path = fields
            .map_err(|name| Problem::invalid(vec![FieldFault::new(name, "must be percent-encoded UTF-8")]))?;
        let idempotency_key = headers::idempotency_key(&parts.headers, policy)?;
        let last_event_id = if streams {
            headers::takes_events(&parts.headers)?;
            headers::last_event_id(&parts.headers)?
        } else {
            None
        };
        let is_upload = route.takes_lines() && upload::is_lines(&parts.headers);
        let (content, _held) = if route.takes_body && !is_upload {
            let bytes = if route.is_batch() { self.limits.batch_bytes } else { self.limits.body_bytes };
            let bounds = Bounds { bytes, time: self.limits.read_timeout };
            body::read(&parts.headers, &mut *body, bounds, route.takes_forms(), &self.room).await?
        } else {
            (Content::default(), Held::default())
        };
        let request_id = scope.request_id.clone();
        let exchange = Exchange {
            route,
            channel: self.upstream(route.upstream)?,
            path,
            query,
            body: content,
            subject: caller.map(|caller| caller.subject()).unwrap_or_default(),
            authorization,
            access_reason,
            idempotency_key,
            last_event_id,
            scope,
        };
        if is_upload {
            return whole(route, self.uploads.take(exchange, &parts.headers, body).await?);
        }
        let (call, place) = match (route.way, place) {
            (Way::Whole(call), _) => {
                let answer = call(exchange).await?;
                let tag = if route.verb == Verb::Get { etag::of(&answer) } else { None };
                return Ok(etag::stamp(&parts.headers, tag, whole(route, answer)?));
            }
            (Way::Stream(call), Some(place)) => (call, place),
            // A stream has its place, as above.
            (Way::Stream(_), None) => return Err(Problem::internal()),
        };
        let frames = call(exchange).await?;
        let mut response = if parts.method == Method::HEAD {
            Response::new(AnswerBody::default())
        } else {
            Response::new(self.streams.answer(frames, place, route, &request_id))
        };
        headers::stamp_events(response.headers_mut());
        Ok(response)
    }

    /// Who is calling, where the method asks, and the header to forward.
    async fn caller(
        &self,
        parts: &Parts,
        policy: &MethodPolicy,
        ticket: Option<String>,
        scope: &CallScope,
    ) -> Result<(Option<Arc<Caller>>, Option<HeaderValue>), Problem> {
        match policy.audience {
            // A token that is sent all the same is ignored, and not passed on.
            Audience::Public => Ok((None, None)),
            Audience::Account
            | Audience::AccountOrDevice
            | Audience::Service
            | Audience::ServiceForCaller => {
                let header = match ticket {
                    Some(ticket) => ticket::redeem(self.upstream("auth")?, ticket, scope).await?,
                    None => self.authorization(parts, scope).await?,
                };
                let verified = self.verifier.verify(headers::bearer(&header)?).await;
                let caller = verified.map_err(|error| status::problem(&Status::from(error)))?;
                Ok((Some(allowed(caller, policy)?), Some(header)))
            }
        }
    }

    /// The header of an access token: as it was sent, or that of the personal one that was.
    async fn authorization(&self, parts: &Parts, scope: &CallScope) -> Result<HeaderValue, Problem> {
        let header = headers::authorization(&parts.headers)?;
        match headers::bearer(&header)? {
            token if personal::is_personal(token) => {
                self.personal.exchange(self.upstream("auth")?, token, scope).await
            }
            _ => Ok(header),
        }
    }

    /// Checked when the edge was made: every route has its upstream.
    fn upstream(&self, service: &str) -> Result<Channel, Problem> {
        self.upstreams.get(service).ok_or_else(Problem::internal)
    }
}

fn whole(route: &Route, answer: Answer) -> Result<Response<AnswerBody>, Problem> {
    let mut response = Response::new(AnswerBody::from(answer.body));
    *response.status_mut() = answer.status;
    if answer.status != StatusCode::NO_CONTENT {
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    headers::stamp_success(response.headers_mut(), route, answer.replayed);
    Ok(response)
}

/// An answer without its body. Over HTTP/2, hyper would send it.
fn head_of(response: Response<AnswerBody>) -> Response<AnswerBody> {
    let (mut parts, body) = response.into_parts();
    if let Some(length) = body.length().filter(|length| *length > 0) {
        parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    Response::from_parts(parts, AnswerBody::default())
}

/// Whether a client is perhaps still writing a body that nobody has read: over HTTP/1.1 the connection is closed upon the
/// answer then, and who writes to a closed connection never gets to read it.
fn is_still_written<B: Body>(parts: &Parts, body: &B) -> bool {
    let waits =
        parts.headers.get(EXPECT).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"));
    parts.version < Version::HTTP_2 && !waits && !body.is_end_stream()
}

/// Whether the token by itself lets the caller call the method.
fn allowed(caller: Arc<Caller>, policy: &MethodPolicy) -> Result<Arc<Caller>, Problem> {
    caller.fits(policy).map_err(|unfit| {
        let problem = Problem::new(StatusCode::FORBIDDEN, unfit.reason(), status::sentence(&unfit.text()));
        match unfit {
            Unfit::Scope(scope) => {
                let challenge =
                    format!("Bearer realm=\"petty\", error=\"insufficient_scope\", scope=\"{scope}\"");
                problem.with(WWW_AUTHENTICATE, header(&challenge))
            }
            Unfit::Device | Unfit::PersonalToken | Unfit::Role(_) => problem,
        }
    })?;
    Ok(caller)
}

fn panicked(_: &(dyn Any + Send)) -> Answered {
    // The panic's own text is in the log already, by the panic hook.
    tracing::error!("answering a request panicked");
    Answered { response: Err(Problem::internal()), route: None }
}

/// A header of texts of ours.
fn header(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static(""))
}

/// A verb as metrics and spans name it: one of a closed set, never the client's own word.
fn verb(method: &Method) -> &'static str {
    const KNOWN: &[&str] = &["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE"];
    KNOWN.iter().copied().find(|known| *known == method.as_str()).unwrap_or("_OTHER")
}
