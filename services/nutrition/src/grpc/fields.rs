//! What is wrong with a request's fields, so that all of it is said at once.

use std::borrow::Cow;

use petty_chassis::{ApiError, FieldError};
use uuid::Uuid;

use crate::domain::Fault;

/// The longest request_id, characters.
const LONGEST_REQUEST_ID: usize = 100;
/// The code of a food that poisons, and the reason of the refusal where nothing else is wrong.
const FORBIDDEN_FOOD: &str = "FORBIDDEN_FOOD";

/// Gathers faults.
#[derive(Debug, Default)]
pub(super) struct Fields(Vec<FieldError>);

impl Fields {
    /// What the domain made of the request, or a note of what it found wrong.
    pub(super) fn take<T>(&mut self, made: Result<T, Vec<Fault>>) -> Option<T> {
        made.map_err(|faults| faults.into_iter().for_each(|fault| self.fault(field_error(fault)))).ok()
    }

    /// Notes a fault; the first one of a field is enough, and may be why there is another.
    pub(super) fn fault(&mut self, fault: FieldError) {
        if self.0.iter().all(|known| known.field != fault.field) {
            self.0.push(fault);
        }
    }

    /// Checks a text that people write: what cannot be seen has no place in it, and one of these no database can keep.
    pub(super) fn text(&mut self, field: impl Into<Cow<'static, str>>, text: &str) {
        if text.chars().any(char::is_control) {
            self.fault(FieldError::malformed(field, "must hold no control characters"));
        }
    }

    /// Checks texts of a list.
    pub(super) fn texts(&mut self, field: &'static str, texts: &[String]) {
        for (index, text) in texts.iter().enumerate() {
            self.text(format!("{field}[{index}]"), text);
        }
    }

    /// An id of something of ours.
    pub(super) fn id(&mut self, field: &'static str, text: &str) -> Option<Uuid> {
        if text.is_empty() {
            self.fault(FieldError::required(field));
            return None;
        }
        // The hyphenated form only, so that an id has one spelling.
        let id = Uuid::try_parse(text).ok().filter(|_| text.len() == 36);
        if id.is_none() {
            self.fault(FieldError::malformed(field, "must be a UUID"));
        }
        id
    }

    /// Checks a request's id.
    pub(super) fn request_id(&mut self, id: &str) {
        if id.chars().count() > LONGEST_REQUEST_ID {
            self.fault(FieldError::out_of_range("request_id", "must be at most 100 characters"));
        }
    }

    /// Goes on with what was read, where nothing is wrong.
    pub(super) fn whole<T>(self, read: Option<T>) -> Result<T, ApiError> {
        match read {
            Some(read) if self.0.is_empty() => Ok(read),
            _ => Err(refusal(self.0)),
        }
    }
}

/// The refusal of a request that the domain found faults with.
pub(super) fn refused(faults: Vec<Fault>) -> ApiError {
    refusal(faults.into_iter().map(field_error).collect())
}

fn refusal(violations: Vec<FieldError>) -> ApiError {
    let poison = !violations.is_empty() && violations.iter().all(|fault| fault.code == FORBIDDEN_FOOD);
    let refusal = ApiError::invalid(violations);
    if poison {
        return ApiError { reason: FORBIDDEN_FOOD, message: "it would poison a pet".into(), ..refusal };
    }
    refusal
}

fn field_error(fault: Fault) -> FieldError {
    let Fault { field, reason, code } = fault;
    FieldError { field: field.into(), reason: reason.into(), code }
}
