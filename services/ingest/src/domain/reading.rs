//! A reading: what a collar measured at one moment.
//!
//! Invariant: a [`Reading`] exists only within the bounds of the contract (`petty/ingest/v1/ingest.proto`): they are
//! checked here, and nowhere else.

use std::borrow::Cow;
use std::fmt;
use std::ops::RangeInclusive;

use jiff::{SignedDuration, Timestamp};
use petty_chassis::types::{CollarId, PetId, micros};

#[cfg(test)]
mod tests;

/// What a reading's values may be.
pub mod bounds {
    use std::ops::RangeInclusive;

    /// Beats per minute.
    pub const HEART_RATE: RangeInclusive<f64> = 30.0..=300.0;
    /// 0 rest, 1 moderate, 2 high.
    pub const ACTIVITY_LEVEL: RangeInclusive<i32> = 0..=2;
    /// Degrees.
    pub const LONGITUDE: RangeInclusive<f64> = -180.0..=180.0;
    /// Degrees.
    pub const LATITUDE: RangeInclusive<f64> = -90.0..=90.0;
    /// Metres.
    pub const ACCURACY: RangeInclusive<f64> = 0.0..=100_000.0;
    /// Core, °C.
    pub const TEMPERATURE: RangeInclusive<f64> = 30.0..=45.0;
    /// Skin, °C.
    pub const SKIN_TEMPERATURE: RangeInclusive<f64> = -20.0..=50.0;
    /// Breaths per minute.
    pub const RESPIRATORY_RATE: RangeInclusive<f64> = 1.0..=200.0;
    /// Percent.
    pub const BATTERY_LEVEL: RangeInclusive<f64> = 0.0..=100.0;
}

/// Which times are taken, as seen from now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// So far ahead at most.
    pub max_ahead: SignedDuration,
    /// So far back at most.
    pub max_age: SignedDuration,
}

/// What a collar measured at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// The collar.
    pub collar: CollarId,
    /// When, to the microsecond.
    pub measured_at: Timestamp,
    /// What.
    pub signals: Signals,
}

/// A reading that is known to be a pet's.
#[derive(Clone, Debug, PartialEq)]
pub struct Stamped {
    /// The reading.
    pub reading: Reading,
    /// The pet that wore the collar at the reading's own time.
    pub pet: PetId,
}

/// What was measured; at least one but battery and sequence is there.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Signals {
    /// Beats per minute.
    pub heart_rate: Option<f64>,
    /// 0 to 2.
    pub activity_level: Option<i16>,
    /// Where.
    pub position: Option<Position>,
    /// Core, °C.
    pub temperature: Option<f64>,
    /// Skin, °C.
    pub skin_temperature: Option<f64>,
    /// Breaths per minute.
    pub respiratory_rate: Option<f64>,
    /// Percent.
    pub battery_level: Option<f64>,
    /// The collar's own count.
    pub sequence_id: Option<i32>,
}

/// A position, in whole millionths of a degree. Not shown by `Debug`, so that it cannot come into a log.
#[derive(Clone, Copy, PartialEq)]
pub struct Position {
    /// Longitude, millionths of a degree.
    pub longitude_e6: i32,
    /// Latitude, millionths of a degree.
    pub latitude_e6: i32,
    /// Radius of 68 % confidence, metres.
    pub accuracy: Option<f64>,
}

impl fmt::Debug for Position {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Position([redacted])")
    }
}

/// A reading as it was sent, not checked yet.
#[derive(Clone, Default, PartialEq)]
pub struct Draft {
    /// The collar's id.
    pub collar_id: String,
    /// When.
    pub measured_at: Moment,
    /// Beats per minute.
    pub heart_rate: Option<f64>,
    /// 0 to 2.
    pub activity_level: Option<i32>,
    /// Where.
    pub location: Option<DraftLocation>,
    /// Core, °C.
    pub temperature: Option<f64>,
    /// Skin, °C.
    pub skin_temperature: Option<f64>,
    /// Breaths per minute.
    pub respiratory_rate: Option<f64>,
    /// Percent.
    pub battery_level: Option<f64>,
    /// The collar's own count.
    pub sequence_id: Option<i32>,
}

impl fmt::Debug for Draft {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Draft").field("collar_id", &self.collar_id).finish_non_exhaustive()
    }
}

/// A time as it was sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Moment {
    /// Not there.
    #[default]
    Absent,
    /// No time at all.
    Unreadable,
    /// A time.
    At(Timestamp),
}

/// A position as it was sent.
#[derive(Clone, Default, PartialEq)]
pub struct DraftLocation {
    /// "Point", or empty.
    pub kind: String,
    /// Longitude, latitude, degrees.
    pub coordinates: Vec<f64>,
    /// Metres.
    pub accuracy: Option<f64>,
}

impl fmt::Debug for DraftLocation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("DraftLocation([redacted])")
    }
}

/// What is wrong with one field of a reading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The field's path.
    pub field: &'static str,
    /// What is wrong, for a program.
    pub kind: FaultKind,
    /// What is wrong, for a person.
    pub reason: Cow<'static, str>,
}

/// What can be wrong with a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// It must be there.
    Required,
    /// Its shape is wrong.
    Malformed,
    /// Its value is out of its bounds.
    OutOfRange,
}

impl Draft {
    /// The reading, if all of it is within its bounds at `now`.
    ///
    /// # Errors
    /// Every fault, in the order of the fields.
    pub fn check(self, now: Timestamp, window: Window) -> Result<Reading, Vec<Fault>> {
        let mut faults = Vec::new();
        let collar = collar(&mut faults, &self.collar_id);
        let measured_at = time(&mut faults, self.measured_at, now, window);
        let is_signal = self.heart_rate.is_some()
            || self.activity_level.is_some()
            || self.location.is_some()
            || self.temperature.is_some()
            || self.skin_temperature.is_some()
            || self.respiratory_rate.is_some();
        let signals = Signals {
            heart_rate: within(
                &mut faults,
                "heart_rate",
                self.heart_rate,
                bounds::HEART_RATE,
                "must be 30 to 300",
            ),
            activity_level: activity(&mut faults, self.activity_level),
            position: self.location.and_then(|location| position(&mut faults, &location)),
            temperature: within(
                &mut faults,
                "temperature",
                self.temperature,
                bounds::TEMPERATURE,
                "must be 30 to 45",
            ),
            skin_temperature: within(
                &mut faults,
                "skin_temperature",
                self.skin_temperature,
                bounds::SKIN_TEMPERATURE,
                "must be -20 to 50",
            ),
            respiratory_rate: within(
                &mut faults,
                "respiratory_rate",
                self.respiratory_rate,
                bounds::RESPIRATORY_RATE,
                "must be 1 to 200",
            ),
            battery_level: within(
                &mut faults,
                "battery_level",
                self.battery_level,
                bounds::BATTERY_LEVEL,
                "must be 0 to 100",
            ),
            sequence_id: self.sequence_id,
        };
        if self.sequence_id.is_some_and(|sequence| sequence < 0) {
            faults.push(out_of_range("sequence_id", "must be 0 or more"));
        }
        if !is_signal {
            let reason = "at least one of heart_rate, activity_level, location, temperature, skin_temperature, \
                          respiratory_rate is required";
            faults.push(Fault { field: "signals", kind: FaultKind::Required, reason: reason.into() });
        }
        match (collar, measured_at) {
            (Some(collar), Some(measured_at)) if faults.is_empty() => {
                Ok(Reading { collar, measured_at, signals })
            }
            _ => Err(faults),
        }
    }
}

fn collar(faults: &mut Vec<Fault>, text: &str) -> Option<CollarId> {
    if text.is_empty() {
        faults.push(required("collar_id"));
        return None;
    }
    match text.parse::<CollarId>() {
        Ok(collar) => Some(collar),
        Err(error) => {
            faults.push(malformed("collar_id", error.to_string()));
            None
        }
    }
}

fn time(faults: &mut Vec<Fault>, moment: Moment, now: Timestamp, window: Window) -> Option<Timestamp> {
    let time = match moment {
        Moment::Absent => {
            faults.push(required("timestamp"));
            return None;
        }
        Moment::Unreadable => {
            faults.push(malformed("timestamp", "must be a time between the years 1 and 9999"));
            return None;
        }
        Moment::At(time) => time,
    };
    let age = now.duration_since(time);
    if age < -window.max_ahead {
        let reason =
            format!("must be at most {:#} ahead of the server, whose time is {now:.0}", window.max_ahead);
        faults.push(out_of_range("timestamp", reason));
        return None;
    }
    if age > window.max_age {
        let reason = format!("must be at most {:#} back; the server's time is {now:.0}", window.max_age);
        faults.push(out_of_range("timestamp", reason));
        return None;
    }
    Some(micros(time))
}

/// Neither NaN nor an infinity is within anything.
fn within(
    faults: &mut Vec<Fault>,
    field: &'static str,
    value: Option<f64>,
    bounds: RangeInclusive<f64>,
    reason: &'static str,
) -> Option<f64> {
    let value = value?;
    if bounds.contains(&value) {
        return Some(value);
    }
    faults.push(out_of_range(field, reason));
    None
}

fn activity(faults: &mut Vec<Fault>, value: Option<i32>) -> Option<i16> {
    let value = value?;
    if !bounds::ACTIVITY_LEVEL.contains(&value) {
        faults.push(out_of_range("activity_level", "must be 0 to 2"));
        return None;
    }
    i16::try_from(value).ok()
}

fn position(faults: &mut Vec<Fault>, location: &DraftLocation) -> Option<Position> {
    let before = faults.len();
    if !matches!(location.kind.as_str(), "" | "Point") {
        faults.push(malformed("location.type", "must be \"Point\""));
    }
    let accuracy =
        within(faults, "location.accuracy", location.accuracy, bounds::ACCURACY, "must be 0 to 100000");
    let coordinates = match location.coordinates.as_slice() {
        [] => {
            faults.push(required("location.coordinates"));
            None
        }
        [longitude, latitude] => Some((*longitude, *latitude)),
        _ => {
            faults.push(malformed("location.coordinates", "must be exactly two: longitude, latitude"));
            None
        }
    };
    let (longitude, latitude) = coordinates?;
    if !bounds::LONGITUDE.contains(&longitude) {
        faults.push(out_of_range("location.coordinates", "longitude, the first, must be -180 to 180"));
    }
    if !bounds::LATITUDE.contains(&latitude) {
        faults.push(out_of_range("location.coordinates", "latitude, the second, must be -90 to 90"));
    }
    (faults.len() == before).then(|| Position {
        longitude_e6: millionths(longitude),
        latitude_e6: millionths(latitude),
        accuracy,
    })
}

#[expect(clippy::cast_possible_truncation, reason = "degrees are within ±180 here: ±180,000,000 at most")]
fn millionths(degrees: f64) -> i32 {
    (degrees * 1e6).round() as i32
}

fn required(field: &'static str) -> Fault {
    Fault { field, kind: FaultKind::Required, reason: "is required".into() }
}

fn malformed(field: &'static str, reason: impl Into<Cow<'static, str>>) -> Fault {
    Fault { field, kind: FaultKind::Malformed, reason: reason.into() }
}

fn out_of_range(field: &'static str, reason: impl Into<Cow<'static, str>>) -> Fault {
    Fault { field, kind: FaultKind::OutOfRange, reason: reason.into() }
}
