//! Log lines: one JSON object each.

use std::fmt;
use std::io::Write as _;
use std::sync::{Arc, OnceLock};

use opentelemetry::trace::TraceContextExt as _;
use serde_json::{Map, Value};
use tracing::dispatcher::WeakDispatch;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Dispatch, Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use super::number::{self, Number};
use super::redaction::{REDACTED, is_secret};
use super::trace;
use crate::types::Clock;

/// Fields that stand at the top of a line, wherever they come from.
const TOP: [&str; 4] = ["service", "instance", "request_id", "trace_id"];

/// Writes events as JSON lines: `timestamp`, `level`, `target`, `message`, `service`, `instance`, `request_id`,
/// `trace_id`, the event's own `fields`, and `span` with those of the spans around it.
#[derive(Debug)]
pub struct JsonLayer<W> {
    writer: W,
    clock: Clock,
    service: &'static str,
    instance: Arc<str>,
    dispatch: OnceLock<WeakDispatch>,
    /// Whether spans get their trace's id here, and not by OpenTelemetry's layer.
    numbers: bool,
}

impl<W> JsonLayer<W> {
    /// Writes to `writer`.
    pub fn new(writer: W) -> Self {
        Self {
            writer,
            clock: Clock::system(),
            service: "",
            instance: Arc::from(""),
            dispatch: OnceLock::new(),
            numbers: false,
        }
    }

    /// Whose lines they are where no span says so.
    #[must_use]
    pub fn with_defaults(self, service: &'static str, instance: Arc<str>) -> Self {
        Self { service, instance, ..self }
    }

    /// Where no other layer makes traces of spans: each of those that would be one is numbered.
    #[must_use]
    pub(super) fn numbering(self) -> Self {
        Self { numbers: true, ..self }
    }

    /// The trace of the innermost span that has one.
    fn trace_id<S>(&self, context: &Context<'_, S>, event: &Event<'_>) -> Option<String>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        if self.numbers {
            return number::innermost(&context.event_span(event)?).map(Number::trace_id);
        }
        let dispatch = self.dispatch.get()?.upgrade()?;
        context.event_scope(event)?.find_map(|span| {
            let otel = tracing_opentelemetry::get_otel_context(&span.id(), &dispatch)?;
            let span = otel.span();
            let span_context = span.span_context();
            span_context.is_valid().then(|| span_context.trace_id().to_string())
        })
    }
}

/// A span's fields, as its lines show them but for those that are secret: most spans are never shown, and looking at each
/// name of each would cost more than all else.
struct SpanFields(Vec<(&'static str, Value)>);

impl<S, W> Layer<S> for JsonLayer<W>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'w> MakeWriter<'w> + 'static,
{
    fn on_register_dispatch(&self, dispatch: &Dispatch) {
        // Registered once; a second registration would be of the same subscriber.
        let _ = self.dispatch.set(dispatch.downgrade());
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        let number = (self.numbers && trace::is_exported(attributes.metadata())).then(|| {
            let around = span.parent().and_then(|around| number::innermost(&around));
            around.map_or_else(Number::new, Number::after)
        });
        let mut extensions = span.extensions_mut();
        extensions.insert(SpanFields(fields.0));
        if let Some(number) = number {
            extensions.insert(number);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut extensions = span.extensions_mut();
        if let Some(SpanFields(known)) = extensions.get_mut() {
            let mut fields = Fields(std::mem::take(known));
            values.record(&mut fields);
            *known = fields.0;
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let message = fields.take("message").unwrap_or_else(|| event.metadata().name().into());

        let mut top: [Option<Value>; TOP.len()] = Default::default();
        let mut around = Map::new();
        for span in context.event_scope(event).into_iter().flat_map(|scope| scope.from_root()) {
            let extensions = span.extensions();
            let Some(SpanFields(known)) = extensions.get() else { continue };
            for &(name, ref value) in known {
                match TOP.iter().position(|top| *top == name) {
                    Some(index) => top[index] = Some(shown(name, value.clone())),
                    None => drop(around.insert(name.to_owned(), shown(name, value.clone()))),
                }
            }
        }
        for (index, name) in TOP.iter().enumerate() {
            if let Some(value) = fields.take(name) {
                top[index] = Some(value);
            }
        }
        let [service, instance, request_id, trace_id] = top;

        let mut line = Map::new();
        line.insert("timestamp".to_owned(), format!("{:.6}", self.clock.now()).into());
        line.insert("level".to_owned(), event.metadata().level().as_str().into());
        line.insert("target".to_owned(), event.metadata().target().into());
        line.insert("message".to_owned(), message);
        line.insert("service".to_owned(), service.unwrap_or_else(|| self.service.into()));
        line.insert("instance".to_owned(), instance.unwrap_or_else(|| self.instance.as_ref().into()));
        if let Some(request_id) = request_id {
            line.insert("request_id".to_owned(), request_id);
        }
        if let Some(trace_id) = trace_id.or_else(|| self.trace_id(&context, event).map(Value::from)) {
            line.insert("trace_id".to_owned(), trace_id);
        }
        if !fields.0.is_empty() {
            let fields = fields.0.into_iter().map(|(name, value)| (name.to_owned(), shown(name, value)));
            line.insert("fields".to_owned(), Value::Object(fields.collect()));
        }
        if !around.is_empty() {
            line.insert("span".to_owned(), Value::Object(around));
        }
        let mut text = Value::Object(line).to_string();
        text.push('\n');
        // In one write, so that lines of threads do not mix. Where stderr is gone there is nobody to tell.
        let _ = self.writer.make_writer_for(event.metadata()).write_all(text.as_bytes());
    }
}

/// A field's value as a line shows it: not where it is secret by name.
fn shown(name: &str, value: Value) -> Value {
    if is_secret(name) { REDACTED.into() } else { value }
}

/// Gathers fields.
#[derive(Default)]
struct Fields(Vec<(&'static str, Value)>);

impl Fields {
    fn take(&mut self, name: &str) -> Option<Value> {
        let index = self.0.iter().position(|(known, _)| *known == name)?;
        Some(self.0.swap_remove(index).1)
    }

    fn insert(&mut self, field: &Field, value: impl FnOnce() -> Value) {
        let name = field.name();
        // What tracing's bridges to other worlds add for themselves.
        if name.starts_with("log.") || name.starts_with("otel.") {
            return;
        }
        let value = value();
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = value,
            None => self.0.push((name, value)),
        }
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.insert(field, || value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.insert(field, || value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.insert(field, || value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.insert(field, || value.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.insert(field, || value.into());
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.insert(field, || crate::error::chain(value).into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.insert(field, || format!("{value:?}").into());
    }
}
