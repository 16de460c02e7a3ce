//! The admin port: liveness, readiness, metrics, log filter.
//!
//! Invariant: a process is ready only when it was started, everything it registered works, and it is not draining.

mod surface;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use opentelemetry::KeyValue;
use opentelemetry::metrics::Gauge;
use serde::Serialize;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::shutdown::Shutdown;
use crate::telemetry;

pub use surface::{AdminRequest, Surface, peer};

/// The check that stands for the service itself, until it says that it is up.
const STARTUP: &str = "startup";

/// What a process needs to be ready. Clones are the same.
#[derive(Clone)]
pub struct Readiness {
    checks: Arc<watch::Sender<BTreeMap<&'static str, Standing>>>,
    shutdown: Shutdown,
    measure: Option<Measure>,
}

/// The metric, and whose it is.
#[derive(Clone)]
struct Measure {
    gauge: Gauge<u64>,
    service: &'static str,
}

/// One thing that must work. Clones are the same.
#[derive(Clone)]
pub struct CheckHandle {
    name: &'static str,
    checks: Arc<watch::Sender<BTreeMap<&'static str, Standing>>>,
    measure: Option<Measure>,
}

/// What `/readyz` answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Whether requests may come.
    pub ready: bool,
    /// Each check.
    pub checks: Vec<CheckReport>,
}

/// One check, as `/readyz` shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CheckReport {
    /// What is checked.
    pub name: &'static str,
    /// Whether it works.
    pub ok: bool,
    /// What there is to say; also where it works, as a warning.
    pub detail: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Standing {
    ok: bool,
    detail: Cow<'static, str>,
}

impl Readiness {
    /// Not ready, until [`Readiness::started`].
    #[must_use]
    pub fn new(shutdown: Shutdown) -> Self {
        let readiness =
            Self { checks: Arc::new(watch::Sender::new(BTreeMap::new())), shutdown, measure: None };
        readiness.check(STARTUP).fail("starting");
        readiness
    }

    /// The same, whose checks are measured as a service's: a metric that is told when a check changes stays true where others are not told
    /// any more, because what they are read from is away.
    #[must_use]
    pub fn of(self, service: &'static str) -> Self {
        let gauge = telemetry::meter()
            .u64_gauge("petty_ready")
            .with_description("Whether what a service needs works, by check: 1 or 0")
            .build();
        let readiness = Self { measure: Some(Measure { gauge, service }), ..self };
        readiness.handle(STARTUP).measure(false);
        readiness
    }

    /// Something that must work from now on; it does not until its handle says so.
    #[must_use]
    pub fn check(&self, name: &'static str) -> CheckHandle {
        self.checks.send_modify(|checks| {
            checks.insert(name, Standing { ok: false, detail: "not checked yet".into() });
        });
        let handle = self.handle(name);
        handle.measure(false);
        handle
    }

    fn handle(&self, name: &'static str) -> CheckHandle {
        CheckHandle { name, checks: Arc::clone(&self.checks), measure: self.measure.clone() }
    }

    /// Says that the service is up. A gRPC server says so when it listens; a service without one says it itself.
    pub fn started(&self) {
        self.handle(STARTUP).ok("");
    }

    /// Whether requests may come.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        !self.shutdown.is_draining() && self.checks.borrow().values().all(|standing| standing.ok)
    }

    /// Everything there is to say.
    #[must_use]
    pub fn report(&self) -> Report {
        let mut checks: Vec<CheckReport> = self
            .checks
            .borrow()
            .iter()
            .map(|(name, Standing { ok, detail })| CheckReport { name, ok: *ok, detail: detail.to_string() })
            .collect();
        if self.shutdown.is_draining() {
            checks.push(CheckReport { name: "shutdown", ok: false, detail: "draining".to_owned() });
        }
        Report { ready: checks.iter().all(|check| check.ok), checks }
    }

    /// Resolves when it is ready.
    pub async fn ready(&self) {
        let mut changes = self.checks.subscribe();
        // The sender lives as long as `self`.
        let _ = changes.wait_for(|checks| checks.values().all(|standing| standing.ok)).await;
    }

    /// Resolves when readiness may have changed since the last time.
    pub(crate) fn changes(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut changes = self.checks.subscribe();
        let draining = self.shutdown.draining();
        async move {
            tokio::select! {
                _ = changes.changed() => {}
                () = draining => {}
            }
        }
    }
}

impl CheckHandle {
    /// It works; `detail` may warn.
    pub fn ok(&self, detail: impl Into<Cow<'static, str>>) {
        self.set(true, detail.into());
    }

    /// It does not.
    pub fn fail(&self, detail: impl Into<Cow<'static, str>>) {
        self.set(false, detail.into());
    }

    fn measure(&self, ok: bool) {
        if let Some(Measure { gauge, service }) = &self.measure {
            gauge.record(ok.into(), &[KeyValue::new("service", *service), KeyValue::new("check", self.name)]);
        }
    }

    fn set(&self, ok: bool, detail: Cow<'static, str>) {
        self.measure(ok);
        let standing = Standing { ok, detail };
        self.checks.send_if_modified(|checks| {
            let before = checks.insert(self.name, standing.clone());
            if before.as_ref().is_none_or(|before| before.ok != ok) {
                let Standing { detail, .. } = &standing;
                if ok {
                    tracing::info!(check = self.name, detail = detail.as_ref(), "works");
                } else {
                    tracing::warn!(check = self.name, detail = detail.as_ref(), "does not work");
                }
            }
            before.as_ref() != Some(&standing)
        });
    }
}

impl fmt::Debug for Readiness {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Readiness").field("report", &self.report()).finish()
    }
}

impl fmt::Debug for CheckHandle {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("CheckHandle").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The admin port's server, bound.
#[derive(Debug)]
pub struct AdminServer {
    listener: TcpListener,
    address: SocketAddr,
    readiness: Readiness,
    surface: Surface,
}

impl AdminServer {
    /// Binds the port.
    ///
    /// # Errors
    ///
    /// Where the address cannot be bound; the error names its variable.
    pub async fn bind(address: SocketAddr, readiness: Readiness) -> io::Result<Self> {
        let bound = async {
            let listener = TcpListener::bind(address).await?;
            let address = listener.local_addr()?;
            Ok::<_, io::Error>(Self { listener, address, readiness, surface: Surface::default() })
        };
        bound.await.map_err(|error| {
            io::Error::new(error.kind(), format!("PETTY_ADMIN_LISTEN: cannot listen on {address}: {error}"))
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// With what a service offers besides.
    #[must_use]
    pub fn with(self, surface: Surface) -> Self {
        Self { surface, ..self }
    }

    /// Answers until `end`.
    ///
    /// # Errors
    ///
    /// Where listening fails.
    pub async fn serve(self, end: impl Future<Output = ()> + Send + 'static) -> io::Result<()> {
        let router = router(self.readiness, self.surface).into_make_service_with_connect_info::<SocketAddr>();
        axum::serve(self.listener, router).with_graceful_shutdown(end).await
    }
}

fn router(readiness: Readiness, surface: Surface) -> Router {
    Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route("/log-filter", get(log_filter).put(set_log_filter))
        .with_state(readiness)
        .fallback_service(axum::routing::any(surface::answer).with_state(surface))
}

async fn readyz(State(readiness): State<Readiness>) -> Response {
    let report = readiness.report();
    let status = if report.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(report)).into_response()
}

async fn metrics() -> Response {
    const TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
    ([(header::CONTENT_TYPE, TYPE)], telemetry::prometheus_text()).into_response()
}

async fn log_filter() -> Response {
    match telemetry::log_filter() {
        Some(filter) => format!("{filter}\n").into_response(),
        None => (StatusCode::NOT_FOUND, "logging was not started here\n").into_response(),
    }
}

async fn set_log_filter(text: String) -> Response {
    match telemetry::set_log_filter(&text) {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(error @ telemetry::FilterError::Malformed(_)) => {
            (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response()
        }
        Err(error @ telemetry::FilterError::NotStarted) => {
            (StatusCode::NOT_FOUND, format!("{error}\n")).into_response()
        }
    }
}

#[cfg(test)]
mod tests;
