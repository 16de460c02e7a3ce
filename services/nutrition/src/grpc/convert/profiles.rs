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
        life_stage: profile.life_stage.map_or(wire::LifeStage::Unspecified, life_stage).into(),
        neutered: profile.neutered.or(animal.neutered),
        activity_level: profile.activity_level.map_or(wire::ActivityLevel::Unspecified, level).into(),
        work: profile.work.map_or(wire::Work::Unspecified, work).into(),
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
pub(super) fn life_stage(stage: LifeStage) -> wire::LifeStage {
    match stage {
        LifeStage::Growth => wire::LifeStage::Growth,
        LifeStage::Adult => wire::LifeStage::Adult,
        LifeStage::Senior => wire::LifeStage::Senior,
        LifeStage::Gestation => wire::LifeStage::Gestation,
        LifeStage::Lactation => wire::LifeStage::Lactation,
    }
}

fn read_stage(stage: wire::LifeStage) -> Option<LifeStage> {
    match stage {
        wire::LifeStage::Unspecified => None,
        wire::LifeStage::Growth => Some(LifeStage::Growth),
        wire::LifeStage::Adult => Some(LifeStage::Adult),
        wire::LifeStage::Senior => Some(LifeStage::Senior),
        wire::LifeStage::Gestation => Some(LifeStage::Gestation),
        wire::LifeStage::Lactation => Some(LifeStage::Lactation),
    }
}

fn level(level: ActivityLevel) -> wire::ActivityLevel {
    match level {
        ActivityLevel::WeightLoss => wire::ActivityLevel::WeightLoss,
        ActivityLevel::Inactive => wire::ActivityLevel::Inactive,
        ActivityLevel::Typical => wire::ActivityLevel::Typical,
        ActivityLevel::Active => wire::ActivityLevel::Active,
        ActivityLevel::Working => wire::ActivityLevel::Working,
    }
}

fn read_level(level: wire::ActivityLevel) -> Option<ActivityLevel> {
    match level {
        wire::ActivityLevel::Unspecified => None,
        wire::ActivityLevel::WeightLoss => Some(ActivityLevel::WeightLoss),
        wire::ActivityLevel::Inactive => Some(ActivityLevel::Inactive),
        wire::ActivityLevel::Typical => Some(ActivityLevel::Typical),
        wire::ActivityLevel::Active => Some(ActivityLevel::Active),
        wire::ActivityLevel::Working => Some(ActivityLevel::Working),
    }
}

fn work(work: Work) -> wire::Work {
    match work {
        Work::Light => wire::Work::Light,
        Work::Moderate => wire::Work::Moderate,
        Work::Heavy => wire::Work::Heavy,
    }
}

fn read_work(work: wire::Work) -> Option<Work> {
    match work {
        wire::Work::Unspecified => None,
        wire::Work::Light => Some(Work::Light),
        wire::Work::Moderate => Some(Work::Moderate),
        wire::Work::Heavy => Some(Work::Heavy),
    }
}
