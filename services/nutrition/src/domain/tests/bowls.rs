//! Portions, water, goals.

use super::{fed, food, grown, plan};
use crate::domain::{FoodKind, Inputs, LifeStage, Plan, Species, goals};

fn near(a: f64, b: f64) -> bool {
    (a - b).abs() < 0.011
}

fn says(plan: &Plan, text: &str) -> bool {
    plan.reasons.iter().any(|reason| reason.text.contains(text))
}

#[test]
fn mixed_foods_share_the_meals_energy() {
    let inputs = fed(
        grown(Species::Dog, 10.0),
        &[(food(1, "Dry", 400.0, &[]), 3.0), (food(2, "Wet", 100.0, &[]), 1.0)],
    );
    let plan = plan(&inputs);
    // 590.46 kcal; a tenth is for treats; three quarters of 531.41 at 4 kcal/g, a quarter at 1 kcal/g; two meals.
    assert!(near(plan.treat_kcal_per_day.unwrap(), 59.05) && near(plan.meal_kcal_per_day.unwrap(), 531.41));
    let [dry, wet] = plan.portions.as_slice() else { panic!("{:?}", plan.portions) };
    assert!(near(dry.grams_per_day, 99.64) && near(dry.grams_per_meal, 49.82), "{dry:?}");
    assert!(near(wet.grams_per_day, 132.85) && near(wet.kcal_per_day, 132.85), "{wet:?}");
    assert_eq!(plan.meals_per_day, 2);
}

#[test]
fn shares_are_equal_where_none_is_said() {
    let foods = [(food(1, "A", 400.0, &[]), 0.0), (food(2, "B", 300.0, &[]), 0.0)];
    let both = plan(&fed(grown(Species::Dog, 10.0), &foods));
    assert!(near(both.portions[0].kcal_per_day, both.portions[1].kcal_per_day));
    let [(a, _), (b, _)] = foods;
    let one = plan(&fed(grown(Species::Dog, 10.0), &[(a, 0.0), (b, 5.0)]));
    assert_eq!(one.portions.iter().map(|portion| portion.name.as_str()).collect::<Vec<_>>(), ["B"]);
}

#[test]
fn a_food_with_no_share_is_not_fed_in_place_of_one_that_is_left_out() {
    let beside = |share: f64| {
        let foods = [(food(1, "Beef", 400.0, &["beef"]), share), (food(2, "Rarely", 300.0, &[]), 0.0)];
        let mut inputs = fed(grown(Species::Dog, 10.0), &foods);
        inputs.profile.allergies = vec!["beef".into()];
        inputs
    };
    let names =
        |inputs: &Inputs| plan(inputs).portions.into_iter().map(|portion| portion.name).collect::<Vec<_>>();
    let mut inputs = beside(1.0);
    assert_eq!(names(&inputs), Vec::<String>::new());
    assert!(plan(&inputs).missing.iter().any(|lack| lack.field == "foods"));
    // Nor where the other is gone.
    inputs.profile.allergies.clear();
    assert_eq!(names(&inputs), ["Beef"]);
    inputs.foods.remove(0);
    assert_eq!(names(&inputs), Vec::<String>::new());
    // Where no share was said at all, what is left is fed.
    let even = beside(0.0);
    assert_eq!(names(&even), ["Rarely"]);
    assert!(near(plan(&even).portions[0].kcal_per_day, plan(&even).meal_kcal_per_day.unwrap()));
}

#[test]
fn what_must_not_be_fed_is_left_out_and_said() {
    let treat = {
        let mut treat = food(3, "Biscuit", 350.0, &[]);
        treat.facts.kind = FoodKind::Treat;
        treat
    };
    let foods = [
        (food(1, "Hen", 400.0, &["chicken meal"]), 1.0),
        (food(2, "Garden", 100.0, &["tiger lilies"]), 1.0),
        (treat, 1.0),
        (food(4, "Fish", 380.0, &["salmon"]), 1.0),
        (food(5, "Sold out", 380.0, &[]), 1.0),
    ];
    let mut inputs = fed(grown(Species::Cat, 4.0), &foods);
    inputs.profile.allergies = vec!["chicken".into()];
    inputs.foods.pop();
    let of_cat = plan(&inputs);
    let [only] = of_cat.portions.as_slice() else { panic!("{:?}", of_cat.portions) };
    assert_eq!(only.name, "Fish");
    assert!(near(only.kcal_per_day, of_cat.meal_kcal_per_day.unwrap()));
    for text in ["Hen holds chicken meal", "lilies must never", "Biscuit is a treat", "food is gone"] {
        assert!(says(&of_cat, text), "{text} in {:?}", of_cat.reasons);
    }
    // Lilies are for cats to fear.
    inputs.animal.species = Species::Dog;
    assert!(plan(&inputs).portions.iter().any(|portion| portion.name == "Garden"));
}

#[test]
fn water_counts_the_foods_moisture() {
    let wet = {
        let mut wet = food(1, "Wet", 100.0, &[]);
        wet.facts.moisture_percent = Some(80.0);
        wet
    };
    let dog = plan(&fed(grown(Species::Dog, 10.0), &[(wet.clone(), 1.0)])).water.unwrap();
    // 50 ml/kg; 531.41 g of food, four fifths of it water.
    assert_eq!((dog.total_ml, dog.ask_a_vet_above_ml), (500.0, Some(1_000.0)));
    assert!(near(dog.from_food_ml.unwrap(), 425.13) && near(dog.to_drink_ml.unwrap(), 74.87), "{dog:?}");
    let cat = plan(&grown(Species::Cat, 4.0)).water.unwrap();
    assert_eq!(
        (cat.total_ml, cat.from_food_ml, cat.to_drink_ml, cat.ask_a_vet_above_ml),
        (200.0, None, None, None)
    );
    let mut unknown = wet;
    unknown.facts.moisture_percent = None;
    assert_eq!(plan(&fed(grown(Species::Dog, 10.0), &[(unknown, 1.0)])).water.unwrap().from_food_ml, None);
}

#[test]
fn meals_are_as_said_or_as_usual() {
    let meals = |inputs: &Inputs| plan(inputs).meals_per_day;
    let (dog, cat) = (grown(Species::Dog, 10.0), grown(Species::Cat, 4.0));
    assert_eq!((meals(&dog), meals(&cat)), (2, 3));
    let mut puppy = dog.clone();
    puppy.profile.life_stage = Some(LifeStage::Growth);
    let mut said = cat;
    said.profile.meals_per_day = Some(5);
    assert_eq!((meals(&puppy), meals(&said)), (3, 5));
}

#[test]
fn goals_are_the_plans_and_the_pets_own() {
    let mut inputs = grown(Species::Dog, 10.0);
    let known = goals(&inputs, &plan(&inputs));
    assert_eq!((known.water_ml, known.active_minutes, known.meals), (Some(500.0), Some(60.0), 2));
    assert_eq!((known.sleep_hours_min, known.sleep_hours_max), (Some(12.0), Some(14.0)));
    assert!(near(known.kcal.unwrap(), 590.46));

    inputs.days.truncate(6);
    inputs.weights.clear();
    inputs.profile.life_stage = Some(LifeStage::Senior);
    let unknown = goals(&inputs, &plan(&inputs));
    assert_eq!((unknown.kcal, unknown.water_ml, unknown.active_minutes), (None, None, None));
    assert_eq!(unknown.sleep_hours_max, Some(18.0));
    let all: String = unknown.reasons.iter().map(|reason| reason.text.as_str()).collect();
    assert!(all.contains("calibrating, 6 of 7") && all.contains("without its weight"), "{all}");
    let sleep = |stage| {
        let mut cat = grown(Species::Cat, 4.0);
        cat.profile.life_stage = Some(stage);
        goals(&cat, &plan(&cat)).sleep_hours_max
    };
    assert_eq!((sleep(LifeStage::Adult), sleep(LifeStage::Growth)), (Some(16.0), Some(20.0)));
}
