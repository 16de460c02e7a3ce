//! Profiles and weights.

use petty_chassis::types::PetId;
use petty_proto::nutrition::v1 as wire;

use super::choice;
use crate::domain::{ActivityLevel, Animal, FoodChoiceInput, LifeStage, Profile, ProfileInput, Work};
use crate::grpc::fields::Fields;
use crate::store::profiles::Filled;
use crate::store::weights::Weight;

/// Reads what is said of a pet's body and diet.
pub(in crate::grpc) fn profile_input(
    fields: &mut Fields,
    request: &wire::UpdateNutritionProfileRequest,
) -> Option<ProfileInput> {
    fields.texts("allergies", &request.allergies);
    let foods = request.foods.iter();
    let foods = foods.map(|food| FoodChoiceInput { food_id: food.food_id.clone(), share: food.share });
    Some(ProfileInput {
        weight_kg: request.weight_kg,
        body_condition_score: request.body_condition_score,
        life_stage: choice(fields, "life_stage", request.life_stage, read_stage),
        neutered: request.neutered,
        activity_level: choice(fields, "activity_level", request.activity_level, read_level),
        work: choice(fields, "work", request.work, read_work),
        expected_adult_weight_kg: request.expected_adult_weight_kg,
        mating_date: request.mating_date.clone(),
        litter_date: request.litter_date.clone(),
        litter_size: request.litter_size,
        foods: foods.collect(),
        meals_per_day: request.meals_per_day,
        allergies: request.allergies.clone(),
    })
}

/// What is known of a pet's body and diet, as it is answered.
pub(in crate::grpc) fn profile(
    pet: PetId,
    animal: &Animal,
    filled: Option<Filled>,
    last: Option<Weight>,
) -> wire::NutritionProfile {
    let (profile, updated_at) = match filled {
        Some(Filled { profile, updated_at }) => (profile, Some(updated_at)),
        None => (Profile::default(), None),
    };
    let foods = profile.foods.iter();
    let foods = foods.map(|food| wire::FoodChoice { food_id: food.food_id.to_string(), share: food.share });
    wire::NutritionProfile {
        pet_id: pet.to_string(),
        weight_kg: last.map(|weight| weight.kg),
        weight_time: last.map(|weight| weight.measured_at.into()),
        body_condition_score: profile.body_condition_score.map(i32::from),
        life_stage: profile
            .life_stage
            .map_or(wire::nutrition_profile::LifeStage::Unspecified, life_stage)
            .into(),
        neutered: profile.neutered.or(animal.neutered),
        activity_level: profile
            .activity_level
            .map_or(wire::nutrition_profile::ActivityLevel::Unspecified, level)
            .into(),
        work: profile.work.map_or(wire::nutrition_profile::Work::Unspecified, work).into(),
        expected_adult_weight_kg: profile.expected_adult_weight_kg,
        mating_date: profile.mating_date.map(|date| date.to_string()),
        litter_date: profile.litter_date.map(|date| date.to_string()),
        litter_size: profile.litter_size.map(i32::from),
        foods: foods.collect(),
        meals_per_day: profile.meals_per_day.map(i32::from),
        allergies: profile.allergies.clone(),
        update_time: updated_at.map(Into::into),
    }
}

/// A weight, as it is answered.
pub(in crate::grpc) fn weight(weight: &Weight) -> wire::Weight {
    wire::Weight {
        weight_id: weight.id.to_string(),
        pet_id: weight.pet.to_string(),
        weight_kg: weight.kg,
        measure_time: Some(weight.measured_at.into()),
        create_time: Some(weight.created_at.into()),
    }
}

/// A life stage, as it is answered.
pub(super) fn life_stage(stage: LifeStage) -> wire::nutrition_profile::LifeStage {
    match stage {
        LifeStage::Growth => wire::nutrition_profile::LifeStage::Growth,
        LifeStage::Adult => wire::nutrition_profile::LifeStage::Adult,
        LifeStage::Senior => wire::nutrition_profile::LifeStage::Senior,
        LifeStage::Gestation => wire::nutrition_profile::LifeStage::Gestation,
        LifeStage::Lactation => wire::nutrition_profile::LifeStage::Lactation,
    }
}

fn read_stage(stage: wire::nutrition_profile::LifeStage) -> Option<LifeStage> {
    match stage {
        wire::nutrition_profile::LifeStage::Unspecified => None,
        wire::nutrition_profile::LifeStage::Growth => Some(LifeStage::Growth),
        wire::nutrition_profile::LifeStage::Adult => Some(LifeStage::Adult),
        wire::nutrition_profile::LifeStage::Senior => Some(LifeStage::Senior),
        wire::nutrition_profile::LifeStage::Gestation => Some(LifeStage::Gestation),
        wire::nutrition_profile::LifeStage::Lactation => Some(LifeStage::Lactation),
    }
}

fn level(level: ActivityLevel) -> wire::nutrition_profile::ActivityLevel {
    match level {
        ActivityLevel::WeightLoss => wire::nutrition_profile::ActivityLevel::WeightLoss,
        ActivityLevel::Inactive => wire::nutrition_profile::ActivityLevel::Inactive,
        ActivityLevel::Typical => wire::nutrition_profile::ActivityLevel::Typical,
        ActivityLevel::Active => wire::nutrition_profile::ActivityLevel::Active,
        ActivityLevel::Working => wire::nutrition_profile::ActivityLevel::Working,
    }
}

fn read_level(level: wire::nutrition_profile::ActivityLevel) -> Option<ActivityLevel> {
    match level {
        wire::nutrition_profile::ActivityLevel::Unspecified => None,
        wire::nutrition_profile::ActivityLevel::WeightLoss => Some(ActivityLevel::WeightLoss),
        wire::nutrition_profile::ActivityLevel::Inactive => Some(ActivityLevel::Inactive),
        wire::nutrition_profile::ActivityLevel::Typical => Some(ActivityLevel::Typical),
        wire::nutrition_profile::ActivityLevel::Active => Some(ActivityLevel::Active),
        wire::nutrition_profile::ActivityLevel::Working => Some(ActivityLevel::Working),
    }
}

fn work(work: Work) -> wire::nutrition_profile::Work {
    match work {
        Work::Light => wire::nutrition_profile::Work::Light,
        Work::Moderate => wire::nutrition_profile::Work::Moderate,
        Work::Heavy => wire::nutrition_profile::Work::Heavy,
    }
}

fn read_work(work: wire::nutrition_profile::Work) -> Option<Work> {
    match work {
        wire::nutrition_profile::Work::Unspecified => None,
        wire::nutrition_profile::Work::Light => Some(Work::Light),
        wire::nutrition_profile::Work::Moderate => Some(Work::Moderate),
        wire::nutrition_profile::Work::Heavy => Some(Work::Heavy),
    }
}
