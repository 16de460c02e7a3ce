//! Entries.

use jiff::Timestamp;
use petty_chassis::types::PetId;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Something that happened.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    pub(crate) id: Uuid,
    pub(crate) pet: PetId,
    pub(crate) what: What,
    pub(crate) start_at: Timestamp,
    /// When it ended, or its last reading so far.
    pub(crate) end_at: Timestamp,
    /// True while it may still go on.
    pub(crate) open: bool,
    /// 1 for what is not a behaviour.
    pub(crate) confidence: f64,
    pub(crate) version: i64,
}

/// What happened, by kind.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum What {
    Behavior(Behavior, Metadata),
    Plan(PlanNote),
    Feedback(FeedbackNote),
}

impl What {
    pub(crate) const fn kind(&self) -> Kind {
        match self {
            Self::Behavior(..) => Kind::Behavior,
            Self::Plan(_) => Kind::Plan,
            Self::Feedback(_) => Kind::Feedback,
        }
    }
}

/// The kinds of entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Behavior,
    Plan,
    Feedback,
}

impl Kind {
    /// The name rows carry. It never changes.
    pub(crate) const fn slug(self) -> &'static str {
        match self {
            Self::Behavior => "behavior",
            Self::Plan => "plan",
            Self::Feedback => "feedback",
        }
    }

    /// The kind of a slug.
    pub(crate) fn from_slug(slug: &str) -> Option<Self> {
        [Self::Behavior, Self::Plan, Self::Feedback].into_iter().find(|kind| kind.slug() == slug)
    }
}

/// What a behaviour rests on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Metadata {
    pub(crate) rule: String,
    pub(crate) rule_version: String,
    pub(crate) readings: i32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) mean_heart_rate: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) sd_heart_rate: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) distance_m: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) max_speed_mps: Option<f64>,
}

/// A changed feeding plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct PlanNote {
    pub(crate) plan_version: i32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) kcal_per_day: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) previous_kcal_per_day: Option<f64>,
    pub(crate) life_stage: String,
    pub(crate) reason: String,
    pub(crate) rule_version: String,
}

/// What somebody said of an event. No text of their own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FeedbackNote {
    pub(crate) feedback_id: String,
    /// The event it is about.
    pub(crate) event_id: String,
    pub(crate) verdict: String,
    /// In words; empty where nobody said.
    pub(crate) actual_behavior: String,
}

/// What became of something that may be on a timeline.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Change {
    /// It is so now.
    Stands(Box<Entry>),
    /// It is not, or not any more, of interest; a later version may be.
    Unlisted,
    /// It is gone for good.
    Superseded,
}

/// The behaviours a timeline shows. Readings that say nothing are not among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Behavior {
    DeepSleep,
    Resting,
    Walking,
    Running,
    PlayingFetch,
    AnxiousPacing,
}

impl Behavior {
    pub(crate) const ALL: [Self; 6] = [
        Self::DeepSleep,
        Self::Resting,
        Self::Walking,
        Self::Running,
        Self::PlayingFetch,
        Self::AnxiousPacing,
    ];

    /// The name people read; the first system's clients compare it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::DeepSleep => "Deep Sleep",
            Self::Resting => "Resting",
            Self::Walking => "Walking",
            Self::Running => "Running",
            Self::PlayingFetch => "Playing Fetch",
            Self::AnxiousPacing => "Anxious Pacing",
        }
    }

    /// The name rows carry. It never changes.
    pub(crate) const fn slug(self) -> &'static str {
        match self {
            Self::DeepSleep => "deep_sleep",
            Self::Resting => "resting",
            Self::Walking => "walking",
            Self::Running => "running",
            Self::PlayingFetch => "playing_fetch",
            Self::AnxiousPacing => "anxious_pacing",
        }
    }

    /// The behaviour of a slug.
    pub(crate) fn from_slug(slug: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|behavior| behavior.slug() == slug)
    }

    /// The behaviour that people call so: "Deep Sleep", "deep_sleep", "DEEP-SLEEP".
    pub(crate) fn called(name: &str) -> Option<Self> {
        // Longer than any name: not worth a copy.
        if name.len() > 40 {
            return None;
        }
        Self::from_slug(&name.trim().to_ascii_lowercase().replace([' ', '-'], "_"))
    }

    /// Whether the pet rests.
    pub(crate) const fn is_rest(self) -> bool {
        match self {
            Self::DeepSleep | Self::Resting => true,
            Self::Walking | Self::Running | Self::PlayingFetch | Self::AnxiousPacing => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_behavior_is_found_by_what_people_call_it() {
        for (name, expected) in [
            ("Deep Sleep", Some(Behavior::DeepSleep)),
            ("deep_sleep", Some(Behavior::DeepSleep)),
            ("DEEP-SLEEP", Some(Behavior::DeepSleep)),
            (" playing fetch ", Some(Behavior::PlayingFetch)),
            ("walking", Some(Behavior::Walking)),
            ("deepsleep", None),
            ("Unknown", None),
            ("", None),
        ] {
            assert_eq!(Behavior::called(name), expected, "{name}");
        }
        assert_eq!(Behavior::called(&"walking ".repeat(1_000)), None);
    }

    #[test]
    fn rows_and_totals_call_a_behavior_alike() {
        for behavior in Behavior::ALL {
            assert_eq!(serde_json::to_value(behavior).unwrap(), behavior.slug());
        }
    }
}
