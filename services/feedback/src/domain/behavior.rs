//! The behaviours, by their names.

/// The behaviours that are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Behavior {
    DeepSleep,
    Resting,
    Walking,
    Running,
    PlayingFetch,
    AnxiousPacing,
    /// Readings, but nothing that says what.
    Unknown,
}

impl Behavior {
    const ALL: [Self; 7] = [
        Self::DeepSleep,
        Self::Resting,
        Self::Walking,
        Self::Running,
        Self::PlayingFetch,
        Self::AnxiousPacing,
        Self::Unknown,
    ];

    /// The name people read.
    pub(crate) const fn name(self) -> &'static str {
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

    /// The name rows and archive lines carry. It never changes.
    pub(crate) const fn slug(self) -> &'static str {
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
    pub(crate) fn from_slug(slug: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|behavior| behavior.slug() == slug)
    }

    /// The behaviour that somebody saw, by its name or slug, in any case. That it is unknown says nothing of what was seen.
    pub(crate) fn seen(text: &str) -> Option<Self> {
        let words = text.trim().to_ascii_lowercase().replace([' ', '-'], "_");
        Self::from_slug(&words).filter(|behavior| *behavior != Self::Unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_slugs_are_read_in_any_case() {
        for behavior in Behavior::ALL.into_iter().filter(|behavior| *behavior != Behavior::Unknown) {
            for text in
                [behavior.name().to_owned(), behavior.name().to_uppercase(), behavior.slug().to_owned()]
            {
                assert_eq!(Behavior::seen(&text), Some(behavior), "{text}");
            }
            assert_eq!(Behavior::from_slug(behavior.slug()), Some(behavior));
        }
        assert_eq!(Behavior::seen(" deep-sleep "), Some(Behavior::DeepSleep));
    }

    #[test]
    fn nobody_sees_the_unknown_or_the_unheard_of() {
        for text in ["Unknown", "unknown", "", "flying", "deep  sleep", "deepsleep", "BEHAVIOR_UNSPECIFIED"] {
            assert_eq!(Behavior::seen(text), None, "{text}");
        }
    }
}
