//! Logs, traces and metrics.
//!
//! Invariants: each log line is one JSON object on stderr with the request's and the trace's id; a field that names
//! something secret or personal is written `[redacted]`, in logs and in exported spans alike; nothing is exported where no
//! endpoint is set.

mod cache;
mod export;
mod filter;
mod json;
mod metrics;
mod number;
mod redaction;
#[cfg(test)]
mod tests;
mod trace;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, Registry};

use crate::config::{BaseConfig, Environment};

pub use cache::CacheMeasures;
pub use filter::{FilterError, log_filter, set_log_filter};
pub use json::JsonLayer;
pub use metrics::{Metric, MetricFamily, gathered, meter, prometheus_text};
pub use redaction::REDACTED;
pub(crate) use trace::is_valid as is_traceparent;
pub use trace::{follow, traceparent};

/// The target of spans that are logged and traced whatever is logged: those of calls.
pub const SPAN: &str = "petty::span";
/// The target of spans that only carry names into log lines and are no traces of their own.
pub const SCOPE: &str = "petty::scope";

/// Whether this process' spans become traces.
static TRACED: AtomicBool = AtomicBool::new(true);

/// Whether spans become traces. Where they do not, as in a process that exports nothing, what only a trace would show need
/// not be there.
#[must_use]
pub fn is_traced() -> bool {
    TRACED.load(Ordering::Relaxed)
}

/// Keeps the exporters; flush with [`Guard::shutdown`].
#[derive(Debug)]
pub struct Guard {
    tracer: Option<SdkTracerProvider>,
}

/// Starts logging for the process, and exporting where `config` says where to. Call once, within the runtime.
///
/// # Errors
///
/// Where another subscriber is set already, or the OTLP endpoint cannot be used at all.
pub fn init(service: &'static str, config: &BaseConfig) -> Result<Guard, io::Error> {
    let endpoint = config.otlp_endpoint.as_deref();
    start(service, &config.instance, &config.log, endpoint, BoxMakeWriter::new(io::stderr))
}

/// As [`init`], for several services in one process, which leave the terminal to its user: logs go to a file, made anew.
/// `PETTY_LOG` and `PETTY_OTLP_ENDPOINT` are heeded.
///
/// # Errors
///
/// As [`init`], or where the file cannot be written.
pub fn init_to_file(
    process: &'static str,
    environment: &Environment,
    path: &Path,
) -> Result<Guard, io::Error> {
    let file = private_file(path)?;
    let log = environment.get("PETTY_LOG").unwrap_or("info");
    start(process, "", log, environment.get("PETTY_OTLP_ENDPOINT"), BoxMakeWriter::new(Arc::new(file)))
}

/// A file that only its owner reads, made anew.
fn private_file(path: &Path) -> io::Result<std::fs::File> {
    use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
    let file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    // One that was there before keeps its mode.
    file.set_permissions(std::fs::Permissions::from_mode(0o600))?;
    Ok(file)
}

fn start(
    service: &'static str,
    instance: &str,
    log: &str,
    endpoint: Option<&str>,
    writer: BoxMakeWriter,
) -> Result<Guard, io::Error> {
    let resource = export::resource(service, instance);
    metrics::start(endpoint, &resource)?;
    let (filter, handle) = filter::reloadable(log).map_err(io::Error::other)?;
    let json = JsonLayer::new(writer).with_defaults(service, Arc::from(instance));
    let tracer = match endpoint {
        Some(endpoint) => {
            let tracer = SdkTracerProvider::builder().with_resource(resource);
            let tracer = tracer.with_batch_exporter(export::spans(endpoint)?).build();
            let otel = tracing_opentelemetry::layer()
                .with_tracer(tracer.tracer("petty"))
                .with_location(false)
                .with_threads(false)
                .with_tracked_inactivity(false)
                .with_filter(trace::exported());
            let subscriber = Registry::default().with(json.with_filter(filter)).with(otel);
            subscriber.try_init().map_err(io::Error::other)?;
            Some(tracer)
        }
        // OpenTelemetry's part of each span would be made for nobody.
        None => {
            // Nor is there anybody else whom a filter of its own would let see more.
            let subscriber = Registry::default().with(filter).with(json.numbering());
            subscriber.try_init().map_err(io::Error::other)?;
            TRACED.store(false, Ordering::Relaxed);
            None
        }
    };
    filter::install(handle);
    log_panics();
    Ok(Guard { tracer })
}

impl Guard {
    /// Sends what has not been sent. Blocks for up to 5 s where the collector is away.
    pub fn shutdown(mut self) {
        self.flush();
    }

    fn flush(&mut self) {
        let tracer = self.tracer.take();
        if let Some(Err(error)) = tracer.map(|tracer| tracer.shutdown()) {
            tracing::debug!(%error, "the last spans were not sent");
        }
        metrics::flush();
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.flush();
    }
}

/// A panic's place and text as a log line like any other, instead of plain text between them.
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let location = panic.location().map(ToString::to_string).unwrap_or_default();
        let text = crate::tasks::panic_text(panic.payload());
        tracing::error!(location, panic = text, "panic");
    }));
}
