//! What a client is told of each refusal.

use petty_chassis::postgres::Error as StoreError;
use petty_chassis::{ApiError, Code, FieldError};

use crate::domain::{Error, Problem, ProblemKind};
use crate::signer;
use crate::store::conflict;

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        let (code, reason) = match error {
            Error::EmailTaken => (Code::Conflict, "EMAIL_TAKEN"),
            Error::SignUpClosed => (Code::PermissionDenied, "SIGN_UP_CLOSED"),
            Error::BadCredentials => (Code::Unauthenticated, "BAD_CREDENTIALS"),
            Error::PasswordWrong => (Code::PermissionDenied, "PASSWORD_WRONG"),
            Error::OtpRequired => (Code::Unauthenticated, "OTP_REQUIRED"),
            Error::OtpInvalid => (Code::PermissionDenied, "OTP_INVALID"),
            Error::SecondFactorActive => (Code::Conflict, "SECOND_FACTOR_ACTIVE"),
            Error::NoSecondFactor => (Code::NotFound, "NO_SECOND_FACTOR"),
            Error::PassphraseTooShort => (Code::Conflict, "PASSPHRASE_TOO_SHORT"),
            Error::RefreshTokenInvalid => (Code::Unauthenticated, "REFRESH_TOKEN_INVALID"),
            Error::LinkInvalid => (Code::Unauthenticated, "LINK_INVALID"),
            Error::SessionNotFound => (Code::NotFound, "SESSION_NOT_FOUND"),
            Error::TicketInvalid => (Code::Unauthenticated, "TICKET_INVALID"),
            Error::SessionEnded => (Code::Unauthenticated, "SESSION_ENDED"),
            Error::PetNotFound => (Code::NotFound, "PET_NOT_FOUND"),
            Error::CollarNotFound => (Code::NotFound, "COLLAR_NOT_FOUND"),
            Error::CollarPaired => (Code::Conflict, "COLLAR_PAIRED"),
            Error::LastAdmin => (Code::Conflict, "LAST_ADMIN"),
            Error::TokenNotFound => (Code::NotFound, "TOKEN_NOT_FOUND"),
            Error::AccountNotFound => (Code::NotFound, "ACCOUNT_NOT_FOUND"),
            Error::ShareExists => (Code::Conflict, "SHARE_EXISTS"),
            Error::ShareLinkInvalid => (Code::NotFound, "SHARE_LINK_INVALID"),
            Error::PetIsYours => (Code::Conflict, "PET_IS_YOURS"),
            Error::ShareNotFound => (Code::NotFound, "SHARE_NOT_FOUND"),
            Error::KeyNotCurrent => (Code::Conflict, "KEY_NOT_CURRENT"),
        };
        Self::new(code, reason, error.to_string())
    }
}

impl From<signer::Error> for ApiError {
    fn from(error: signer::Error) -> Self {
        Self::internal(error)
    }
}

/// The refusal of a row by a constraint, in the words of the business.
pub(super) fn refused(error: StoreError, constraint: &str, meaning: Error) -> ApiError {
    if conflict(&error) == Some(constraint) { meaning.into() } else { error.into() }
}

/// Gathers what is wrong with a request's fields, so that all of it is said at once.
#[derive(Debug, Default)]
pub(super) struct Fields(Vec<FieldError>);

impl Fields {
    /// A field's value, or a note of what is wrong with it.
    pub(super) fn take<T>(&mut self, field: &'static str, value: Result<T, Problem>) -> Option<T> {
        value.map_err(|problem| self.0.push(field_error(field, problem))).ok()
    }

    /// A field that its own type reads.
    pub(super) fn parse<T: std::str::FromStr<Err: std::fmt::Display>>(
        &mut self,
        field: &'static str,
        text: &str,
    ) -> Option<T> {
        if text.is_empty() {
            self.0.push(FieldError::required(field));
            return None;
        }
        text.parse()
            .map_err(|error: T::Err| self.0.push(FieldError::malformed(field, error.to_string())))
            .ok()
    }

    /// A secret of ours that somebody presents.
    pub(super) fn secret<'a>(&mut self, field: &'static str, text: &'a str) -> Option<&'a str> {
        match super::token::secret(field, text) {
            Ok(text) => Some(text),
            Err(error) => {
                self.0.extend(error.violations);
                None
            }
        }
    }

    /// Notes what is wrong with a field.
    pub(super) fn fault(&mut self, error: FieldError) {
        self.0.push(error);
    }

    /// Goes on where nothing is wrong.
    pub(super) fn check(&self) -> Result<(), ApiError> {
        if self.0.is_empty() { Ok(()) } else { Err(ApiError::invalid(self.0.clone())) }
    }

    /// The error of a request some of whose fields could not be read.
    pub(super) fn into_error(self) -> ApiError {
        ApiError::invalid(self.0)
    }
}

pub(super) fn field_error(field: &'static str, problem: Problem) -> FieldError {
    match problem.kind {
        ProblemKind::Required => FieldError::required(field),
        ProblemKind::Malformed => FieldError::malformed(field, problem.reason),
        ProblemKind::OutOfRange => FieldError::out_of_range(field, problem.reason),
        ProblemKind::Guessable => {
            FieldError { field: field.into(), reason: problem.reason.into(), code: "TOO_EASY_TO_GUESS" }
        }
    }
}
