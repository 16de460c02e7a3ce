//! A reading as it stands in Redis.

use jiff::Timestamp;
use petty_chassis::types::{CollarId, PetId};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::domain::reading::{Position, Signals};
use crate::store::Stored;

/// What is written differs in this where it means something else.
const VERSION: u8 = 1;

#[derive(Serialize, Deserialize)]
struct Kept {
    version: u8,
    time_us: i64,
    pet: Uuid,
    heart_rate: Option<f64>,
    activity_level: Option<i16>,
    position: Option<(i32, i32, Option<f64>)>,
    temperature: Option<f64>,
    skin_temperature: Option<f64>,
    respiratory_rate: Option<f64>,
    battery_level: Option<f64>,
    sequence_id: Option<i32>,
}

pub(super) fn write(stored: &Stored) -> Vec<u8> {
    let signals = &stored.signals;
    let kept = Kept {
        version: VERSION,
        time_us: stored.measured_at.as_microsecond(),
        pet: stored.pet.0,
        heart_rate: signals.heart_rate,
        activity_level: signals.activity_level,
        position: signals
            .position
            .map(|position| (position.longitude_e6, position.latitude_e6, position.accuracy)),
        temperature: signals.temperature,
        skin_temperature: signals.skin_temperature,
        respiratory_rate: signals.respiratory_rate,
        battery_level: signals.battery_level,
        sequence_id: signals.sequence_id,
    };
    // An empty one is read as none.
    postcard::to_stdvec(&kept).unwrap_or_default()
}

/// `None` where it is none of this version's.
pub(super) fn read(collar: &CollarId, bytes: &[u8]) -> Option<Stored> {
    let kept: Kept = postcard::from_bytes(bytes).ok().filter(|kept: &Kept| kept.version == VERSION)?;
    Some(Stored {
        collar: collar.clone(),
        pet: PetId(kept.pet),
        measured_at: Timestamp::from_microsecond(kept.time_us).ok()?,
        signals: Signals {
            heart_rate: kept.heart_rate,
            activity_level: kept.activity_level,
            position: kept.position.map(|(longitude_e6, latitude_e6, accuracy)| Position {
                longitude_e6,
                latitude_e6,
                accuracy,
            }),
            temperature: kept.temperature,
            skin_temperature: kept.skin_temperature,
            respiratory_rate: kept.respiratory_rate,
            battery_level: kept.battery_level,
            sequence_id: kept.sequence_id,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_what_is_not_ours_is_none() {
        let collar: CollarId = "collar-1".parse().unwrap();
        let full = Signals {
            heart_rate: Some(61.5),
            activity_level: Some(2),
            position: Some(Position { longitude_e6: -1, latitude_e6: 52_987_654, accuracy: Some(4.5) }),
            temperature: Some(38.5),
            skin_temperature: Some(-1.0),
            respiratory_rate: Some(13.0),
            battery_level: Some(99.0),
            sequence_id: Some(7),
        };
        let bare = Signals { heart_rate: Some(80.0), ..Signals::default() };
        for signals in [full, bare] {
            let stored = Stored {
                collar: collar.clone(),
                pet: PetId(Uuid::from_u128(9)),
                measured_at: Timestamp::from_microsecond(1_767_225_600_123_456).unwrap(),
                signals,
            };
            let mut bytes = write(&stored);
            assert_eq!(read(&collar, &bytes), Some(stored));
            bytes[0] = VERSION + 1;
            assert_eq!(read(&collar, &bytes), None);
        }
        assert_eq!(read(&collar, b""), None);
        assert_eq!(read(&collar, b"nonsense"), None);
    }
}
