//! Numbers in JSON: as such or, as proto3 JSON allows, in a string.
//!
//! pbjson's own reader tries the one and then the other on a copy of the value, and makes an error text of every first try
//! that fails: of each number that is not in a string.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, de};

/// A number as it was read; for the generated readers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Number<T>(pub T);

/// What a number's kind takes of what JSON states.
pub trait Numeric: FromStr {
    /// Of a whole number, if it can be one.
    fn whole(number: i128) -> Option<Self>;
    /// Of a fraction.
    fn fraction(number: f64) -> Option<Self>;
}

macro_rules! whole_numbers {
    ($($kind:ty),*) => {
        $(impl Numeric for $kind {
            fn whole(number: i128) -> Option<Self> {
                Self::try_from(number).ok()
            }

            fn fraction(_: f64) -> Option<Self> {
                None
            }
        })*
    };
}
whole_numbers!(i32, u32, i64, u64);

impl Numeric for f64 {
    #[expect(clippy::cast_precision_loss, reason = "the nearest is what JSON's numbers mean")]
    fn whole(number: i128) -> Option<Self> {
        Some(number as Self)
    }

    fn fraction(number: f64) -> Option<Self> {
        Some(number)
    }
}

impl Numeric for f32 {
    #[expect(clippy::cast_precision_loss, reason = "the nearest is what JSON's numbers mean")]
    fn whole(number: i128) -> Option<Self> {
        Some(number as Self)
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "the nearest, or an infinity, which is refused as such"
    )]
    fn fraction(number: f64) -> Option<Self> {
        Some(number as Self)
    }
}

impl<'de, T: Numeric> Deserialize<'de> for Number<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader(PhantomData))
    }
}

struct Reader<T>(PhantomData<T>);

impl<T: Numeric> de::Visitor<'_> for Reader<T> {
    type Value = Number<T>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a number within its bounds")
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Number<T>, E> {
        T::whole(number.into())
            .map(Number)
            .ok_or_else(|| E::invalid_value(de::Unexpected::Signed(number), &self))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Number<T>, E> {
        let unexpected = de::Unexpected::Unsigned(number);
        T::whole(number.into()).map(Number).ok_or_else(|| E::invalid_value(unexpected, &self))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Number<T>, E> {
        let unexpected = de::Unexpected::Float(number);
        T::fraction(number).map(Number).ok_or_else(|| E::invalid_value(unexpected, &self))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Number<T>, E> {
        text.parse().map(Number).map_err(|_| E::invalid_value(de::Unexpected::Other("another text"), &self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<T: Numeric>(json: &str) -> Option<T> {
        serde_json::from_str::<Number<T>>(json).ok().map(|number| number.0)
    }

    #[test]
    fn numbers_stand_alone_or_in_strings() {
        for (json, of_i32, of_u64, of_f64) in [
            ("7", Some(7), Some(7), Some(7.0)),
            ("\"7\"", Some(7), Some(7), Some(7.0)),
            ("-7", Some(-7), None, Some(-7.0)),
            ("7.5", None, None, Some(7.5)),
            ("\"7.5\"", None, None, Some(7.5)),
            ("1e400", None, None, None),
            ("2147483648", None, Some(2_147_483_648), Some(2_147_483_648.0)),
            ("18446744073709551615", None, Some(u64::MAX), Some(18_446_744_073_709_551_615.0)),
            ("\"18446744073709551615\"", None, Some(u64::MAX), Some(18_446_744_073_709_551_615.0)),
            ("\"seven\"", None, None, None),
            ("\" 7\"", None, None, None),
            ("\"\"", None, None, None),
            ("true", None, None, None),
            ("null", None, None, None),
            ("[7]", None, None, None),
        ] {
            assert_eq!(read::<i32>(json), of_i32, "{json}");
            assert_eq!(read::<u64>(json), of_u64, "{json}");
            assert_eq!(read::<f64>(json), of_f64, "{json}");
        }
    }
}
