//! Typed ids, so that a pet's id cannot be passed for an account's.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::{ContextV7, Timestamp as UuidTime, Uuid};

use super::Clock;

/// Keeps ids made within one millisecond in order.
static SEQUENCE: std::sync::Mutex<ContextV7> = std::sync::Mutex::new(ContextV7::new());

fn next(clock: &Clock) -> Uuid {
    let now = clock.now();
    let sequence = SEQUENCE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let seconds = u64::try_from(now.as_second()).unwrap_or_default();
    let nanos = u32::try_from(now.subsec_nanosecond()).unwrap_or_default();
    Uuid::new_v7(UuidTime::from_unix(&*sequence, seconds, nanos))
}

macro_rules! made_by_the_clock {
    ($name:ident) => {
        impl $name {
            /// A new one (UUIDv7).
            #[must_use]
            pub fn new(clock: &Clock) -> Self {
                Self(next(clock))
            }
        }
    };
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        made_by_the_clock!($name);

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(formatter)
            }
        }

        impl FromStr for $name {
            type Err = NotAnId;

            /// Reads the hyphenated form only, so that an id has one spelling.
            fn from_str(text: &str) -> Result<Self, NotAnId> {
                if text.len() != 36 {
                    return Err(NotAnId);
                }
                Uuid::try_parse(text).map(Self).map_err(|_| NotAnId)
            }
        }
    )+};
}

/// Ids whose text says what they are of: a prefix and 32 hexadecimal digits.
macro_rules! prefixed_ids {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub Uuid);

        made_by_the_clock!($name);

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(formatter, concat!($prefix, "{}"), self.0.simple())
            }
        }

        impl FromStr for $name {
            type Err = NotAPrefixedId;

            fn from_str(text: &str) -> Result<Self, NotAPrefixedId> {
                digits_after($prefix, text).map(Self).ok_or(NotAPrefixedId($prefix))
            }
        }
    )+};
}

/// The UUID of a text, which has one spelling: lower case.
fn digits_after(prefix: &str, text: &str) -> Option<Uuid> {
    let digits = text.strip_prefix(prefix)?;
    let lower = digits.len() == 32 && digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    lower.then(|| Uuid::try_parse(digits).ok()).flatten()
}

/// A text that is not this prefix and 32 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be \"{0}\" and 32 hexadecimal digits")]
pub struct NotAPrefixedId(&'static str);

prefixed_ids! {
    /// Something on a pet's timeline: an episode of behaviour, a changed plan, a word on an event.
    TimelineEventId = "evt_",
    /// What somebody said of such an event.
    FeedbackId = "fbk_",
}

/// A text that is no hyphenated UUID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be a UUID, as in 018f3b2e-7c1a-7d60-9c1b-1f4e5a6b7c8d")]
pub struct NotAnId;

ids! {
    /// A pet.
    PetId,
    /// An account.
    AccountId,
    /// A signed-in session.
    SessionId,
    /// A collar's pairing with a pet.
    PairingId,
    /// A share of a pet.
    ShareId,
    /// An event between services.
    EventId,
}

/// A collar's id, as printed on it: `^[A-Za-z0-9][A-Za-z0-9_-]{2,63}$`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CollarId(String);

impl CollarId {
    /// The id's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CollarId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// A text that is no collar id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be 3 to 64 letters, digits, '_' or '-', and begin with a letter or digit")]
pub struct NotACollarId;

impl FromStr for CollarId {
    type Err = NotACollarId;

    fn from_str(text: &str) -> Result<Self, NotACollarId> {
        let first = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
        let rest = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
        if first && rest && (3..=64).contains(&text.len()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(NotACollarId)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn collar_ids_follow_the_contract() {
        for good in ["SN-1A4B7C-9Z", "collar-1234", "test_collar_001", "abc", &"a".repeat(64)] {
            assert!(good.parse::<CollarId>().is_ok(), "{good}");
        }
        for bad in ["", "ab", "-abc", "_abc", "a b", "ä123", "abc\0", &"a".repeat(65), &"a".repeat(10_000)] {
            assert!(bad.parse::<CollarId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn ids_are_ordered_by_making_and_have_one_spelling() {
        let clock = Clock::manual("2026-01-01T00:00:00Z".parse().unwrap());
        let ids: Vec<EventId> = (0..1_000).map(|_| EventId::new(&clock)).collect();
        assert!(ids.is_sorted());
        let text = ids[0].to_string();
        assert_eq!(text.parse::<EventId>().unwrap(), ids[0]);
        assert!(text.replace('-', "").parse::<EventId>().is_err());
        assert!(format!("{{{text}}}").parse::<EventId>().is_err());
    }

    #[test]
    fn prefixed_ids_have_one_spelling() {
        let id = TimelineEventId(Uuid::from_u128(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef));
        let text = id.to_string();
        assert_eq!(text, "evt_0123456789abcdef0123456789abcdef");
        assert_eq!(text.parse(), Ok(id));
        let hyphens = format!("evt_{}", id.0);
        for bad in ["", "evt_", "evt_0", &text[4..], &text.to_uppercase(), &hyphens, &format!("{text} ")] {
            assert_eq!(bad.parse::<TimelineEventId>(), Err(NotAPrefixedId("evt_")), "{bad}");
        }
        let other = text.parse::<FeedbackId>().unwrap_err();
        assert_eq!(other.to_string(), "must be \"fbk_\" and 32 hexadecimal digits");
        assert_eq!(FeedbackId(id.0).to_string(), text.replace("evt", "fbk"));
    }
}
