//! Exporters: OTLP over gRPC, without what is secret.

use std::io;
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::trace::Event;
use opentelemetry_otlp::{MetricExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};

use super::redaction::{REDACTED, is_secret};

/// The most an export may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Who is exporting.
pub(super) fn resource(service: &'static str, instance: &str) -> Resource {
    Resource::builder()
        .with_service_name(service)
        .with_attributes([
            KeyValue::new("service.namespace", "petty"),
            KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
            KeyValue::new("service.instance.id", instance.to_owned()),
        ])
        .build()
}

/// Exports spans.
pub(super) fn spans(endpoint: &str) -> io::Result<impl SpanExporter + 'static> {
    let exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_tonic()
        .with_endpoint(endpoint)
        .with_timeout(TIMEOUT)
        .build()
        .map_err(io::Error::other)?;
    Ok(Redacting(exporter))
}

/// Exports metrics.
pub(super) fn metrics(endpoint: &str) -> io::Result<MetricExporter> {
    MetricExporter::builder()
        .with_tonic()
        .with_endpoint(endpoint)
        .with_timeout(TIMEOUT)
        .build()
        .map_err(io::Error::other)
}

/// Redacts by name before it exports.
#[derive(Debug)]
pub(super) struct Redacting<E>(pub(super) E);

impl<E: SpanExporter> SpanExporter for Redacting<E> {
    async fn export(&self, mut batch: Vec<SpanData>) -> OTelSdkResult {
        for span in &mut batch {
            redact(&mut span.attributes);
            for Event { attributes, .. } in &mut span.events.events {
                redact(attributes);
            }
        }
        self.0.export(batch).await
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.0.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.0.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.0.set_resource(resource);
    }
}

fn redact(attributes: &mut [KeyValue]) {
    for attribute in attributes.iter_mut().filter(|attribute| is_secret(attribute.key.as_str())) {
        attribute.value = REDACTED.into();
    }
}
