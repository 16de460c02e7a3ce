//! What other services tell, into the domain. What comes in is checked here.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::Date;
use petty_chassis::calendar::Bounds;
use petty_chassis::events::Unusable;
use petty_chassis::events::payload::{same_pet, time};
use petty_chassis::types::{FeedbackId, PetId, TimelineEventId, micros};
use petty_proto::behavior::v1 as behavior;
use petty_proto::behavior::v1::episode::Behavior as WireBehavior;
use petty_proto::events::v1::{AlertChanged, BehaviorChanged, DayClosed, FeedbackSubmitted, PlanChanged};
use petty_proto::feedback::v1::feedback::Verdict;
use uuid::Uuid;

use crate::domain::day::Told;
use crate::domain::{AlertNote, Behavior, Change, Entry, FeedbackNote, Metadata, PlanNote, What};

/// Which episode of the pet changed, and to what.
pub(crate) fn change(changed: BehaviorChanged, pet: PetId, version: i64) -> Result<(Uuid, Change), Unusable> {
    let episode = changed.episode.ok_or(Unusable("episode"))?;
    let TimelineEventId(id) = episode.episode_id.parse().map_err(|_| Unusable("episode_id"))?;
    same_pet(&episode.pet_id, pet)?;
    if version < 1 {
        return Err(Unusable("version"));
    }
    if changed.superseded {
        return Ok((id, Change::Superseded));
    }
    let Some(behavior) = known(episode.behavior)? else { return Ok((id, Change::Unlisted)) };
    let (start_at, end_at) = (time("start_time", episode.start_time)?, time("end_time", episode.end_time)?);
    if start_at > end_at {
        return Err(Unusable("end_time"));
    }
    if !(0.0..=1.0).contains(&episode.confidence) {
        return Err(Unusable("confidence"));
    }
    let what = What::Behavior(behavior, evidence(episode.evidence.unwrap_or_default()));
    let (open, confidence) = (episode.open, episode.confidence);
    let entry = Entry { id, pet, what, start_at, end_at, open, confidence, version };
    Ok((id, Change::Stands(Box::new(entry))))
}

/// The entry of a changed plan. Its id follows from the pet and the plan's version: told again, it is the same.
pub(crate) fn plan(changed: PlanChanged, pet: PetId, at: Timestamp) -> Result<Entry, Unusable> {
    same_pet(&changed.pet_id, pet)?;
    if changed.plan_version < 1 {
        return Err(Unusable("plan_version"));
    }
    let id = Uuid::new_v5(&pet.0, format!("plan/{}", changed.plan_version).as_bytes());
    let note = PlanNote {
        plan_version: changed.plan_version,
        kcal_per_day: amount("kcal_per_day", changed.kcal_per_day)?,
        previous_kcal_per_day: amount("previous_kcal_per_day", changed.previous_kcal_per_day)?,
        life_stage: changed.life_stage,
        reason: changed.reason,
        rule_version: changed.rule_version,
    };
    Ok(moment(id, pet, What::Plan(note), micros(at), 1))
}

/// The entry of a word on an event. Its id follows from the feedback's: told again, it is the same.
pub(crate) fn feedback(said: FeedbackSubmitted, pet: PetId, version: i64) -> Result<Entry, Unusable> {
    same_pet(&said.pet_id, pet)?;
    let FeedbackId(feedback_id) = said.feedback_id.parse().map_err(|_| Unusable("feedback_id"))?;
    let _: TimelineEventId = said.event_id.parse().map_err(|_| Unusable("event_id"))?;
    let verdict = match Verdict::try_from(said.verdict) {
        Ok(verdict @ (Verdict::Correct | Verdict::Wrong | Verdict::Unsure)) => {
            verdict.as_str_name().to_owned()
        }
        Ok(Verdict::Unspecified) | Err(_) => return Err(Unusable("verdict")),
    };
    let actual_behavior = if said.actual_behavior == i32::from(WireBehavior::Unspecified) {
        ""
    } else {
        Behavior::from_wire(said.actual_behavior).ok_or(Unusable("actual_behavior"))?.name()
    };
    let id = Uuid::new_v5(&pet.0, format!("feedback/{feedback_id}").as_bytes());
    let (feedback_id, event_id) = (said.feedback_id, said.event_id);
    let actual_behavior = actual_behavior.to_owned();
    let note = FeedbackNote { feedback_id, event_id, verdict, actual_behavior };
    // Not every word has a version of its own.
    Ok(moment(id, pet, What::Feedback(note), time("time", said.time)?, version.max(1)))
}

/// The entry of an alert: from its raising to its clearing.
pub(crate) fn alert(changed: AlertChanged, pet: PetId, version: i64) -> Result<Entry, Unusable> {
    let alert = changed.alert.ok_or(Unusable("alert"))?;
    same_pet(&alert.pet_id, pet)?;
    let alert_id: Uuid = alert.alert_id.parse().map_err(|_| Unusable("alert_id"))?;
    if version < 1 {
        return Err(Unusable("version"));
    }
    let start_at = time("raise_time", alert.raise_time)?;
    let end_at = alert.clear_time.map_or(Ok(start_at), |end| time("clear_time", Some(end)))?;
    if start_at > end_at {
        return Err(Unusable("clear_time"));
    }
    let note = AlertNote {
        kind: alert.kind().as_str_name().to_owned(),
        severity: alert.severity().as_str_name().to_owned(),
        status: alert.status().as_str_name().to_owned(),
        notify: alert.notify,
        escalated: alert.escalate_time.is_some(),
        rule_version: alert.rule_version.clone(),
        alert_id: alert.alert_id,
    };
    let id = Uuid::new_v5(&pet.0, format!("alert/{alert_id}").as_bytes());
    let open = alert.clear_time.is_none();
    Ok(Entry { id, pet, what: What::Alert(note), start_at, end_at, open, confidence: 1.0, version })
}

/// What was told of which day.
pub(crate) fn day(closed: DayClosed, pet: PetId) -> Result<(Date, Told), Unusable> {
    same_pet(&closed.pet_id, pet)?;
    let date: Date = closed.date.parse().map_err(|_| Unusable("date"))?;
    let bounds =
        Bounds { start: time("start_time", closed.start_time)?, end: time("end_time", closed.end_time)? };
    if bounds.start >= bounds.end {
        return Err(Unusable("end_time"));
    }
    if closed.version < 1 {
        return Err(Unusable("version"));
    }
    let mut minutes = BTreeMap::new();
    for share in &closed.behaviors {
        let length = amount("minutes", Some(share.minutes))?.unwrap_or_default();
        if let Some(behavior) = known(share.behavior)? {
            *minutes.entry(behavior).or_default() += length;
        }
    }
    let told = Told {
        bounds,
        version: closed.version,
        covered_minutes: amount("covered_minutes", Some(closed.covered_minutes))?.unwrap_or_default(),
        minutes,
        distance_m: amount("distance_m", closed.distance_m)?,
        resting_heart_rate: amount("resting_heart_rate", closed.resting_heart_rate)?,
    };
    Ok((date, told))
}

/// What happened at one moment.
fn moment(id: Uuid, pet: PetId, what: What, at: Timestamp, version: i64) -> Entry {
    Entry { id, pet, what, start_at: at, end_at: at, open: false, confidence: 1.0, version }
}

/// The behaviour that a timeline shows; `None` for readings that say nothing.
fn known(behavior: i32) -> Result<Option<Behavior>, Unusable> {
    let behavior = Behavior::from_wire(behavior).ok_or(Unusable("behavior"))?;
    Ok(Some(behavior).filter(|behavior| behavior.is_known()))
}

fn amount(field: &'static str, amount: Option<f64>) -> Result<Option<f64>, Unusable> {
    if amount.is_none_or(|amount| amount.is_finite() && amount >= 0.0) {
        Ok(amount)
    } else {
        Err(Unusable(field))
    }
}

fn evidence(evidence: behavior::Evidence) -> Metadata {
    Metadata {
        rule: evidence.rule,
        rule_version: evidence.rule_version,
        readings: evidence.readings,
        mean_heart_rate: evidence.mean_heart_rate,
        sd_heart_rate: evidence.sd_heart_rate,
        distance_m: evidence.distance_m,
        max_speed_mps: evidence.max_speed_mps,
    }
}
