//! Trace ids where nothing is exported: spans are numbered, so that log lines and calls carry a trace id, and are no more than
//! that.
//!
//! Invariant: a span is of the trace of the span around it, or of the one that it follows, and its own number is another.

use opentelemetry::trace::SpanContext;
use tracing::Span;
use tracing_subscriber::Registry;
use tracing_subscriber::registry::{LookupSpan, SpanRef};

use crate::types::Entropy;

/// A span's trace, and its number there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Number {
    trace: u128,
    span: u64,
    is_sampled: bool,
}

impl Number {
    /// Of a new trace. As elsewhere a trace is wanted unless somebody before us said that it is not.
    pub(super) fn new() -> Self {
        let trace = u128::from_ne_bytes(Entropy.plenty()).max(1);
        Self { trace, span: another(), is_sampled: true }
    }

    /// Of another span's trace.
    pub(super) fn after(around: Self) -> Self {
        Self { span: another(), ..around }
    }

    /// Of the trace of a span elsewhere.
    fn following(remote: &SpanContext) -> Self {
        Self {
            trace: u128::from_be_bytes(remote.trace_id().to_bytes()),
            span: another(),
            is_sampled: remote.is_sampled(),
        }
    }

    /// As the `traceparent` header names it.
    pub(super) fn traceparent(self) -> String {
        // By hand, as it is written for each request and each call.
        let mut text = String::with_capacity(55);
        text.push_str("00-");
        push_hex(&mut text, &self.trace.to_be_bytes());
        text.push('-');
        push_hex(&mut text, &self.span.to_be_bytes());
        text.push_str(if self.is_sampled { "-01" } else { "-00" });
        text
    }

    /// The trace's id.
    pub(super) fn trace_id(self) -> String {
        format!("{:032x}", self.trace)
    }
}

/// The number of the innermost of a span and those around it that has one.
pub(super) fn innermost<'a, R: LookupSpan<'a>>(span: &SpanRef<'a, R>) -> Option<Number> {
    span.scope().find_map(|span| span.extensions().get::<Number>().copied())
}

/// The same, of a span at hand.
pub(super) fn of_span(span: &Span) -> Option<Number> {
    span.with_subscriber(|(id, dispatch)| innermost(&dispatch.downcast_ref::<Registry>()?.span(id)?))?
}

/// Gives a numbered span a number in the trace of another.
pub(super) fn follow(span: &Span, remote: &SpanContext) {
    span.with_subscriber(|(id, dispatch)| {
        let span = dispatch.downcast_ref::<Registry>()?.span(id)?;
        *span.extensions_mut().get_mut::<Number>()? = Number::following(remote);
        Some(())
    });
}

fn push_hex(text: &mut String, bytes: &[u8]) {
    for byte in bytes {
        for half in [byte >> 4, byte & 15] {
            text.push(char::from(if half < 10 { b'0' + half } else { b'a' - 10 + half }));
        }
    }
}

/// A span's number: any but zero, which is none.
fn another() -> u64 {
    u64::from_ne_bytes(Entropy.plenty()).max(1)
}
