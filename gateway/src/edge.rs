//! One request's way through the edge.
//!
//! Invariant, the order in which requests are refused: unknown path 404, other verb 405, unknown caller 401, wrong scope 403,
//! bad shape 400 (406, 413, 415, 426), and only then whatever the service says. Nobody unknown gets a body looked at.

mod socket;
mod translate;

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use anyhow::Context as _;
use bytes::Bytes;
use futures::FutureExt as _;
use http::header::{ALLOW, EXPECT, HeaderValue};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode, Version};
use http_body::Body;
use petty_chassis::admin::{self, AdminRequest, Readiness};
use petty_chassis::caller::{Caller, Verifier};
use petty_chassis::grpc::CallScope;
use petty_chassis::types::Clock;
use petty_chassis::{Shutdown, Tasks, telemetry};
use tokio::time::Instant;
use tracing::Instrument as _;

use crate::answer::AnswerBody;
use crate::body::{self, Room};
use crate::config::Limits;
use crate::cors::Origins;
use crate::docs;
use crate::idempotency::Sendings;
use crate::last_known::LastKnown;
use crate::metrics::Metrics;
use crate::order::Turns;
use crate::origin::{Origin, TrustedProxies};
use crate::personal::Exchanges;
use crate::presence::Presence;
use crate::problem::Problem;
use crate::quota::{Quotas, Rates, Standing};
use crate::router::{Found, Router};
use crate::routes::{ROUTES, Route};
use crate::socket as sockets;
use crate::sparing::Sparing;
use crate::stream::Streams;
use crate::turn::{Line, Places, WAIT};
use crate::upload::Uploads;
use crate::upstream::Upstreams;
use crate::{coding, headers, probes};

/// So many times as many requests as are answered at once may wait for their turn.
const WAITING: usize = 4;

/// So many who are refused are kept waiting for it; beyond, they are refused at once, as what waits takes memory.
const MOST_HELD_UP: usize = 4_096;

/// The edge: everything between a request and the services.
#[derive(Debug)]
pub struct Edge {
    /// What everybody may ask for.
    router: Router,
    /// What staff asks for, by another way in.
    staff: Router,
    upstreams: Upstreams,
    verifier: Verifier,
    readiness: Readiness,
    clock: Clock,
    limits: Limits,
    proxies: TrustedProxies,
    cors: Origins,
    turns: Arc<Turns>,
    places: Arc<Places>,
    held_up: Line,
    streams: Streams,
    uploads: Uploads,
    room: Room,
    metrics: Metrics,
    personal: Exchanges,
    quotas: Arc<Quotas>,
    sendings: Sendings,
    last_known: LastKnown,
    presence: Presence,
    failures: Sparing,
    tasks: Tasks,
    shutdown: Shutdown,
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

/// An extension of requests that came in by the way of staff.
#[derive(Clone, Copy, Debug)]
struct Staff;

/// An answer, and the route it came by.
struct Answered {
    response: Result<Response<AnswerBody>, Problem>,
    route: Option<&'static Route>,
    /// How the caller's quota stands, where there is one.
    standing: Option<Standing>,
}

impl Answered {
    /// By no route.
    fn without_route(response: Result<Response<AnswerBody>, Problem>) -> Self {
        Self { response, route: None, standing: None }
    }
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
        Self::with_routes(ROUTES, upstreams, verifier, process, limits)
    }

    /// The same, with these routes.
    pub(crate) fn with_routes(
        routes: &'static [Route],
        upstreams: Upstreams,
        verifier: Verifier,
        process: Process,
        limits: Limits,
    ) -> anyhow::Result<Self> {
        let routed = |wanted: fn(&Route) -> bool| {
            Router::new(routes.iter().filter(move |route| wanted(route)))
                .context("two routes cannot be told apart")
        };
        let (router, staff) = (routed(|route| !route.is_for_staff())?, routed(Route::is_for_staff)?);
        // Whoever has a place here may wait there. That is more than are left besides those at it: who was given a place is still in
        // the line until he runs.
        let upstreams = upstreams.each_with(limits.upstream_concurrency, limits.concurrency);
        for route in routes {
            upstreams
                .get(route.upstream)
                .with_context(|| format!("{} is answered by nobody", route.template))?;
        }
        let Process { readiness, clock, tasks, shutdown } = process;
        let places = Places::patient(limits.concurrency, limits.concurrency.saturating_mul(WAITING));
        let streams = Streams::new(limits, tasks.clone(), shutdown.clone());
        let metrics = Metrics::new();
        let personal = Exchanges::new(clock.clone());
        let proxies = TrustedProxies::default();
        Ok(Self {
            router,
            staff,
            upstreams,
            verifier,
            readiness,
            clock,
            limits,
            proxies,
            cors: Origins::default(),
            turns: Turns::new(limits.concurrency.saturating_mul(WAITING), tasks.clone()),
            places,
            held_up: Line::new(MOST_HELD_UP),
            streams,
            uploads: Uploads::new(limits),
            room: Room::new(limits),
            metrics,
            personal,
            quotas: Arc::new(Quotas::alone(Rates::unlimited())),
            sendings: Sendings::unrecorded(),
            last_known: LastKnown::nothing(),
            presence: Presence::default(),
            failures: Sparing::new(),
            tasks,
            shutdown,
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

    /// With these quotas; without, none.
    #[must_use]
    pub fn within(self, quotas: Quotas) -> Self {
        Self { quotas: Arc::new(quotas), ..self }
    }

    /// With a record of the requests that are being answered.
    #[must_use]
    pub fn recording(self, sendings: Sendings) -> Self {
        Self { sendings, ..self }
    }

    /// With what was last known, for when a service is away.
    #[must_use]
    pub fn remembering(self, last_known: LastKnown) -> Self {
        Self { last_known, ..self }
    }

    /// Counting who looks at a pet with other replicas.
    #[must_use]
    pub fn counting(self, presence: Presence) -> Self {
        Self { presence, ..self }
    }

    /// What is too much.
    #[must_use]
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Answers a request on the admin port: what is for staff, and nothing else.
    pub async fn answer_staff(&self, mut request: AdminRequest) -> Response<AnswerBody> {
        if let Some(peer) = admin::peer(&request) {
            request.extensions_mut().insert(Origin { address: peer.ip(), is_secure: false });
        }
        request.extensions_mut().insert(Staff);
        let is_head = request.method() == Method::HEAD;
        let response = self.answer(request).await;
        if is_head { coding::head_of(response) } else { response }
    }

    /// Answers a request, whatever happens; HEAD as GET, with the body, by which it is known what GET's head says.
    pub async fn answer<B>(&self, request: Request<B>) -> Response<AnswerBody>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let began = Instant::now();
        let (parts, mut body) = request.into_parts();
        let request_id = headers::request_id(&parts.headers, &self.clock);
        let traceparent = headers::traceparent(&parts.headers);
        let verb = verb(&parts.method);
        // Of the highest level, so that log lines keep their request id whatever is logged.
        let span = tracing::error_span!(
            target: telemetry::SPAN,
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
        let origin = parts.extensions.get::<Origin>().copied();
        let client_address = origin.map(|origin| self.proxies.client(origin.address, &parts.headers));
        let is_secure = origin.is_some_and(|origin| self.proxies.is_secure(origin, &parts.headers));
        let scope = CallScope { request_id: request_id.clone(), traceparent, deadline: None, client_address };
        // Pinned where it is made: whatever is handed on by value is moved, and this is large.
        let work = std::pin::pin!(async {
            let scope = CallScope { traceparent: telemetry::traceparent().or(scope.traceparent), ..scope };
            let answered = {
                let dispatched = std::pin::pin!(self.dispatch(&parts, &mut body, scope));
                AssertUnwindSafe(dispatched).catch_unwind().await
            };
            let answered = answered.unwrap_or_else(|panic| panicked(panic.as_ref()));
            let is_far_over = answered.standing.as_ref().is_some_and(|standing| standing.is_far_over);
            let overloaded = matches!(&answered.response, Err(problem) if problem.is_overloaded());
            if is_far_over || overloaded && began.elapsed() < WAIT {
                Box::pin(self.hold_up()).await;
            }
            let gave_up =
                matches!(&answered.response, Err(problem) if problem.status == StatusCode::REQUEST_TIMEOUT);
            if !gave_up && is_still_written(&parts, &body) {
                Box::pin(body::discard(&mut body)).await;
            }
            let mut response = match answered.response {
                Ok(response) => response,
                Err(problem) => problem.into_response(request_id.as_str()),
            };
            headers::stamp(response.headers_mut(), &request_id);
            if is_secure {
                headers::stamp_secure(response.headers_mut());
            }
            self.cors.stamp(&parts, response.headers_mut());
            if let Some(standing) = answered.standing {
                standing.stamp(response.headers_mut());
            }
            let template = answered.route.map_or("", |route| route.template);
            if let Some(route) = answered.route {
                headers::stamp_bare(response.headers_mut(), route);
                coding::mark(route.policy, &mut response);
            }
            let status = response.status();
            let took = began.elapsed();
            self.metrics.answered(verb, template, status, took);
            // Nobody else would read them.
            if telemetry::is_traced() || status.is_server_error() {
                if answered.route.is_some() {
                    span.record("otel.name", format!("{verb} {template}"));
                }
                span.record("http.route", template);
                span.record("http.response.status_code", status.as_u16());
            }
            let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
            // One line a request would cost more than many a request: the metrics count them all.
            match status.is_server_error().then(|| self.failures.may_say()).flatten() {
                Some(left_out) => {
                    tracing::warn!(status = status.as_u16(), took_us, left_out, "answered");
                }
                None => tracing::debug!(status = status.as_u16(), took_us, "answered"),
            }
            response
        });
        work.instrument(span.clone()).await
    }

    /// Keeps somebody waiting, who has no place any more and whose request is over but for its answer.
    async fn hold_up(&self) {
        let Some((_held, wait)) = self.held_up.enter() else { return };
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = self.shutdown.draining() => {}
        }
    }

    async fn dispatch<B>(&self, parts: &Parts, body: &mut B, scope: CallScope) -> Answered
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let path = parts.uri.path();
        let is_staff = parts.extensions.get::<Staff>().is_some();
        let router = if is_staff { &self.staff } else { &self.router };
        if let Some(response) = probes::answer(&parts.method, path, &self.readiness) {
            return Answered::without_route(response);
        }
        if let Some(response) = docs::answer(&parts.method, path, &parts.headers) {
            let mut standing = None;
            let counted = self.source(parts, &scope, &mut standing).await;
            return Answered { response: counted.and(response), route: None, standing };
        }
        let turn = match self.turns.take().await {
            Ok(turn) => self.places.take().await.map(|place| (turn, place)),
            Err(problem) => Err(problem),
        };
        let _turn = match turn {
            Ok(turn) => turn,
            Err(problem) => return Answered::without_route(Err(problem)),
        };
        if path == sockets::PATH && !is_staff {
            let mut standing = None;
            let response = match parts.method {
                Method::OPTIONS => Ok(verbs(sockets::ALLOW)),
                Method::GET => Box::pin(self.socket(parts, scope, &mut standing)).await,
                _ => Err(Problem::method_not_allowed().with(ALLOW, sockets::ALLOW)),
            };
            return Answered { response, route: None, standing };
        }
        let (route, fields) = match router.find(&parts.method, path) {
            Found::Route(route, fields) => (route, Ok(fields)),
            Found::BadSegment(route, name) => (route, Err(name)),
            Found::OtherVerbs(allow) => {
                let problem = Problem::method_not_allowed().with(ALLOW, header(&allow));
                return Answered::without_route(Err(problem));
            }
            Found::Options(allow) => {
                return Answered::without_route(Ok(verbs(header(&allow))));
            }
            Found::Nothing => {
                let problem =
                    Problem::new(StatusCode::NOT_FOUND, "ROUTE_NOT_FOUND", "There is nothing at this path.");
                return Answered::without_route(Err(problem));
            }
        };
        let mut standing = None;
        let response = self.translate(route, fields, parts, body, scope, &mut standing).await;
        Answered { response, route: Some(route), standing }
    }
}

/// The answer to OPTIONS.
fn verbs(allow: HeaderValue) -> Response<AnswerBody> {
    let mut response = Response::new(AnswerBody::default());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response.headers_mut().insert(ALLOW, allow);
    response
}

/// Whether a client is perhaps still writing a body that nobody has read: over HTTP/1.1 the connection is closed upon the
/// answer then, and who writes to a closed connection never gets to read it.
fn is_still_written<B: Body>(parts: &Parts, body: &B) -> bool {
    let waits =
        parts.headers.get(EXPECT).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"));
    parts.version < Version::HTTP_2 && !waits && !body.is_end_stream()
}

fn panicked(_: &(dyn Any + Send)) -> Answered {
    // The panic's own text is in the log already, by the panic hook.
    tracing::error!("answering a request panicked");
    Answered::without_route(Err(Problem::internal()))
}

/// As whom a caller is told from all others: collars' ids are texts of whoever pairs them, and may read like an account's.
fn known_as(caller: &Caller) -> String {
    match caller.device() {
        Some((collar, _)) => format!("collar:{collar}"),
        None => caller.account_id().to_string(),
    }
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
