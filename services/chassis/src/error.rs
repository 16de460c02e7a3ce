//! One closed set of error codes, and what a client is told of each.
//!
//! Invariant: a client gets fixed text, a reason in `UPPER_SNAKE` and, for bad input, the fields; the chain of causes is
//! logged once, here, and never leaves the process.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use tonic::{Code as GrpcCode, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt as _};

/// The domain that `ErrorInfo` names.
pub const DOMAIN: &str = "petty";

/// The kinds of failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Code {
    /// The request could not be used; `violations` say why.
    InvalidArgument,
    /// Nobody known is calling.
    Unauthenticated,
    /// The caller may not do this.
    PermissionDenied,
    /// It does not exist, or the caller may not see it.
    NotFound,
    /// It exists already, or is being changed by somebody else.
    Conflict,
    /// The same `request_id` came with another request.
    RequestIdReused,
    /// Too much at once; later it may go through.
    ResourceExhausted,
    /// Something this depends on is away; later it may go through.
    Unavailable,
    /// Time ran out.
    DeadlineExceeded,
    /// A fault of ours.
    Internal,
}

impl Code {
    /// The gRPC code.
    #[must_use]
    pub fn grpc(self) -> GrpcCode {
        match self {
            Self::InvalidArgument => GrpcCode::InvalidArgument,
            Self::Unauthenticated => GrpcCode::Unauthenticated,
            Self::PermissionDenied => GrpcCode::PermissionDenied,
            Self::NotFound => GrpcCode::NotFound,
            Self::Conflict => GrpcCode::AlreadyExists,
            Self::RequestIdReused => GrpcCode::FailedPrecondition,
            Self::ResourceExhausted => GrpcCode::ResourceExhausted,
            Self::Unavailable => GrpcCode::Unavailable,
            Self::DeadlineExceeded => GrpcCode::DeadlineExceeded,
            Self::Internal => GrpcCode::Internal,
        }
    }
}

/// What is wrong with one field of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// The field's path, `location.coordinates`.
    pub field: Cow<'static, str>,
    /// What is wrong, for a person.
    pub reason: Cow<'static, str>,
    /// What is wrong, for a program: `REQUIRED`, `MALFORMED`, `OUT_OF_RANGE`, …
    pub code: &'static str,
}

impl FieldError {
    /// The field must be there.
    #[must_use]
    pub fn required(field: impl Into<Cow<'static, str>>) -> Self {
        Self { field: field.into(), reason: "is required".into(), code: "REQUIRED" }
    }

    /// The field's shape is wrong.
    #[must_use]
    pub fn malformed(field: impl Into<Cow<'static, str>>, reason: impl Into<Cow<'static, str>>) -> Self {
        Self { field: field.into(), reason: reason.into(), code: "MALFORMED" }
    }

    /// The field's value is out of its bounds.
    #[must_use]
    pub fn out_of_range(field: impl Into<Cow<'static, str>>, reason: impl Into<Cow<'static, str>>) -> Self {
        Self { field: field.into(), reason: reason.into(), code: "OUT_OF_RANGE" }
    }
}

/// A failure, as a client may see it, with its cause for the log.
#[derive(Debug)]
pub struct ApiError {
    /// The kind.
    pub code: Code,
    /// The reason, `UPPER_SNAKE`.
    pub reason: &'static str,
    /// What to tell a person.
    pub message: Cow<'static, str>,
    /// The fields at fault.
    pub violations: Vec<FieldError>,
    /// When to try again, where that is known.
    pub retry_after: Option<Duration>,
    /// For the log only.
    pub source: Option<Box<dyn StdError + Send + Sync>>,
}

impl ApiError {
    /// A failure with a reason and a text.
    #[must_use]
    pub fn new(code: Code, reason: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            reason,
            message: message.into(),
            violations: Vec::new(),
            retry_after: None,
            source: None,
        }
    }

    /// Bad input.
    #[must_use]
    pub fn invalid(violations: Vec<FieldError>) -> Self {
        Self {
            violations,
            ..Self::new(Code::InvalidArgument, "INVALID_ARGUMENT", "the request is not valid")
        }
    }

    /// It does not exist, as far as the caller may know.
    #[must_use]
    pub fn not_found(reason: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::NotFound, reason, message)
    }

    /// A fault of ours.
    #[must_use]
    pub fn internal(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self {
            source: Some(source.into()),
            ..Self::new(Code::Internal, "INTERNAL", "something went wrong on our side")
        }
    }

    /// Something this depends on is away.
    #[must_use]
    pub fn unavailable(reason: &'static str, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self {
            source: Some(source.into()),
            retry_after: Some(Duration::from_secs(1)),
            ..Self::new(Code::Unavailable, reason, "not available just now; try again")
        }
    }

    /// The caller is nobody known.
    #[must_use]
    pub fn unauthenticated(reason: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::Unauthenticated, reason, message)
    }

    /// Reads a failure that another service answered. What it said to a person is kept only where it was meant for one.
    #[must_use]
    pub fn from_upstream(status: &Status) -> Self {
        let details = status.get_error_details();
        let code = match status.code() {
            GrpcCode::InvalidArgument | GrpcCode::OutOfRange => Code::InvalidArgument,
            GrpcCode::Unauthenticated => Code::Unauthenticated,
            GrpcCode::PermissionDenied => Code::PermissionDenied,
            GrpcCode::NotFound => Code::NotFound,
            GrpcCode::AlreadyExists | GrpcCode::Aborted => Code::Conflict,
            GrpcCode::FailedPrecondition => Code::RequestIdReused,
            GrpcCode::ResourceExhausted => Code::ResourceExhausted,
            GrpcCode::Unavailable | GrpcCode::Cancelled => Code::Unavailable,
            GrpcCode::DeadlineExceeded => Code::DeadlineExceeded,
            GrpcCode::Ok
            | GrpcCode::Unknown
            | GrpcCode::Unimplemented
            | GrpcCode::Internal
            | GrpcCode::DataLoss => Code::Internal,
        };
        let refused = details.error_info().map(|info| info.reason.as_str());
        // That this service is not known there, or may not ask, is no fault of whoever asks it.
        if refused.is_some_and(|reason| OF_SERVICES.contains(&reason)) {
            return Self::unavailable("ACCESS_UNKNOWN", status.clone());
        }
        let known = refused.and_then(known_reason);
        let (reason, message) = known.unwrap_or(("UPSTREAM", "refused by another service"));
        Self::new(code, reason, message)
    }
}

/// What is said to services alone.
const OF_SERVICES: &[&str] = &["SERVICE_UNKNOWN", "SERVICE_NOT_ALLOWED"];

/// The reasons that pass from one service through another, each with a text of ours: another service's is not for clients.
fn known_reason(reason: &str) -> Option<(&'static str, &'static str)> {
    const KNOWN: &[(&str, &str)] = &[
        ("SESSION_ENDED", "the session has ended; sign in again"),
        ("PET_NOT_FOUND", "no such pet"),
        ("COLLAR_NOT_FOUND", "no such collar"),
        ("TOKEN_INVALID", "the access token is not valid; sign in again"),
        ("TOKEN_EXPIRED", "the access token has expired; get another with the refresh token"),
        ("DRAINING", "the service is being stopped; try again"),
        ("UPSTREAM_UNAVAILABLE", "another service cannot be reached; try again"),
        ("ACCESS_UNKNOWN", "it cannot be told now what the caller may do; try again"),
    ];
    KNOWN.iter().copied().find(|(known, _)| *known == reason)
}

impl fmt::Display for ApiError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.reason, self.message)?;
        for FieldError { field, reason, .. } in &self.violations {
            write!(formatter, "; {field} {reason}")?;
        }
        Ok(())
    }
}

impl StdError for ApiError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}

impl From<Vec<FieldError>> for ApiError {
    fn from(violations: Vec<FieldError>) -> Self {
        Self::invalid(violations)
    }
}

impl From<FieldError> for ApiError {
    fn from(violation: FieldError) -> Self {
        Self::invalid(vec![violation])
    }
}

impl From<ApiError> for Status {
    fn from(error: ApiError) -> Self {
        if let Some(source) = &error.source {
            let chain = chain(source.as_ref());
            match error.code {
                Code::Internal => tracing::error!(reason = error.reason, chain, "call failed"),
                _ => tracing::warn!(reason = error.reason, chain, "call failed"),
            }
        }
        let mut details = ErrorDetails::new();
        details.set_error_info(error.reason, DOMAIN, std::collections::HashMap::new());
        if !error.violations.is_empty() {
            let violations = error.violations.iter();
            details.set_bad_request(
                violations
                    .map(|violation| FieldViolation::new(violation.field.clone(), violation.reason.clone()))
                    .collect::<Vec<_>>(),
            );
        }
        if let Some(after) = error.retry_after {
            details.set_retry_info(Some(after));
        }
        Status::with_error_details(error.code.grpc(), error.message, details)
    }
}

/// The texts of an error and its causes, in one line. It may be logged and kept: of a database's error it says what is wrong with which
/// table, and not what its rows hold.
#[must_use]
pub fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut text = said(error);
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&said(error));
        cause = error.source();
    }
    text
}

/// The text of an error alone.
fn said(error: &(dyn StdError + 'static)) -> String {
    match error.downcast_ref::<tokio_postgres::error::DbError>() {
        Some(error) => crate::postgres::said(error),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_never_reach_the_client() {
        let status = Status::from(ApiError::internal("relation \"pets\" does not exist"));
        assert_eq!(status.code(), GrpcCode::Internal);
        assert!(!format!("{status:?}").contains("pets"), "{status:?}");
    }

    #[test]
    fn that_a_service_is_not_known_to_another_is_no_fault_of_the_caller() {
        let told = |reason| {
            let error = ApiError::from_upstream(&ApiError::unauthenticated(reason, "x").into());
            (error.code, error.reason)
        };
        assert_eq!(told("SERVICE_UNKNOWN"), (Code::Unavailable, "ACCESS_UNKNOWN"));
        assert_eq!(told("SERVICE_NOT_ALLOWED"), (Code::Unavailable, "ACCESS_UNKNOWN"));
        assert_eq!(told("TOKEN_EXPIRED"), (Code::Unauthenticated, "TOKEN_EXPIRED"));
        assert_eq!(told("ANYTHING"), (Code::Unauthenticated, "UPSTREAM"));
    }

    #[test]
    fn bad_input_names_its_fields() {
        let status = Status::from(ApiError::invalid(vec![
            FieldError::required("name"),
            FieldError::out_of_range("heart_rate", "must be 30 to 300"),
        ]));
        let details = status.get_error_details();
        let fields: Vec<_> =
            details.bad_request().unwrap().field_violations.iter().map(|v| v.field.clone()).collect();
        assert_eq!(fields, ["name", "heart_rate"]);
        assert_eq!(details.error_info().unwrap().reason, "INVALID_ARGUMENT");
    }
}
