//! Whom a pet is like: what is to be expected of it before it has days of its own, by species, size and age.
//!
//! Invariants: what is not known of a pet changes nothing: then its species' figures stand, to the bit. The figures are those of
//! domain.md's page "Physiology"; (~) marks what that does not say, and how it is read.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::Species;

pub use petty_chassis::breeds::{Size, size_of};

const DAY_US: i64 = 86_400_000_000;
/// Grown dogs, the geometric middle of 70 to 120 beats a minute, and small breeds, of 60 to 180 (domain.md): rates differ by ratios.
const DOG_BPM: f64 = 91.651_513_899_116_8;
const SMALL_DOG_BPM: f64 = 103.923_048_454_132_63;
/// Grown cats at home (domain.md).
const CAT_BPM: f64 = 132.0;
/// A puppy's, by days of age: the middles of 230 to 240 in weeks 1 to 2, and of 165 to 175 in weeks 8 to 12 (domain.md).
const PUPPY_BPM: [(f64, f64); 2] = [(7.0, 235.0), (70.0, 170.0)];
/// A kitten's: the middle of 220 to 260, newborn (domain.md, ~).
const KITTEN_BPM: [(f64, f64); 1] = [(7.0, 240.0)];
/// Grown after so many days: 12 months, giant breeds 24 (domain.md, "Life stages").
const GROWN_DAYS: f64 = 365.0;
const GIANT_GROWN_DAYS: f64 = 730.0;

/// What is known of a pet's build.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Build {
    /// Of dogs whose breed is known.
    pub size: Option<Size>,
    /// Days since 1970.
    born: Option<i32>,
}

impl Build {
    /// Nothing.
    pub const UNKNOWN: Self = Self { size: None, born: None };

    /// Of a size, and born on a date, each where known.
    #[must_use]
    pub fn new(size: Option<Size>, born: Option<Date>) -> Self {
        Self { size, born: born.map(|born| (born - EPOCH).get_days()) }
    }

    /// When it was born.
    #[must_use]
    pub fn born(&self) -> Option<Date> {
        EPOCH.checked_add(jiff::Span::new().days(self.born?)).ok()
    }
}

const EPOCH: Date = Date::constant(1970, 1, 1);

/// A species, and a build.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Kin {
    /// Which.
    pub species: Species,
    /// As far as it is known.
    pub build: Build,
}

impl From<Species> for Kin {
    fn from(species: Species) -> Self {
        Self { species, build: Build::UNKNOWN }
    }
}

/// How far it has grown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Puppies and kittens: to 12 months, giant breeds to 24 (domain.md).
    Young,
    /// Older.
    Grown,
}

impl Kin {
    /// How much faster its heart beats at an instant, microseconds since 1970, than that of its species' grown ones.
    #[must_use]
    pub fn pace(&self, at: i64) -> f64 {
        let (adult, young): (f64, &[(f64, f64)]) = match self.species {
            Species::Dog => (DOG_BPM, &PUPPY_BPM),
            Species::Cat => (CAT_BPM, &KITTEN_BPM),
        };
        let grown = match (self.species, self.build.size) {
            (Species::Dog, Some(Size::Small)) => SMALL_DOG_BPM / DOG_BPM,
            _ => 1.0,
        };
        let Some(age) = self.age_days(at).filter(|age| *age < self.grown_days()) else { return grown };
        // Between two ages by the logarithms of both: hearts slow the faster the younger they are (~).
        let mut before: Option<(f64, f64)> = None;
        let ends = [(self.grown_days(), grown)];
        for (then, pace) in young.iter().map(|(day, bpm)| (*day, bpm / adult)).chain(ends) {
            if age <= then {
                let Some((day, was)) = before else { return pace };
                let part = (age / day).ln() / (then / day).ln();
                return was * (pace / was).powf(part);
            }
            before = Some((then, pace));
        }
        grown
    }

    /// How far a heart rate at rest, of an instant, is from that of its like, in their spreads.
    #[must_use]
    pub fn away(&self, bpm: f64, at: i64) -> f64 {
        let (middle, spread) = match self.species {
            // At home, by collar: median 60.5, quartiles 55 and 65 (domain.md): as of a normal spread, 1.349 apart.
            Species::Dog => (60.5, 10.0 / 1.349),
            // At rest as in `v1::Own::prior`; 132 ± 19 awake (domain.md), so a seventh.
            Species::Cat => (113.0, 113.0 * 19.0 / CAT_BPM),
        };
        let pace = self.pace(at);
        (bpm - middle * pace) / (spread * pace)
    }

    /// Breaths a minute, asleep. By neither size nor age: domain.md has no figures for these.
    #[must_use]
    pub const fn sleeping_breaths(&self) -> f64 {
        match self.species {
            // Mean 13, none above 23 (domain.md).
            Species::Dog => 13.0,
            // Mean under 30 (domain.md); the median of healthy ones is 21 (Ljungvall et al. 2014, ~).
            Species::Cat => 21.0,
        }
    }

    /// How far it has grown by an instant; `None` where nobody said when it was born.
    #[must_use]
    pub fn stage(&self, at: i64) -> Option<Stage> {
        let young = self.age_days(at)? < self.grown_days();
        Some(if young { Stage::Young } else { Stage::Grown })
    }

    fn age_days(&self, at: i64) -> Option<f64> {
        let days = at.div_euclid(DAY_US) - i64::from(self.build.born?);
        // Far below 2^53. One that is not born yet is as young as can be.
        Some(days.max(0) as f64)
    }

    fn grown_days(&self) -> f64 {
        if self.build.size == Some(Size::Giant) { GIANT_GROWN_DAYS } else { GROWN_DAYS }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kin(species: Species, size: Option<Size>) -> Kin {
        Kin { species, build: Build::new(size, Some(Date::constant(2026, 1, 1))) }
    }

    fn on(kin: Kin, days: i64) -> f64 {
        let born = i64::from((Date::constant(2026, 1, 1) - EPOCH).get_days());
        kin.pace((born + days) * DAY_US + 1)
    }

    #[test]
    fn what_is_not_known_changes_nothing() {
        for species in [Species::Dog, Species::Cat] {
            assert_eq!((Kin::from(species).pace(0), Kin::from(species).stage(0)), (1.0, None));
            assert_eq!(on(kin(species, None), 365), 1.0, "a grown one is as its species");
        }
        let large = Build { size: Some(Size::Large), born: None };
        assert_eq!(Kin { species: Species::Dog, build: large }.pace(0), 1.0);
    }

    #[test]
    fn the_young_and_the_small_are_as_the_table_says() {
        let dog = kin(Species::Dog, None);
        for (day, bpm) in [(0, 235.0), (7, 235.0), (70, 170.0), (365, DOG_BPM)] {
            assert!((on(dog, day) * DOG_BPM - bpm).abs() < 1e-6, "{day}");
        }
        assert!((on(kin(Species::Cat, None), 3) * CAT_BPM - 240.0).abs() < 1e-6);
        let small = on(kin(Species::Dog, Some(Size::Small)), 400);
        assert!((small - 1.1339).abs() < 1e-3, "{small}");
        // Giants take longer.
        assert!(on(kin(Species::Dog, Some(Size::Giant)), 400) > 1.05);
    }

    #[test]
    fn hearts_slow_from_day_to_day_and_never_leap() {
        for species in [Species::Dog, Species::Cat] {
            for size in [None, Some(Size::Small), Some(Size::Giant)] {
                let paces: Vec<f64> = (0..800).map(|day| on(kin(species, size), day)).collect();
                assert!(paces.windows(2).all(|pair| pair[1] <= pair[0] && pair[1] > 0.9 * pair[0]));
            }
        }
    }

    #[test]
    fn a_heart_rate_is_held_against_its_like() {
        let dog = Kin::from(Species::Dog);
        assert!(dog.away(60.5, 0).abs() < 1e-9 && (dog.away(67.91, 0) - 1.0).abs() < 0.01);
        let small = Kin { species: Species::Dog, build: Build::new(Some(Size::Small), None) };
        assert!(small.away(68.6, 0).abs() < 0.02);
    }

    #[test]
    fn a_build_is_what_was_said() {
        let born = Date::constant(2019, 2, 28);
        assert_eq!(Build::new(None, Some(born)).born(), Some(born));
        assert_eq!(Build::default().born(), None);
        for size in Size::ALL {
            assert_eq!(Size::from_slug(size.slug()), Some(size));
        }
    }
}
