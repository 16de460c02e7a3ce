//! Readings for tests, and episodes in few words.

use jiff::{SignedDuration, Timestamp};

use crate::domain::{Behavior, Episode, Params, Position, Reading, Species, interpret};

pub(super) const DOG: Params = Params::of(Species::Dog);
pub(super) const CAT: Params = Params::of(Species::Cat);

/// 2026-01-01T00:00:00Z and some seconds.
pub(super) fn at(seconds: f64) -> Timestamp {
    Timestamp::from_second(1_767_225_600).unwrap() + SignedDuration::from_secs_f64(seconds)
}

/// Metres north and east of a place in Cornwall.
pub(super) fn place(north_m: f64, east_m: f64) -> Position {
    let latitude = 50.17 + north_m / 111_195.0;
    let longitude = -5.11 + east_m / (111_195.0 * 50.17_f64.to_radians().cos());
    Position { latitude, longitude, accuracy_m: None }
}

/// A reading that says nothing yet.
pub(super) fn read(seconds: f64) -> Reading {
    Reading {
        at: at(seconds),
        heart_rate: None,
        activity_level: None,
        respiratory_rate: None,
        position: None,
    }
}

impl Reading {
    pub(super) fn bpm(self, bpm: f64) -> Self {
        Self { heart_rate: Some(bpm), ..self }
    }

    pub(super) fn level(self, level: u8) -> Self {
        Self { activity_level: Some(level), ..self }
    }

    pub(super) fn north(self, metres: f64) -> Self {
        Self { position: Some(place(metres, 0.0)), ..self }
    }
}

/// What a test compares: behaviour, start and end in seconds, confidence.
pub(super) type Short = (Behavior, f64, f64, f64);

pub(super) fn short(episode: &Episode) -> Short {
    let seconds = |instant: Timestamp| (instant - at(0.0)).total(jiff::Unit::Second).unwrap();
    (episode.behavior, seconds(episode.start), seconds(episode.end), episode.confidence)
}

/// What the readings are taken for.
#[track_caller]
pub(super) fn check(params: &Params, readings: &[Reading], expected: &[Short]) {
    let found: Vec<Short> = interpret(params, readings).iter().map(short).collect();
    assert_eq!(found, expected, "readings: {readings:#?}");
}

/// True where some episode is of that behaviour.
pub(super) fn any(params: &Params, readings: &[Reading], behavior: Behavior) -> bool {
    interpret(params, readings).iter().any(|episode| episode.behavior == behavior)
}
