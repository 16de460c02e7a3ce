//! Between wire and domain. What comes in is checked here.

use jiff::Timestamp;
use petty_chassis::types::{PetId, micros};
use petty_proto::behavior::v1 as behavior;
use petty_proto::behavior::v1::episode::Behavior as WireBehavior;
use petty_proto::events::v1::BehaviorChanged;
use petty_proto::timeline::v1 as wire;
use petty_proto::timeline::v1::entry::Kind;
use petty_proto::timeline::v1::get_pet_timeline_response::Event;
use petty_proto::wkt;
use uuid::Uuid;

use crate::domain::{Behavior, Change, Entry, Metadata};

/// What keeps an event from being used, by field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} cannot be used")]
pub(crate) struct Unusable(pub(crate) &'static str);

/// An entry, as it is told.
pub(crate) fn entry(entry: Entry) -> wire::Entry {
    wire::Entry {
        event_id: event_id(entry.id),
        pet_id: entry.pet.to_string(),
        kind: Kind::Behavior.into(),
        behavior: entry.behavior.name().to_owned(),
        start_time: Some(entry.start_at.into()),
        end_time: Some(entry.end_at.into()),
        open: entry.open,
        confidence: entry.confidence,
        metadata: Some(metadata(entry.metadata)),
        version: i32::try_from(entry.version).unwrap_or(i32::MAX),
    }
}

/// An entry, as the first system told it.
pub(crate) fn event(entry: Entry) -> Event {
    Event {
        event_id: event_id(entry.id),
        behavior: entry.behavior.name().to_owned(),
        confidence: entry.confidence,
        timestamp: Some(entry.start_at.into()),
        end_timestamp: (!entry.open).then(|| entry.end_at.into()),
        metadata: Some(metadata(entry.metadata)),
    }
}

/// Which episode of the pet changed, and to what.
pub(crate) fn change(changed: BehaviorChanged, pet: PetId, version: i64) -> Result<(Uuid, Change), Unusable> {
    let episode = changed.episode.ok_or(Unusable("episode"))?;
    let id = parse_event_id(&episode.episode_id).ok_or(Unusable("episode_id"))?;
    if episode.pet_id.parse() != Ok(pet) {
        return Err(Unusable("pet_id"));
    }
    if version < 1 {
        return Err(Unusable("version"));
    }
    if changed.superseded {
        return Ok((id, Change::Superseded));
    }
    let behavior = match WireBehavior::try_from(episode.behavior) {
        Ok(WireBehavior::DeepSleep) => Behavior::DeepSleep,
        Ok(WireBehavior::Resting) => Behavior::Resting,
        Ok(WireBehavior::Walking) => Behavior::Walking,
        Ok(WireBehavior::Running) => Behavior::Running,
        Ok(WireBehavior::PlayingFetch) => Behavior::PlayingFetch,
        Ok(WireBehavior::AnxiousPacing) => Behavior::AnxiousPacing,
        Ok(WireBehavior::Unknown) => return Ok((id, Change::Unlisted)),
        Ok(WireBehavior::Unspecified) | Err(_) => return Err(Unusable("behavior")),
    };
    let (start_at, end_at) = (time("start_time", episode.start_time)?, time("end_time", episode.end_time)?);
    if start_at > end_at {
        return Err(Unusable("end_time"));
    }
    if !(0.0..=1.0).contains(&episode.confidence) {
        return Err(Unusable("confidence"));
    }
    let metadata = evidence(episode.evidence.unwrap_or_default());
    let (open, confidence) = (episode.open, episode.confidence);
    let entry = Entry { id, pet, behavior, start_at, end_at, open, confidence, metadata, version };
    Ok((id, Change::Stands(Box::new(entry))))
}

fn time(field: &'static str, time: Option<wkt::Timestamp>) -> Result<Timestamp, Unusable> {
    let time = time.ok_or(Unusable(field))?;
    Timestamp::try_from(time).map(micros).map_err(|_| Unusable(field))
}

/// An entry's id as clients know it: "evt_" and 32 hexadecimal digits.
fn event_id(id: Uuid) -> String {
    format!("evt_{}", id.simple())
}

fn parse_event_id(text: &str) -> Option<Uuid> {
    let digits = text.strip_prefix("evt_").filter(|digits| digits.len() == 32)?;
    Uuid::try_parse(digits).ok()
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
