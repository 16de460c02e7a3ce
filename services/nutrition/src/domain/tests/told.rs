//! Peer groups, weight goals, and when a plan is told anew.

use jiff::Span;

use super::{TODAY, fed, food, grown, now, plan, weekly};
use crate::domain::activity::{own_median, peer_group};
use crate::domain::plan::found;
use crate::domain::weight::trend;
use crate::domain::{
    ActivityLevel, ActivityStatus, Inputs, LifeStage, Plan, Species, WeightPoint, Work, differs,
};

fn group(inputs: &Inputs) -> Option<String> {
    peer_group(&inputs.animal, &inputs.profile, &inputs.weights, now(), TODAY)
        .map(super::super::PeerGroup::key)
}

#[test]
fn peers_are_of_one_species_size_and_age() {
    let mut dog = grown(Species::Dog, 20.0);
    assert_eq!(group(&dog).as_deref(), Some("dog/medium/adult"));
    // By its ideal weight it is small.
    dog.weights = weekly(&[12.0]);
    dog.profile.body_condition_score = Some(9);
    assert_eq!(group(&dog).as_deref(), Some("dog/small/adult"));
    assert_eq!(group(&grown(Species::Cat, 4.0)).as_deref(), Some("cat/any/adult"));
    let mut puppy = grown(Species::Dog, 8.0);
    puppy.animal.birth_date = Some(TODAY - Span::new().months(5));
    puppy.profile.expected_adult_weight_kg = Some(30.0);
    assert_eq!(group(&puppy).as_deref(), Some("dog/large/growth"));
}

#[test]
fn who_works_carries_or_nurses_is_nobodys_peer() {
    let mut working = grown(Species::Dog, 20.0);
    working.profile.work = Some(Work::Light);
    let mut nursing = grown(Species::Cat, 4.0);
    nursing.profile.life_stage = Some(LifeStage::Lactation);
    let mut unweighed = grown(Species::Dog, 20.0);
    unweighed.weights.clear();
    assert_eq!((group(&working), group(&nursing), group(&unweighed)), (None, None, None));
}

#[test]
fn whoever_carries_or_nurses_by_its_dates_is_on_no_diet_whatever_stage_is_stated() {
    let mut bitch = grown(Species::Dog, 20.0);
    bitch.animal.neutered = Some(false);
    bitch.profile.body_condition_score = Some(7);
    bitch.profile.life_stage = Some(LifeStage::Adult);
    assert!(plan(&bitch).weight_goal.is_some());
    let back = |days: i64| Some(TODAY - Span::new().days(days));
    for (mating_date, litter_date, day) in [(back(40), None, 40), (None, back(10), 10)] {
        let mut bitch = bitch.clone();
        (bitch.profile.mating_date, bitch.profile.litter_date) = (mating_date, litter_date);
        let plan = plan(&bitch);
        assert_eq!((plan.life_stage, plan.weight_goal), (LifeStage::Adult, None), "{day}");
        let says = plan.reasons.iter().any(|reason| reason.text.contains("No plan to lose weight"));
        assert!(says, "{:?}", plan.reasons);
    }
    bitch.profile.litter_date = back(100);
    assert!(plan(&bitch).weight_goal.is_some(), "they are weaned");
}

#[test]
fn what_is_measured_of_a_dog_that_works_is_told_whatever_level_is_stated() {
    let mut dog = grown(Species::Dog, 20.0);
    dog.profile.work = Some(Work::Moderate);
    dog.profile.activity_level = Some(ActivityLevel::Working);
    for day in dog.days.iter_mut().take(7) {
        day.active_minutes = 90.0;
    }
    let plan = plan(&dog);
    assert_eq!(plan.activity.status, ActivityStatus::Measured);
    assert!(plan.reasons.iter().any(|reason| reason.text.starts_with("Measured: ")), "{:?}", plan.reasons);
}

#[test]
fn only_closed_days_of_the_last_thirty_count() {
    let mut days = grown(Species::Dog, 20.0).days;
    assert_eq!(own_median(&days, TODAY), Some(60.0));
    // All of them older by 24 days: six are left.
    assert_eq!(own_median(&days, TODAY + Span::new().days(24)), None);
    assert_eq!(own_median(&days, TODAY + Span::new().days(23)), Some(60.0));
    // Today is not over.
    days.truncate(6);
    days.push(crate::domain::DayActivity { date: TODAY, ..days[0] });
    assert_eq!(own_median(&days, TODAY), None);
    // A day told twice is one.
    days.push(days[0]);
    assert_eq!(own_median(&days, TODAY), None);
}

#[test]
fn days_that_hardly_say_anything_do_not_count() {
    let mut days = grown(Species::Dog, 20.0).days;
    for (known_minutes, expected) in [(720.0, Some(60.0)), (719.0, None), (0.0, None)] {
        for day in &mut days {
            day.known_minutes = known_minutes;
        }
        assert_eq!(own_median(&days, TODAY), expected, "{known_minutes}");
    }
}

#[test]
fn a_trend_begins_where_the_litters_day_ends_for_the_pet() {
    let weights = |first: &str| {
        let first: jiff::Timestamp = first.parse().unwrap();
        let later = |days: i64| first + jiff::SignedDuration::from_hours(24 * days);
        [0, 8, 16].map(|days| WeightPoint { kg: 10.0, at: later(days) })
    };
    let litter = Some(jiff::civil::date(2026, 5, 20));
    // It ends at 07:00 UTC of the 21st in Los Angeles, at 15:00 of the 20th in Tokyo, at midnight by UTC.
    for (zone, first, counted) in [
        ("America/Los_Angeles", "2026-05-21T06:59:59Z", false),
        ("America/Los_Angeles", "2026-05-21T07:00:00Z", true),
        ("Asia/Tokyo", "2026-05-20T14:59:59Z", false),
        ("Asia/Tokyo", "2026-05-20T15:00:00Z", true),
        ("UTC", "2026-05-20T12:00:00Z", false),
    ] {
        let zone = jiff::tz::TimeZone::get(zone).unwrap();
        let found = trend(&weights(first), litter, &zone, now());
        assert_eq!(found.map(|trend| trend.weights), counted.then_some(3), "{first} {zone:?}");
    }
    // And so in the plan, by the zone that it is for.
    let mut mother = grown(Species::Dog, 10.0);
    mother.profile.litter_date = litter;
    mother.weights = weights("2026-05-20T15:00:00Z").to_vec();
    for (zone, observed) in [("Asia/Tokyo", true), ("UTC", false)] {
        mother.zone = jiff::tz::TimeZone::get(zone).unwrap();
        assert_eq!(found(&mother).1.trend.is_some(), observed, "{zone}");
    }
}

#[test]
fn a_stated_activity_is_told_as_stated_and_the_measured_one_beside_it() {
    let mut dog = grown(Species::Dog, 20.0);
    assert_eq!(plan(&dog).activity.status, ActivityStatus::Measured);
    dog.profile.activity_level = Some(crate::domain::ActivityLevel::Active);
    let told = plan(&dog).activity;
    assert_eq!((told.status, told.days, told.active_minutes), (ActivityStatus::Stated, 30, Some(60.0)));
    // To lose weight is an aim.
    dog.profile.activity_level = Some(crate::domain::ActivityLevel::WeightLoss);
    assert_eq!(plan(&dog).activity.status, ActivityStatus::Measured);
    dog.days.truncate(6);
    let told = plan(&dog).activity;
    assert_eq!(
        (told.status, told.position, told.recent_active_minutes),
        (ActivityStatus::Calibrating, 0.5, None)
    );
}

#[test]
fn a_goal_says_how_fast_and_how_long() {
    let mut dog = grown(Species::Dog, 28.0);
    dog.profile.body_condition_score = Some(9);
    dog.weights = weekly(&[29.2, 28.8, 28.4, 28.0]);
    let goal = plan(&dog).weight_goal.unwrap();
    // 28 / 1.4; 1 and 2 %; ln 1.4 = 0.33647 over −ln 0.98 = 0.02020 and −ln 0.99 = 0.01005 a week.
    assert_eq!((goal.target_weight_kg, goal.min_kg_per_week, goal.max_kg_per_week), (20.0, 0.28, 0.56));
    assert_eq!((goal.weeks_min, goal.weeks_max), (17, 34));
    assert_eq!(goal.observed_kg_per_week, Some(-0.4));
    let mut cat = grown(Species::Cat, 6.0);
    cat.profile.body_condition_score = Some(7);
    let goal = plan(&cat).weight_goal.unwrap();
    assert_eq!((goal.target_weight_kg, goal.min_kg_per_week, goal.max_kg_per_week), (5.0, 0.03, 0.12));
    assert_eq!((goal.weeks_min, goal.weeks_max, goal.observed_kg_per_week), (10, 37, None));
}

#[test]
fn a_plan_is_told_anew_when_the_pet_is_fed_otherwise() {
    let of = |kg| fed(grown(Species::Dog, kg), &[(food(1, "Dry", 400.0, &[]), 1.0)]);
    let before = plan(&of(20.0));
    let why = |after: &Plan| differs(&before, after);
    assert_eq!(why(&before), None);
    // 1.3 % of the weight is 1 % of the energy.
    assert_eq!(why(&plan(&of(20.2))), None);
    assert_eq!(why(&plan(&of(20.4))).unwrap(), "1008 kcal a day instead of 993; other portions");
    let change = |with: &dyn Fn(&mut Inputs)| {
        let mut inputs = of(20.0);
        with(&mut inputs);
        why(&plan(&inputs)).unwrap_or_default()
    };
    assert_eq!(change(&|inputs| inputs.weights.clear()), "something required is missing; other portions");
    assert_eq!(
        change(&|inputs| inputs.profile.life_stage = Some(LifeStage::Senior)),
        "life stage SENIOR instead of ADULT"
    );
    assert_eq!(change(&|inputs| inputs.profile.meals_per_day = Some(4)), "4 meals a day instead of 2");
    assert_eq!(change(&|inputs| inputs.foods[0].facts.label_kcal_per_100g = Some(380.0)), "other portions");
    assert_eq!(change(&|inputs| inputs.foods.clear()), "other portions");
    assert!(
        change(&|inputs| inputs.profile.body_condition_score = Some(7)).contains("to come down to 16.7 kg")
    );
    assert_eq!(change(&|inputs| inputs.days.truncate(3)), "");
}

#[test]
fn a_plan_survives_being_stored() {
    let mut dog = fed(grown(Species::Dog, 28.0), &[(food(1, "Dry", 400.0, &[]), 1.0)]);
    dog.profile.body_condition_score = Some(8);
    let plan = plan(&dog);
    let text = serde_json::to_string(&plan).unwrap();
    assert_eq!(serde_json::from_str::<Plan>(&text).unwrap(), plan);
}
