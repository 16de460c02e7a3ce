//! The layers around every call, in their one order.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::{Request, Response};
use petty_proto::policy::{self, Audience, MethodPolicy};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tonic::body::Body;
use tonic::transport::server::{TcpConnectInfo, TlsConnectInfo};
use tonic::{Code, Status};
use tower::{Layer, Service, ServiceExt as _};
use tracing::{Instrument as _, Span};

use super::measure::{Measures, code_of, name_of};
use super::stream;
use crate::error::{ApiError, Code as ErrorCode};
use crate::grpc::identity::PeerVerifier;
use crate::grpc::scope::{self, CallScope, ClientAddress, Deadline, REQUEST_ID, RequestId};
use crate::service::Context;
use crate::shutdown::Shutdown;
use crate::types::Clock;
use crate::{tasks, telemetry};

/// The services of gRPC's own that anybody may ask, for as long as they like.
const OPEN: &[&str] = &["/grpc.health.v1.Health/", "/grpc.reflection.v1.ServerReflection/"];

/// tonic's own timeout is outside of ours and answers CANCELLED; ours must come first.
const BEFORE_TONIC: Duration = Duration::from_millis(3);

/// Puts a [`Stack`] around a service.
#[derive(Clone)]
pub(super) struct StackLayer {
    shared: Arc<Shared>,
}

/// A service with all layers around it.
#[derive(Clone)]
pub(super) struct Stack<S> {
    inner: S,
    shared: Arc<Shared>,
}

struct Shared {
    service: &'static str,
    instance: String,
    clock: Clock,
    verifier: PeerVerifier,
    permits: Semaphore,
    streams: Arc<Semaphore>,
    shutdown: Shutdown,
    measures: Measures,
}

/// What is known of a call by its path.
#[derive(Clone, Copy)]
enum Method {
    Ours(&'static MethodPolicy),
    Open,
    Unknown,
}

impl StackLayer {
    pub(super) fn new(context: &Context, verifier: PeerVerifier) -> Self {
        let shared = Shared {
            service: context.service,
            instance: context.base.instance.clone(),
            clock: context.clock.clone(),
            verifier,
            permits: Semaphore::new(context.base.grpc_concurrency),
            streams: Arc::new(Semaphore::new(context.base.grpc_streams)),
            shutdown: context.shutdown.clone(),
            measures: Measures::new(context.service),
        };
        Self { shared: Arc::new(shared) }
    }
}

impl<S> Layer<S> for StackLayer {
    type Service = Stack<S>;

    fn layer(&self, inner: S) -> Stack<S> {
        Stack { inner, shared: Arc::clone(&self.shared) }
    }
}

impl<S> Service<Request<Body>> for Stack<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _context: &mut TaskContext<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let (shared, inner) = (Arc::clone(&self.shared), self.inner.clone());
        Box::pin(async move { Ok(shared.trace(request, inner).await) })
    }
}

impl Method {
    fn of(path: &str) -> Self {
        if let Some(policy) = policy::of(path) {
            return Self::Ours(policy);
        }
        if OPEN.iter().any(|open| path.starts_with(open)) { Self::Open } else { Self::Unknown }
    }

    /// A name from a closed set: paths come from outside, and metrics must not grow with them.
    fn name(self) -> &'static str {
        match self {
            Self::Ours(policy) => policy.path,
            Self::Open => "health_or_reflection",
            Self::Unknown => "unknown",
        }
    }
}

impl Shared {
    /// Names the call: request id, trace and span, in the logs of everything inside and in the answer.
    async fn trace<S>(&self, mut request: Request<Body>, inner: S) -> Response<Body>
    where
        S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Send,
        S::Future: Send,
    {
        let method = Method::of(request.uri().path());
        let request_id =
            RequestId::from_headers(request.headers()).unwrap_or_else(|| RequestId::new(&self.clock));
        let remote = request
            .headers()
            .get("traceparent")
            .and_then(|value| value.to_str().ok())
            .filter(|value| telemetry::is_traceparent(value))
            .map(str::to_owned);
        let span = self.span(method, &request_id);
        if let Some(remote) = &remote {
            telemetry::follow(&span, remote);
        }
        request.extensions_mut().insert(request_id.clone());
        let header = request_id.header();
        let deadline = self.deadline(method, &request);
        let scope = CallScope { request_id, traceparent: remote, deadline, client_address: None };
        let answering = scope.run(self.measure(method, deadline, request, inner));
        let mut response = answering.instrument(span).await;
        if let Some(header) = header {
            response.headers_mut().insert(REQUEST_ID, header);
        }
        response
    }

    fn span(&self, method: Method, request_id: &RequestId) -> Span {
        let (service, name) = match method {
            Method::Ours(policy) => (policy.service, policy.method),
            Method::Open | Method::Unknown => ("", method.name()),
        };
        // Of the highest level, so that log lines keep their request id whatever is logged.
        tracing::error_span!(
            target: telemetry::SPAN,
            parent: None,
            "rpc",
            otel.name = method.name(),
            otel.kind = "server",
            otel.status_code = tracing::field::Empty,
            rpc.system = "grpc",
            rpc.service = service,
            rpc.method = name,
            rpc.grpc.status_code = tracing::field::Empty,
            service = self.service,
            instance = self.instance,
            request_id = request_id.as_str(),
        )
    }

    /// Measures how long it took, by method and code.
    async fn measure<S>(
        &self,
        method: Method,
        deadline: Option<Deadline>,
        request: Request<Body>,
        inner: S,
    ) -> Response<Body>
    where
        S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Send,
        S::Future: Send,
    {
        let since = Instant::now();
        let in_flight = self.measures.begin();
        let response = self.catch_panic(method, deadline, request, inner).await;
        drop(in_flight);
        let code = code_of(&response);
        self.measures.answered(method.name(), code, since);
        let span = Span::current();
        span.record("rpc.grpc.status_code", i64::from(i32::from(code)));
        if matches!(
            code,
            Code::Internal | Code::Unknown | Code::DataLoss | Code::Unavailable | Code::DeadlineExceeded
        ) {
            span.record("otel.status_code", "ERROR");
        }
        let elapsed_ms = since.elapsed().as_secs_f64() * 1e3;
        tracing::debug!(target: "petty::rpc", code = name_of(code), elapsed_ms, "answered");
        response
    }

    /// Answers INTERNAL where the handler panics; the connection and the process live on.
    async fn catch_panic<S>(
        &self,
        method: Method,
        deadline: Option<Deadline>,
        request: Request<Body>,
        inner: S,
    ) -> Response<Body>
    where
        S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Send,
        S::Future: Send,
    {
        let answering = self.limit_time(method, deadline, request, inner);
        AssertUnwindSafe(answering).catch_unwind().await.unwrap_or_else(|panic| {
            self.measures.panicked(method.name());
            refuse(ApiError::internal(format!("panic: {}", tasks::panic_text(panic.as_ref()))))
        })
    }

    /// When the call must be answered: the caller's timeout or the policy's deadline, whichever comes first.
    fn deadline(&self, method: Method, request: &Request<Body>) -> Option<Deadline> {
        let Method::Ours(policy) = method else { return None };
        let asked = scope::timeout(request.headers())
            .map(|timeout| timeout.saturating_sub(BEFORE_TONIC.min(timeout / 2)));
        Some(Deadline::after(asked.map_or(policy.deadline, |asked| asked.min(policy.deadline))))
    }

    /// Drops the work when its time is up.
    async fn limit_time<S>(
        &self,
        method: Method,
        deadline: Option<Deadline>,
        mut request: Request<Body>,
        inner: S,
    ) -> Response<Body>
    where
        S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Send,
        S::Future: Send,
    {
        let Some(deadline) = deadline else { return self.shed_load(method, request, inner).await };
        request.extensions_mut().insert(deadline);
        let answering = self.shed_load(method, request, inner);
        tokio::time::timeout_at(deadline.0, answering).await.unwrap_or_else(|_| {
            refuse(ApiError::new(ErrorCode::DeadlineExceeded, "DEADLINE_EXCEEDED", "time ran out"))
        })
    }

    /// Refuses what is too much at once, before it costs anything.
    async fn shed_load<S>(&self, method: Method, request: Request<Body>, inner: S) -> Response<Body>
    where
        S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Send,
        S::Future: Send,
    {
        if matches!(method, Method::Open) {
            return forward(request, inner).await;
        }
        let Ok(_permit) = self.permits.try_acquire() else { return self.overloaded("OVERLOADED") };
        let Method::Ours(policy @ MethodPolicy { streams: true, .. }) = method else {
            return self.identify(method, request, inner).await;
        };
        let Ok(place) = Arc::clone(&self.streams).try_acquire_owned() else {
            return self.overloaded("TOO_MANY_STREAMS");
        };
        let span = self.stream_span(policy, request.extensions().get::<RequestId>());
        let response = self.identify(method, request, inner).await;
        stream::keep_open(response, place, self.measures.open_stream(policy.path), span)
    }

    fn overloaded(&self, reason: &'static str) -> Response<Body> {
        self.measures.shed();
        let error = ApiError::new(ErrorCode::ResourceExhausted, reason, "too much at once; try again");
        refuse(ApiError { retry_after: Some(Duration::from_secs(1)), ..error })
    }

    /// Carries the call's names into the log lines of a stream. Not exported: the call's own span ends where it has begun.
    fn stream_span(&self, policy: &'static MethodPolicy, request_id: Option<&RequestId>) -> Span {
        tracing::error_span!(
            target: telemetry::SCOPE,
            parent: None,
            "stream",
            rpc.service = policy.service,
            rpc.method = policy.method,
            service = self.service,
            instance = self.instance,
            request_id = request_id.map(RequestId::as_str),
        )
    }

    /// Lets through the services that the method's policy names.
    async fn identify<S>(&self, method: Method, mut request: Request<Body>, inner: S) -> Response<Body>
    where
        S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Send,
        S::Future: Send,
    {
        let certificates =
            request.extensions().get::<TlsConnectInfo<TcpConnectInfo>>().and_then(TlsConnectInfo::peer_certs);
        let certificates = certificates.as_deref().map(Vec::as_slice);
        let identity = match self.verifier.verify(request.headers(), certificates).await {
            Ok(identity) => identity,
            Err(error) => return refuse(error),
        };
        let Method::Ours(policy) = method else {
            return Status::unimplemented("no such method").into_http();
        };
        if !policy.services.contains(&identity.as_str()) {
            tracing::warn!(
                peer = identity.as_str(),
                method = policy.path,
                "a service may not call this method"
            );
            let text = "the calling service may not call this method";
            return refuse(ApiError::new(ErrorCode::PermissionDenied, "SERVICE_NOT_ALLOWED", text));
        }
        if is_believed_of_clients(policy, identity.as_str())
            && let Some(address) = ClientAddress::from_headers(request.headers())
        {
            request.extensions_mut().insert(address);
        }
        request.extensions_mut().insert(identity);
        request.extensions_mut().insert(self.shutdown.clone());
        forward(request, inner).await
    }
}

/// Who may say where a client is: the gateway, and whoever asks on behalf of a caller that came by it.
fn is_believed_of_clients(policy: &MethodPolicy, service: &str) -> bool {
    service == "gateway" || (policy.audience == Audience::ServiceForCaller && service != "operator")
}

async fn forward<S>(request: Request<Body>, inner: S) -> Response<Body>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    match inner.oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

fn refuse(error: ApiError) -> Response<Body> {
    Status::from(error).into_http()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_a_client_is_says_the_gateway_or_who_asks_for_its_caller() {
        for (method, service, believed) in [
            (&policy::TOKEN_SERVICE_LOG_IN, "gateway", true),
            (&policy::TOKEN_SERVICE_LOG_IN, "ingest", false),
            (&policy::ACCESS_SERVICE_CHECK_ACCESS, "ingest", true),
            (&policy::ACCESS_SERVICE_CHECK_ACCESS, "operator", false),
            (&policy::ACCESS_SERVICE_DESCRIBE_PET, "ingest", false),
        ] {
            assert_eq!(is_believed_of_clients(method, service), believed, "{} {service}", method.path);
        }
    }
}
