//! What a simulated pet's collar measures: a function of pet and moment, so that nothing need be remembered and the same
//! reading can be made again. The sampling interval has no part in it: what is read at 60 s is among what is read at 10 s.

use jiff::Timestamp;
use serde::{Serialize, Serializer};

use super::chance::{bell, unit};
use super::day::{Day, Doing};
use super::path::Place;
use super::pet::Pet;
use crate::client::Species;

/// Metres to the degree of latitude.
const METRES_PER_DEGREE: f64 = 111_195.0;

// The draws of one moment are told apart by these.
const RATE: u64 = 11;
const CONTACT: u64 = 12;
const BEAT: u64 = 13;
const LEVEL: u64 = 14;
const NORTH: u64 = 15;
const EAST: u64 = 16;
const FIX: u64 = 17;
const ACCURACY: u64 = 18;
const LOST: u64 = 19;
const BURST: u64 = 20;
const WINDOW: u64 = 21;
const RARE: u64 = 22;

/// A reading as it is posted. An absent value is unknown.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Reading {
    /// The collar's id.
    pub collar_id: String,
    /// When it was measured.
    pub timestamp: Timestamp,
    /// Beats per minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub heart_rate: Option<f64>,
    /// 0 rest, 1 moderate, 2 high.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub activity_level: Option<u8>,
    /// Where.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "point")]
    pub location: Option<Fix>,
    /// Core, °C.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// Breaths per minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub respiratory_rate: Option<f64>,
    /// Percent.
    pub battery_level: f64,
}

/// A position, six decimals.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fix {
    /// Degrees north.
    pub latitude: f64,
    /// Degrees east.
    pub longitude: f64,
    /// Radius of error, metres.
    pub accuracy: f64,
}

fn point<S: Serializer>(fix: &Option<Fix>, serializer: S) -> Result<S::Ok, S::Error> {
    let point = |fix: &Fix| serde_json::json!({"type": "Point", "coordinates": [fix.longitude, fix.latitude], "accuracy": fix.accuracy});
    fix.as_ref().map(point).serialize(serializer)
}

/// What is measured at a moment of a day; `None` where nothing is heard of the collar.
#[must_use]
pub fn read(pet: &Pet, day: &Day, collar_id: &str, at: i64) -> Option<Reading> {
    let (doing, since) = day.doing(at)?;
    let moment = Moment { pet, at, draw: at.cast_unsigned(), seconds: (at - since) as f64, doing };
    // Now and then a reading is lost on its way.
    if moment.unit(LOST) < 0.01 {
        return None;
    }
    let mut reading = Reading {
        collar_id: collar_id.to_owned(),
        timestamp: Timestamp::from_second(at).ok()?,
        heart_rate: moment.heart_rate(),
        activity_level: (moment.unit(LEVEL) >= 0.01).then(|| moment.level()),
        location: moment.fix(),
        temperature: None,
        respiratory_rate: None,
        battery_level: day.battery(pet, at),
    };
    if moment.rarely(1_800) {
        let (low, high) = match pet.species {
            Species::Dog => (37.7, 39.0),
            Species::Cat => (37.9, 39.1),
        };
        reading.temperature = Some(rounded(low + (high - low) * moment.unit(RARE), 10.0));
        if moment.asleep_deeply() {
            // Sleeping respiratory rate: dogs mean 13, none above 23; cats' mean under 30 (domain.md).
            let (mean, spread) = match pet.species {
                Species::Dog => (13.0, 1.5),
                Species::Cat => (20.0, 2.0),
            };
            reading.respiratory_rate = Some((mean + spread * moment.bell(RARE)).round());
        }
    }
    let says_something =
        reading.heart_rate.is_some() || reading.activity_level.is_some() || reading.location.is_some();
    says_something.then_some(reading)
}

struct Moment<'a> {
    pet: &'a Pet,
    at: i64,
    draw: u64,
    /// Since what goes on began.
    seconds: f64,
    doing: Doing,
}

impl Moment<'_> {
    fn unit(&self, what: u64) -> f64 {
        unit(&[self.pet.key, self.draw, what])
    }

    fn bell(&self, what: u64) -> f64 {
        bell(&[self.pet.key, self.draw, what])
    }

    /// A draw that stays for so many seconds.
    fn lasting(&self, seconds: i64, what: u64) -> f64 {
        unit(&[self.pet.key, self.at.div_euclid(seconds).cast_unsigned(), what])
    }

    /// True for a minute of each such span.
    fn rarely(&self, span: i64) -> bool {
        let begins = self.lasting(span, WINDOW) * (span - 60) as f64;
        let offset = self.at.rem_euclid(span) as f64 - begins;
        (0.0..60.0).contains(&offset)
    }

    /// Sleep comes in turns of 45 minutes, three quarters of each deep.
    fn asleep_deeply(&self) -> bool {
        let shift = i64::try_from(self.pet.key % 2_700).unwrap_or(0);
        self.doing == Doing::Asleep && (self.at + shift).rem_euclid(2_700) < 2_025
    }

    /// A cat's game is made of half minutes.
    fn burst(&self) -> u8 {
        match self.lasting(30, BURST) {
            ..0.7 => 2,
            ..0.82 => 1,
            _ => 0,
        }
    }

    fn level(&self) -> u8 {
        match self.doing {
            Doing::Resting | Doing::Asleep | Doing::Watching(_) => 0,
            Doing::About | Doing::Eating | Doing::Pacing | Doing::Walking(_) => 1,
            Doing::Running(_) => 2,
            Doing::Playing => self.burst(),
            Doing::Fetching(field) => {
                if field.at(self.seconds).0 {
                    2
                } else {
                    0
                }
            }
        }
    }

    /// Missing 43 % of the time (domain.md): for minutes where the collar sits loosely, and here and there. On an uneasy
    /// pet's raised neck it sits well.
    fn heart_rate(&self) -> Option<f64> {
        let loose = self.lasting(180, CONTACT) < 0.30 && self.doing != Doing::Pacing;
        if loose || self.unit(RATE) < 0.186 {
            return None;
        }
        let heart = self.pet.heart;
        let (mean, spread) = match self.doing {
            Doing::Asleep if self.asleep_deeply() => (heart.asleep, 0.9),
            Doing::Asleep => (heart.asleep + (heart.resting - heart.asleep) * 0.6, 5.0),
            Doing::Resting | Doing::Watching(_) => (heart.resting, 4.5),
            Doing::About | Doing::Eating => (heart.about, 4.0),
            Doing::Pacing => (heart.anxious, 4.0),
            Doing::Walking(_) => (heart.walking, 4.0),
            Doing::Running(_) => (heart.running, 5.0),
            Doing::Playing if self.burst() == 2 => (heart.running, 6.0),
            Doing::Playing => ((heart.running + heart.walking) / 2.0, 5.0),
            Doing::Fetching(field) if field.at(self.seconds).0 => (heart.running, 6.0),
            Doing::Fetching(_) => ((heart.running + heart.walking) / 2.0, 5.0),
        };
        // Slowly up and down over the hours, and from beat to beat.
        let slow = (self.at as f64 / 2_300.0 + (self.pet.key % 97) as f64).sin();
        Some((mean + spread * (0.6 * slow + self.bell(BEAT))).round().clamp(30.0, 260.0))
    }

    /// Outside nearly always; inside for a minute of each quarter of an hour, and badly.
    fn fix(&self) -> Option<Fix> {
        let still = Place::default();
        let (chance, sharp, place) = match self.doing {
            Doing::Walking(path) | Doing::Running(path) => (0.9, true, path.place(self.seconds)),
            Doing::Watching(path) => (0.9, true, path.place(0.0)),
            Doing::Fetching(field) => (0.9, true, field.at(self.seconds).1),
            // By the window, or in the yard.
            Doing::Pacing => {
                let (sin, cos) = (self.seconds / 7.0).sin_cos();
                (0.9, true, Place { north: 4.0 * sin, east: 9.0 * cos })
            }
            Doing::Resting | Doing::Asleep | Doing::About | Doing::Eating | Doing::Playing => {
                (if self.rarely(900) { 0.7 } else { 0.0 }, false, still)
            }
        };
        if self.unit(FIX) >= chance {
            return None;
        }
        let accuracy =
            if sharp { 3.5 + 5.0 * self.unit(ACCURACY) } else { 15.0 + 15.0 * self.unit(ACCURACY) };
        // Off by less than it says: two fixes of a pet that lies still never look like a way.
        let (north, east) = (self.bell(NORTH) / 2.0, self.bell(EAST) / 2.0);
        let off = accuracy * (0.7 / north.hypot(east)).min(1.0);
        let (north, east) = (place.north + off * north, place.east + off * east);
        let narrower = self.pet.latitude.to_radians().cos();
        Some(Fix {
            latitude: rounded(self.pet.latitude + north / METRES_PER_DEGREE, 1e6),
            longitude: rounded(self.pet.longitude + east / (METRES_PER_DEGREE * narrower), 1e6),
            accuracy: rounded(accuracy, 10.0),
        })
    }
}

fn rounded(number: f64, to: f64) -> f64 {
    (number * to).round() / to
}
