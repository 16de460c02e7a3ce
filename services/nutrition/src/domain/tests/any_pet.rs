//! What holds for whatever is said of a pet.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span};
use proptest::prelude::*;

use super::{TODAY, fed, food, now};
use crate::domain::profile::{MAX_WEIGHT_KG, MIN_WEIGHT_KG};
use crate::domain::{
    ActivityLevel, Animal, DayActivity, Inputs, LifeStage, Peers, Profile, Sex, Species, Status, WeightPoint,
    Work, goals, plan, recommendations,
};

fn species() -> impl Strategy<Value = Species> {
    prop_oneof![Just(Species::Dog), Just(Species::Cat)]
}

fn animals() -> impl Strategy<Value = Animal> {
    let sex = proptest::option::of(prop_oneof![Just(Sex::Female), Just(Sex::Male)]);
    (species(), proptest::option::of(0_i32..9_000), sex, any::<Option<bool>>()).prop_map(
        |(species, age, sex, neutered)| Animal {
            species,
            birth_date: age.map(|days| TODAY - Span::new().days(days)),
            breed: None,
            sex,
            neutered,
        },
    )
}

fn levels() -> impl Strategy<Value = Option<ActivityLevel>> {
    proptest::option::of(prop_oneof![
        Just(ActivityLevel::WeightLoss),
        Just(ActivityLevel::Inactive),
        Just(ActivityLevel::Typical),
        Just(ActivityLevel::Active),
        Just(ActivityLevel::Working),
    ])
}

fn stages() -> impl Strategy<Value = Option<LifeStage>> {
    proptest::option::of(prop_oneof![
        Just(LifeStage::Growth),
        Just(LifeStage::Adult),
        Just(LifeStage::Senior),
        Just(LifeStage::Gestation),
        Just(LifeStage::Lactation),
    ])
}

fn profiles() -> impl Strategy<Value = Profile> {
    let option = proptest::option::of::<std::ops::Range<i32>>;
    let work = proptest::option::of(prop_oneof![Just(Work::Light), Just(Work::Moderate), Just(Work::Heavy)]);
    let body = (proptest::option::of(1_u8..10), stages(), any::<Option<bool>>(), levels(), work);
    let young =
        (proptest::option::of(0.5..150.0), option(0..81), option(0..121), proptest::option::of(1_u8..26));
    (body, young, proptest::option::of(1_u8..9)).prop_map(|(body, young, meals)| {
        let (body_condition_score, life_stage, neutered, activity_level, work) = body;
        let (expected_adult_weight_kg, mated, born, litter_size) = young;
        let back = |days: Option<i32>| days.map(|days| TODAY - Span::new().days(days));
        Profile {
            body_condition_score,
            life_stage,
            neutered,
            activity_level,
            work,
            expected_adult_weight_kg,
            mating_date: back(mated),
            litter_date: back(born),
            litter_size,
            foods: Vec::new(),
            meals_per_day: meals,
            allergies: Vec::new(),
        }
    })
}

fn inputs() -> impl Strategy<Value = Inputs> {
    let weight = (MIN_WEIGHT_KG..=MAX_WEIGHT_KG, 0_i64..100_000);
    let day = (0_i32..40, 0.0..=1_500.0, 0.0..=1_500.0);
    let chosen = (1.0..=950.0, 0.0..=10.0);
    (
        animals(),
        profiles(),
        proptest::collection::vec(weight, 1..12),
        proptest::collection::vec(day, 0..40),
        proptest::collection::vec(0.0..=1_440.0, 0..60),
        proptest::collection::vec(chosen, 0..5),
    )
        .prop_map(|(animal, profile, weights, days, medians, foods)| {
            let weights = weights
                .into_iter()
                .map(|(kg, minutes)| WeightPoint { kg, at: now() - SignedDuration::from_mins(minutes) });
            let days = days.into_iter().map(|(back, active_minutes, covered_minutes)| DayActivity {
                date: TODAY - Span::new().days(back),
                active_minutes,
                covered_minutes,
                known_minutes: covered_minutes,
            });
            let inputs = Inputs {
                animal,
                profile,
                weights: weights.collect(),
                foods: Vec::new(),
                days: days.collect(),
                peers: Peers { medians },
                now: now(),
                today: TODAY,
                zone: TimeZone::UTC,
            };
            let foods: Vec<_> = foods
                .into_iter()
                .zip(1..)
                .map(|((kcal, share), id)| (food(id, "F", kcal, &[]), share))
                .collect();
            fed(inputs, &foods)
        })
}

proptest! {
    #[test]
    fn any_pet_of_known_weight_has_a_plan_within_bounds(inputs in inputs()) {
        let plan = plan(&inputs);
        prop_assert_eq!(plan.status, Status::Ready);
        prop_assert!(plan.missing.iter().all(|lack| !lack.required));
        let energy = plan.energy.clone().unwrap();
        prop_assert!(energy.kcal_per_day.is_finite() && energy.kcal_per_day > 0.0);
        // The least is a cat's to lose weight; the most are eleven times for heavy work, or a large bitch with eight pups.
        let least = match inputs.animal.species {
            Species::Dog => 1.0,
            Species::Cat => 0.8,
        };
        prop_assert!((least - 1e-3..=11.0 + 1e-3).contains(&energy.factor), "{energy:?}");
        if let (Some(low), Some(high)) = (energy.factor_low, energy.factor_high) {
            prop_assert!(low <= high && (low - 1e-3..=high + 1e-3).contains(&energy.factor), "{energy:?}");
        }
        prop_assert!((energy.factor * energy.rer_kcal / energy.kcal_per_day - 1.0).abs() < 5e-3);
        prop_assert!((0.0..=1.0).contains(&plan.activity.position));
    }

    #[test]
    fn portions_are_the_meals_energy_and_treats_the_rest(inputs in inputs()) {
        let plan = plan(&inputs);
        let (kcal, meals, treats) =
            (plan.kcal_per_day().unwrap(), plan.meal_kcal_per_day.unwrap(), plan.treat_kcal_per_day.unwrap());
        prop_assert!((meals + treats - kcal).abs() < 0.02 && treats <= 0.1 * kcal + 0.01);
        prop_assert_eq!(plan.portions.is_empty(), inputs.foods.is_empty());
        if !plan.portions.is_empty() {
            let sum: f64 = plan.portions.iter().map(|portion| portion.kcal_per_day).sum();
            prop_assert!((sum / meals - 1.0).abs() < 5e-3, "{sum} of {meals}");
        }
        for portion in &plan.portions {
            let food = inputs.foods.iter().find(|food| food.id == portion.food_id).unwrap();
            let per_gram = food.facts.energy().kcal_per_100g / 100.0;
            prop_assert!((portion.grams_per_day * per_gram - portion.kcal_per_day).abs() <= 0.01 + 0.006 * per_gram);
            let meals = f64::from(plan.meals_per_day);
            prop_assert!((portion.grams_per_meal * meals - portion.grams_per_day).abs() <= 0.01 + 0.006 * meals);
        }
    }

    #[test]
    fn the_order_in_which_things_are_known_changes_nothing(inputs in inputs()) {
        let mut turned = inputs.clone();
        turned.peers.medians.reverse();
        turned.foods.reverse();
        prop_assert_eq!(plan(&turned), plan(&inputs));
    }

    #[test]
    fn a_heavier_adult_needs_more(inputs in inputs(), kg in 1.0..140.0_f64, more in 0.1..10.0_f64) {
        let of = |kg: f64| {
            let mut inputs = inputs.clone();
            // Size decides on when a dog is grown up and old; and a litter or a trend is not what is asked here.
            inputs.profile.life_stage = Some(LifeStage::Adult);
            inputs.weights = vec![WeightPoint { kg, at: now() }];
            plan(&inputs).kcal_per_day().unwrap()
        };
        prop_assert!(of(kg + more) > of(kg));
    }

    #[test]
    fn nobody_is_put_on_a_diet_who_must_not_lose_weight(inputs in inputs()) {
        let plan = plan(&inputs);
        if plan.weight_goal.is_some() {
            prop_assert!(plan.life_stage.is_maintenance());
            prop_assert!(inputs.profile.body_condition_score.unwrap() > 5);
            prop_assert!(plan.weight_goal.unwrap().target_weight_kg < plan.weight_kg.unwrap());
        }
    }

    #[test]
    fn advice_is_in_order_and_each_code_comes_once_but_for_foods(inputs in inputs()) {
        let told = recommendations(&inputs);
        prop_assert!(told.windows(2).all(|pair| pair[0].severity >= pair[1].severity));
        let documented = include_str!("../../../../../docs/api.md");
        for found in &told {
            prop_assert!(documented.contains(&format!("`{}`", found.code)), "docs/api.md has no {}", found.code);
        }
        let mut codes: Vec<_> = told.iter().map(|found| found.code.clone()).collect();
        codes.sort();
        codes.dedup();
        prop_assert_eq!(codes.len(), told.len());
        prop_assert!(told.iter().all(|found| !found.text.is_empty() && !found.reason.is_empty()));
        let goals = goals(&inputs, &plan(&inputs));
        prop_assert!(goals.kcal.is_some() && goals.sleep_hours_min <= goals.sleep_hours_max);
    }
}
