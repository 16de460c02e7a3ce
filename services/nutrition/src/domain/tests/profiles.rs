//! What may be said of a pet.

use jiff::{SignedDuration, Span};

use super::{TODAY, grown, now};
use crate::domain::profile::weight;
use crate::domain::{
    ActivityLevel, Fault, FoodChoiceInput, LifeStage, Profile, ProfileInput, Sex, Species, Work,
};

fn fields(faults: &[Fault]) -> Vec<(&str, &'static str)> {
    faults.iter().map(|fault| (fault.field.as_str(), fault.code)).collect()
}

#[test]
fn what_is_within_its_bounds_is_taken() {
    let input = ProfileInput {
        weight_kg: Some(12.0),
        body_condition_score: Some(9),
        mating_date: Some("2026-05-01".into()),
        litter_size: Some(25),
        meals_per_day: Some(8),
        allergies: vec![" Chicken ".into(), "chicken".into(), "Soy  bean".into()],
        foods: vec![FoodChoiceInput { food_id: "0190163d-8694-739b-aea5-966c26f8ad91".into(), share: 2.0 }],
        ..ProfileInput::default()
    };
    let change = input.parse().unwrap();
    assert_eq!(change.weight_kg, Some(12.0));
    assert_eq!(change.profile.allergies, ["chicken", "soy bean"]);
    assert_eq!((change.profile.body_condition_score, change.profile.litter_size), (Some(9), Some(25)));
    assert_eq!(ProfileInput::default().parse().unwrap().profile, Profile::default());
}

#[test]
fn each_field_out_of_its_bounds_is_named() {
    let choice = |id: &str, share| FoodChoiceInput { food_id: id.into(), share };
    let id = "0190163d-8694-739b-aea5-966c26f8ad91";
    let input = ProfileInput {
        weight_kg: Some(0.04),
        body_condition_score: Some(0),
        expected_adult_weight_kg: Some(f64::INFINITY),
        mating_date: Some("2026-02-30".into()),
        litter_date: Some("2026-02-03T10:00".into()),
        litter_size: Some(26),
        foods: vec![choice(id, f64::NAN), choice(id, 1.0), choice("x", -1.0)],
        meals_per_day: Some(-3),
        allergies: vec![String::new()],
        work: Some(Work::Light),
        activity_level: Some(ActivityLevel::Inactive),
        ..ProfileInput::default()
    };
    let faults = input.parse().unwrap_err();
    let expected = [
        ("weight_kg", "OUT_OF_RANGE"),
        ("expected_adult_weight_kg", "OUT_OF_RANGE"),
        ("body_condition_score", "OUT_OF_RANGE"),
        ("mating_date", "MALFORMED"),
        ("litter_date", "MALFORMED"),
        ("litter_size", "OUT_OF_RANGE"),
        ("foods[0].share", "OUT_OF_RANGE"),
        ("foods[1].food_id", "MALFORMED"),
        ("foods[2].share", "OUT_OF_RANGE"),
        ("foods[2].food_id", "MALFORMED"),
        ("meals_per_day", "OUT_OF_RANGE"),
        ("allergies[0]", "OUT_OF_RANGE"),
        ("activity_level", "OUT_OF_RANGE"),
    ];
    assert_eq!(fields(&faults), expected);
    let many = ProfileInput {
        foods: vec![choice(id, 1.0); 11],
        allergies: vec!["a".into(); 51],
        ..ProfileInput::default()
    };
    assert_eq!(
        fields(&many.parse().unwrap_err()),
        [("foods", "OUT_OF_RANGE"), ("allergies", "OUT_OF_RANGE")]
    );
}

#[test]
fn work_is_for_dogs_and_young_are_for_females() {
    let mut animal = grown(Species::Cat, 4.0).animal;
    let working = Profile {
        activity_level: Some(ActivityLevel::Working),
        work: Some(Work::Light),
        ..Profile::default()
    };
    let faults = working.suits(None, &animal, TODAY).unwrap_err();
    assert_eq!(fields(&faults), [("activity_level", "NOT_FOR_THIS_PET"), ("work", "NOT_FOR_THIS_PET")]);
    animal.species = Species::Dog;
    assert_eq!(working.suits(None, &animal, TODAY), Ok(()));

    let bearing = Profile {
        life_stage: Some(LifeStage::Gestation),
        mating_date: Some(TODAY),
        litter_date: Some(TODAY),
        litter_size: Some(3),
        ..Profile::default()
    };
    animal.sex = Some(Sex::Male);
    let faults = bearing.suits(None, &animal, TODAY).unwrap_err();
    let named: Vec<_> = fields(&faults).into_iter().map(|(field, _)| field).collect();
    assert_eq!(named, ["mating_date", "litter_date", "litter_size", "life_stage"]);
    animal.sex = None;
    let faults = bearing.suits(None, &animal, TODAY).unwrap_err();
    assert_eq!(fields(&faults), [("mating_date", "NOT_FOR_THIS_PET"), ("life_stage", "NOT_FOR_THIS_PET")]);
    // What the profile says of neutering wins.
    let said = Profile { neutered: Some(false), ..bearing };
    assert_eq!(said.suits(None, &animal, TODAY), Ok(()));
}

#[test]
fn dates_of_young_are_neither_old_nor_in_the_future() {
    let animal = crate::domain::Animal { neutered: None, ..grown(Species::Dog, 9.0).animal };
    let since = |mated: i32, born: i32| {
        let mating_date = Some(TODAY - Span::new().days(mated));
        let litter_date = Some(TODAY - Span::new().days(born));
        Profile { mating_date, litter_date, ..Profile::default() }.suits(None, &animal, TODAY)
    };
    assert_eq!(since(80, 120), Ok(()));
    assert_eq!(since(0, 0), Ok(()));
    for (mated, born) in [(81, 121), (-1, -1)] {
        let faults = since(mated, born).unwrap_err();
        assert_eq!(fields(&faults), [("mating_date", "OUT_OF_RANGE"), ("litter_date", "OUT_OF_RANGE")]);
    }
}

#[test]
fn weights_are_of_the_past_ten_years() {
    let hours = SignedDuration::from_hours;
    assert_eq!(weight(5.0, None, now()).unwrap().at, now());
    // A clock that is a little ahead measures now.
    assert_eq!(weight(5.0, Some(now() + hours(0) + SignedDuration::from_mins(4)), now()).unwrap().at, now());
    assert_eq!(
        fields(&weight(5.0, Some(now() + hours(1)), now()).unwrap_err()),
        [("measure_time", "OUT_OF_RANGE")]
    );
    assert_eq!(
        fields(&weight(5.0, Some(now() - hours(88_000)), now()).unwrap_err()),
        [("measure_time", "OUT_OF_RANGE")]
    );
    for kg in [0.0, 0.049, 150.1, f64::NAN, -4.0] {
        assert_eq!(fields(&weight(kg, None, now()).unwrap_err()), [("weight_kg", "OUT_OF_RANGE")], "{kg}");
    }
}

#[test]
fn what_was_said_before_may_be_said_again_however_many_days_have_passed() {
    let mut animal = crate::domain::Animal { neutered: None, ..grown(Species::Dog, 9.0).animal };
    let before = Profile {
        mating_date: Some(TODAY - Span::new().days(200)),
        litter_date: Some(TODAY - Span::new().days(137)),
        ..Profile::default()
    };
    let named = |profile: &Profile, animal: &crate::domain::Animal| {
        let faults = profile.suits(Some(&before), animal, TODAY).err().unwrap_or_default();
        faults.into_iter().map(|fault| fault.field).collect::<Vec<_>>()
    };
    assert_eq!(named(&before, &animal), Vec::<String>::new());
    let moved = Profile { litter_date: Some(TODAY - Span::new().days(136)), ..before.clone() };
    assert_eq!(named(&moved, &animal), ["litter_date"]);
    // Spayed since.
    animal.neutered = Some(true);
    assert_eq!(named(&before, &animal), Vec::<String>::new());
    let spayed = Profile { neutered: Some(true), ..before.clone() };
    assert_eq!(named(&spayed, &animal), Vec::<String>::new());
    // Or so it is said while it carries.
    animal.neutered = None;
    let before = Profile { mating_date: Some(TODAY), ..Profile::default() };
    let spayed = Profile { neutered: Some(true), ..before.clone() };
    assert!(spayed.suits(Some(&before), &animal, TODAY).is_err());
}

#[test]
fn neutering_said_again_as_the_pet_says_it_is_not_the_profiles_own_word() {
    let animal = crate::domain::Animal { neutered: Some(false), ..grown(Species::Dog, 9.0).animal };
    let said = |neutered| Profile { neutered, ..Profile::default() };
    let kept = |neutered, before: Option<bool>| said(neutered).beside(Some(&said(before)), &animal).neutered;
    assert_eq!(said(Some(false)).beside(None, &animal).neutered, None);
    assert_eq!((kept(Some(false), None), kept(Some(true), None), kept(None, None)), (None, Some(true), None));
    assert_eq!((kept(Some(false), Some(false)), kept(Some(false), Some(true))), (Some(false), Some(false)));
}
