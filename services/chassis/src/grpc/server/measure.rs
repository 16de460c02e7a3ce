//! What is measured of each call that is answered.

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Histogram, UpDownCounter};
use tokio::time::Instant;
use tonic::Code;

use crate::telemetry;

/// The instruments of one server.
#[derive(Clone, Debug)]
pub(super) struct Measures {
    service: &'static str,
    duration: Histogram<f64>,
    in_flight: UpDownCounter<i64>,
    streams: UpDownCounter<i64>,
    shed: Counter<u64>,
    panics: Counter<u64>,
}

impl Measures {
    pub(super) fn new(service: &'static str) -> Self {
        let meter = telemetry::meter();
        Self {
            service,
            duration: meter
                .f64_histogram("rpc_server_duration")
                .with_unit("s")
                .with_description("How long calls took to be answered")
                .build(),
            in_flight: meter
                .i64_up_down_counter("rpc_server_in_flight")
                .with_description("Calls being answered")
                .build(),
            streams: meter
                .i64_up_down_counter("petty_grpc_streams_open")
                .with_description("Answers that have begun and go on")
                .build(),
            shed: meter.u64_counter("rpc_server_shed").with_description("Calls refused for load").build(),
            panics: meter
                .u64_counter("rpc_server_panics")
                .with_description("Calls that ended in a panic")
                .build(),
        }
    }

    /// Counts a call as being answered until the answer is dropped.
    pub(super) fn begin(&self) -> InFlight<'_> {
        let service = [KeyValue::new("service", self.service)];
        self.in_flight.add(1, &service);
        InFlight { measures: self, service }
    }

    /// Counts a stream as open until the answer is dropped.
    pub(super) fn open_stream(&self, method: &'static str) -> OpenStream {
        let attributes = [KeyValue::new("service", self.service), KeyValue::new("method", method)];
        self.streams.add(1, &attributes);
        OpenStream { streams: self.streams.clone(), attributes }
    }

    /// A call was answered, or its stream begun.
    pub(super) fn answered(&self, method: &'static str, code: Code, since: Instant) {
        let attributes = [
            KeyValue::new("service", self.service),
            KeyValue::new("method", method),
            KeyValue::new("code", name_of(code)),
        ];
        self.duration.record(since.elapsed().as_secs_f64(), &attributes);
    }

    /// A call was refused for load.
    pub(super) fn shed(&self) {
        self.shed.add(1, &[KeyValue::new("service", self.service)]);
    }

    /// A call panicked.
    pub(super) fn panicked(&self, method: &'static str) {
        self.panics.add(1, &[KeyValue::new("service", self.service), KeyValue::new("method", method)]);
    }
}

/// One call being answered.
pub(super) struct InFlight<'a> {
    measures: &'a Measures,
    service: [KeyValue; 1],
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.measures.in_flight.add(-1, &self.service);
    }
}

/// One stream that is open.
pub(super) struct OpenStream {
    streams: UpDownCounter<i64>,
    attributes: [KeyValue; 2],
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.streams.add(-1, &self.attributes);
    }
}

/// The code an answer begins with. An answer whose code comes only at its end has begun well.
pub(crate) fn code_of<B>(response: &http::Response<B>) -> Code {
    response.headers().get("grpc-status").map_or(Code::Ok, |code| Code::from_bytes(code.as_bytes()))
}

/// A code, as metrics and traces name it.
pub(crate) fn name_of(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}
