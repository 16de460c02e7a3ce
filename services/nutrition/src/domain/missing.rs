//! What a plan lacks, and what to do about it.
//!
//! Invariant: the required first; a plan is incomplete exactly where something required is missing.

use serde::{Deserialize, Serialize};

use super::animal::{Animal, LifeStage, Profile, Species};
use super::portions::Portion;
use super::stages::Stage;

/// Something that a plan lacks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missing {
    /// The field of the profile or the pet, `weight_kg`.
    pub field: String,
    /// What to do about it, for people.
    pub reason: String,
    /// Whether there is no plan without it.
    pub required: bool,
}

pub(crate) fn missing(
    animal: &Animal,
    profile: &Profile,
    stage: &Stage,
    kg: Option<f64>,
    portions: &[Portion],
) -> Vec<Missing> {
    let life_stage = stage.life_stage;
    let grows = life_stage == LifeStage::Growth;
    let nurses = life_stage == LifeStage::Lactation;
    let is_carrying_dog = life_stage == LifeStage::Gestation && animal.species == Species::Dog;
    let is_neutered_known = profile.neutered.or(animal.neutered).is_some();
    let lacks = [
        (kg.is_none(), "weight_kg", "Weigh the pet: nothing can be reckoned without its weight."),
        (
            animal.birth_date.is_none() && (!stage.is_stated || grows),
            "birth_date",
            "Say when it was born, or state its life stage: puppies, kittens and the old need other amounts.",
        ),
        (
            life_stage.is_maintenance() && !is_neutered_known,
            "neutered",
            "Say whether it is neutered: neutered pets need less.",
        ),
        (
            life_stage.is_maintenance() && profile.body_condition_score.is_none(),
            "body_condition_score",
            "Score its body condition from 1 to 9: without it nobody knows its ideal weight.",
        ),
        (
            grows && profile.expected_adult_weight_kg.is_none(),
            "expected_adult_weight_kg",
            "Say what it will weigh as an adult: until then a factor stands in for the equation of growth.",
        ),
        (
            is_carrying_dog && stage.gestation_day.is_none(),
            "mating_date",
            "Say when she was mated: from the fifth week on she needs more.",
        ),
        (
            nurses && stage.lactation_week.is_none(),
            "litter_date",
            "Say when the young were born: until then a wide range stands in for the equation of nursing.",
        ),
        (
            nurses && profile.litter_size.is_none(),
            "litter_size",
            "Say how many she nurses: until then a wide range stands in for the equation of nursing.",
        ),
        (portions.is_empty(), "foods", "Choose what it eats: then the plan says how many grams."),
    ];
    let lacking = lacks.into_iter().filter(|(is_lacking, _, _)| *is_lacking);
    let told = lacking.map(|(_, field, reason)| Missing {
        field: field.to_owned(),
        reason: reason.to_owned(),
        required: field == "weight_kg",
    });
    told.collect()
}
