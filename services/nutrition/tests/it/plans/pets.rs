//! Pets to plan for, said in a line each.

use jiff::civil::{Date, date};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, Timestamp};
use petty_nutrition::domain::{
    ActivityLevel, Animal, DayActivity, Inputs, LifeStage, Peers, Profile, Sex, Species, WeightPoint, Work,
};

/// The day of all these plans.
pub(crate) const TODAY: Date = date(2026, 6, 15);

/// A pet, with what is known of it.
#[derive(Clone, Debug)]
pub(crate) struct Pet(pub(crate) Inputs);

/// A dog of that weight, of which nothing else is known.
pub(crate) fn dog(kg: f64) -> Pet {
    pet(Species::Dog, kg)
}

/// A cat of that weight, of which nothing else is known.
pub(crate) fn cat(kg: f64) -> Pet {
    pet(Species::Cat, kg)
}

/// Noon of [`TODAY`].
pub(crate) fn now() -> Timestamp {
    "2026-06-15T12:00:00Z".parse().unwrap()
}

fn pet(species: Species, kg: f64) -> Pet {
    let animal = Animal { species, birth_date: None, breed: None, sex: None, neutered: None };
    Pet(Inputs {
        animal,
        profile: Profile::default(),
        weights: vec![WeightPoint { kg, at: now() }],
        foods: Vec::new(),
        days: Vec::new(),
        peers: Peers::default(),
        now: now(),
        today: TODAY,
        zone: TimeZone::UTC,
    })
}

impl Pet {
    /// Its last weight.
    pub(crate) fn kg(&self) -> f64 {
        self.0.weights.last().unwrap().kg
    }

    pub(crate) fn months(mut self, months: i32) -> Self {
        self.0.animal.birth_date = Some(TODAY - Span::new().months(months));
        self
    }

    pub(crate) fn breed(mut self, breed: &str) -> Self {
        self.0.animal.breed = Some(breed.to_owned());
        self
    }

    pub(crate) fn days_old(mut self, days: i32) -> Self {
        self.0.animal.birth_date = Some(TODAY - Span::new().days(days));
        self
    }

    pub(crate) fn neutered(mut self) -> Self {
        self.0.animal.neutered = Some(true);
        self
    }

    pub(crate) fn intact(mut self) -> Self {
        self.0.animal.neutered = Some(false);
        self
    }

    pub(crate) fn male(mut self) -> Self {
        self.0.animal.sex = Some(Sex::Male);
        self
    }

    pub(crate) fn bcs(mut self, score: u8) -> Self {
        self.0.profile.body_condition_score = Some(score);
        self
    }

    pub(crate) fn level(mut self, level: ActivityLevel) -> Self {
        self.0.profile.activity_level = Some(level);
        self
    }

    pub(crate) fn work(mut self, work: Work) -> Self {
        self.0.profile.work = Some(work);
        self
    }

    pub(crate) fn stage(mut self, stage: LifeStage) -> Self {
        self.0.profile.life_stage = Some(stage);
        self
    }

    pub(crate) fn adult_kg(mut self, kg: f64) -> Self {
        self.0.profile.expected_adult_weight_kg = Some(kg);
        self
    }

    /// Mated that many days ago.
    pub(crate) fn mated(mut self, days: i32) -> Self {
        self.0.profile.mating_date = Some(TODAY - Span::new().days(days));
        self
    }

    /// Gave birth that many days ago.
    pub(crate) fn littered(mut self, days: i32) -> Self {
        self.0.profile.litter_date = Some(TODAY - Span::new().days(days));
        self
    }

    pub(crate) fn litter(mut self, young: u8) -> Self {
        self.0.profile.litter_size = Some(young);
        self
    }

    /// Active that many minutes on each of its last days, the last one last.
    pub(crate) fn active(self, minutes: &[f64]) -> Self {
        self.active_known(minutes, 1_200.0)
    }

    /// Likewise, with behaviours known over so many minutes of each day, and readings of all of it.
    pub(crate) fn active_known(mut self, minutes: &[f64], known_minutes: f64) -> Self {
        let days = minutes.iter().rev().zip(1..).map(|(minutes, back)| DayActivity {
            date: TODAY - Span::new().days(back),
            active_minutes: *minutes,
            covered_minutes: 1_440.0,
            known_minutes,
        });
        self.0.days = days.collect();
        self
    }

    /// So many pets of its kind, active 1, 2, 3 … minutes.
    pub(crate) fn peers(mut self, count: u32) -> Self {
        self.0.peers = Peers { medians: (1..=count).map(f64::from).collect() };
        self
    }

    /// Its weights of the weeks before, a week apart, the oldest first; the last is today's.
    pub(crate) fn weighed(mut self, weekly: &[f64]) -> Self {
        let weights = weekly
            .iter()
            .rev()
            .zip(0_i64..)
            .map(|(kg, back)| WeightPoint { kg: *kg, at: now() - SignedDuration::from_hours(24 * 7 * back) });
        self.0.weights = weights.collect();
        self.0.weights.reverse();
        self
    }
}
