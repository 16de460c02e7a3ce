//! Between wire and domain. What comes in is checked here: the domain sees no value its rules do not speak of.

use std::collections::BTreeMap;

use bytes::Bytes;
use jiff::Timestamp;
use petty_chassis::events::payload::same_pet;
use petty_chassis::events::{Part, Unusable};
use petty_chassis::types::{PetId, TimelineEventId};
use petty_proto::auth::v1 as auth;
use petty_proto::behavior::v1 as wire;
use petty_proto::behavior::v1::episode::Behavior as WireBehavior;
use petty_proto::events::v1 as events;
use prost::Message as _;
use uuid::Uuid;

use crate::domain::{Position, Reading, Species, Totals};
use crate::pets::Pet;
use crate::store::episodes::{Episode, Evidence};

/// An episode, as it is told.
pub(crate) fn episode(episode: Episode) -> wire::Episode {
    wire::Episode {
        episode_id: TimelineEventId(episode.id).to_string(),
        pet_id: episode.pet.to_string(),
        behavior: WireBehavior::from(episode.behavior).into(),
        start_time: Some(episode.start_at.into()),
        end_time: Some(episode.end_at.into()),
        open: episode.open,
        confidence: episode.confidence,
        evidence: Some(evidence(episode.evidence)),
        version: i32::try_from(episode.version).unwrap_or(i32::MAX),
    }
}

/// A day's behaviours.
pub(crate) fn shares(totals: &Totals) -> Vec<events::day_closed::Share> {
    let shares = totals.behaviors.iter().map(|(of, (minutes, episodes))| events::day_closed::Share {
        behavior: WireBehavior::from(*of).into(),
        minutes: *minutes,
        episodes: i32::try_from(*episodes).unwrap_or(i32::MAX),
    });
    shares.collect()
}

/// What is known of a pet.
pub(crate) fn pet(pet: auth::Pet) -> Result<Pet, Unusable> {
    let species = match pet.species() {
        auth::pet::Species::Unspecified => return Err(Unusable("species")),
        auth::pet::Species::Dog => Species::Dog,
        auth::pet::Species::Cat => Species::Cat,
    };
    Ok(Pet { species, time_zone: pet.time_zone })
}

/// A flush by pet: one part each, whatever the producer repeated. What names no pet becomes a part of its own, so that it
/// fails alone.
pub(crate) fn parts(flush: events::ReadingsAccepted) -> Vec<Part> {
    let mut pets: BTreeMap<PetId, events::PetReadings> = BTreeMap::new();
    for mut readings in flush.pets {
        let pet = readings.pet_id.parse().unwrap_or(PetId(Uuid::nil()));
        match pets.get_mut(&pet) {
            Some(known) => known.readings.append(&mut readings.readings),
            None => drop(pets.insert(pet, readings)),
        }
    }
    let encoded = pets.into_iter().map(|(pet, readings)| (pet, Bytes::from(readings.encode_to_vec())));
    encoded.map(|(pet, body)| Part { pet, body }).collect()
}

/// A flush with one part alone.
pub(crate) fn alone(part: &Part) -> Bytes {
    // Where a part is none, it could not be told from another pet's: none is left.
    let pets = events::PetReadings::decode(part.body.clone()).into_iter().collect();
    events::ReadingsAccepted { pets }.encode_to_vec().into()
}

/// One pet's readings.
pub(crate) fn readings(part: &Part) -> Result<Vec<Reading>, Unusable> {
    let flushed = events::PetReadings::decode(part.body.clone()).map_err(|_| Unusable("payload"))?;
    same_pet(&flushed.pet_id, part.pet)?;
    flushed.readings.iter().map(reading).collect()
}

fn reading(reading: &events::AcceptedReading) -> Result<Reading, Unusable> {
    let heart_rate = within("heart_rate", reading.heart_rate, 30.0, 300.0)?;
    let activity_level = match reading.activity_level {
        None => None,
        Some(level) => {
            Some(u8::try_from(level).ok().filter(|level| *level <= 2).ok_or(Unusable("activity_level"))?)
        }
    };
    let longitude = within("longitude", reading.longitude, -180.0, 180.0)?;
    let latitude = within("latitude", reading.latitude, -90.0, 90.0)?;
    let accuracy_m = within("accuracy_m", reading.accuracy_m, 0.0, f64::MAX)?;
    let position = match (longitude, latitude) {
        (Some(longitude), Some(latitude)) => Some(Position { latitude, longitude, accuracy_m }),
        (None, None) => None,
        (Some(_), None) | (None, Some(_)) => return Err(Unusable("position")),
    };
    let at = Timestamp::from_microsecond(reading.time_us).map_err(|_| Unusable("time_us"))?;
    Ok(Reading { at, heart_rate, activity_level, position })
}

/// Refuses what is out of bounds; not-a-number is.
fn within(field: &'static str, value: Option<f64>, least: f64, most: f64) -> Result<Option<f64>, Unusable> {
    match value {
        Some(value) if !(least..=most).contains(&value) => Err(Unusable(field)),
        value => Ok(value),
    }
}

fn evidence(evidence: Evidence) -> wire::Evidence {
    wire::Evidence {
        rule: evidence.rule,
        rule_version: evidence.rule_version,
        readings: i32::try_from(evidence.readings).unwrap_or(i32::MAX),
        mean_heart_rate: evidence.mean_heart_rate,
        sd_heart_rate: evidence.sd_heart_rate,
        distance_m: evidence.path_m,
        max_speed_mps: evidence.max_speed_mps,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readings_out_of_bounds_are_refused_by_field() {
        let good =
            events::AcceptedReading { time_us: 1_000_000, heart_rate: Some(60.0), ..Default::default() };
        assert!(reading(&good).is_ok());
        for (bad, field) in [
            (events::AcceptedReading { heart_rate: Some(f64::NAN), ..good.clone() }, "heart_rate"),
            (events::AcceptedReading { heart_rate: Some(1_000.0), ..good.clone() }, "heart_rate"),
            (events::AcceptedReading { activity_level: Some(3), ..good.clone() }, "activity_level"),
            (events::AcceptedReading { activity_level: Some(-1), ..good.clone() }, "activity_level"),
            (events::AcceptedReading { latitude: Some(1.0), ..good.clone() }, "position"),
            (
                events::AcceptedReading { latitude: Some(91.0), longitude: Some(0.0), ..good.clone() },
                "latitude",
            ),
            (
                events::AcceptedReading {
                    latitude: Some(0.0),
                    longitude: Some(f64::INFINITY),
                    ..good.clone()
                },
                "longitude",
            ),
            (events::AcceptedReading { accuracy_m: Some(-1.0), ..good.clone() }, "accuracy_m"),
            (events::AcceptedReading { time_us: i64::MAX, ..good.clone() }, "time_us"),
        ] {
            assert_eq!(reading(&bad), Err(Unusable(field)), "{bad:?}");
        }
    }

    #[test]
    fn a_flush_is_split_into_one_part_a_pet() {
        let pet = Uuid::from_u128(7).to_string();
        let of = |pet_id: &str, time_us| events::PetReadings {
            pet_id: pet_id.to_owned(),
            readings: vec![events::AcceptedReading { time_us, ..Default::default() }],
        };
        let parts = parts(events::ReadingsAccepted { pets: vec![of(&pet, 1), of("nobody", 2), of(&pet, 3)] });
        assert_eq!(parts.iter().map(|part| part.pet.0.as_u128()).collect::<Vec<_>>(), [0, 7]);
        assert_eq!(readings(&parts[0]), Err(Unusable("pet_id")));
        assert_eq!(readings(&parts[1]).unwrap().len(), 2);
    }
}
