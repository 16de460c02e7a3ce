//! How what an event says is read: checked, field by field.

use jiff::Timestamp;
use petty_proto::wkt;

use super::Failure;
use crate::types::{PetId, micros};

/// What keeps an event from being used. Names the field, never its value: it may be a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} cannot be used")]
pub struct Unusable(pub &'static str);

impl From<Unusable> for Failure {
    fn from(unusable: Unusable) -> Self {
        Self::Poison(unusable.to_string())
    }
}

/// Checks that a payload names the pet that its event is about.
///
/// # Errors
/// Where it names another one, or none.
pub fn same_pet(named: &str, pet: PetId) -> Result<(), Unusable> {
    if named.parse() == Ok(pet) { Ok(()) } else { Err(Unusable("pet_id")) }
}

/// A time that must be there, to the microsecond.
///
/// # Errors
/// Where it is not, or is out of range.
pub fn time(field: &'static str, time: Option<wkt::Timestamp>) -> Result<Timestamp, Unusable> {
    let time = time.ok_or(Unusable(field))?;
    Timestamp::try_from(time).map(micros).map_err(|_| Unusable(field))
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_payload_is_of_the_pet_of_its_event() {
        let pet = PetId(Uuid::from_u128(7));
        assert_eq!(same_pet(&pet.to_string(), pet), Ok(()));
        for other in ["", "nobody", &PetId(Uuid::from_u128(8)).to_string()] {
            assert_eq!(same_pet(other, pet), Err(Unusable("pet_id")), "{other}");
        }
    }

    #[test]
    fn times_are_there_and_within_the_calendar() {
        let seconds = |seconds, nanos| Some(wkt::Timestamp { seconds, nanos });
        let read = time("time", seconds(1, 1_999)).unwrap();
        assert_eq!(read, Timestamp::from_microsecond(1_000_001).unwrap());
        for bad in [None, seconds(i64::MAX, 0)] {
            assert_eq!(time("time", bad), Err(Unusable("time")));
        }
    }
}
