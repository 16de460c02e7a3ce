//! What a pet does on one day of its own time zone: a plan that follows from pet and date alone.
//!
//! Hours are those of the clock on the wall, so that breakfast stays at breakfast time on days of 23 and 25 hours;
//! how long something takes is real time. Invariant: nothing in a plan depends on another day's plan, and nothing
//! reaches beyond its day.

mod cat;
mod dog;

use jiff::civil::{Date, Weekday};
use jiff::{Span, Timestamp};

use super::chance::{Chance, unit};
use super::path::{Field, Path};
use super::pet::Pet;
use crate::client::Species;

/// What is going on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Doing {
    /// Lying, awake.
    Resting,
    /// Lying, asleep: deeply or lightly.
    Asleep,
    /// Up and about for a moment, at home.
    About,
    /// At the bowl.
    Eating,
    /// To and fro in one small place, uneasy.
    Pacing,
    /// A cat's game: bursts and pauses, at home.
    Playing,
    /// At a walk.
    Walking(Path),
    /// At a run.
    Running(Path),
    /// Out, and looking around: the path's beginning.
    Watching(Path),
    /// Fetch, with somebody who throws.
    Fetching(Field),
}

/// Some of a day.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stretch {
    /// When it begins, seconds since 1970.
    pub start: i64,
    /// When it is over.
    pub end: i64,
    /// What is going on.
    pub doing: Doing,
}

impl Stretch {
    fn holds(&self, at: i64) -> bool {
        self.start <= at && at < self.end
    }
}

/// One day of one pet.
#[derive(Debug, Clone)]
pub struct Day {
    /// The date, where the pet lives.
    pub date: Date,
    /// Its first second.
    pub start: i64,
    /// The next day's first second: 23, 24 or 25 hours later.
    pub end: i64,
    /// What the pet is up to, in order, not overlapping.
    pub active: Vec<Stretch>,
    /// When it sleeps, unless it is up to something.
    pub sleep: Vec<Stretch>,
    /// When nothing is heard of the collar.
    pub silent: Vec<(i64, i64)>,
    /// When the collar was last charged before this day.
    pub charged: i64,
}

impl Day {
    /// The day of a pet that this moment is in.
    #[must_use]
    pub fn at(pet: &Pet, at: Timestamp) -> Self {
        Self::of(pet, at.to_zoned(pet.time_zone.clone()).date())
    }

    /// A date's.
    #[must_use]
    pub fn of(pet: &Pet, date: Date) -> Self {
        let mut planner = Planner::new(pet, date);
        match pet.species {
            Species::Dog => dog::plan(&mut planner),
            Species::Cat => cat::plan(&mut planner),
        }
        planner.finish()
    }

    /// What the pet does, and since when; `None` where its collar is silent.
    #[must_use]
    pub fn doing(&self, at: i64) -> Option<(Doing, i64)> {
        if self.silent.iter().any(|(start, end)| (*start..*end).contains(&at)) {
            return None;
        }
        let now = self.active.iter().chain(&self.sleep).find(|stretch| stretch.holds(at));
        Some(now.map_or((Doing::Resting, self.start), |stretch| (stretch.doing, stretch.start)))
    }

    /// What is left in the battery, percent.
    #[must_use]
    pub fn battery(&self, pet: &Pet, at: i64) -> f64 {
        let charged = charging(pet, self.date).map(|(_, end)| end).filter(|end| *end <= at);
        // Seconds of a few days: exact.
        let used = (at - charged.unwrap_or(self.charged)) as f64 / (pet.charged_every as f64 * 86_400.0);
        (100.0 - 82.0 * used).clamp(1.0, 100.0).round()
    }
}

/// A plan being made.
#[derive(Debug)]
struct Planner<'a> {
    pet: &'a Pet,
    date: Date,
    chance: Chance,
    weekend: bool,
    active: Vec<Stretch>,
    sleep: Vec<Stretch>,
    silent: Vec<(i64, i64)>,
}

impl<'a> Planner<'a> {
    fn new(pet: &'a Pet, date: Date) -> Self {
        let chance = Chance::of(&[pet.key, number(date), 3]);
        let weekend = matches!(date.weekday(), Weekday::Saturday | Weekday::Sunday);
        Self { pet, date, chance, weekend, active: Vec::new(), sleep: Vec::new(), silent: Vec::new() }
    }

    /// A time of the day, give or take, in minutes on the wall's clock.
    fn about(&mut self, hour: f64, give_or_take: f64) -> f64 {
        hour * 60.0 + self.chance.between(-give_or_take, give_or_take)
    }

    /// Minutes of something.
    fn minutes(&mut self, least: f64, most: f64) -> i64 {
        seconds(self.chance.between(least, most) * 60.0)
    }

    /// The moment the wall's clock shows so many minutes after midnight.
    fn clock(&self, minutes: f64) -> i64 {
        clock(self.pet, self.date, minutes)
    }

    /// That moment, but after what is planned already.
    fn free(&self, minutes: f64) -> i64 {
        let busy = self.active.last().map_or(i64::MIN, |last| last.end + 300);
        self.clock(minutes).max(busy)
    }

    /// Adds something after what is planned already; answers when it is over.
    fn add(&mut self, start: i64, seconds: i64, doing: Doing) -> i64 {
        self.active.push(Stretch { start, end: start + seconds, doing });
        start + seconds
    }

    /// A moment on its feet.
    fn potter(&mut self, minutes: f64) {
        let (start, long) = (self.free(minutes), self.minutes(1.2, 1.9));
        self.add(start, long, Doing::About);
    }

    fn meal(&mut self, minutes: f64) {
        let (start, long) = (self.free(minutes), self.minutes(3.0, 5.0));
        self.add(start, long, Doing::Eating);
    }

    /// On one day in three, a spell of pacing.
    fn spell(&mut self, minutes: f64) {
        if self.chance.happens(1.0 / 3.0) {
            let (start, long) = (self.free(minutes), self.minutes(14.0, 20.0));
            self.add(start, long, Doing::Pacing);
        }
    }

    /// Sleep between two times of the clock.
    fn asleep(&mut self, from: f64, to: f64) {
        let (start, end) = (self.clock(from), self.clock(to));
        self.sleep.push(Stretch { start, end, doing: Doing::Asleep });
    }

    /// The nights at both ends of the day.
    fn night(&mut self, wake: f64, bed: f64) {
        let (first, last) = bounds(self.pet, self.date);
        let (wake, bed) = (self.clock(wake), self.clock(bed));
        self.sleep.push(Stretch { start: first, end: wake, doing: Doing::Asleep });
        self.sleep.push(Stretch { start: bed, end: last, doing: Doing::Asleep });
    }

    /// On some days, out of the phone's reach for a while.
    fn out_of_reach(&mut self, minutes: f64) {
        if self.chance.happens(0.35) {
            let (start, long) = (self.clock(minutes), self.minutes(20.0, 50.0));
            self.silent.push((start, start + long));
        }
    }

    fn finish(mut self) -> Day {
        let (start, end) = bounds(self.pet, self.date);
        self.silent.extend(charging(self.pet, self.date));
        let before = (1..=self.pet.charged_every).find_map(|days| {
            let date = self.date.checked_sub(Span::new().days(i64::try_from(days).ok()?)).ok()?;
            charging(self.pet, date).map(|(_, end)| end)
        });
        Day {
            date: self.date,
            start,
            end,
            active: self.active,
            sleep: self.sleep,
            silent: self.silent,
            charged: before.unwrap_or(start),
        }
    }
}

/// When the collar is off and charged on that date, if it is.
fn charging(pet: &Pet, date: Date) -> Option<(i64, i64)> {
    if !number(date).wrapping_add(pet.key >> 8).is_multiple_of(pet.charged_every) {
        return None;
    }
    let chance = |what| unit(&[pet.key, number(date), what]);
    // While the pet is likely to lie about: a dog's evening, a cat's early afternoon.
    let hour = match pet.species {
        Species::Dog => 21.15,
        Species::Cat => 13.45,
    };
    let start = clock(pet, date, hour * 60.0 + 12.0 * chance(4));
    Some((start, start + seconds((40.0 + 15.0 * chance(5)) * 60.0)))
}

/// The first seconds of a date and of the next one.
fn bounds(pet: &Pet, date: Date) -> (i64, i64) {
    let next = date.checked_add(Span::new().days(1)).unwrap_or(date);
    (clock(pet, date, 0.0), clock(pet, next, 0.0))
}

/// The moment the wall's clock shows so many minutes after midnight; where it skips them, that much later.
fn clock(pet: &Pet, date: Date, minutes: f64) -> i64 {
    let wall = date.to_datetime(jiff::civil::Time::midnight());
    let wall = wall.checked_add(Span::new().seconds(seconds(minutes * 60.0))).unwrap_or(wall);
    // Only at the ends of time there is no such moment.
    pet.time_zone.to_ambiguous_timestamp(wall).compatible().map_or(0, Timestamp::as_second)
}

/// A date as a number.
fn number(date: Date) -> u64 {
    let days = date - jiff::civil::date(1970, 1, 1);
    u64::try_from(days.get_days()).unwrap_or(0)
}

/// Whole seconds.
#[expect(clippy::cast_possible_truncation, reason = "a day's seconds: far within an i64")]
fn seconds(number: f64) -> i64 {
    number.round() as i64
}
