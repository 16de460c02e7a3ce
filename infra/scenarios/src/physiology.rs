//! Who the pet is, and the body that goes with it.
//!
//! Invariant: everything here is fixed for a pet's recording; what changes with time is [`crate::life`]'s.

use crate::chance::Chance;

/// What it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Species {
    /// Canis familiaris.
    Dog,
    /// Felis catus.
    Cat,
}

/// How big a dog is; a cat is always [`Size::Small`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Size {
    /// Up to 10 kg.
    Small,
    /// Up to 25 kg.
    Medium,
    /// Up to 45 kg.
    Large,
}

/// One pet.
#[derive(Debug, Clone, PartialEq)]
pub struct Pet {
    /// Its number within its setup.
    pub number: u32,
    /// What it is.
    pub species: Species,
    /// How big it is.
    pub size: Size,
    /// Its weight, kg.
    pub weight_kg: f64,
    /// Its age, years.
    pub age_years: f64,
    /// Resting heart rate over the day's rest, bpm.
    pub resting_bpm: f64,
    /// Asleep, bpm.
    pub asleep_bpm: f64,
    /// Lying awake, bpm.
    pub awake_bpm: f64,
    /// The most its heart can do, bpm.
    pub most_bpm: f64,
    /// How much its heart rate varies, against the typical animal's.
    pub variability: f64,
    /// Sleeping respiratory rate, breaths a minute.
    pub asleep_breaths: f64,
    /// How much of its rest it sleeps through, 0 to 1.
    pub sleepiness: f64,
    /// Whether it is a pet that paces: left alone, or in a storm.
    pub anxious: bool,
    /// Whether it goes out alone (cats).
    pub roams: bool,
    /// Whether it fetches (dogs).
    pub fetches: bool,
    /// Its usual walking pace, m/s.
    pub walk_mps: f64,
    /// Home, degrees north.
    pub latitude: f64,
    /// Home, degrees east.
    pub longitude: f64,
}

impl Pet {
    /// The pet of that number. Three of five are dogs.
    #[must_use]
    pub fn of(seed: u64, number: u32) -> Self {
        let mut chance = Chance::of(&[seed, u64::from(number), 1]);
        let species = if number % 5 == 1 || number % 5 == 3 { Species::Cat } else { Species::Dog };
        // Ages as in a practice's records (~): one in eight a youngster, one in four a senior.
        let age_years = match chance.unit() {
            share if share < 0.125 => chance.between(0.5, 1.0),
            share if share < 0.75 => chance.between(1.0, 8.0),
            _ => chance.between(8.0, 14.0),
        };
        let (size, weight_kg) = match species {
            Species::Cat => (Size::Small, chance.normal(4.5, 0.8).clamp(2.8, 7.5)),
            Species::Dog => match chance.number() % 3 {
                0 => (Size::Small, chance.between(3.0, 10.0)),
                1 => (Size::Medium, chance.between(10.0, 25.0)),
                _ => (Size::Large, chance.between(25.0, 45.0)),
            },
        };
        let resting_bpm = resting(species, weight_kg, age_years, &mut chance);
        let sleepiness = sleepiness(species, age_years, &mut chance);
        Self {
            number,
            species,
            size,
            weight_kg,
            age_years,
            resting_bpm,
            // Asleep the heart is 5 to 10 % slower than over all rest, awake and lying about 17 % faster: of the same kind of
            // dogs a collar's resting median is 60.5 (domain.md), and the ECG's of owners sitting beside them 71 (Jarkoff 2023).
            asleep_bpm: resting_bpm * chance.normal(0.93, 0.015),
            awake_bpm: resting_bpm * chance.normal(1.17, 0.03),
            // (~) Dogs at the gallop reach 200 to 230, cats in flight 240.
            most_bpm: match species {
                Species::Dog => chance.normal(210.0, 10.0),
                Species::Cat => chance.normal(240.0, 8.0),
            },
            // Quartiles of a recording's SD in Jarkoff 2023 lie a factor of 1.5 apart from the median.
            variability: chance.spread(1.0, 0.35),
            asleep_breaths: match species {
                // Mean 13, none above 23 (domain.md).
                Species::Dog => chance.normal(13.0, 2.5).clamp(7.0, 21.0),
                // Mean under 30 (domain.md).
                Species::Cat => chance.normal(20.0, 3.0).clamp(12.0, 27.0),
            },
            sleepiness,
            // Signs of separation anxiety: 14 to 40 % of dogs seen (~).
            anxious: chance.happens(0.35),
            roams: species == Species::Cat && chance.happens(0.6),
            fetches: species == Species::Dog && chance.happens(0.7),
            // A walk with its people, about 1.2 m/s (~); small legs are slower.
            walk_mps: match size {
                Size::Small => chance.normal(0.95, 0.1),
                Size::Medium => chance.normal(1.15, 0.12),
                Size::Large => chance.normal(1.25, 0.12),
            },
            // Somewhere between Lisbon and Helsinki.
            latitude: chance.between(38.0, 60.0),
            longitude: chance.between(-9.0, 25.0),
        }
    }
}

fn resting(species: Species, weight_kg: f64, age_years: f64, chance: &mut Chance) -> f64 {
    // Puppies' hearts beat faster: 165 to 175 at 8 to 12 weeks (domain.md), nearly grown ones some 10 % (~).
    let young = if age_years < 1.0 { 1.0 + 0.2 * (1.0 - age_years) } else { 1.0 };
    match species {
        // Median 60.5, IQR 55 to 65 over 703 dogs, so an SD of 7.4 (domain.md), of which a part goes by weight: small
        // breeds 60 to 180 against 70 to 120 (domain.md), as weight^-0.06 (~).
        Species::Dog => {
            let own = chance.normal(60.5, 6.8);
            (own * (weight_kg / 18.0).powf(-0.06) * young).clamp(44.0, 95.0)
        }
        // At home 132 ± 19, awake (domain.md); resting below that by the dog's ratio.
        Species::Cat => (chance.normal(132.0, 15.0) / 1.17 * young).clamp(82.0, 150.0),
    }
}

/// How much of a day's rest is sleep: dogs 12 to 14 h a day, puppies and seniors to 18; cats 12 to 16, to 20 (domain.md).
fn sleepiness(species: Species, age_years: f64, chance: &mut Chance) -> f64 {
    let extreme = !(1.0..10.0).contains(&age_years);
    let mean = match species {
        Species::Dog => 0.63,
        Species::Cat => 0.68,
    };
    (mean + if extreme { 0.1 } else { 0.0 } + chance.normal(0.0, 0.04)).clamp(0.5, 0.9)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pets(species: Species) -> Vec<Pet> {
        (0..5_000).map(|number| Pet::of(1, number)).filter(|pet| pet.species == species).collect()
    }

    fn quantile(values: impl Iterator<Item = f64>, share: f64) -> f64 {
        let mut values: Vec<f64> = values.collect();
        values.sort_by(f64::total_cmp);
        values[usize::try_from(crate::plan::whole((values.len() - 1) as f64 * share)).unwrap()]
    }

    #[test]
    fn grown_dogs_rest_as_703_dogs_did() {
        let dogs: Vec<Pet> = pets(Species::Dog).into_iter().filter(|pet| pet.age_years >= 1.0).collect();
        let at = |share| quantile(dogs.iter().map(|pet| pet.resting_bpm), share);
        assert!(
            (at(0.5) - 60.5).abs() < 1.5 && (at(0.25) - 55.0).abs() < 2.0 && (at(0.75) - 65.0).abs() < 2.5
        );
        let awake = quantile(dogs.iter().map(|pet| pet.awake_bpm), 0.5);
        assert!((awake - 71.0).abs() < 2.0, "{awake}");
        assert!(dogs.iter().all(|pet| pet.asleep_breaths <= 23.0));
        let breaths = dogs.iter().map(|pet| pet.asleep_breaths).sum::<f64>() / dogs.len() as f64;
        assert!((breaths - 13.0).abs() < 0.3, "{breaths}");
    }

    #[test]
    fn grown_cats_awake_are_at_132_give_or_take_19() {
        let cats: Vec<f64> =
            pets(Species::Cat).iter().filter(|pet| pet.age_years >= 1.0).map(|pet| pet.awake_bpm).collect();
        let mean = cats.iter().sum::<f64>() / cats.len() as f64;
        let sd = (cats.iter().map(|bpm| (bpm - mean).powi(2)).sum::<f64>() / cats.len() as f64).sqrt();
        assert!((mean - 132.0).abs() < 3.0 && (sd - 17.0).abs() < 4.0, "{mean} {sd}");
    }

    #[test]
    fn hearts_keep_their_order_and_dogs_neither_roam_nor_cats_fetch() {
        for number in 0..5_000 {
            let pet = Pet::of(3, number);
            assert!(pet.asleep_bpm < pet.resting_bpm && pet.resting_bpm < pet.awake_bpm, "{pet:?}");
            assert!(pet.awake_bpm < pet.most_bpm, "{pet:?}");
            assert!(if pet.species == Species::Dog { !pet.roams } else { !pet.fetches });
            assert_eq!(pet, Pet::of(3, number));
        }
    }
}
