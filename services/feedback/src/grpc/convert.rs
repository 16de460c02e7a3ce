//! Between wire and domain. What comes in is checked here: the domain sees no value its rules do not speak of.

mod events;
mod requests;

use petty_chassis::types::{AccountId, FeedbackId, TimelineEventId};
use petty_proto::behavior::v1::episode::Behavior as WireBehavior;
use petty_proto::events::v1::FeedbackSubmitted;
use petty_proto::feedback::v1 as wire;
use petty_proto::feedback::v1::feedback::Verdict as WireVerdict;

pub(crate) use events::{changed, described};
pub(crate) use requests::{both, created, event, span, submitted};

use crate::domain::{Feedback, Precision, RuleStats, Verdict};

/// What somebody said, as it is told to an account.
pub(crate) fn feedback(said: Feedback, caller: AccountId) -> wire::Feedback {
    wire::Feedback {
        feedback_id: FeedbackId(said.id).to_string(),
        event_id: TimelineEventId(said.event).to_string(),
        pet_id: said.pet.to_string(),
        verdict: verdict(said.verdict).into(),
        actual_behavior: said.actual_behavior.map(|behavior| behavior.name().to_owned()),
        comment: said.comment,
        create_time: Some(said.said_at.into()),
        mine: said.account == caller,
        behavior: said.behavior.name().to_owned(),
        rule: said.rule,
        rule_version: said.rule_version,
    }
}

/// What somebody said, as other services are told: without who, and without their words.
pub(crate) fn submitted_event(said: &Feedback) -> FeedbackSubmitted {
    FeedbackSubmitted {
        feedback_id: FeedbackId(said.id).to_string(),
        pet_id: said.pet.to_string(),
        event_id: TimelineEventId(said.event).to_string(),
        verdict: verdict(said.verdict).into(),
        actual_behavior: said.actual_behavior.map_or(WireBehavior::Unspecified, WireBehavior::from).into(),
        behavior: WireBehavior::from(said.behavior).into(),
        rule: said.rule.clone(),
        rule_version: said.rule_version.clone(),
        time: Some(said.said_at.into()),
    }
}

/// How often a rule was right, as it is told.
pub(crate) fn stats(stats: RuleStats) -> wire::RuleStats {
    let count = |count| i32::try_from(count).unwrap_or(i32::MAX);
    let precision = Precision::of(stats.correct, stats.wrong);
    wire::RuleStats {
        rule_version: stats.rule_version,
        rule: stats.rule,
        behavior: stats.behavior.name().to_owned(),
        correct: count(stats.correct),
        wrong: count(stats.wrong),
        unsure: count(stats.unsure),
        precision: precision.map(|precision| precision.share),
        precision_low: precision.map(|precision| precision.low),
        precision_high: precision.map(|precision| precision.high),
    }
}

fn verdict(verdict: Verdict) -> WireVerdict {
    match verdict {
        Verdict::Correct => WireVerdict::Correct,
        Verdict::Wrong => WireVerdict::Wrong,
        Verdict::Unsure => WireVerdict::Unsure,
    }
}
