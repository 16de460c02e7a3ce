//! Traces from one service to the next, as W3C writes them.

use std::collections::HashMap;

use opentelemetry::Context;
use opentelemetry::propagation::TextMapPropagator as _;
use opentelemetry::trace::TraceContextExt as _;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::{Level, Metadata, Span};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::filter::{FilterFn, filter_fn};

/// The header, and the field of an event's envelope.
const TRACEPARENT: &str = "traceparent";

/// Makes `span` part of the trace that `traceparent` names. Call before anything happens in the span.
pub fn follow(span: &Span, traceparent: &str) {
    if let Some(remote) = parse(traceparent) {
        super::number::follow(span, remote.span().span_context());
        // Fails only where spans are not traced at all.
        let _ = span.set_parent(remote);
    }
}

/// The current span, for the next service to follow: the `traceparent` header. `None` outside a trace.
#[must_use]
pub fn traceparent() -> Option<String> {
    of_span(&Span::current()).or_else(|| crate::grpc::CallScope::current()?.traceparent)
}

/// A span, as the `traceparent` header names it.
fn of_span(span: &Span) -> Option<String> {
    if let Some(number) = super::number::of_span(span) {
        return Some(number.traceparent());
    }
    let context = span.context();
    let span = context.span();
    let span = span.span_context();
    // Written by hand, without the map of headers that a propagator fills: it is done for each request and each call.
    span.is_valid().then(|| {
        let sampled = u8::from(span.trace_flags().is_sampled());
        format!("00-{}-{}-{sampled:02x}", span.trace_id(), span.span_id())
    })
}

/// Whether a text is a `traceparent` header.
pub(crate) fn is_valid(traceparent: &str) -> bool {
    parse(traceparent).is_some()
}

/// What becomes part of a trace: our own spans, without those that only name whose log lines they are.
pub(super) fn exported() -> FilterFn<fn(&Metadata<'_>) -> bool> {
    filter_fn(is_exported)
}

pub(super) fn is_exported(metadata: &Metadata<'_>) -> bool {
    metadata.target().starts_with("petty")
        && metadata.target() != super::SCOPE
        && *metadata.level() <= Level::INFO
}

fn parse(traceparent: &str) -> Option<Context> {
    let headers = HashMap::from([(TRACEPARENT.to_owned(), traceparent.to_owned())]);
    let context = TraceContextPropagator::new().extract_with_context(&Context::new(), &headers);
    context.span().span_context().is_valid().then_some(context)
}
