//! What the archive says of an event and of what was said of it: a line of JSON.
//!
//! Invariant: nothing in a line says who: no account, no name, no free text, no position; the pet is a pseudonym that means
//! nothing once the pet is forgotten. Equal rows make equal bytes.

use jiff::Timestamp;
use petty_chassis::types::{FeedbackId, TimelineEventId};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use crate::domain::{Behavior, Evidence, Told, measures_of};
use crate::store::objects::Label;

/// A line, in the order of its members.
#[derive(Serialize)]
struct Line<'a> {
    feedback_id: String,
    event_id: String,
    pet: Uuid,
    event_version: i64,
    behavior: &'static str,
    rule: &'a str,
    rule_version: &'a str,
    start_time: Timestamp,
    end_time: Timestamp,
    open: bool,
    evidence: &'a Evidence,
    replaced_by: Vec<String>,
    verdict: &'static str,
    actual_behavior: Option<&'static str>,
    segment: Option<Value>,
    said_at: Timestamp,
}

/// An object's bytes: a line for each label.
pub(super) fn lines(labels: &[Label]) -> Result<Vec<u8>, serde_json::Error> {
    let mut bytes = Vec::new();
    for label in labels {
        serde_json::to_writer(&mut bytes, &line(label))?;
        bytes.push(b'\n');
    }
    Ok(bytes)
}

fn line(label: &Label) -> Line<'_> {
    let Told { version, behavior, rule, rule_version, start_at, end_at, open, evidence } = &label.told;
    Line {
        feedback_id: FeedbackId(label.feedback).to_string(),
        event_id: TimelineEventId(label.event).to_string(),
        pet: label.pseudonym,
        event_version: *version,
        behavior: behavior.slug(),
        rule,
        rule_version,
        start_time: *start_at,
        end_time: *end_at,
        open: *open,
        evidence,
        replaced_by: label.replaced_by.iter().map(|heir| TimelineEventId(*heir).to_string()).collect(),
        verdict: label.verdict.slug(),
        actual_behavior: label.actual_behavior.map(Behavior::slug),
        segment: label.segment.as_ref().and_then(measures_of),
        said_at: label.said_at,
    }
}
