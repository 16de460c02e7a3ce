//! Whom a plan is for: what is known of an animal, its body and its diet.
//!
//! Invariant: what is not known is `None` or empty, never a number that stands for it.

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The species whose needs are known here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Species {
    /// Canis familiaris.
    Dog,
    /// Felis catus.
    Cat,
}

impl Species {
    /// "dog" or "cat", for sentences.
    #[must_use]
    pub fn noun(self) -> &'static str {
        match self {
            Self::Dog => "dog",
            Self::Cat => "cat",
        }
    }
}

/// The sexes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Sex {
    /// Female.
    Female,
    /// Male.
    Male,
}

/// What its owner says of the animal itself, in auth.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Animal {
    /// Dog or cat.
    pub species: Species,
    /// The day of birth.
    pub birth_date: Option<Date>,
    /// The breed, as the owner says it. Giant breeds grow for longer; nothing else depends on it.
    pub breed: Option<String>,
    /// Female or male.
    pub sex: Option<Sex>,
    /// Whether neutered. A profile that says otherwise wins.
    pub neutered: Option<bool>,
}

/// The life stages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum LifeStage {
    /// Puppy or kitten.
    Growth,
    /// Grown up.
    Adult,
    /// Dog: the last quarter of its size's expected life; cat: from 10 years.
    Senior,
    /// Carrying young.
    Gestation,
    /// Nursing young.
    Lactation,
}

impl LifeStage {
    /// As protos and events name it, "ADULT".
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Growth => "GROWTH",
            Self::Adult => "ADULT",
            Self::Senior => "SENIOR",
            Self::Gestation => "GESTATION",
            Self::Lactation => "LACTATION",
        }
    }

    /// Adult or senior: neither growing nor feeding young.
    #[must_use]
    pub fn is_maintenance(self) -> bool {
        matches!(self, Self::Adult | Self::Senior)
    }
}

/// How active a pet is, by the first system's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ActivityLevel {
    /// To lose weight.
    WeightLoss,
    /// Hardly moves.
    Inactive,
    /// As most do.
    Typical,
    /// More than most.
    Active,
    /// Dogs only.
    Working,
}

impl ActivityLevel {
    /// As protos name it, "TYPICAL".
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::WeightLoss => "WEIGHT_LOSS",
            Self::Inactive => "INACTIVE",
            Self::Typical => "TYPICAL",
            Self::Active => "ACTIVE",
            Self::Working => "WORKING",
        }
    }
}

/// A dog's work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Work {
    /// An hour or so a day.
    Light,
    /// Some hours a day.
    Moderate,
    /// As sled dogs do.
    Heavy,
}

impl Work {
    /// "light", for sentences.
    #[must_use]
    pub fn noun(self) -> &'static str {
        match self {
            Self::Light => "light",
            Self::Moderate => "moderate",
            Self::Heavy => "heavy",
        }
    }
}

/// A food chosen for the meals.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct FoodChoice {
    /// The food.
    pub food_id: Uuid,
    /// Its share of the meals' energy, relative to the others, 0 or more; equal shares where all are 0.
    pub share: f64,
}

/// What is known of a pet's body and diet; the default is: nothing.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Profile {
    /// WSAVA's nine points: 1 wasted, 5 ideal, 9 severely obese.
    pub body_condition_score: Option<u8>,
    /// What the owner says; absent: from dates, species and size.
    pub life_stage: Option<LifeStage>,
    /// Absent: as the animal itself says.
    pub neutered: Option<bool>,
    /// Absent: as measured.
    pub activity_level: Option<ActivityLevel>,
    /// Dogs only.
    pub work: Option<Work>,
    /// Of the adult that a growing pet will be, kg.
    pub expected_adult_weight_kg: Option<f64>,
    /// Carrying: the day of mating.
    pub mating_date: Option<Date>,
    /// Nursing: the day the young were born.
    pub litter_date: Option<Date>,
    /// Nursing: how many young, 1 or more.
    pub litter_size: Option<u8>,
    /// What the meals are made of.
    pub foods: Vec<FoodChoice>,
    /// 1 to 8.
    pub meals_per_day: Option<u8>,
    /// In lower case, without spaces around.
    pub allergies: Vec<String>,
}

/// A measured weight.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct WeightPoint {
    /// Kilograms.
    pub kg: f64,
    /// When.
    pub at: Timestamp,
}
