//! What is logged, and how it is changed while the process runs.

use std::sync::OnceLock;

use tracing_subscriber::{EnvFilter, Registry, reload};

/// Spans that name whose lines they are, which must be there for any line; and libraries that say more than an operator
/// wants to read, unless asked by name. What h2 warns of is what a peer does: whoever floods a port must not fill the log too.
const QUIET: &str = "petty::span=error,petty::scope=error,h2=error,hyper=warn,hyper_util=warn,tower=warn,tonic=warn,rustls=warn,opentelemetry=warn,\
                     opentelemetry_sdk=warn,opentelemetry-otlp=warn,tokio_postgres=warn,refinery_core=warn,redis=warn";

/// Changes the filter in place.
pub(super) type Handle = reload::Handle<EnvFilter, Registry>;

static HANDLE: OnceLock<Handle> = OnceLock::new();
static TEXT: std::sync::Mutex<String> = std::sync::Mutex::new(String::new());

/// Why the filter stays as it is.
#[derive(Debug, thiserror::Error)]
pub enum FilterError {
    /// The text is no filter.
    #[error("not a log filter: {0}")]
    Malformed(#[from] tracing_subscriber::filter::ParseError),
    /// The process does not log by this filter.
    #[error("logging was not started here")]
    NotStarted,
}

/// A filter that can be changed later.
pub(super) fn reloadable(
    text: &str,
) -> Result<(reload::Layer<EnvFilter, Registry>, Handle), tracing_subscriber::filter::ParseError> {
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

fn parse(text: &str) -> Result<EnvFilter, tracing_subscriber::filter::ParseError> {
    // Later directives win over earlier ones of the same target, so that a quiet library can be asked for by name.
    EnvFilter::try_new(format!("{QUIET},{text}"))
}
