//! From requests into the domain, and from the domain onto the wire.

use std::collections::BTreeSet;

use jiff::Timestamp;
use jiff::civil::Date;
use petty_chassis::FieldError;
use petty_chassis::types::{PetId, TimelineEventId};
use petty_proto::timeline::v1 as wire;
use petty_proto::timeline::v1::get_pet_timeline_response::Event;
use petty_proto::timeline::v1::timeline_update::Type;

use crate::domain::day::{self, BadDate, Summary};
use crate::domain::{AlertNote, Behavior, Entry, FeedbackNote, Filter, Kind, Metadata, PlanNote, What};
use crate::stream::Update;

/// The most behaviours, and kinds, that a request may name.
const MOST_NAMES: usize = 20;

/// Which entries a request wants.
pub(crate) fn filter(request: &wire::ListTimelineRequest, faults: &mut Vec<FieldError>) -> Filter {
    let kinds = named("kinds", &request.kinds, faults, "must be BEHAVIOR, PLAN, FEEDBACK or ALERT", |kind| {
        match wire::entry::Kind::try_from(*kind) {
            Ok(wire::entry::Kind::Behavior) => Some(Kind::Behavior),
            Ok(wire::entry::Kind::Plan) => Some(Kind::Plan),
            Ok(wire::entry::Kind::Feedback) => Some(Kind::Feedback),
            Ok(wire::entry::Kind::Alert) => Some(Kind::Alert),
            Ok(wire::entry::Kind::Unspecified) | Err(_) => None,
        }
    });
    let unknown = "must be the name of a behaviour, for example \"Deep Sleep\"";
    let behaviors = named("behaviors", &request.behaviors, faults, unknown, |name| {
        Behavior::named(name).filter(|behavior| behavior.is_known())
    });
    Filter { kinds, behaviors }
}

fn named<N, T: Ord>(
    field: &'static str,
    names: &[N],
    faults: &mut Vec<FieldError>,
    unknown: &'static str,
    read: impl Fn(&N) -> Option<T>,
) -> BTreeSet<T> {
    if names.len() > MOST_NAMES {
        faults.push(FieldError::out_of_range(field, format!("must be {MOST_NAMES} at most")));
        return BTreeSet::new();
    }
    let mut found = BTreeSet::new();
    for (nth, name) in names.iter().enumerate() {
        match read(name) {
            Some(named) => drop(found.insert(named)),
            None => faults.push(FieldError::malformed(format!("{field}[{nth}]"), unknown)),
        }
    }
    found
}

/// The day that a request asks about.
pub(crate) fn date(text: &str, now: Timestamp) -> Result<Date, FieldError> {
    day::parse(text, now).map_err(|bad| match bad {
        BadDate::Malformed if text.is_empty() => FieldError::required("date"),
        BadDate::Malformed => FieldError::malformed("date", "must be a day, YYYY-MM-DD"),
        BadDate::OutOfRange => FieldError::out_of_range("date", "must be a day that has begun somewhere"),
    })
}

/// The number that a stream goes on from; `None`: from now on. Numbers that are too high for us are of the future.
pub(crate) fn last_event_id(text: &str) -> Result<Option<i64>, FieldError> {
    if text.is_empty() {
        return Ok(None);
    }
    let canonical = text == "0" || !text.starts_with('0');
    if !canonical || text.len() > 100 || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(FieldError::malformed("last_event_id", "must be the id of an update of this stream"));
    }
    Ok(Some(text.parse().unwrap_or(i64::MAX)))
}

/// An entry, as it is told.
pub(crate) fn entry(entry: Entry) -> wire::Entry {
    let told = wire::Entry {
        event_id: TimelineEventId(entry.id).to_string(),
        pet_id: entry.pet.to_string(),
        start_time: Some(entry.start_at.into()),
        end_time: Some(entry.end_at.into()),
        open: entry.open,
        confidence: entry.confidence,
        version: i32::try_from(entry.version).unwrap_or(i32::MAX),
        ..wire::Entry::default()
    };
    match entry.what {
        What::Behavior(behavior, evidence) => wire::Entry {
            kind: wire::entry::Kind::Behavior.into(),
            behavior: behavior.name().to_owned(),
            metadata: Some(metadata(evidence)),
            ..told
        },
        What::Plan(note) => {
            wire::Entry { kind: wire::entry::Kind::Plan.into(), plan: Some(plan(note)), ..told }
        }
        What::Feedback(note) => {
            wire::Entry { kind: wire::entry::Kind::Feedback.into(), feedback: Some(feedback(note)), ..told }
        }
        What::Alert(note) => {
            wire::Entry { kind: wire::entry::Kind::Alert.into(), alert: Some(alert(note)), ..told }
        }
    }
}

/// A behaviour, as the first system told it; it knew nothing else.
pub(crate) fn event(entry: Entry) -> Option<Event> {
    let What::Behavior(behavior, evidence) = entry.what else { return None };
    Some(Event {
        event_id: TimelineEventId(entry.id).to_string(),
        behavior: behavior.name().to_owned(),
        confidence: entry.confidence,
        timestamp: Some(entry.start_at.into()),
        end_timestamp: (!entry.open).then(|| entry.end_at.into()),
        metadata: Some(metadata(evidence)),
    })
}

/// An update, as it is told.
pub(crate) fn update(update: Update) -> wire::TimelineUpdate {
    let (id, r#type, told) = match update {
        Update::Ready(head) => (head, Type::Ready, None),
        Update::Resync(head) => (head, Type::Resync, None),
        Update::Change(change) => {
            let r#type = if change.removed { Type::Removed } else { Type::Entry };
            (change.sequence, r#type, Some(entry(change.entry)))
        }
    };
    wire::TimelineUpdate { id: id.to_string(), r#type: r#type.into(), entry: told }
}

/// A day, as it is told.
pub(crate) fn day(pet: PetId, date: Date, time_zone: String, summary: Summary) -> wire::Day {
    let share = |share: &day::Share| wire::day::Share {
        behavior: share.behavior.name().to_owned(),
        minutes: share.minutes,
        episodes: share.episodes,
        first_start_time: Some(share.first_start.into()),
        last_end_time: Some(share.last_end.into()),
    };
    wire::Day {
        pet_id: pet.to_string(),
        date: date.to_string(),
        time_zone,
        start_time: Some(summary.bounds.start.into()),
        end_time: Some(summary.bounds.end.into()),
        closed: summary.closed,
        version: summary.version,
        known_minutes: summary.minutes(|_| true),
        covered_minutes: summary.covered_minutes,
        deep_sleep_minutes: summary.minutes(|behavior| behavior == Behavior::DeepSleep),
        rest_minutes: summary.minutes(Behavior::is_rest),
        active_minutes: summary.minutes(Behavior::moves),
        distance_m: summary.distance_m,
        resting_heart_rate: summary.resting_heart_rate,
        behaviors: summary.shares.iter().map(share).collect(),
    }
}

fn metadata(metadata: Metadata) -> wire::EntryMetadata {
    wire::EntryMetadata {
        rule: metadata.rule,
        rule_version: metadata.rule_version,
        readings: metadata.readings,
        mean_heart_rate: metadata.mean_heart_rate,
        sd_heart_rate: metadata.sd_heart_rate,
        distance_m: metadata.distance_m,
        max_speed_mps: metadata.max_speed_mps,
    }
}

fn plan(note: PlanNote) -> wire::PlanNote {
    wire::PlanNote {
        plan_version: note.plan_version,
        kcal_per_day: note.kcal_per_day,
        previous_kcal_per_day: note.previous_kcal_per_day,
        life_stage: note.life_stage,
        reason: note.reason,
        rule_version: note.rule_version,
    }
}

fn feedback(note: FeedbackNote) -> wire::FeedbackNote {
    wire::FeedbackNote {
        feedback_id: note.feedback_id,
        event_id: note.event_id,
        verdict: note.verdict,
        actual_behavior: note.actual_behavior,
    }
}

fn alert(note: AlertNote) -> wire::AlertNote {
    wire::AlertNote {
        alert_id: note.alert_id,
        kind: note.kind,
        severity: note.severity,
        status: note.status,
        notify: note.notify,
        escalated: note.escalated,
        rule_version: note.rule_version,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn behaviors_are_asked_for_by_name_but_not_what_no_timeline_shows() {
        let asked = |names: &[&str]| wire::ListTimelineRequest {
            behaviors: names.iter().map(|name| (*name).to_owned()).collect(),
            ..Default::default()
        };
        let mut faults = Vec::new();
        let found = filter(&asked(&["Deep Sleep", "PLAYING-FETCH", "deep_sleep"]), &mut faults);
        assert_eq!(found.behaviors, BTreeSet::from([Behavior::DeepSleep, Behavior::PlayingFetch]));
        assert!(faults.is_empty());
        filter(&asked(&["Walking", "Unknown", "flying"]), &mut faults);
        let fields: Vec<_> = faults.iter().map(|fault| fault.field.as_ref()).collect();
        assert_eq!(fields, ["behaviors[1]", "behaviors[2]"]);
    }

    #[test]
    fn a_last_event_id_is_a_number_as_we_write_them() {
        for (text, expected) in [
            ("", Some(None)),
            ("0", Some(Some(0))),
            ("42", Some(Some(42))),
            ("9223372036854775807", Some(Some(i64::MAX))),
            ("99999999999999999999", Some(Some(i64::MAX))),
            ("042", None),
            ("00", None),
            ("-1", None),
            ("+1", None),
            ("4 2", None),
            ("1e3", None),
            ("٤٢", None),
            ("evt_42", None),
        ] {
            assert_eq!(last_event_id(text).ok(), expected, "{text}");
        }
        assert!(last_event_id(&"9".repeat(101)).is_err());
    }
}
