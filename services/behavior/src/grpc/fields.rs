//! What requests' fields are read into, or what is wrong with them.

use jiff::civil::Time;
use petty_chassis::FieldError;
use uuid::Uuid;

/// An id of something of ours.
pub(super) fn id(field: &'static str, text: &str) -> Result<Uuid, FieldError> {
    if text.is_empty() {
        return Err(FieldError::required(field));
    }
    // The hyphenated form only, so that an id has one spelling.
    let id = Uuid::try_parse(text).ok().filter(|_| text.len() == 36);
    id.ok_or_else(|| FieldError::malformed(field, "must be a UUID"))
}

/// A time of day, HH:MM.
pub(super) fn time(text: &str) -> Result<Time, &'static str> {
    const REASON: &str = "must be a time of day, HH:MM";
    let digits = |part: &str| (part.len() == 2).then(|| part.parse::<i8>().ok()).flatten();
    let (hour, minute) = text.split_once(':').ok_or(REASON)?;
    let plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b':');
    let (hour, minute) = digits(hour).zip(digits(minute)).filter(|_| plain).ok_or(REASON)?;
    Time::new(hour, minute, 0, 0).map_err(|_| REASON)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_of_day_is_two_digits_twice() {
        assert_eq!(time("00:00").unwrap(), Time::midnight());
        assert_eq!(time("23:59").unwrap(), Time::constant(23, 59, 0, 0));
        for bad in ["", "7:00", "24:00", "12:60", "12:0", "+1:00", "12:00:00", "noon", "12.00"] {
            assert!(time(bad).is_err(), "{bad}");
        }
    }
}
