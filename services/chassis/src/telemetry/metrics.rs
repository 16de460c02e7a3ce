//! Metrics: always there for the admin port to show, exported where an endpoint is set.

use std::io;
use std::sync::OnceLock;
use std::time::Duration;

use opentelemetry::metrics::{Meter, MeterProvider as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::{
    Aggregation, Instrument, InstrumentKind, PeriodicReader, SdkMeterProvider, Stream,
};
pub use prometheus::proto::{Metric, MetricFamily};
use prometheus::{Encoder as _, Registry, TextEncoder};

use super::export;

/// How often metrics are exported.
const EXPORT_EVERY: Duration = Duration::from_secs(15);
/// Bounds of histograms of seconds: from 0.5 ms, since a call within the mesh takes about one.
const SECONDS: [f64; 14] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1.0, 2.5, 5.0, 10.0];

static PIPELINE: OnceLock<Pipeline> = OnceLock::new();

struct Pipeline {
    registry: Registry,
    provider: SdkMeterProvider,
}

/// The meter of this process.
#[must_use]
pub fn meter() -> Meter {
    pipeline().provider.meter("petty")
}

/// All metrics as Prometheus reads them.
#[must_use]
pub fn prometheus_text() -> String {
    let mut text = Vec::new();
    if let Err(error) = TextEncoder::new().encode(&gathered(), &mut text) {
        tracing::error!(%error, "the metrics cannot be encoded");
    }
    String::from_utf8(text).unwrap_or_default()
}

/// All metrics as they are now, for programs.
#[must_use]
pub fn gathered() -> Vec<MetricFamily> {
    pipeline().registry.gather()
}

/// Starts the pipeline. Where a metric was recorded before, it stays as it is, without an exporter.
pub(super) fn start(endpoint: Option<&str>, resource: &Resource) -> io::Result<()> {
    if PIPELINE.get().is_some() {
        return Ok(());
    }
    let pipeline = build(endpoint, Some(resource)).map_err(io::Error::other)?;
    opentelemetry::global::set_meter_provider(pipeline.provider.clone());
    // Lost only where a metric was recorded in the meantime; then that one shows them.
    let _ = PIPELINE.set(pipeline);
    Ok(())
}

/// Exports what has not been exported.
pub(super) fn flush() {
    if let Some(pipeline) = PIPELINE.get()
        && let Err(error) = pipeline.provider.force_flush()
    {
        tracing::debug!(%error, "the last metrics were not sent");
    }
}

fn pipeline() -> &'static Pipeline {
    PIPELINE.get_or_init(|| {
        // Nothing is registered in the new registry yet, which is the only way in which this could fail.
        build(None, None).expect("metrics without an exporter can always be built")
    })
}

fn build(
    endpoint: Option<&str>,
    resource: Option<&Resource>,
) -> Result<Pipeline, Box<dyn std::error::Error + Send + Sync>> {
    let registry = Registry::new();
    let exporter =
        opentelemetry_prometheus::exporter().with_registry(registry.clone()).without_target_info().build()?;
    let mut builder = SdkMeterProvider::builder().with_reader(exporter).with_view(seconds);
    if let Some(resource) = resource {
        builder = builder.with_resource(resource.clone());
    }
    if let Some(endpoint) = endpoint {
        let exporter = export::metrics(endpoint)?;
        builder = builder.with_reader(PeriodicReader::builder(exporter).with_interval(EXPORT_EVERY).build());
    }
    Ok(Pipeline { registry, provider: builder.build() })
}

/// Histograms of seconds get bounds that fit them.
fn seconds(instrument: &Instrument) -> Option<Stream> {
    if instrument.kind() != InstrumentKind::Histogram || instrument.unit() != "s" {
        return None;
    }
    let boundaries = SECONDS.to_vec();
    Stream::builder()
        .with_aggregation(Aggregation::ExplicitBucketHistogram { boundaries, record_min_max: false })
        .build()
        .ok()
}
