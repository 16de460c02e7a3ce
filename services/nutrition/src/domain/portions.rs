//! What to put into the bowl, and water.
//!
//! Invariant: the portions' energy is the meals' energy, and no portion holds what the pet must not have.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::animal::{FoodChoice, Profile, Species};
use super::foods::{Food, FoodKind};
use super::plan::Reason;
use super::{forbidden, ingredients, rounded};

/// About that much water in all, the food's moisture included, ml/kg/day (domain.md, "Energy").
const WATER_ML_PER_KG: f64 = 50.0;
/// A dog that drinks more: ask a vet, ml/kg/day (domain.md, "Energy"). The page has no figure for cats.
const DOG_TOO_MUCH_ML_PER_KG: f64 = 100.0;

/// How much of a food.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Portion {
    /// The food.
    pub food_id: Uuid,
    /// Its name.
    pub name: String,
    /// Grams a day.
    pub grams_per_day: f64,
    /// Grams a meal.
    pub grams_per_meal: f64,
    /// Energy a day, kcal.
    pub kcal_per_day: f64,
}

/// Water a day.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Water {
    /// In all, ml, the food's moisture included.
    pub total_ml: f64,
    /// Of that in the food; absent where a food's moisture is unknown, or no food was chosen.
    pub from_food_ml: Option<f64>,
    /// To drink; absent where `from_food_ml` is.
    pub to_drink_ml: Option<f64>,
    /// More than that: ask a vet. Absent for cats.
    pub ask_a_vet_above_ml: Option<f64>,
}

/// A chosen food that is not fed, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LeftOut {
    /// It does not exist any more.
    Gone(Uuid),
    /// It is a treat.
    Treat { food: String },
    /// It holds what the pet must not have.
    Allergen { food: String, allergen: String, ingredient: String },
    /// It holds what poisons the species.
    Poison { food: String, poison: &'static str, ingredient: String },
}

impl LeftOut {
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Gone(_) => "A chosen food is gone: choose another.".to_owned(),
            Self::Treat { food } => format!("{food} is a treat, and no meal: left out."),
            Self::Allergen { food, allergen, ingredient } => {
                format!("{food} holds {ingredient}, and the pet must not have {allergen}: left out.")
            }
            Self::Poison { food, poison, ingredient } => {
                format!("{food} holds {ingredient}: {poison} must never be fed; left out.")
            }
        }
    }

    pub(crate) fn reason(&self) -> Reason {
        Reason::new(self.text(), "")
    }
}

/// Grams = kcal / (kcal per g), split over meals; mixed foods share by kcal (domain.md, "Energy").
pub(crate) fn portions(
    species: Species,
    profile: &Profile,
    foods: &[Food],
    meal_kcal: Option<f64>,
    meals: u8,
) -> (Vec<Portion>, Vec<LeftOut>) {
    let mut left_out = Vec::new();
    let mut fed: Vec<(&FoodChoice, &Food)> = Vec::new();
    for choice in &profile.foods {
        let Some(food) = foods.iter().find(|food| food.id == choice.food_id) else {
            left_out.push(LeftOut::Gone(choice.food_id));
            continue;
        };
        match why_not(species, profile, food) {
            Some(why) => left_out.push(why),
            None => fed.push((choice, food)),
        }
    }
    let Some(meal_kcal) = meal_kcal else { return (Vec::new(), left_out) };
    // Equal shares where all that were chosen are absent or 0. Where one is not, those that are 0 are not fed, though it be left out.
    let is_even = profile.foods.iter().all(|choice| share(choice) <= 0.0);
    let share = |choice: &FoodChoice| if is_even { 1.0 } else { share(choice) };
    let sum: f64 = fed.iter().map(|(choice, _)| share(choice)).sum();
    let portions = fed.into_iter().filter_map(|(choice, food)| {
        let share = share(choice);
        (share > 0.0).then(|| portion(food, share / sum * meal_kcal, meals))
    });
    (portions.collect(), left_out)
}

fn portion(food: &Food, kcal: f64, meals: u8) -> Portion {
    let grams = kcal / food.facts.energy().kcal_per_100g * 100.0;
    Portion {
        food_id: food.id,
        name: food.facts.name.clone(),
        grams_per_day: rounded(grams),
        grams_per_meal: rounded(grams / f64::from(meals.max(1))),
        kcal_per_day: rounded(kcal),
    }
}

fn share(choice: &FoodChoice) -> f64 {
    if choice.share.is_finite() { choice.share.max(0.0) } else { 0.0 }
}

fn why_not(species: Species, profile: &Profile, food: &Food) -> Option<LeftOut> {
    let name = || food.facts.name.clone();
    for ingredient in &food.facts.ingredients {
        if let Some(poison) = forbidden::poison(ingredient, species) {
            return Some(LeftOut::Poison { food: name(), poison, ingredient: ingredient.clone() });
        }
        if let Some(allergen) = profile.allergies.iter().find(|name| ingredients::has(ingredient, name)) {
            let (allergen, ingredient) = (allergen.clone(), ingredient.clone());
            return Some(LeftOut::Allergen { food: name(), allergen, ingredient });
        }
    }
    (food.facts.kind == FoodKind::Treat).then(|| LeftOut::Treat { food: name() })
}

pub(crate) fn water(species: Species, kg: f64, portions: &[Portion], foods: &[Food]) -> Water {
    let total = kg * WATER_ML_PER_KG;
    let in_food = |portion: &Portion| {
        let food = foods.iter().find(|food| food.id == portion.food_id)?;
        // A gram of moisture is a millilitre.
        Some(portion.grams_per_day * food.facts.moisture_percent? / 100.0)
    };
    let from_food: Option<f64> = if portions.is_empty() { None } else { portions.iter().map(in_food).sum() };
    Water {
        total_ml: rounded(total),
        from_food_ml: from_food.map(rounded),
        to_drink_ml: from_food.map(|from_food| rounded((total - from_food).max(0.0))),
        ask_a_vet_above_ml: match species {
            Species::Dog => Some(rounded(kg * DOG_TOO_MUCH_ML_PER_KG)),
            Species::Cat => None,
        },
    }
}
