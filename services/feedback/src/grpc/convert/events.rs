//! What behavior tells and answers.

use petty_chassis::events::Unusable;
use petty_chassis::events::payload::{same_pet, time};
use petty_chassis::types::{PetId, TimelineEventId};
use petty_proto::behavior::v1 as wire;
use petty_proto::events::v1::BehaviorChanged;
use uuid::Uuid;

use crate::domain::{Behavior, Episode, Evidence, Told};

/// An episode of the pet, as `behavior.changed` tells it.
pub(crate) fn changed(changed: BehaviorChanged, pet: PetId, version: i64) -> Result<Episode, Unusable> {
    let described = changed.episode.ok_or(Unusable("episode"))?;
    let id = read_id("episode_id", &described.episode_id)?;
    same_pet(&described.pet_id, pet)?;
    let heirs = changed.replaced_by.iter().map(|heir| read_id("replaced_by", heir));
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
    let id = read_id("episode_id", &described.episode_id)?;
    let pet = described.pet_id.parse().map_err(|_| Unusable("pet_id"))?;
    let version = described.version;
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

fn read_id(field: &'static str, text: &str) -> Result<Uuid, Unusable> {
    text.parse().map(|TimelineEventId(id)| id).map_err(|_| Unusable(field))
}

fn told(described: wire::Episode, version: i64) -> Result<Told, Unusable> {
    if version < 1 {
        return Err(Unusable("version"));
    }
    let behavior = Behavior::from_wire(described.behavior).ok_or(Unusable("behavior"))?;
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
        ..
    } = described.evidence.unwrap_or_default();
    let evidence = Evidence { readings, mean_heart_rate, sd_heart_rate, distance_m, max_speed_mps };
    Ok(Told { version, behavior, rule, rule_version, start_at, end_at, open: described.open, evidence })
}
