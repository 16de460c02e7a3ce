//! What was told, and what was said of it: pure.

mod precision;
mod segment;
mod words;

use jiff::Timestamp;
use petty_chassis::types::{AccountId, PetId};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

pub(crate) use petty_chassis::types::Behavior;
pub(crate) use precision::Precision;
pub(crate) use segment::measures_of;
pub(crate) use words::{Fault, Opinion, free_text, opinion, said_at};

/// What was told of an event, at one version.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Told {
    pub(crate) version: i64,
    pub(crate) behavior: Behavior,
    pub(crate) rule: String,
    pub(crate) rule_version: String,
    pub(crate) start_at: Timestamp,
    /// When it ended, or its last reading so far.
    pub(crate) end_at: Timestamp,
    /// True while it may still go on.
    pub(crate) open: bool,
    pub(crate) evidence: Evidence,
}

/// What an event rests on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Evidence {
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

/// An event, as it is known here.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Episode {
    pub(crate) id: Uuid,
    pub(crate) pet: PetId,
    pub(crate) told: Told,
    pub(crate) superseded: bool,
    /// What stands in its place, where it is superseded.
    pub(crate) replaced_by: Vec<Uuid>,
    /// True: it was superseded before it was known here, and what was told is taken from what replaced it.
    pub(crate) secondhand: bool,
}

/// Whether an event was told right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Correct,
    Wrong,
    Unsure,
}

impl Verdict {
    const ALL: [Self; 3] = [Self::Correct, Self::Wrong, Self::Unsure];

    /// The name rows and archive lines carry. It never changes.
    pub(crate) const fn slug(self) -> &'static str {
        match self {
            Self::Correct => "correct",
            Self::Wrong => "wrong",
            Self::Unsure => "unsure",
        }
    }

    /// The verdict of a slug.
    pub(crate) fn from_slug(slug: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|verdict| verdict.slug() == slug)
    }
}

/// What somebody says of an event.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Words {
    pub(crate) opinion: Opinion,
    pub(crate) actual_behavior: Option<Behavior>,
    /// The readings it is about, as the client has them.
    pub(crate) segment: Option<Value>,
    pub(crate) said_at: Timestamp,
}

/// What somebody said of an event, as it is kept.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Feedback {
    pub(crate) id: Uuid,
    pub(crate) event: Uuid,
    pub(crate) pet: PetId,
    pub(crate) account: AccountId,
    pub(crate) verdict: Verdict,
    pub(crate) actual_behavior: Option<Behavior>,
    pub(crate) comment: Option<String>,
    pub(crate) said_at: Timestamp,
    pub(crate) behavior: Behavior,
    pub(crate) rule: String,
    pub(crate) rule_version: String,
}

/// How often a rule of a version was right.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RuleStats {
    pub(crate) rule_version: String,
    pub(crate) rule: String,
    pub(crate) behavior: Behavior,
    pub(crate) correct: i64,
    pub(crate) wrong: i64,
    pub(crate) unsure: i64,
}
