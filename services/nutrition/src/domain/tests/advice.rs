//! What is missing, and what is recommended.

use jiff::{SignedDuration, Span};

use super::{TODAY, fed, food, grown, plan, weekly};
use crate::domain::{
    ActivityLevel, Inputs, LifeStage, Recommendation, Severity, Species, Status, Work, recommendations,
};

fn codes(inputs: &Inputs) -> Vec<String> {
    recommendations(inputs).into_iter().map(|found| found.code).collect()
}

fn found(inputs: &Inputs, code: &str) -> Recommendation {
    let all = recommendations(inputs);
    all.iter().find(|found| found.code == code).cloned().unwrap_or_else(|| panic!("{code} in {all:?}"))
}

fn missing(inputs: &Inputs) -> Vec<String> {
    plan(inputs).missing.into_iter().map(|lack| lack.field).collect()
}

/// Nothing to say of it at all.
fn content(species: Species, kg: f64) -> Inputs {
    fed(grown(species, kg), &[(food(1, "Fish", 380.0, &["salmon"]), 1.0)])
}

fn mother(species: Species, stage: LifeStage) -> Inputs {
    let mut inputs = content(species, if species == Species::Dog { 20.0 } else { 4.0 });
    inputs.animal.neutered = Some(false);
    inputs.profile.life_stage = Some(stage);
    inputs
}

#[test]
fn a_pet_of_which_all_is_known_and_well_is_left_alone() {
    for inputs in [content(Species::Dog, 20.0), content(Species::Cat, 4.0)] {
        assert_eq!((codes(&inputs), missing(&inputs)), (vec![], vec![]));
    }
}

#[test]
fn a_pet_of_unknown_weight_gets_no_energy_but_what_is_missing() {
    let mut inputs = grown(Species::Dog, 20.0);
    inputs.weights.clear();
    inputs.profile.body_condition_score = None;
    inputs.animal.birth_date = None;
    inputs.animal.neutered = None;
    let empty = plan(&inputs);
    assert_eq!(empty.status, Status::Incomplete);
    assert_eq!(
        (empty.energy, empty.meal_kcal_per_day, empty.water, empty.portions),
        (None, None, None, vec![])
    );
    assert!(empty.missing[0].required && empty.missing.iter().filter(|lack| lack.required).count() == 1);
    assert_eq!(missing(&inputs), ["weight_kg", "birth_date", "neutered", "body_condition_score", "foods"]);
    let told = codes(&inputs);
    for code in
        ["WEIGHT_UNKNOWN", "BODY_CONDITION_UNKNOWN", "BIRTH_DATE_UNKNOWN", "NEUTERED_UNKNOWN", "FOOD_UNKNOWN"]
    {
        assert_eq!(told.iter().filter(|told| *told == code).count(), 1, "{code} in {told:?}");
    }
    // A weight of tomorrow is none.
    inputs.weights = weekly(&[20.0]);
    inputs.weights[0].at = inputs.now + SignedDuration::from_hours(24);
    assert_eq!(plan(&inputs).status, Status::Incomplete);
}

#[test]
fn each_stage_lacks_what_its_equation_needs() {
    let mut puppy = content(Species::Dog, 5.0);
    puppy.animal.birth_date = Some(TODAY - Span::new().months(4));
    assert_eq!(missing(&puppy), ["expected_adult_weight_kg"]);
    assert!(codes(&puppy).contains(&"EXPECTED_ADULT_WEIGHT_UNKNOWN".to_owned()));
    assert_eq!(missing(&mother(Species::Dog, LifeStage::Gestation)), ["mating_date"]);
    assert_eq!(missing(&mother(Species::Cat, LifeStage::Gestation)), Vec::<String>::new());
    assert_eq!(missing(&mother(Species::Cat, LifeStage::Lactation)), ["litter_date", "litter_size"]);
    let mut stated = content(Species::Dog, 20.0);
    stated.animal.birth_date = None;
    stated.profile.life_stage = Some(LifeStage::Senior);
    assert_eq!(missing(&stated), Vec::<String>::new());
}

#[test]
fn weights_grow_old_sooner_where_they_are_to_change() {
    let days_old = |mut inputs: Inputs, days: i64| {
        inputs.weights[0].at = inputs.now - SignedDuration::from_hours(24 * days + 1);
        codes(&inputs).contains(&"WEIGH_AGAIN".to_owned())
    };
    let mut heavy = content(Species::Dog, 20.0);
    heavy.profile.body_condition_score = Some(7);
    assert!(!days_old(content(Species::Dog, 20.0), 59) && days_old(content(Species::Dog, 20.0), 60));
    assert!(!days_old(heavy.clone(), 13) && days_old(heavy, 14));
}

#[test]
fn losing_faster_than_is_safe_is_for_a_vet() {
    let mut cat = content(Species::Cat, 5.0);
    cat.profile.body_condition_score = Some(8);
    // 3 % a week.
    cat.weights = weekly(&[5.5, 5.33, 5.17, 5.0]);
    let alert = found(&cat, "LOSING_TOO_FAST");
    assert_eq!(alert.severity, Severity::SeeAVet);
    assert!(alert.text.contains("hepatic lipidosis"), "{}", alert.text);
    assert_eq!(recommendations(&cat)[0].severity, Severity::SeeAVet, "the most urgent first");
    // 1 % a week is the aim.
    cat.weights = weekly(&[5.15, 5.1, 5.05, 5.0]);
    assert_eq!(codes(&cat), ["OVERWEIGHT"]);
    cat.weights = weekly(&[5.0, 5.0, 5.0, 5.0]);
    assert!(codes(&cat).contains(&"NOT_LOSING".to_owned()));
    // What she lost by giving birth is no loss.
    let mut queen = mother(Species::Cat, LifeStage::Lactation);
    queen.weights = weekly(&[5.4, 5.4, 4.2, 4.2]);
    assert!(codes(&queen).contains(&"LOSING_TOO_FAST".to_owned()));
    queen.profile.litter_date = Some(TODAY - Span::new().days(10));
    assert!(!codes(&queen).contains(&"LOSING_TOO_FAST".to_owned()));
}

#[test]
fn body_condition_decides_on_who_is_to_see_a_vet() {
    let at = |score| {
        let mut dog = content(Species::Dog, 20.0);
        dog.profile.body_condition_score = Some(score);
        recommendations(&dog).into_iter().map(|found| (found.code, found.severity)).collect::<Vec<_>>()
    };
    let thin = vec![("UNDERWEIGHT".to_owned(), Severity::SeeAVet)];
    let heavy = |severity| vec![("OVERWEIGHT".to_owned(), severity)];
    assert_eq!((at(3), at(4), at(5)), (thin, vec![], vec![]));
    assert_eq!((at(6), at(7)), (heavy(Severity::Advice), heavy(Severity::Advice)));
    assert_eq!((at(8), at(9)), (heavy(Severity::SeeAVet), heavy(Severity::SeeAVet)));

    let mut thin = content(Species::Dog, 20.0);
    thin.profile.body_condition_score = Some(2);
    thin.weights = weekly(&[20.3, 20.2, 20.1, 20.0]);
    assert_eq!(codes(&thin), ["UNDERWEIGHT", "THIN_AND_LOSING"]);
    let mut gaining = content(Species::Dog, 20.0);
    gaining.weights = weekly(&[19.4, 19.6, 19.8, 20.0]);
    assert_eq!(codes(&gaining), ["GAINING"]);
    let advice = found(&at_score(9), "OVERWEIGHT");
    // 1 to 2 % of 20 kg; 14.3 kg are ideal.
    assert!(advice.text.contains("200 to 400 g a week") && advice.reason.contains("14.3 kg"), "{advice:?}");
}

fn at_score(score: u8) -> Inputs {
    let mut dog = content(Species::Dog, 20.0);
    dog.profile.body_condition_score = Some(score);
    dog
}

#[test]
fn no_diet_is_planned_for_those_it_would_harm_and_that_is_said() {
    for stage in [LifeStage::Growth, LifeStage::Gestation, LifeStage::Lactation] {
        let mut inputs = mother(Species::Dog, stage);
        inputs.profile.body_condition_score = Some(9);
        let plan = plan(&inputs);
        assert_eq!(plan.weight_goal, None);
        assert!(
            plan.reasons.iter().any(|reason| reason.text.starts_with("No plan to lose weight")),
            "{stage:?}"
        );
        assert!(codes(&inputs).contains(&"NO_WEIGHT_LOSS_NOW".to_owned()));
    }
    let mut asked = at_score(5);
    asked.profile.activity_level = Some(ActivityLevel::WeightLoss);
    assert_eq!(codes(&asked), ["NO_WEIGHT_LOSS_NEEDED"]);
    assert!(plan(&asked).reasons.iter().any(|reason| reason.text.contains("body condition of 5 of 9")));
    let mut stated = at_score(7);
    stated.profile.activity_level = Some(ActivityLevel::Typical);
    assert!(
        plan(&stated).weight_goal.is_none() && found(&stated, "OVERWEIGHT").text.contains("keeps its weight")
    );
}

#[test]
fn stages_have_advice_of_their_own() {
    let mut old = content(Species::Cat, 4.0);
    old.animal.birth_date = Some(TODAY - Span::new().years(12));
    assert_eq!(codes(&old), ["SENIOR_CHECK"]);
    let mut newborn = content(Species::Cat, 0.2);
    newborn.animal.birth_date = Some(TODAY - Span::new().days(9));
    newborn.profile.expected_adult_weight_kg = Some(4.0);
    assert_eq!(codes(&newborn), ["UNWEANED"]);
    let mut late = mother(Species::Dog, LifeStage::Gestation);
    late.profile.mating_date = Some(TODAY - Span::new().days(70));
    assert_eq!(codes(&late), Vec::<String>::new());
    late.profile.mating_date = Some(TODAY - Span::new().days(71));
    assert_eq!(codes(&late), ["OVERDUE"]);
    let mut nursing = mother(Species::Dog, LifeStage::Lactation);
    nursing.profile.litter_size = Some(9);
    nursing.profile.litter_date = Some(TODAY - Span::new().days(30));
    assert_eq!(codes(&nursing), ["LITTER_ABOVE_TABLE", "WEANING"]);
    let mut working = content(Species::Cat, 4.0);
    working.profile.work = Some(Work::Light);
    assert_eq!(codes(&working), ["WORK_NOT_FOR_CATS"]);
    let mut new = content(Species::Dog, 20.0);
    new.days.truncate(3);
    assert_eq!(codes(&new), ["CALIBRATING"]);
}

#[test]
fn foods_have_advice_of_their_own() {
    let cat = |foods: &[&[&str]]| {
        let foods: Vec<_> =
            foods.iter().zip(1..).map(|(of, id)| (food(id, "Food", 380.0, of), 1.0)).collect();
        fed(grown(Species::Cat, 4.0), &foods)
    };
    assert_eq!(codes(&cat(&[&["pea protein", "rice"]])), ["CAT_NEEDS_MEAT"]);
    assert_eq!(codes(&cat(&[&["dried anchovies"]])), Vec::<String>::new());
    // What it is made of is not known: that is not the same as meatless.
    assert_eq!(codes(&cat(&[&[]])), Vec::<String>::new());
    let mut allergic = cat(&[&[], &["beef"]]);
    allergic.profile.allergies = vec!["beef".into()];
    assert_eq!(codes(&allergic), ["ALLERGEN_IN_FOOD", "INGREDIENTS_UNKNOWN"]);
    assert_eq!(codes(&cat(&[&["salmon", "lily"]])), ["FORBIDDEN_FOOD", "FOOD_UNKNOWN"]);
    let mut gone = cat(&[&["salmon"]]);
    gone.foods.clear();
    assert_eq!(codes(&gone), ["FOOD_GONE", "FOOD_UNKNOWN"]);
}
