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

use crate::domain::alerts::machine::{Alert, Settings, Status};
use crate::domain::alerts::{Kind, Report, Severity};
use crate::domain::v1::CHANNELS;
use crate::domain::{Build, Position, Reading, Species, Totals, kin};
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
    // A date that is none says nothing: it is auth's to refuse.
    let born = pet.birth_date.as_deref().and_then(|date| date.parse().ok());
    let size = pet.breed.as_deref().filter(|_| species == Species::Dog).and_then(kin::size_of);
    Ok(Pet { species, build: Build::new(size, born), time_zone: pet.time_zone })
}

/// [`events::ReadingsAccepted`], of whose readings nothing is read yet: they stay where they are.
#[derive(Clone, PartialEq, prost::Message)]
struct Flush {
    #[prost(bytes = "bytes", repeated, tag = "1")]
    pets: Vec<Bytes>,
}

/// [`events::PetReadings`] without these.
#[derive(Clone, PartialEq, prost::Message)]
struct Whose {
    #[prost(string, tag = "1")]
    pet_id: String,
}

/// A flush by pet: one part each, whatever the producer repeated. What names no pet becomes a part of its own, so that it
/// fails alone.
///
/// # Errors
/// Where it is none.
pub(crate) fn parts(flush: Bytes) -> Result<Vec<Part>, Unusable> {
    let mut pets: BTreeMap<PetId, Vec<Bytes>> = BTreeMap::new();
    for body in Flush::decode(flush).map_err(|_| Unusable("payload"))?.pets {
        let whose = Whose::decode(body.clone()).map_err(|_| Unusable("payload"))?;
        pets.entry(whose.pet_id.parse().unwrap_or(PetId(Uuid::nil()))).or_default().push(body);
    }
    let whole = |mut bodies: Vec<Bytes>| match bodies.pop() {
        Some(body) if bodies.is_empty() => Ok(body),
        last => merged(bodies.into_iter().chain(last)),
    };
    pets.into_iter().map(|(pet, bodies)| Ok(Part { pet, body: whole(bodies)? })).collect()
}

/// One pet's readings that came in pieces, each with a collar of its own.
fn merged(pieces: impl Iterator<Item = Bytes>) -> Result<Bytes, Unusable> {
    let mut whole = events::PetReadings::default();
    for piece in pieces {
        let mut piece = events::PetReadings::decode(piece).map_err(|_| Unusable("payload"))?;
        for reading in piece.readings.iter_mut().filter(|reading| reading.collar_id.is_empty()) {
            reading.collar_id.clone_from(&piece.collar_id);
        }
        whole.pet_id = piece.pet_id;
        whole.readings.append(&mut piece.readings);
    }
    Ok(whole.encode_to_vec().into())
}

/// A flush with one part alone.
pub(crate) fn alone(part: &Part) -> Bytes {
    // Where a part is none, it could not be told from another pet's: none is left.
    let pets = events::PetReadings::decode(part.body.clone()).into_iter().collect();
    events::ReadingsAccepted { pets }.encode_to_vec().into()
}

/// One pet's readings: as far as behaviour goes, and as far as alerts do.
pub(crate) fn readings(
    part: &Part,
) -> Result<impl Iterator<Item = Result<(Reading, Report), Unusable>>, Unusable> {
    let flushed = events::PetReadings::decode(part.body.clone()).map_err(|_| Unusable("payload"))?;
    same_pet(&flushed.pet_id, part.pet)?;
    let worn = collar(&flushed.collar_id);
    Ok(flushed.readings.into_iter().map(move |one| reading(&one, worn)))
}

/// A reading, of a collar where it names no other.
fn reading(reading: &events::AcceptedReading, worn: u64) -> Result<(Reading, Report), Unusable> {
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
    let respiratory_rate = within("respiratory_rate", reading.respiratory_rate, 0.0, f64::MAX)?;
    let report = Report {
        at,
        collar: if reading.collar_id.is_empty() { worn } else { collar(&reading.collar_id) },
        heart_rate,
        activity_level,
        position,
        respiratory_rate,
        temperature: within("temperature", reading.temperature, f64::MIN, f64::MAX)?,
        battery: within("battery_level", reading.battery_level, 0.0, 100.0)?,
    };
    Ok((Reading { at, heart_rate, activity_level, respiratory_rate, position }, report))
}

/// Tells a pet's collars apart (FNV-1a).
fn collar(id: &str) -> u64 {
    id.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// An alert, as it is told.
pub(crate) fn alert(pet: PetId, alert: &Alert) -> wire::Alert {
    use wire::alert as of;
    let kind = kind_of(alert.kind);
    let severity = match alert.severity {
        Severity::Info => of::Severity::Info,
        Severity::Warning => of::Severity::Warning,
        Severity::Critical => of::Severity::Critical,
    };
    let status = match alert.status {
        Status::Raised => of::Status::Raised,
        Status::Acknowledged => of::Status::Acknowledged,
        Status::Cleared => of::Status::Cleared,
    };
    let measures =
        alert.evidence.iter().map(|(name, value)| of::Measure { name: name.clone(), value: *value });
    wire::Alert {
        alert_id: alert.id.to_string(),
        pet_id: pet.to_string(),
        kind: kind.into(),
        severity: severity.into(),
        status: status.into(),
        raise_time: Some(alert.raised_at.into()),
        acknowledge_time: alert.acknowledged_at.map(Into::into),
        escalate_time: alert.escalated_at.map(Into::into),
        clear_time: alert.cleared_at.map(Into::into),
        notify: alert.notify,
        zone_id: alert.zone.map(|zone| zone.to_string()).unwrap_or_default(),
        evidence: measures.collect(),
        rule_version: alert.rule_version.clone(),
        version: i32::try_from(alert.version).unwrap_or(i32::MAX),
    }
}

fn kind_of(kind: Kind) -> wire::alert::Kind {
    use wire::alert::Kind as Wire;
    match kind {
        Kind::RestingHeartRateHigh => Wire::RestingHeartRateHigh,
        Kind::HeartRateTrend => Wire::HeartRateTrend,
        Kind::RespiratoryRateHigh => Wire::RespiratoryRateHigh,
        Kind::Inactivity => Wire::Inactivity,
        Kind::NightRestlessness => Wire::NightRestlessness,
        Kind::SafeZoneLeft => Wire::SafeZoneLeft,
        Kind::SilentCollar => Wire::SilentCollar,
        Kind::BatteryLow => Wire::BatteryLow,
        Kind::Temperature => Wire::Temperature,
    }
}

/// A kind of alert; `None` for what is none.
pub(crate) fn kind(kind: i32) -> Option<Kind> {
    use wire::alert::Kind as Wire;
    match Wire::try_from(kind).ok()? {
        Wire::Unspecified => None,
        Wire::RestingHeartRateHigh => Some(Kind::RestingHeartRateHigh),
        Wire::HeartRateTrend => Some(Kind::HeartRateTrend),
        Wire::RespiratoryRateHigh => Some(Kind::RespiratoryRateHigh),
        Wire::Inactivity => Some(Kind::Inactivity),
        Wire::NightRestlessness => Some(Kind::NightRestlessness),
        Wire::SafeZoneLeft => Some(Kind::SafeZoneLeft),
        Wire::SilentCollar => Some(Kind::SilentCollar),
        Wire::BatteryLow => Some(Kind::BatteryLow),
        Wire::Temperature => Some(Kind::Temperature),
    }
}

/// What is wanted of a pet's alerts, as it is told.
pub(crate) fn settings(pet: PetId, settings: &Settings, version: i32) -> wire::AlertSettings {
    let clock = |time: jiff::civil::Time| time.strftime("%H:%M").to_string();
    let (start, end) = settings.quiet.unzip();
    let disabled = settings.disabled.iter().map(|kind| {
        let wire = kind_of(*kind);
        wire.into()
    });
    wire::AlertSettings {
        pet_id: pet.to_string(),
        disabled_kinds: disabled.collect(),
        quiet_start: start.map(clock).unwrap_or_default(),
        quiet_end: end.map(clock).unwrap_or_default(),
        escalate_after_minutes: settings.escalate_after_minutes,
        version,
    }
}

/// Refuses what is out of bounds; not-a-number is.
fn within(field: &'static str, value: Option<f64>, least: f64, most: f64) -> Result<Option<f64>, Unusable> {
    match value {
        Some(value) if !(least..=most).contains(&value) => Err(Unusable(field)),
        value => Ok(value),
    }
}

pub(super) fn evidence(evidence: Evidence) -> wire::Evidence {
    wire::Evidence {
        rule: evidence.rule,
        rule_version: evidence.rule_version,
        readings: i32::try_from(evidence.readings).unwrap_or(i32::MAX),
        mean_heart_rate: evidence.mean_heart_rate,
        sd_heart_rate: evidence.sd_heart_rate,
        distance_m: evidence.path_m,
        max_speed_mps: evidence.max_speed_mps,
        baseline_heart_rate: evidence.baseline_bpm,
        calibrating: evidence.baseline_days.is_some_and(|days| days < 7),
        contributions: CHANNELS
            .iter()
            .zip(&evidence.weights)
            .map(|((name, ..), weight)| wire::evidence::Contribution {
                feature: (*name).to_owned(),
                weight: f64::from(*weight),
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readings_out_of_bounds_are_refused_by_field() {
        let good =
            events::AcceptedReading { time_us: 1_000_000, heart_rate: Some(60.0), ..Default::default() };
        assert!(reading(&good, 0).is_ok());
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
            assert_eq!(reading(&bad, 0).unwrap_err(), Unusable(field), "{bad:?}");
        }
    }

    #[test]
    fn a_flush_is_split_into_one_part_a_pet() {
        let pet = Uuid::from_u128(7).to_string();
        let of = |pet_id: &str, collar: &str, time_us| events::PetReadings {
            pet_id: pet_id.to_owned(),
            collar_id: collar.to_owned(),
            readings: vec![events::AcceptedReading { time_us, ..Default::default() }],
        };
        let pets = vec![of(&pet, "a", 1), of("nobody", "a", 2), of(&pet, "b", 3)];
        let parts = parts(events::ReadingsAccepted { pets }.encode_to_vec().into()).unwrap();
        assert_eq!(parts.iter().map(|part| part.pet.0.as_u128()).collect::<Vec<_>>(), [0, 7]);
        assert_eq!(readings(&parts[0]).err(), Some(Unusable("pet_id")));
        let collars = |part| readings(part).unwrap().map(|read| read.unwrap().1.collar).collect::<Vec<_>>();
        assert_eq!(collars(&parts[1]), [collar("a"), collar("b")]);
    }

    #[test]
    fn a_reading_is_of_its_pets_collar_where_it_names_no_other() {
        let pet = PetId(Uuid::from_u128(7));
        let of =
            |collar: &str| events::AcceptedReading { collar_id: collar.to_owned(), ..Default::default() };
        let all = events::PetReadings {
            pet_id: pet.to_string(),
            collar_id: "worn".to_owned(),
            readings: vec![of(""), of("other")],
        };
        let part = Part { pet, body: all.encode_to_vec().into() };
        let read: Vec<u64> = readings(&part).unwrap().map(|read| read.unwrap().1.collar).collect();
        assert_eq!(read, [collar("worn"), collar("other")]);
        // As they were told before a pet's collar was.
        let part = Part {
            pet,
            body: events::PetReadings { collar_id: String::new(), ..all }.encode_to_vec().into(),
        };
        let read: Vec<u64> = readings(&part).unwrap().map(|read| read.unwrap().1.collar).collect();
        assert_eq!(read, [collar(""), collar("other")]);
    }

    #[test]
    fn what_is_no_flush_is_refused() {
        assert_eq!(parts(Bytes::from_static(b"\x0a\x05abc")).unwrap_err(), Unusable("payload"));
        // A pet that is none, within a flush that is one.
        assert_eq!(parts(Bytes::from_static(b"\x0a\x02\x0a\x05")).unwrap_err(), Unusable("payload"));
    }
}
