//! What pets do, by name.

use serde::{Deserialize, Serialize};

/// No name is longer.
const LONGEST: usize = 40;

/// What a pet did. States and totals are kept by variant: names and order never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Behavior {
    /// Still, with a low and steady heart rate.
    DeepSleep,
    /// Still, awake or lightly asleep.
    Resting,
    /// Moving at a walk.
    Walking,
    /// Moving faster than a walk.
    Running,
    /// Bursts and rests over some distance.
    PlayingFetch,
    /// Moving on in one small place, with a raised heart rate.
    AnxiousPacing,
    /// There were readings, and no rule speaks.
    Unknown,
}

impl Behavior {
    /// Every behaviour, in declaration order.
    pub const ALL: [Self; 7] = [
        Self::DeepSleep,
        Self::Resting,
        Self::Walking,
        Self::Running,
        Self::PlayingFetch,
        Self::AnxiousPacing,
        Self::Unknown,
    ];

    /// The name people read, "Deep Sleep"; the first system's clients compare it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::DeepSleep => "Deep Sleep",
            Self::Resting => "Resting",
            Self::Walking => "Walking",
            Self::Running => "Running",
            Self::PlayingFetch => "Playing Fetch",
            Self::AnxiousPacing => "Anxious Pacing",
            Self::Unknown => "Unknown",
        }
    }

    /// The name rules, rows and archives carry: "deep_sleep". It never changes.
    #[must_use]
    pub const fn slug(self) -> &'static str {
        match self {
            Self::DeepSleep => "deep_sleep",
            Self::Resting => "resting",
            Self::Walking => "walking",
            Self::Running => "running",
            Self::PlayingFetch => "playing_fetch",
            Self::AnxiousPacing => "anxious_pacing",
            Self::Unknown => "unknown",
        }
    }

    /// The behaviour of a slug.
    #[must_use]
    pub fn from_slug(slug: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|behavior| behavior.slug() == slug)
    }

    /// The behaviour that people call so, by name or slug in any case: "Deep Sleep", "deep_sleep", "DEEP-SLEEP".
    #[must_use]
    pub fn named(text: &str) -> Option<Self> {
        if text.len() > LONGEST {
            return None;
        }
        Self::from_slug(&text.trim().to_ascii_lowercase().replace([' ', '-'], "_"))
    }

    /// Whether it says what the pet did.
    #[must_use]
    pub const fn is_known(self) -> bool {
        match self {
            Self::DeepSleep
            | Self::Resting
            | Self::Walking
            | Self::Running
            | Self::PlayingFetch
            | Self::AnxiousPacing => true,
            Self::Unknown => false,
        }
    }

    /// Whether the pet rests.
    #[must_use]
    pub const fn is_rest(self) -> bool {
        match self {
            Self::DeepSleep | Self::Resting => true,
            Self::Walking | Self::Running | Self::PlayingFetch | Self::AnxiousPacing | Self::Unknown => false,
        }
    }

    /// Whether the pet gets about. A path of what does not is the noise of its fixes.
    #[must_use]
    pub const fn moves(self) -> bool {
        match self {
            Self::Walking | Self::Running | Self::PlayingFetch | Self::AnxiousPacing => true,
            Self::DeepSleep | Self::Resting | Self::Unknown => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_slugs_are_read_in_any_case() {
        for behavior in Behavior::ALL {
            let (name, slug) = (behavior.name(), behavior.slug());
            for text in [name.to_owned(), name.to_uppercase(), slug.to_owned(), slug.replace('_', "-")] {
                assert_eq!(Behavior::named(&text), Some(behavior), "{text}");
            }
            assert_eq!(Behavior::from_slug(slug), Some(behavior));
        }
        assert_eq!(Behavior::named(" playing fetch "), Some(Behavior::PlayingFetch));
        for text in
            ["", "flying", "deep  sleep", "deepsleep", "BEHAVIOR_UNSPECIFIED", &"walking ".repeat(1_000)]
        {
            assert_eq!(Behavior::named(text), None, "{text}");
        }
        assert_eq!(Behavior::named(&format!("walking{}", " ".repeat(1_000))), None);
        assert_eq!(Behavior::from_slug("Walking"), None);
    }

    #[test]
    fn what_was_kept_is_read_again() {
        let kept = ["DeepSleep", "Resting", "Walking", "Running", "PlayingFetch", "AnxiousPacing", "Unknown"];
        for (index, (name, behavior)) in (0_u8..).zip(kept.into_iter().zip(Behavior::ALL)) {
            assert_eq!(postcard::to_allocvec(&behavior).unwrap(), [index]);
            assert_eq!(serde_json::to_value(behavior).unwrap(), name);
        }
    }

    #[test]
    fn a_pet_rests_or_moves_or_nobody_knows() {
        for behavior in Behavior::ALL {
            assert_eq!(behavior.is_rest() || behavior.moves(), behavior.is_known(), "{behavior:?}");
            assert!(!(behavior.is_rest() && behavior.moves()), "{behavior:?}");
        }
    }
}
