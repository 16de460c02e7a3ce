//! What is logged, and how it is changed while the process runs.
//!
//! Invariant: what a filter without spans and fields lets through is told of a place in the code once, and costs no span anything.

use std::sync::OnceLock;

use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Metadata, Subscriber};
use tracing_subscriber::filter::{ParseError, Targets};
use tracing_subscriber::layer::{Context, Filter, Layer};
use tracing_subscriber::{EnvFilter, Registry, reload};

/// Spans that name whose lines they are, which must be there for any line; and libraries that say more than an operator
/// wants to read, unless asked by name. What h2 warns of is what a peer does: whoever floods a port must not fill the log too.
const QUIET: &str = "petty::span=error,petty::scope=error,h2=error,hyper=warn,hyper_util=warn,tower=warn,tonic=warn,rustls=warn,opentelemetry=warn,\
                     opentelemetry_sdk=warn,opentelemetry-otlp=warn,tokio_postgres=warn,refinery_core=warn,redis=warn";

/// Changes the filter in place.
pub(super) type Handle = reload::Handle<Wanted, Registry>;

static HANDLE: OnceLock<Handle> = OnceLock::new();
static TEXT: std::sync::Mutex<String> = std::sync::Mutex::new(String::new());

/// Why the filter stays as it is.
#[derive(Debug, thiserror::Error)]
pub enum FilterError {
    /// The text is no filter.
    #[error("not a log filter: {0}")]
    Malformed(#[from] ParseError),
    /// The process does not log by this filter.
    #[error("logging was not started here")]
    NotStarted,
}

/// A filter that can be changed later.
pub(super) fn reloadable(text: &str) -> Result<(reload::Layer<Wanted, Registry>, Handle), ParseError> {
    let layer = reload::Layer::new(parse(text)?);
    text.clone_into(&mut TEXT.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
    Ok(layer)
}

pub(super) fn install(handle: Handle) {
    // The subscriber was set just now, so no other handle can be there.
    let _ = HANDLE.set(handle);
}

/// The filter in force; `None` where logging was not started.
#[must_use]
pub fn log_filter() -> Option<String> {
    HANDLE.get()?;
    Some(TEXT.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone())
}

/// Logs by another filter from now on.
///
/// # Errors
///
/// Where the text is no filter.
pub fn set_log_filter(text: &str) -> Result<(), FilterError> {
    let filter = parse(text.trim())?;
    let handle = HANDLE.get().ok_or(FilterError::NotStarted)?;
    handle.reload(filter).map_err(|_| FilterError::NotStarted)?;
    text.trim().clone_into(&mut TEXT.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
    tracing::info!(filter = text.trim(), "the log filter was changed");
    Ok(())
}

pub(super) fn parse(text: &str) -> Result<Wanted, ParseError> {
    // Later directives win over earlier ones of the same target, so that a quiet library can be asked for by name.
    let text = format!("{QUIET},{text}");
    match text.parse::<Targets>() {
        Ok(targets) if !text.contains(['[', '{']) => Ok(Wanted::Targets(Box::new(targets))),
        // That says what is wrong, too.
        _ => EnvFilter::try_new(text).map(|filter| Wanted::Spans(Box::new(filter))),
    }
}

/// What is to be logged.
#[derive(Debug)]
pub(super) enum Wanted {
    /// By target and level alone, which are known of a place in the code: nothing is asked of spans.
    Targets(Box<Targets>),
    /// By spans around it, or their fields, too: each span is looked at as it begins, is entered, left and ends.
    Spans(Box<EnvFilter>),
}

impl<S: Subscriber> Layer<S> for Wanted {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        match self {
            Self::Targets(targets) => Layer::<S>::register_callsite(&**targets, metadata),
            Self::Spans(filter) => Layer::<S>::register_callsite(&**filter, metadata),
        }
    }

    fn enabled(&self, metadata: &Metadata<'_>, context: Context<'_, S>) -> bool {
        match self {
            Self::Targets(targets) => Layer::enabled(&**targets, metadata, context),
            Self::Spans(filter) => Layer::enabled(&**filter, metadata, context),
        }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        match self {
            Self::Targets(targets) => Layer::<S>::max_level_hint(&**targets),
            Self::Spans(filter) => Layer::<S>::max_level_hint(&**filter),
        }
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if let Self::Spans(filter) = self {
            Layer::on_new_span(&**filter, attributes, id, context);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Self::Spans(filter) = self {
            Layer::on_record(&**filter, id, values, context);
        }
    }

    fn on_enter(&self, id: &Id, context: Context<'_, S>) {
        if let Self::Spans(filter) = self {
            Layer::on_enter(&**filter, id, context);
        }
    }

    fn on_exit(&self, id: &Id, context: Context<'_, S>) {
        if let Self::Spans(filter) = self {
            Layer::on_exit(&**filter, id, context);
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        if let Self::Spans(filter) = self {
            Layer::on_close(&**filter, id, context);
        }
    }
}

impl<S> Filter<S> for Wanted {
    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        match self {
            Self::Targets(targets) => Filter::<S>::callsite_enabled(&**targets, metadata),
            Self::Spans(filter) => Filter::<S>::callsite_enabled(&**filter, metadata),
        }
    }

    fn enabled(&self, metadata: &Metadata<'_>, context: &Context<'_, S>) -> bool {
        match self {
            Self::Targets(targets) => Filter::enabled(&**targets, metadata, context),
            Self::Spans(filter) => Filter::enabled(&**filter, metadata, context),
        }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        match self {
            Self::Targets(targets) => Filter::<S>::max_level_hint(&**targets),
            Self::Spans(filter) => Filter::<S>::max_level_hint(&**filter),
        }
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if let Self::Spans(filter) = self {
            Filter::on_new_span(&**filter, attributes, id, context);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Self::Spans(filter) = self {
            Filter::on_record(&**filter, id, values, context);
        }
    }

    fn on_enter(&self, id: &Id, context: Context<'_, S>) {
        if let Self::Spans(filter) = self {
            Filter::on_enter(&**filter, id, context);
        }
    }

    fn on_exit(&self, id: &Id, context: Context<'_, S>) {
        if let Self::Spans(filter) = self {
            Filter::on_exit(&**filter, id, context);
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        if let Self::Spans(filter) = self {
            Filter::on_close(&**filter, id, context);
        }
    }
}
