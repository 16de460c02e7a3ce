//! Who is simulated: species, breed, size, age, home, and the heart that goes with them. All of it follows from the seed.

use std::sync::Arc;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};

use super::chance::{Chance, key};
use super::places::{self, CITIES, USUAL};
use crate::client::{NewPet, Species};

/// How big a dog is; a cat is always [`Size::Small`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Size {
    /// Up to about 4 kg.
    Toy,
    /// Up to about 12 kg.
    Small,
    /// Up to about 25 kg.
    Medium,
    /// Up to about 45 kg.
    Large,
    /// Beyond.
    Giant,
}

/// One simulated pet.
#[derive(Debug, Clone)]
pub struct Pet {
    /// Everything random about it follows from this.
    pub key: u64,
    /// What it is called.
    pub name: String,
    /// Its species.
    pub species: Species,
    /// Its breed.
    pub breed: &'static str,
    /// Its size.
    pub size: Size,
    /// Its age in days.
    pub age_days: i32,
    /// Whether it is neutered.
    pub neutered: bool,
    /// Whether it goes out alone; a dog never does.
    pub roams: bool,
    /// The name of its time zone.
    pub zone: Arc<str>,
    /// Its time zone.
    pub time_zone: TimeZone,
    /// Home, degrees north.
    pub latitude: f64,
    /// Home, degrees east.
    pub longitude: f64,
    /// Its heart.
    pub heart: Heart,
    /// Its collar is charged every so many days.
    pub charged_every: u64,
}

/// Mean heart rates, beats per minute.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Heart {
    /// Fast asleep. A dog at home, resting: median 60.5, IQR 55 to 65 (domain.md); a cat below its 132 ± 19 awake.
    pub asleep: f64,
    /// Lying awake.
    pub resting: f64,
    /// About the house, or eating.
    pub about: f64,
    /// At a walk.
    pub walking: f64,
    /// Anxious: dogs 70 to 110, cats "stressed to 190" (domain.md).
    pub anxious: f64,
    /// At a run or in play.
    pub running: f64,
}

const DOGS: [(&str, Size); 12] = [
    ("Beagle", Size::Medium),
    ("Labrador Retriever", Size::Large),
    ("Chihuahua", Size::Toy),
    ("Dachshund", Size::Small),
    ("Border Collie", Size::Medium),
    ("Great Dane", Size::Giant),
    ("French Bulldog", Size::Small),
    ("Golden Retriever", Size::Large),
    ("Yorkshire Terrier", Size::Toy),
    ("German Shepherd", Size::Large),
    ("Standard Poodle", Size::Medium),
    ("Mixed breed", Size::Medium),
];
const CATS: [&str; 8] = [
    "European Shorthair",
    "Maine Coon",
    "Siamese",
    "British Shorthair",
    "Persian",
    "Ragdoll",
    "Norwegian Forest Cat",
    "Bengal",
];
const DOG_NAMES: [&str; 20] = [
    "Biscuit", "Rex", "Luna", "Bruno", "Nala", "Rocky", "Bella", "Oscar", "Frida", "Balu", "Kira", "Max",
    "Paula", "Sam", "Amy", "Theo", "Lotte", "Bruce", "Daisy", "Otto",
];
const CAT_NAMES: [&str; 16] = [
    "Mittens", "Felix", "Cleo", "Simba", "Minka", "Tiger", "Pixel", "Mochi", "Loki", "Shadow", "Nora",
    "Ginger", "Findus", "Misty", "Salem", "Coco",
];

/// The pets of a seed, each the same however many there are. All live in `zone`, where one is given.
#[must_use]
pub fn household(seed: u64, count: u32, zone: Option<&TimeZone>) -> Vec<Pet> {
    (0..count).map(|number| Pet::of(seed, number, zone)).collect()
}

impl Pet {
    /// A seed's pet of that number. Three of five are dogs.
    #[must_use]
    pub fn of(seed: u64, number: u32, zone: Option<&TimeZone>) -> Self {
        let key = key(&[seed, u64::from(number)]);
        let mut chance = Chance::of(&[key, 1]);
        // The first ten live in ten zones.
        let usual = CITIES[number as usize % USUAL].zone;
        let time_zone = zone.cloned().or_else(|| TimeZone::get(usual).ok()).unwrap_or(TimeZone::UTC);
        let species = if number % 5 == 1 || number % 5 == 3 { Species::Cat } else { Species::Dog };
        let (breed, size) = match species {
            Species::Dog => chance.pick(&DOGS).copied().unwrap_or(DOGS[0]),
            Species::Cat => (chance.pick(&CATS).copied().unwrap_or(CATS[0]), Size::Small),
        };
        // Grown enough for the bands of the adult; one in ten is a youngster.
        let years = if chance.happens(0.1) { chance.between(0.6, 1.0) } else { chance.between(1.0, 13.0) };
        let names: &[&str] = match species {
            Species::Dog => &DOG_NAMES,
            Species::Cat => &CAT_NAMES,
        };
        let nth = (number / 5 * 3 + [0, 0, 1, 1, 2][number as usize % 5]) as usize;
        let nth = if species == Species::Cat { (number / 5 * 2 + number % 5 / 2) as usize } else { nth };
        let name = match nth / names.len() {
            0 => names[nth % names.len()].to_owned(),
            round => format!("{} {}", names[nth % names.len()], round + 1),
        };
        let mut pet = Self {
            key,
            name,
            species,
            breed,
            size,
            age_days: whole(years * 365.25),
            neutered: chance.happens(0.7),
            roams: species == Species::Cat && chance.happens(0.6),
            zone: "".into(),
            time_zone: TimeZone::UTC,
            latitude: 0.0,
            longitude: 0.0,
            heart: Heart::of(species, size, years, &mut chance),
            charged_every: 2 + chance.number() % 3,
        };
        pet.live_in(time_zone);
        pet
    }

    /// Moves it to a time zone, into a city there.
    pub fn live_in(&mut self, time_zone: TimeZone) {
        let mut chance = Chance::of(&[self.key, 2]);
        // Where the system does not say where it is.
        let time_zone = if time_zone.is_unknown() { TimeZone::UTC } else { time_zone };
        self.zone = time_zone.iana_name().unwrap_or("UTC").into();
        let city = places::city_of(&self.zone, time_zone.to_offset(Timestamp::UNIX_EPOCH).seconds());
        // Within about 4 km of the middle.
        self.latitude = city.latitude + chance.between(-0.035, 0.035);
        self.longitude = city.longitude + chance.between(-0.035, 0.035) / city.latitude.to_radians().cos();
        self.time_zone = time_zone;
    }

    /// As it is added through the API on a day.
    #[must_use]
    pub fn as_new(&self, today: Date) -> NewPet {
        NewPet {
            name: self.name.clone(),
            species: self.species,
            breed: Some(self.breed.to_owned()),
            neutered: Some(self.neutered),
            birth_date: today.checked_sub(Span::new().days(self.age_days)).ok(),
            time_zone: Some(self.zone.to_string()),
        }
    }
}

impl Heart {
    fn of(species: Species, size: Size, years: f64, chance: &mut Chance) -> Self {
        let own = chance.between(-2.0, 2.0);
        let young = if years < 1.0 { 1.0 } else { 0.0 };
        match species {
            // Smaller dogs' hearts beat faster: adult 70 to 120, small breeds 60 to 180 (domain.md).
            Species::Dog => {
                let small = match size {
                    Size::Giant => 0.0,
                    Size::Large => 1.0,
                    Size::Medium => 2.0,
                    Size::Small => 3.0,
                    Size::Toy => 4.0,
                };
                Self {
                    asleep: 46.0 + 3.0 * small + young + own,
                    resting: 74.0 + 3.0 * small + 3.0 * young + own,
                    about: 86.0 + 4.0 * small + own,
                    walking: 96.0 + 6.0 * small + 4.0 * young + own,
                    anxious: 88.0 + 2.5 * small + own,
                    running: 148.0 + 8.0 * small + 6.0 * young + own,
                }
            }
            Species::Cat => Self {
                asleep: 114.0 + 5.0 * young + own,
                resting: 145.0 + 4.0 * young + own,
                about: 152.0 + 4.0 * young + own,
                walking: 158.0 + 4.0 * young + own,
                anxious: 170.0 + own,
                running: 200.0 + 6.0 * young + own,
            },
        }
    }
}

/// A small number's whole part.
#[expect(clippy::cast_possible_truncation, reason = "days of a life: far within an i32")]
fn whole(number: f64) -> i32 {
    number as i32
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_household_is_varied_and_the_same_however_big() {
        let many = household(7, 50, None);
        let few = household(7, 5, None);
        for (a, b) in many.iter().zip(&few) {
            assert_eq!((a.key, &a.name, a.breed, a.latitude), (b.key, &b.name, b.breed, b.latitude));
        }
        let count = |of: &dyn Fn(&Pet) -> String| many.iter().map(of).collect::<BTreeSet<_>>().len();
        assert_eq!(count(&|pet| format!("{} {:?}", pet.name, pet.species)), 50, "names tell them apart");
        assert!(count(&|pet| pet.breed.to_owned()) > 12);
        assert_eq!(count(&|pet| pet.zone.to_string()), USUAL);
        assert_eq!(many.iter().filter(|pet| pet.species == Species::Cat).count(), 20);
        assert!(many.iter().all(|pet| pet.species == Species::Cat || !pet.roams));
        assert_ne!(household(8, 1, None)[0].key, many[0].key);
    }

    #[test]
    fn hearts_keep_within_the_fields_numbers() {
        for pet in household(1, 500, None) {
            let heart = pet.heart;
            let (asleep, anxious) = match pet.species {
                Species::Dog => (42.0..=63.0, 80.0..=101.0),
                Species::Cat => (110.0..=123.0, 165.0..=175.0),
            };
            assert!(asleep.contains(&heart.asleep) && anxious.contains(&heart.anxious), "{pet:?}");
            assert!(heart.asleep < heart.resting && heart.resting < heart.walking);
            assert!(heart.walking < heart.running && heart.running < 220.0, "{pet:?}");
        }
    }

    #[test]
    fn everybody_may_be_told_to_live_in_one_zone() {
        let zone = TimeZone::get("Pacific/Auckland").unwrap();
        for pet in household(3, 20, Some(&zone)) {
            assert_eq!(&*pet.zone, "Pacific/Auckland");
            assert!((pet.latitude + 36.87).abs() < 0.05 && (pet.longitude - 174.76).abs() < 0.05);
        }
    }

    #[test]
    fn a_pet_is_added_with_what_is_known_of_it() {
        let pet = &household(3, 1, None)[0];
        let new = pet.as_new("2026-11-21".parse().unwrap());
        assert_eq!(new.time_zone.as_deref(), Some("Europe/Berlin"));
        let birth = new.birth_date.unwrap();
        let age = (jiff::civil::date(2026, 11, 21) - birth).get_days();
        assert_eq!(age, pet.age_days);
    }
}
