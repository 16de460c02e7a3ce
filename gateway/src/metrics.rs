//! What is measured of each answer, by OpenTelemetry's conventions for HTTP servers.

use std::time::Duration;

use http::StatusCode;
use opentelemetry::KeyValue;
use opentelemetry::metrics::Histogram;
use petty_chassis::telemetry;

/// The instruments.
#[derive(Debug)]
pub(crate) struct Metrics {
    duration: Histogram<f64>,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let duration = telemetry::meter()
            .f64_histogram("http.server.request.duration")
            .with_unit("s")
            .with_description("How long requests took to answer")
            .build();
        Self { duration }
    }

    /// One answer. The route is a template or empty, never what the client wrote.
    pub(crate) fn answered(
        &self,
        method: &'static str,
        route: &'static str,
        status: StatusCode,
        took: Duration,
    ) {
        let attributes = [
            KeyValue::new("http.request.method", method),
            KeyValue::new("http.route", route),
            KeyValue::new("http.response.status_code", i64::from(status.as_u16())),
        ];
        self.duration.record(took.as_secs_f64(), &attributes);
    }
}
