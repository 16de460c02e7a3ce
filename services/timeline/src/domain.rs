//! What a timeline is made of: pure.

mod span;

use jiff::Timestamp;
use petty_chassis::types::PetId;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub(crate) use span::{Span, Wearing, poll_after_seconds, seen_by};

/// Something that happened.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    pub(crate) id: Uuid,
    pub(crate) pet: PetId,
    pub(crate) behavior: Behavior,
    pub(crate) start_at: Timestamp,
    /// When it ended, or its last reading so far.
    pub(crate) end_at: Timestamp,
    /// True while it may still go on.
    pub(crate) open: bool,
    pub(crate) confidence: f64,
    pub(crate) metadata: Metadata,
    pub(crate) version: i64,
}

/// What an entry rests on.
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Behavior {
    DeepSleep,
    Resting,
    Walking,
    Running,
    PlayingFetch,
    AnxiousPacing,
}

impl Behavior {
    const ALL: [Self; 6] = [
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
}
