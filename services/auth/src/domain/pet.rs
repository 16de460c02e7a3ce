//! Pets.

use jiff::Timestamp;
use jiff::civil::Date;
use petty_chassis::types::{AccountId, PetId};

use super::Problem;
use super::text::TimeZoneName;

/// How long ago a pet may have been born, years: no dog or cat on record lived longer.
const OLDEST: i16 = 40;

/// The species.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Species {
    /// Canis familiaris.
    Dog,
    /// Felis catus.
    Cat,
}

impl Species {
    /// As it is stored.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dog => "DOG",
            Self::Cat => "CAT",
        }
    }

    /// From how it is stored.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Dog, Self::Cat].into_iter().find(|species| species.as_str() == text)
    }
}

/// The sexes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sex {
    /// Female.
    Female,
    /// Male.
    Male,
}

impl Sex {
    /// As it is stored.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Female => "FEMALE",
            Self::Male => "MALE",
        }
    }

    /// From how it is stored.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Female, Self::Male].into_iter().find(|sex| sex.as_str() == text)
    }
}

/// What an owner says of a pet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// Its name.
    pub name: String,
    /// Its species.
    pub species: Species,
    /// Its breed.
    pub breed: Option<String>,
    /// Its sex, where known.
    pub sex: Option<Sex>,
    /// Whether it is neutered, where known.
    pub neutered: Option<bool>,
    /// Its birth date, where known.
    pub birth_date: Option<Date>,
    /// Where its days and nights are.
    pub time_zone: TimeZoneName,
}

/// A pet to be added: its time zone is the account's where it is not said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewPet {
    /// Its name.
    pub name: String,
    /// Its species.
    pub species: Species,
    /// Its breed.
    pub breed: Option<String>,
    /// Its sex, where known.
    pub sex: Option<Sex>,
    /// Whether it is neutered, where known.
    pub neutered: Option<bool>,
    /// Its birth date, where known.
    pub birth_date: Option<Date>,
    /// Where its days and nights are; the account's zone where absent.
    pub time_zone: Option<TimeZoneName>,
}

/// What to change: `None` leaves a field as it is, `Some(None)` removes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// New name.
    pub name: Option<String>,
    /// New breed.
    pub breed: Option<Option<String>>,
    /// New sex.
    pub sex: Option<Option<Sex>>,
    /// Whether neutered now.
    pub neutered: Option<bool>,
    /// New birth date.
    pub birth_date: Option<Option<Date>>,
    /// New time zone.
    pub time_zone: Option<TimeZoneName>,
}

impl Changes {
    /// The profile afterwards.
    #[must_use]
    pub fn apply(&self, before: &Profile) -> Profile {
        let Self { name, breed, sex, neutered, birth_date, time_zone } = self.clone();
        Profile {
            name: name.unwrap_or_else(|| before.name.clone()),
            species: before.species,
            breed: breed.unwrap_or_else(|| before.breed.clone()),
            sex: sex.unwrap_or(before.sex),
            neutered: neutered.or(before.neutered),
            birth_date: birth_date.unwrap_or(before.birth_date),
            time_zone: time_zone.unwrap_or_else(|| before.time_zone.clone()),
        }
    }
}

/// A pet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pet {
    /// Its id.
    pub pet_id: PetId,
    /// Who owns it.
    pub account_id: AccountId,
    /// What the owner says of it.
    pub profile: Profile,
    /// When it was added.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// Higher after every change.
    pub version: i32,
}

/// A birth date, `YYYY-MM-DD`. Somewhere it may be tomorrow already, so `today` is the latest date on earth.
///
/// # Errors
/// Where it is no date, in the future, or more than 40 years back.
pub fn birth_date(text: &str, now: Timestamp) -> Result<Date, Problem> {
    let malformed = Problem::malformed("must be a date, as in 2021-05-30");
    if text.len() != 10 {
        return Err(malformed);
    }
    let date = Date::strptime("%Y-%m-%d", text).map_err(|_| malformed)?;
    let latest = jiff::tz::Offset::constant(14).to_datetime(now).date();
    let earliest = latest.with().year(latest.year() - OLDEST).build().unwrap_or(latest);
    if date > latest {
        return Err(Problem::out_of_range("must not be in the future"));
    }
    if date < earliest {
        return Err(Problem::out_of_range("must be at most 40 years back"));
    }
    Ok(date)
}
