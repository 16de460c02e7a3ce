//! What behavior tells and answers.

use jiff::Timestamp;
use petty_chassis::types::{PetId, micros};
use petty_proto::behavior::v1 as wire;
use petty_proto::behavior::v1::episode::Behavior as WireBehavior;
use petty_proto::events::v1::BehaviorChanged;
use petty_proto::wkt;
use uuid::Uuid;

use super::parse_event_id;
use crate::domain::{Behavior, Episode, Evidence, Told};

/// What keeps an event from being used, by field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} cannot be used")]
pub(crate) struct Unusable(pub(crate) &'static str);

/// An episode of the pet, as `behavior.changed` tells it.
pub(crate) fn changed(changed: BehaviorChanged, pet: PetId, version: i64) -> Result<Episode, Unusable> {
    let described = changed.episode.ok_or(Unusable("episode"))?;
    let (id, of) = (id_of(&described)?, pet_of(&described)?);
    if of != pet {
        return Err(Unusable("pet_id"));
    }
    let heirs = changed.replaced_by.iter().map(|heir| parse_event_id(heir).ok_or(Unusable("replaced_by")));
    Ok(Episode {
        id,
        pet,
        told: told(described, version)?,
        superseded: changed.superseded,
        replaced_by: heirs.collect::<Result<_, _>>()?,
        secondhand: false,
    })
}

/// The episode that was asked for, as behavior answers. Another id than the one asked for is that of what replaced it.
pub(crate) fn described(described: wire::Episode, asked: Uuid) -> Result<Episode, Unusable> {
    let (id, pet, version) = (id_of(&described)?, pet_of(&described)?, described.version);
    let replaced = id != asked;
    Ok(Episode {
        id: asked,
        pet,
        told: told(described, version.into())?,
        superseded: replaced,
        replaced_by: replaced.then_some(id).into_iter().collect(),
        secondhand: replaced,
    })
}

fn id_of(described: &wire::Episode) -> Result<Uuid, Unusable> {
    parse_event_id(&described.episode_id).ok_or(Unusable("episode_id"))
}

fn pet_of(described: &wire::Episode) -> Result<PetId, Unusable> {
    described.pet_id.parse().map_err(|_| Unusable("pet_id"))
}

fn told(described: wire::Episode, version: i64) -> Result<Told, Unusable> {
    if version < 1 {
        return Err(Unusable("version"));
    }
    let behavior = match WireBehavior::try_from(described.behavior) {
        Ok(WireBehavior::DeepSleep) => Behavior::DeepSleep,
        Ok(WireBehavior::Resting) => Behavior::Resting,
        Ok(WireBehavior::Walking) => Behavior::Walking,
        Ok(WireBehavior::Running) => Behavior::Running,
        Ok(WireBehavior::PlayingFetch) => Behavior::PlayingFetch,
        Ok(WireBehavior::AnxiousPacing) => Behavior::AnxiousPacing,
        Ok(WireBehavior::Unknown) => Behavior::Unknown,
        Ok(WireBehavior::Unspecified) | Err(_) => return Err(Unusable("behavior")),
    };
    let (start_at, end_at) =
        (time("start_time", described.start_time)?, time("end_time", described.end_time)?);
    if start_at > end_at {
        return Err(Unusable("end_time"));
    }
    let wire::Evidence {
        rule,
        rule_version,
        readings,
        mean_heart_rate,
        sd_heart_rate,
        distance_m,
        max_speed_mps,
    } = described.evidence.unwrap_or_default();
    let evidence = Evidence { readings, mean_heart_rate, sd_heart_rate, distance_m, max_speed_mps };
    Ok(Told { version, behavior, rule, rule_version, start_at, end_at, open: described.open, evidence })
}

fn time(field: &'static str, time: Option<wkt::Timestamp>) -> Result<Timestamp, Unusable> {
    let time = time.ok_or(Unusable(field))?;
    Timestamp::try_from(time).map(micros).map_err(|_| Unusable(field))
}
