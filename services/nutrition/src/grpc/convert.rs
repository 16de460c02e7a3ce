//! Between wire and domain. What comes in is read here; what it may be, the domain says.

mod events;
mod foods;
mod plans;
mod profiles;

use jiff::Timestamp;
use petty_chassis::FieldError;
use petty_chassis::types::micros;
use petty_proto::wkt;

pub(crate) use events::{Day, day, pet};
pub(super) use foods::{food, food_patch, new_food};
pub(super) use plans::{goals, plan, recommendation};
pub(super) use profiles::{profile, profile_input, weight};

use super::fields::Fields;

/// Reads a time that may be absent, to the microsecond.
pub(super) fn time(
    fields: &mut Fields,
    field: &'static str,
    value: Option<wkt::Timestamp>,
) -> Option<Option<Timestamp>> {
    match value.map(Timestamp::try_from).transpose() {
        Ok(time) => Some(time.map(micros)),
        Err(_) => {
            fields.fault(FieldError::malformed(field, "must be a time between the years 1 and 9999"));
            None
        }
    }
}

/// Reads a value of an enum that may be absent, which its zero is too.
fn choice<W: TryFrom<i32>, T>(
    fields: &mut Fields,
    field: &'static str,
    value: i32,
    known: impl Fn(W) -> Option<T>,
) -> Option<T> {
    if let Ok(named) = W::try_from(value) {
        return known(named);
    }
    fields.fault(FieldError::malformed(field, "must be one of its names"));
    None
}
