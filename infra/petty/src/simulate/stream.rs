//! A pet's readings, in order, as many as are wanted.

use jiff::{SignedDuration, Timestamp};

use super::day::Day;
use super::pet::Pet;
use super::reading::{self, Reading};

/// Where a pet's readings have come to. Readings lie on a grid of the interval, a little apart from other pets'.
#[derive(Debug, Clone)]
pub struct Stream {
    pet: Pet,
    collar_id: String,
    day: Day,
    /// The next moment to read at, seconds since 1970.
    next: i64,
}

impl Stream {
    /// A pet's readings from a moment on.
    #[must_use]
    pub fn new(pet: Pet, collar_id: String, from: Timestamp) -> Self {
        let day = Day::at(&pet, from);
        let exact = from.subsec_nanosecond() == 0;
        Self { pet, collar_id, day, next: from.as_second() + i64::from(!exact) }
    }

    /// The pet.
    #[must_use]
    pub fn pet(&self) -> &Pet {
        &self.pet
    }

    /// The collar's id.
    #[must_use]
    pub fn collar_id(&self) -> &str {
        &self.collar_id
    }

    /// The next moment that may be read at.
    #[must_use]
    pub fn next(&self) -> Timestamp {
        Timestamp::from_second(self.next).unwrap_or(Timestamp::MAX)
    }

    /// The next readings up to a moment, that one included, `most` at most. Fewer mean that there are no more yet.
    pub fn take(&mut self, to: Timestamp, interval: SignedDuration, most: usize) -> Vec<Reading> {
        let step = interval.as_secs().max(1);
        let mut readings = Vec::new();
        let mut at = self.on_grid(step);
        while at <= to.as_second() && readings.len() < most {
            if !(self.day.start..self.day.end).contains(&at) {
                self.day = Day::at(&self.pet, Timestamp::from_second(at).unwrap_or(Timestamp::MAX));
            }
            readings.extend(reading::read(&self.pet, &self.day, &self.collar_id, at));
            self.next = at + 1;
            at += step;
        }
        readings
    }

    /// When the next reading is due.
    #[must_use]
    pub fn upcoming(&self, interval: SignedDuration) -> Timestamp {
        Timestamp::from_second(self.on_grid(interval.as_secs().max(1))).unwrap_or(Timestamp::MAX)
    }

    /// On from the next second to the grid.
    fn on_grid(&self, step: i64) -> i64 {
        let phase = i64::try_from(self.pet.key % step.unsigned_abs()).unwrap_or(0);
        self.next + (phase - self.next).rem_euclid(step)
    }

    /// Sets it back or forth.
    pub fn seek(&mut self, to: Timestamp) {
        *self = Self::new(self.pet.clone(), std::mem::take(&mut self.collar_id), to);
    }
}
