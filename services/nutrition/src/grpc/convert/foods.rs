//! Foods.

use petty_proto::nutrition::v1 as wire;

use super::choice;
use crate::domain::{FoodInput, FoodKind, FoodPatch, NewFood};
use crate::grpc::fields::Fields;
use crate::store::foods::Food;

/// Reads a new food.
pub(in crate::grpc) fn new_food(fields: &mut Fields, request: &wire::CreateFoodRequest) -> Option<NewFood> {
    fields.text("name", &request.name);
    fields.texts("ingredients", &request.ingredients);
    let input = FoodInput {
        name: request.name.clone(),
        kind: kind(fields, request.kind),
        label_kcal_per_100g: request.label_kcal_per_100g,
        protein_percent: request.protein_percent,
        fat_percent: request.fat_percent,
        fibre_percent: request.fibre_percent,
        moisture_percent: request.moisture_percent,
        ash_percent: request.ash_percent,
        ingredients: request.ingredients.clone(),
    };
    fields.take(input.parse())
}

/// Reads what to change of a food.
pub(in crate::grpc) fn food_patch(
    fields: &mut Fields,
    request: &wire::UpdateFoodRequest,
) -> Option<FoodPatch> {
    fields.text("name", request.name.as_deref().unwrap_or_default());
    fields.texts("ingredients", &request.ingredients);
    Some(FoodPatch {
        name: request.name.clone(),
        kind: request.kind.and_then(|value| kind(fields, value)),
        label_kcal_per_100g: request.label_kcal_per_100g,
        protein_percent: request.protein_percent,
        fat_percent: request.fat_percent,
        fibre_percent: request.fibre_percent,
        moisture_percent: request.moisture_percent,
        ash_percent: request.ash_percent,
        ingredients: request.ingredients.clone(),
    })
}

/// A food, as it is answered.
pub(in crate::grpc) fn food(food: &Food) -> wire::Food {
    let NewFood {
        name,
        kind,
        label_kcal_per_100g,
        protein_percent,
        fat_percent,
        fibre_percent,
        moisture_percent,
        ash_percent,
        ingredients,
    } = food.facts.clone();
    let energy = food.facts.energy();
    let kind = match kind {
        FoodKind::Dry => wire::food::Kind::Dry,
        FoodKind::Wet => wire::food::Kind::Wet,
        FoodKind::Raw => wire::food::Kind::Raw,
        FoodKind::HomeCooked => wire::food::Kind::HomeCooked,
        FoodKind::Treat => wire::food::Kind::Treat,
    };
    wire::Food {
        food_id: food.id.to_string(),
        name,
        kind: kind.into(),
        label_kcal_per_100g,
        protein_percent,
        fat_percent,
        fibre_percent,
        moisture_percent,
        ash_percent,
        ingredients,
        kcal_per_100g: energy.kcal_per_100g,
        energy_source: energy.source.name().to_owned(),
        create_time: Some(food.created_at.into()),
        update_time: Some(food.updated_at.into()),
        version: food.version,
    }
}

fn kind(fields: &mut Fields, value: i32) -> Option<FoodKind> {
    choice(fields, "kind", value, |kind| match kind {
        wire::food::Kind::Unspecified => None,
        wire::food::Kind::Dry => Some(FoodKind::Dry),
        wire::food::Kind::Wet => Some(FoodKind::Wet),
        wire::food::Kind::Raw => Some(FoodKind::Raw),
        wire::food::Kind::HomeCooked => Some(FoodKind::HomeCooked),
        wire::food::Kind::Treat => Some(FoodKind::Treat),
    })
}
