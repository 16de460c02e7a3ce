//! Entries.

use jiff::Timestamp;
use petty_chassis::types::{Behavior, PetId};
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
    /// A known one: readings that say nothing are not shown.
    Behavior(Behavior, Metadata),
    Plan(PlanNote),
    Feedback(FeedbackNote),
    Alert(AlertNote),
}

impl What {
    pub(crate) const fn kind(&self) -> Kind {
        match self {
            Self::Behavior(..) => Kind::Behavior,
            Self::Plan(_) => Kind::Plan,
            Self::Feedback(_) => Kind::Feedback,
            Self::Alert(_) => Kind::Alert,
        }
    }
}

/// The kinds of entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Behavior,
    Plan,
    Feedback,
    Alert,
}

impl Kind {
    /// The name rows carry. It never changes.
    pub(crate) const fn slug(self) -> &'static str {
        match self {
            Self::Behavior => "behavior",
            Self::Plan => "plan",
            Self::Feedback => "feedback",
            Self::Alert => "alert",
        }
    }

    /// The kind of a slug.
    pub(crate) fn from_slug(slug: &str) -> Option<Self> {
        [Self::Behavior, Self::Plan, Self::Feedback, Self::Alert].into_iter().find(|kind| kind.slug() == slug)
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

/// An alert. No places.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AlertNote {
    pub(crate) alert_id: String,
    pub(crate) kind: String,
    pub(crate) severity: String,
    pub(crate) status: String,
    /// Whether this version is to disturb anybody.
    pub(crate) notify: bool,
    /// It was told once more.
    pub(crate) escalated: bool,
    pub(crate) rule_version: String,
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
