//! What a refusal says.

use tonic::{Code, Status};
use tonic_types::StatusExt as _;

/// The reason that a refusal gives; empty where it gives none.
#[must_use]
pub fn reason(status: &Status) -> String {
    status.get_error_details().error_info().map(|info| info.reason.clone()).unwrap_or_default()
}

/// The fields that an invalid argument names, in order.
///
/// # Panics
/// Where it is another refusal.
#[must_use]
pub fn fields(status: &Status) -> Vec<String> {
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    let details = status.get_error_details();
    let named = details.bad_request().map(|bad| bad.field_violations.as_slice()).unwrap_or_default();
    named.iter().map(|violation| violation.field.clone()).collect()
}

/// The first field that an invalid argument names.
///
/// # Panics
/// Where it is another refusal, or names no field.
#[must_use]
pub fn field(status: &Status) -> String {
    fields(status).into_iter().next().expect("an invalid argument names a field")
}
