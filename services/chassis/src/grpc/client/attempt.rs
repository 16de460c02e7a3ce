//! One call, in as many attempts as its policy and the budget allow.

use std::error::Error as StdError;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body_util::{BodyExt as _, Full};
use opentelemetry::KeyValue;
use opentelemetry::metrics::Histogram;
use petty_proto::policy::{self, MethodPolicy, Repeat};
use tokio::time::Instant;
use tonic::body::Body;
use tonic::{Code, ConnectError, Status};
use tower::{Service as _, ServiceExt as _};
use tracing::Instrument as _;

use super::body::with_deadline;
use super::breaker::{Breaker, Permit};
use super::budget::Budget;
use super::endpoints::{Endpoint, Endpoints, TELLING};
use crate::error::{ApiError, Code as ErrorCode, chain};
use crate::grpc::identity::{Minter, TOKEN};
use crate::grpc::scope::{self, CallScope, Deadline, REQUEST_ID, RequestId};
use crate::grpc::server::{code_of, name_of};
use crate::telemetry;
use crate::types::{Clock, Entropy};

/// The header that carries the trace.
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// The most attempts of one call.
const ATTEMPTS: usize = 3;
/// How long to wait before an endpoint is tried again, the first time; then three times as long.
const BACKOFF: Duration = Duration::from_millis(50);
/// How long a call without a policy may take.
const WITHOUT_POLICY: Duration = Duration::from_secs(10);
/// Whoever gives up with so much of the time left gave up because of the time.
const NEARLY_OVER: Duration = Duration::from_millis(100);

/// A service, as it is called.
pub(super) struct Target {
    pub(super) service: &'static str,
    pub(super) name: Arc<str>,
    pub(super) endpoints: Endpoints,
    pub(super) breaker: Breaker,
    pub(super) budget: Budget,
    pub(super) minter: Option<Arc<Minter>>,
    pub(super) clock: Clock,
    pub(super) entropy: Entropy,
    pub(super) duration: Histogram<f64>,
}

/// A request that can be sent more than once.
struct Call {
    parts: Parts,
    body: Bytes,
    deadline: Deadline,
    /// Whether a second sending is harmless even where the first one arrived.
    repeatable: bool,
    /// Whether the answer goes on; the deadline is then that of its beginning.
    streams: bool,
}

/// What came of an attempt.
enum Outcome {
    /// An answer, be it a refusal.
    Answered(Response<Body>),
    /// The service said that it is not available.
    Refused(Response<Body>),
    /// Time ran out, by tonic's timer and not ours: here or there.
    Expired,
    /// The request never left.
    NotSent(tonic::transport::Error),
    /// The connection broke while it was on its way.
    Broken(tonic::transport::Error),
}

/// What came of asking with one permit.
struct Round {
    last: Result<Response<Body>, ApiError>,
    /// Whether to go on asking; it is paid for.
    again: bool,
}

impl Target {
    /// Calls, within the deadline.
    pub(super) async fn call(&self, request: Request<Body>) -> Response<Body> {
        let since = Instant::now();
        let policy = policy::of(request.uri().path());
        let method = policy.map_or("unknown", |policy| policy.path);
        let calling = std::pin::pin!(self.within_deadline(policy, request));
        // No trace would show it, and what is logged within names the peer by itself.
        let response =
            if telemetry::is_traced() { self.traced(policy, calling).await } else { calling.await };
        let attributes = [
            KeyValue::new("service", self.service),
            KeyValue::new("peer", self.name.clone()),
            KeyValue::new("method", method),
            KeyValue::new("code", name_of(code_of(&response))),
        ];
        self.duration.record(since.elapsed().as_secs_f64(), &attributes);
        response
    }

    /// A call, as a span of its own.
    async fn traced(
        &self,
        policy: Option<&'static MethodPolicy>,
        calling: impl Future<Output = Response<Body>>,
    ) -> Response<Body> {
        let span = tracing::error_span!(
            target: telemetry::SPAN,
            "call",
            otel.name = policy.map_or("unknown", |policy| policy.path),
            otel.kind = "client",
            otel.status_code = tracing::field::Empty,
            rpc.system = "grpc",
            rpc.service = policy.map_or("", |policy| policy.service),
            rpc.method = policy.map_or("", |policy| policy.method),
            rpc.grpc.status_code = tracing::field::Empty,
            peer.service = &*self.name,
        );
        let response = calling.instrument(span.clone()).await;
        let code = code_of(&response);
        span.record("rpc.grpc.status_code", i64::from(i32::from(code)));
        if matches!(code, Code::Internal | Code::Unknown | Code::Unavailable | Code::DeadlineExceeded) {
            span.record("otel.status_code", "ERROR");
        }
        response
    }

    async fn within_deadline(
        &self,
        policy: Option<&'static MethodPolicy>,
        request: Request<Body>,
    ) -> Response<Body> {
        let scope = CallScope::current();
        let (mut parts, body) = request.into_parts();
        let deadline = deadline(policy, &parts, scope.as_ref());
        if deadline.left().is_zero() {
            return expired();
        }
        self.stamp(&mut parts, scope);
        let Ok(body) = body.collect().await else {
            return refuse(ApiError::internal("the request's body cannot be read"));
        };
        let repeatable =
            policy.is_some_and(|policy| matches!(policy.repeat, Repeat::ReadOnly | Repeat::Idempotent));
        let streams = policy.is_some_and(|policy| policy.streams);
        let call = Call { parts, body: body.to_bytes(), deadline, repeatable, streams };
        self.budget.deposit();
        let since = Instant::now();
        let answered = {
            let attempts = std::pin::pin!(self.attempts(&call));
            tokio::time::timeout_at(deadline.0, attempts).await
        };
        let Ok(response) = answered else {
            // The attempt is dropped by now, and its endpoint left alone if it let us wait.
            if since.elapsed() >= TELLING {
                self.missed(Instant::now());
            }
            return expired();
        };
        // A stream had to begin by then, and goes on.
        if streams { response } else { with_deadline(response, deadline) }
    }

    /// No answer came. That says something of the target only where none of its endpoints is left to ask.
    fn missed(&self, now: Instant) {
        if self.endpoints.are_left_alone(now) {
            self.breaker.failed(now);
        }
    }

    /// Who asks, for which request, in which trace.
    fn stamp(&self, parts: &mut Parts, scope: Option<CallScope>) {
        let given = parts.extensions.get::<RequestId>().and_then(RequestId::header);
        let written = || parts.headers.get(REQUEST_ID).filter(|value| RequestId::is_one(value)).cloned();
        let request_id = given
            .or_else(written)
            .or_else(|| scope.and_then(|scope| scope.request_id.header()))
            .or_else(|| RequestId::new(&self.clock).header());
        if let Some(value) = request_id {
            parts.headers.insert(REQUEST_ID, once(value));
        }
        // Where spans are no traces, what was written of the trace is what there is to say.
        if !telemetry::is_traced()
            && let Some(written) = parts.headers.get_mut(TRACEPARENT)
        {
            written.set_sensitive(true);
        } else if let Some(value) =
            telemetry::traceparent().and_then(|text| HeaderValue::from_str(&text).ok())
        {
            parts.headers.insert(TRACEPARENT, once(value));
        }
    }

    async fn attempts(&self, call: &Call) -> Response<Body> {
        let mut tried: Vec<Arc<Endpoint>> = Vec::new();
        let mut backoff = BACKOFF;
        loop {
            let Some(permit) = self.breaker.admit(Instant::now()) else {
                return refuse(unavailable());
            };
            let Round { last, again } = self.round(call, permit, &mut tried).await;
            if again && self.endpoints.has_other(&tried) {
                continue;
            }
            if !again {
                // Turned into a status, and so logged, only where it is the end.
                return last.unwrap_or_else(refuse);
            }
            // From half to all of it, so that those who failed together do not come back together.
            let pause = backoff.mul_f64(0.5 + self.entropy.fraction() / 2.0);
            if call.deadline.left() <= pause {
                return last.unwrap_or_else(refuse);
            }
            tokio::time::sleep(pause).await;
            backoff *= 3;
        }
    }

    /// Asks, with one permit, one endpoint after the other until one says something: what one of them does not answer
    /// says nothing of the target while another is left.
    async fn round(&self, call: &Call, permit: Permit<'_>, tried: &mut Vec<Arc<Endpoint>>) -> Round {
        loop {
            let Some(endpoint) = self.endpoints.pick(tried).await else {
                permit.failed(Instant::now());
                let nobody = format!("no endpoint of {}", self.name);
                return Round {
                    last: Err(ApiError::unavailable("UPSTREAM_UNAVAILABLE", nobody)),
                    again: false,
                };
            };
            let outcome = self.attempt(call, &endpoint).await;
            let away = |error| Err(self.away(&endpoint, &error));
            let (last, may_repeat) = match outcome {
                Outcome::Answered(response) => {
                    permit.succeeded();
                    return Round { last: Ok(response), again: false };
                }
                // The timeout around all attempts says what it means for the breaker.
                Outcome::Expired => std::future::pending().await,
                Outcome::Refused(response) => (Ok(response), call.repeatable),
                Outcome::NotSent(error) => (away(error), true),
                Outcome::Broken(error) => (away(error), call.repeatable),
            };
            tried.push(endpoint);
            let again = may_repeat && tried.len() < ATTEMPTS && self.budget.withdraw();
            if last.is_ok() {
                permit.succeeded();
            } else if again && self.endpoints.has_other(tried) {
                continue;
            } else if self.endpoints.are_left_alone(Instant::now()) {
                permit.failed(Instant::now());
            }
            return Round { last, again };
        }
    }

    async fn attempt(&self, call: &Call, endpoint: &Endpoint) -> Outcome {
        let mut request = Request::new(Body::new(Full::new(call.body.clone())));
        *request.method_mut() = call.parts.method.clone();
        *request.uri_mut() = call.parts.uri.clone();
        *request.version_mut() = call.parts.version;
        *request.headers_mut() = call.parts.headers.clone();
        scope::set_timeout(request.headers_mut(), call.deadline.left());
        if let Err(error) = self.prove(request.headers_mut()) {
            return Outcome::Answered(refuse(ApiError::internal(error)));
        }
        let busy = endpoint.busy();
        let mut channel = endpoint.channel(call.streams);
        let answered = match channel.ready().await {
            Ok(ready) => ready.call(request).await,
            Err(error) => Err(error),
        };
        match answered {
            Ok(response) => {
                let code = code_of(&response);
                // A replica that ran out of time says so itself, or tonic's timer for it, and is left alone like one that says nothing.
                if !matches!(code, Code::DeadlineExceeded | Code::Cancelled) {
                    busy.answered();
                }
                match code {
                    Code::Unavailable => Outcome::Refused(response),
                    // No service answers so by itself, and nobody gave this call up. It is what tonic's timer says over there, which
                    // on a busy machine may be before that service's own; or the call was cut off.
                    Code::Cancelled if call.deadline.left() <= NEARLY_OVER => Outcome::Expired,
                    Code::Cancelled => Outcome::Refused(refuse(unavailable())),
                    _ => Outcome::Answered(response),
                }
            }
            Err(error) if ran_out(&error) => Outcome::Expired,
            Err(error) => {
                busy.failed();
                if never_sent(&error) { Outcome::NotSent(error) } else { Outcome::Broken(error) }
            }
        }
    }

    /// Adds the token that proves who is calling; with TLS the certificate does.
    fn prove(&self, headers: &mut HeaderMap) -> Result<(), crate::grpc::identity::KeyError> {
        if let Some(minter) = &self.minter {
            let mut token = minter.token(&self.name)?;
            // Marked, HPACK would spell it out with every call. It gives nothing away of a value that is not guessed whole
            // (RFC 7541, 7.1.3), and nobody guesses a signature. From here on the request is sent, and shown to nobody.
            token.set_sensitive(false);
            headers.insert(TOKEN, token);
        }
        Ok(())
    }

    fn away(&self, endpoint: &Endpoint, error: &tonic::transport::Error) -> ApiError {
        tracing::debug!(
            target: "petty::rpc",
            peer = &*self.name,
            endpoint = endpoint.address(),
            error = chain(error),
            "an attempt failed"
        );
        ApiError::unavailable("UPSTREAM_UNAVAILABLE", format!("{}: {}", self.name, chain(error)))
    }
}

/// A value of this one call: HPACK is not to remember it, which would push out what other calls say too.
fn once(mut value: HeaderValue) -> HeaderValue {
    value.set_sensitive(true);
    value
}

/// The first of: the policy's, the request's own, and that of the call that is being answered here.
fn deadline(policy: Option<&MethodPolicy>, parts: &Parts, scope: Option<&CallScope>) -> Deadline {
    let policy = Deadline::after(policy.map_or(WITHOUT_POLICY, |policy| policy.deadline));
    let asked = scope::timeout(&parts.headers).map(Deadline::after);
    let own = parts.extensions.get::<Deadline>().copied();
    let inherited = scope.and_then(|scope| scope.deadline);
    [asked, own, inherited].into_iter().flatten().fold(policy, Deadline::min)
}

/// Whether the request cannot have arrived: no connection was made.
fn never_sent(error: &tonic::transport::Error) -> bool {
    causes(error).any(|cause| cause.is::<ConnectError>())
}

/// Whether tonic's own timer was faster than ours.
fn ran_out(error: &tonic::transport::Error) -> bool {
    causes(error).any(|cause| cause.is::<tonic::TimeoutExpired>())
}

fn causes<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |error: &&'a (dyn StdError + 'static)| (*error).source())
}

fn unavailable() -> ApiError {
    let error =
        ApiError::new(ErrorCode::Unavailable, "UPSTREAM_UNAVAILABLE", "not available just now; try again");
    ApiError { retry_after: Some(Duration::from_secs(1)), ..error }
}

fn expired() -> Response<Body> {
    refuse(ApiError::new(ErrorCode::DeadlineExceeded, "DEADLINE_EXCEEDED", "time ran out"))
}

fn refuse(error: ApiError) -> Response<Body> {
    Status::from(error).into_http()
}
