//! `google.protobuf.Duration`: a span of time, in JSON `"1.5s"`.

use std::fmt;

use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A signed span of time, to the nanosecond.
#[derive(Clone, Copy, PartialEq, Eq, Hash, prost::Message)]
pub struct Duration {
    /// Seconds, within 10,000 years.
    #[prost(int64, tag = "1")]
    pub seconds: i64,
    /// Nanoseconds, of the same sign.
    #[prost(int32, tag = "2")]
    pub nanos: i32,
}

/// 10,000 years.
const MOST: u64 = 315_576_000_000;

impl Serialize for Duration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (seconds, nanos) = (self.seconds.unsigned_abs(), self.nanos.unsigned_abs());
        if seconds > MOST || nanos > 999_999_999 || i64::from(self.nanos).signum() * self.seconds.signum() < 0
        {
            return Err(serde::ser::Error::custom("not a duration within 10,000 years"));
        }
        let sign = if self.seconds < 0 || self.nanos < 0 { "-" } else { "" };
        // None, 3, 6 or 9 digits, as canonical JSON has it.
        match nanos {
            0 => serializer.collect_str(&format_args!("{sign}{seconds}s")),
            _ if nanos % 1_000_000 == 0 => {
                serializer.collect_str(&format_args!("{sign}{seconds}.{:03}s", nanos / 1_000_000))
            }
            _ if nanos % 1_000 == 0 => {
                serializer.collect_str(&format_args!("{sign}{seconds}.{:06}s", nanos / 1_000))
            }
            _ => serializer.collect_str(&format_args!("{sign}{seconds}.{nanos:09}s")),
        }
    }
}

/// `-1.5s`: seconds with up to nine decimals.
fn parse(text: &str) -> Option<Duration> {
    let number = text.strip_suffix('s')?;
    let (negative, number) = number.strip_prefix('-').map_or((false, number), |number| (true, number));
    let (whole, fraction) =
        number.split_once('.').map_or((number, None), |(whole, rest)| (whole, Some(rest)));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || fraction.is_some_and(|fraction| !digits(fraction) || fraction.len() > 9) {
        return None;
    }
    let seconds: i64 = whole.parse().ok().filter(|seconds: &i64| seconds.unsigned_abs() <= MOST)?;
    let nanos: i32 = format!("{:0<9}", fraction.unwrap_or_default()).parse().ok()?;
    if seconds.unsigned_abs() == MOST && nanos != 0 {
        return None;
    }
    let sign = if negative { -1 } else { 1 };
    Some(Duration { seconds: seconds * i64::from(sign), nanos: nanos * sign })
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Seconds;
        impl Visitor<'_> for Seconds {
            type Value = Duration;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a duration in seconds, for example \"1.5s\"")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Duration, E> {
                parse(text).ok_or_else(|| E::invalid_value(Unexpected::Other("another text"), &self))
            }
        }
        deserializer.deserialize_str(Seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_canonical() {
        for (text, written, seconds, nanos) in [
            ("0s", "0s", 0, 0),
            ("1.5s", "1.500s", 1, 500_000_000),
            ("-1.5s", "-1.500s", -1, -500_000_000),
            ("-0.000001s", "-0.000001s", 0, -1_000),
            ("3.000000001s", "3.000000001s", 3, 1),
            ("315576000000s", "315576000000s", 315_576_000_000, 0),
        ] {
            let duration: Duration = serde_json::from_value(text.into()).unwrap();
            assert_eq!((duration.seconds, duration.nanos), (seconds, nanos), "{text}");
            assert_eq!(serde_json::to_value(duration).unwrap(), written);
        }
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in [
            "",
            "s",
            "1",
            "1.s",
            ".5s",
            "1.5",
            "+1s",
            "1 s",
            "1m",
            "1e3s",
            "1.0000000001s",
            "315576000001s",
            "--1s",
        ] {
            assert!(serde_json::from_value::<Duration>(text.into()).is_err(), "{text}");
        }
        for (seconds, nanos) in [(1, -1), (-1, 1), (0, 1_000_000_000), (i64::MIN, 0)] {
            assert!(serde_json::to_value(Duration { seconds, nanos }).is_err(), "{seconds} {nanos}");
        }
    }
}
