//! Well-known types whose JSON is canonical.
//!
//! pbjson's own timestamp prints `+00:00` where canonical proto3 JSON says `Z`, and pulls a second time library.

mod duration;
mod mask;
mod number;
mod object;
mod utc;
mod value;
mod wrappers;

use std::fmt;

pub use duration::Duration;
pub use mask::FieldMask;
pub use number::{Number, Numeric};
pub use object::{ListValue, Struct};
pub use value::Value;
pub use wrappers::{
    BoolValue, BytesValue, DoubleValue, Empty, FloatValue, Int32Value, Int64Value, StringValue, UInt32Value,
    UInt64Value,
};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// `google.protobuf.Timestamp`: an instant, to the nanosecond.
#[derive(Clone, Copy, PartialEq, Eq, Hash, prost::Message)]
pub struct Timestamp {
    /// Seconds since 1970-01-01T00:00:00Z.
    #[prost(int64, tag = "1")]
    pub seconds: i64,
    /// Nanoseconds of the second, 0 to 999,999,999.
    #[prost(int32, tag = "2")]
    pub nanos: i32,
}

/// A wire timestamp outside years 1 to 9999, or with nanoseconds outside a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfRange;

impl fmt::Display for OutOfRange {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("not a time between the years 1 and 9999")
    }
}

impl std::error::Error for OutOfRange {}

/// The first and last second of the years 1 to 9999.
const BOUNDS: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_207_200;

impl From<jiff::Timestamp> for Timestamp {
    fn from(time: jiff::Timestamp) -> Self {
        let (mut seconds, mut nanos) = (time.as_second(), time.subsec_nanosecond());
        if nanos < 0 {
            seconds -= 1;
            nanos += 1_000_000_000;
        }
        Self { seconds, nanos }
    }
}

impl TryFrom<Timestamp> for jiff::Timestamp {
    type Error = OutOfRange;

    fn try_from(time: Timestamp) -> Result<Self, OutOfRange> {
        if !BOUNDS.contains(&time.seconds) || !(0..1_000_000_000).contains(&time.nanos) {
            return Err(OutOfRange);
        }
        jiff::Timestamp::new(time.seconds, time.nanos).map_err(|_| OutOfRange)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let time = jiff::Timestamp::try_from(*self).map_err(serde::ser::Error::custom)?;
        // Canonical is none, or three, six or nine digits of a second's fraction.
        match self.nanos {
            0 => serializer.collect_str(&time),
            nanos if nanos % 1_000_000 == 0 => serializer.collect_str(&format_args!("{time:.3}")),
            nanos if nanos % 1_000 == 0 => serializer.collect_str(&format_args!("{time:.6}")),
            _ => serializer.collect_str(&format_args!("{time:.9}")),
        }
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Rfc3339;
        impl de::Visitor<'_> for Rfc3339 {
            type Value = Timestamp;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a time as in RFC 3339, for example \"2026-01-31T12:00:00Z\"")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Timestamp, E> {
                if let Some(time) = utc::read(text.as_bytes()) {
                    return Ok(time);
                }
                // jiff also reads "2026-01-31 12Z" and zone annotations, which RFC 3339 does not have.
                let plain = text.is_ascii() && text.len() >= 20 && !text.contains('[');
                let time: jiff::Timestamp = plain
                    .then(|| text.parse().ok())
                    .flatten()
                    .ok_or_else(|| E::invalid_value(de::Unexpected::Other("another text"), &self))?;
                let time = Timestamp::from(time);
                // jiff knows the year 0 and years before it.
                if BOUNDS.contains(&time.seconds) {
                    Ok(time)
                } else {
                    Err(E::invalid_value(de::Unexpected::Other("another year"), &self))
                }
            }
        }
        deserializer.deserialize_str(Rfc3339)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_canonical() {
        for (text, written) in [
            ("2026-01-31T12:00:00Z", "2026-01-31T12:00:00Z"),
            ("2026-01-31T12:00:00.25+02:00", "2026-01-31T10:00:00.250Z"),
            ("1969-12-31T23:59:59.5Z", "1969-12-31T23:59:59.500Z"),
            ("2026-01-31T12:00:00.00012Z", "2026-01-31T12:00:00.000120Z"),
            ("2026-01-31T12:00:00.000000120Z", "2026-01-31T12:00:00.000000120Z"),
            ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
        ] {
            let time: Timestamp = serde_json::from_value(text.into()).unwrap();
            assert!((0..1_000_000_000).contains(&time.nanos), "{text}");
            assert_eq!(serde_json::to_value(time).unwrap(), written);
        }
    }

    #[test]
    fn what_is_no_rfc_3339_time_is_refused() {
        for text in [
            "",
            "now",
            "2026-01-31",
            "2026-01-31T12:00:00",
            "2026-13-31T12:00:00Z",
            "0000-12-31T23:59:59Z",
            "2026-01-31T12:00:00Z[UTC]",
        ] {
            assert!(serde_json::from_value::<Timestamp>(text.into()).is_err(), "{text}");
        }
        assert!(jiff::Timestamp::try_from(Timestamp { seconds: i64::MAX, nanos: 0 }).is_err());
        assert!(jiff::Timestamp::try_from(Timestamp { seconds: 0, nanos: -1 }).is_err());
    }
}
