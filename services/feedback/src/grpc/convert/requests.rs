//! What callers ask.

use jiff::Timestamp;
use petty_chassis::types::{TimelineEventId, micros};
use petty_chassis::{ApiError, FieldError};
use petty_proto::feedback::v1 as wire;
use petty_proto::feedback::v1::feedback::Verdict as WireVerdict;
use petty_proto::wkt;
use serde_json::Value;
use uuid::Uuid;

use crate::domain::{Behavior, Fault, Opinion, Verdict, Words, free_text, opinion, said_at};

/// The most bytes of a segment, as JSON.
const LARGEST_SEGMENT: usize = 64 * 1024;
/// The most characters of a request's id, and of a rule version that is asked for.
const LONGEST: usize = 100;

/// What the first system's clients say, and of which event.
pub(crate) fn submitted(
    request: &wire::SubmitFeedbackRequest,
    now: Timestamp,
) -> Result<(Uuid, Words), ApiError> {
    let mut faults = Vec::new();
    let event = take(&mut faults, event(&request.event_id));
    let opinion =
        take(&mut faults, opinion(&request.user_feedback).map_err(|fault| in_field("user_feedback", fault)));
    let stated = request.timestamp.map(|time| instant("timestamp", time)).transpose();
    let said_at =
        stated.and_then(|stated| said_at(stated, now).map_err(|fault| in_field("timestamp", fault)));
    let said_at = take(&mut faults, said_at);
    let segment = take(&mut faults, segment(request.segment.as_ref()));
    take(&mut faults, short("request_id", &request.request_id));
    match (event, opinion, said_at, segment) {
        (Some(event), Some(opinion), Some(said_at), Some(segment)) if faults.is_empty() => {
            Ok((event, Words { opinion, actual_behavior: None, segment, said_at }))
        }
        _ => Err(faults.into()),
    }
}

/// What somebody says, and of which event.
pub(crate) fn created(
    request: &wire::CreateFeedbackRequest,
    now: Timestamp,
) -> Result<(Uuid, Words), ApiError> {
    let mut faults = Vec::new();
    let event = take(&mut faults, event(&request.event_id));
    let verdict = take(&mut faults, verdict(request.verdict));
    let actual = take(&mut faults, actual_behavior(request.actual_behavior.as_deref(), verdict));
    let comment = request.comment.as_deref().map(free_text).transpose();
    let comment = take(&mut faults, comment.map_err(|fault| in_field("comment", fault)));
    take(&mut faults, short("request_id", &request.request_id));
    match (event, verdict, actual, comment) {
        (Some(event), Some(verdict), Some(actual_behavior), Some(comment)) if faults.is_empty() => {
            let opinion = Opinion { verdict, comment };
            Ok((event, Words { opinion, actual_behavior, segment: None, said_at: micros(now) }))
        }
        _ => Err(faults.into()),
    }
}

/// The id of an event.
pub(crate) fn event(text: &str) -> Result<Uuid, FieldError> {
    if text.is_empty() {
        return Err(FieldError::required("event_id"));
    }
    let id = text.parse().map(|TimelineEventId(id)| id);
    id.map_err(|malformed| FieldError::malformed("event_id", malformed.to_string()))
}

/// The span of a request for statistics; an absent end is no bound, since nothing is said in the future.
pub(crate) fn span(
    request: &wire::GetFeedbackStatsRequest,
) -> Result<(Option<Timestamp>, Option<Timestamp>), ApiError> {
    let mut faults = Vec::new();
    let start = request.start_time.map(|time| instant("start_time", time)).transpose();
    let end = request.end_time.map(|time| instant("end_time", time)).transpose();
    let (start, end) = (take(&mut faults, start), take(&mut faults, end));
    take(&mut faults, short("rule_version", &request.rule_version));
    if let (Some(Some(start)), Some(Some(end))) = (start, end)
        && start > end
    {
        faults.push(FieldError::out_of_range("start_time", "must not be after end_time"));
    }
    match (start, end) {
        (Some(start), Some(end)) if faults.is_empty() => Ok((start, end)),
        _ => Err(faults.into()),
    }
}

/// Two parts of one request, or everything that is wrong with either.
pub(crate) fn both<A, B>(
    one: Result<A, Vec<FieldError>>,
    other: Result<B, Vec<FieldError>>,
) -> Result<(A, B), Vec<FieldError>> {
    match (one, other) {
        (Ok(one), Ok(other)) => Ok((one, other)),
        (Err(faults), Ok(_)) | (Ok(_), Err(faults)) => Err(faults),
        (Err(mut faults), Err(more)) => {
            faults.extend(more);
            Err(faults)
        }
    }
}

fn verdict(verdict: i32) -> Result<Verdict, FieldError> {
    match WireVerdict::try_from(verdict) {
        Ok(WireVerdict::Correct) => Ok(Verdict::Correct),
        Ok(WireVerdict::Wrong) => Ok(Verdict::Wrong),
        Ok(WireVerdict::Unsure) => Ok(Verdict::Unsure),
        Ok(WireVerdict::Unspecified) => Err(FieldError::required("verdict")),
        Err(_) => Err(FieldError::malformed("verdict", "must be CORRECT, WRONG or UNSURE")),
    }
}

fn actual_behavior(text: Option<&str>, verdict: Option<Verdict>) -> Result<Option<Behavior>, FieldError> {
    const FIELD: &str = "actual_behavior";
    let Some(text) = text else { return Ok(None) };
    if verdict == Some(Verdict::Correct) {
        return Err(FieldError::malformed(FIELD, "must be absent where the verdict is CORRECT"));
    }
    let names = "must be Deep Sleep, Resting, Walking, Running, Playing Fetch or Anxious Pacing";
    // That it is unknown says nothing of what was seen.
    let seen = Behavior::named(text).filter(|behavior| behavior.is_known());
    seen.map(Some).ok_or_else(|| FieldError::malformed(FIELD, names))
}

/// A segment, as the database can keep it.
fn segment(segment: Option<&wkt::Value>) -> Result<Option<Value>, FieldError> {
    const FIELD: &str = "segment";
    let Some(segment) = segment.filter(|segment| !segment.is_null()) else { return Ok(None) };
    let mut value =
        serde_json::to_value(segment).map_err(|_| FieldError::malformed(FIELD, "must be JSON"))?;
    as_it_came(&mut value);
    if value.to_string().len() > LARGEST_SEGMENT {
        return Err(FieldError::out_of_range(FIELD, "must be at most 64 KiB as JSON"));
    }
    if holds_nul(&value) {
        return Err(FieldError::malformed(FIELD, "must hold no NUL characters"));
    }
    Ok(Some(value))
}

/// On its way every number was a double: 55 came as 55, not as 55.0. Up to 2^53 whole ones are told apart.
fn as_it_came(value: &mut Value) {
    const MOST: f64 = 9_007_199_254_740_992.0;
    match value {
        Value::Number(number) => {
            let whole = number.as_f64().filter(|number| number.fract() == 0.0 && number.abs() <= MOST);
            #[expect(clippy::cast_possible_truncation, reason = "a whole number of at most 2^53")]
            if let Some(whole) = whole {
                *value = Value::from(whole as i64);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(as_it_came),
        Value::Object(members) => members.values_mut().for_each(as_it_came),
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

fn holds_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(holds_nul),
        Value::Object(members) => members.iter().any(|(name, value)| name.contains('\0') || holds_nul(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

fn short(field: &'static str, text: &str) -> Result<(), FieldError> {
    if text.chars().count() > LONGEST {
        Err(FieldError::out_of_range(field, "must be at most 100 characters"))
    } else if text.contains('\0') {
        Err(in_field(field, Fault::Nul))
    } else {
        Ok(())
    }
}

fn instant(field: &'static str, time: wkt::Timestamp) -> Result<Timestamp, FieldError> {
    let reason = "must be a time between the years 1 and 9999";
    Timestamp::try_from(time).map_err(|_| FieldError::out_of_range(field, reason))
}

fn in_field(field: &'static str, fault: Fault) -> FieldError {
    match fault {
        Fault::Nul => FieldError::malformed(field, fault.to_string()),
        Fault::Length | Fault::Ahead | Fault::Back => FieldError::out_of_range(field, fault.to_string()),
    }
}

/// The value, or a note of what is wrong with it.
fn take<T>(faults: &mut Vec<FieldError>, read: Result<T, FieldError>) -> Option<T> {
    read.map_err(|fault| faults.push(fault)).ok()
}
