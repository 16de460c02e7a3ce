//! A call that failed, and whether to make it again.

use std::time::Duration;

use reqwest::StatusCode;

/// A call failed. `Display` tells the whole story, so there is no `source` to be told again.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The URL is not one.
    #[error("{0:?} is not a gateway's URL, such as http://127.0.0.1:8080")]
    Url(String),
    /// No answer.
    #[error("{what}: no answer: {}", root(cause))]
    Unreachable {
        /// The call.
        what: &'static str,
        /// Why.
        cause: reqwest::Error,
    },
    /// Answered, but not with success.
    #[error("{what}: {status}: {detail}")]
    Refused {
        /// The call.
        what: &'static str,
        /// Its status.
        status: StatusCode,
        /// The problem's code, empty where there is none.
        code: String,
        /// The problem in words.
        detail: String,
        /// When to come back.
        retry_after: Option<Duration>,
    },
    /// A success that does not read like one.
    #[error("{what}: the answer cannot be read: {cause}")]
    Unreadable {
        /// The call.
        what: &'static str,
        /// Why.
        cause: serde_json::Error,
    },
}

/// The words that say something: reqwest's own only repeat the URL.
fn root(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

impl Error {
    /// Whether the same call may succeed later.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Url(_) | Self::Unreadable { .. } => false,
            Self::Unreachable { cause, .. } => !cause.is_builder(),
            Self::Refused { status, retry_after, .. } => match status.as_u16() {
                429 | 502 | 503 | 504 => true,
                // The same request is still being answered.
                409 => retry_after.is_some(),
                _ => false,
            },
        }
    }

    /// The status, where there was an answer.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Refused { status, .. } => Some(status.as_u16()),
            Self::Url(_) | Self::Unreachable { .. } | Self::Unreadable { .. } => None,
        }
    }

    /// The problem's code, empty where there is none.
    #[must_use]
    pub fn code(&self) -> &str {
        match self {
            Self::Refused { code, .. } => code,
            Self::Url(_) | Self::Unreachable { .. } | Self::Unreadable { .. } => "",
        }
    }

    /// When the gateway wants to be asked again.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { retry_after, .. } => *retry_after,
            Self::Url(_) | Self::Unreachable { .. } | Self::Unreadable { .. } => None,
        }
    }
}
