//! The rules one by one, and what holds for whatever is said of a pet. Whole plans are held against the field's page in
//! `tests/it/plans.rs`.

mod advice;
mod any_pet;
mod bowls;
mod foods;
mod profiles;
mod told;

use jiff::civil::{Date, date};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, Timestamp};
use uuid::Uuid;

use super::{
    Animal, DayActivity, Food, FoodChoice, FoodKind, Inputs, NewFood, Peers, Profile, Sex, Species,
    WeightPoint, plan,
};

const TODAY: Date = date(2026, 6, 15);

fn now() -> Timestamp {
    "2026-06-15T12:00:00Z".parse().unwrap()
}

/// Grown up, neutered, at ideal, weighed today, measured for a month: nothing to say of it but what it eats.
fn grown(species: Species, kg: f64) -> Inputs {
    let days = (1..=30).map(|back| DayActivity {
        date: TODAY - Span::new().days(back),
        active_minutes: 60.0,
        covered_minutes: 1_300.0,
        known_minutes: 1_250.0,
    });
    Inputs {
        animal: Animal {
            species,
            birth_date: Some(TODAY - Span::new().years(4)),
            breed: None,
            sex: Some(Sex::Female),
            neutered: Some(true),
        },
        profile: Profile { body_condition_score: Some(5), ..Profile::default() },
        weights: vec![WeightPoint { kg, at: now() }],
        foods: Vec::new(),
        days: days.collect(),
        peers: Peers::default(),
        now: now(),
        today: TODAY,
        zone: TimeZone::UTC,
    }
}

/// Weights a week apart, the last one today's.
fn weekly(kgs: &[f64]) -> Vec<WeightPoint> {
    let back = |weeks: i64| now() - SignedDuration::from_hours(24 * 7 * weeks);
    kgs.iter().rev().zip(0..).map(|(kg, weeks)| WeightPoint { kg: *kg, at: back(weeks) }).collect()
}

fn food(id: u128, name: &str, kcal: f64, ingredients: &[&str]) -> Food {
    let facts = NewFood {
        name: name.to_owned(),
        kind: FoodKind::Dry,
        label_kcal_per_100g: Some(kcal),
        protein_percent: None,
        fat_percent: None,
        fibre_percent: None,
        moisture_percent: Some(10.0),
        ash_percent: None,
        ingredients: ingredients.iter().map(|name| (*name).to_owned()).collect(),
    };
    Food { id: Uuid::from_u128(id), facts }
}

/// Feeds these, with these shares.
fn fed(mut inputs: Inputs, foods: &[(Food, f64)]) -> Inputs {
    inputs.profile.foods =
        foods.iter().map(|(food, share)| FoodChoice { food_id: food.id, share: *share }).collect();
    inputs.foods = foods.iter().map(|(food, _)| food.clone()).collect();
    inputs
}
