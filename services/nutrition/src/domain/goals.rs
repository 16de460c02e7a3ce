//! What to reach in a day.
//!
//! Invariant: a goal that is not known is absent, and the reasons say why.

use serde::{Deserialize, Serialize};

use super::activity::{ActivityStatus, ENOUGH_DAYS};
use super::animal::{LifeStage, Species};
use super::plan::{Inputs, Plan, Reason};

/// What to reach in a day.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DailyGoals {
    /// Energy, kcal.
    pub kcal: Option<f64>,
    /// Water in all, ml.
    pub water_ml: Option<f64>,
    /// Minutes of activity: the pet's own median.
    pub active_minutes: Option<f64>,
    /// Sleep at least, hours.
    pub sleep_hours_min: Option<f64>,
    /// Sleep at most, hours.
    pub sleep_hours_max: Option<f64>,
    /// Meals.
    pub meals: u8,
    /// Where these come from, and what is missing.
    pub reasons: Vec<Reason>,
}

/// The goals that come with a plan of these inputs.
#[must_use]
pub fn goals(inputs: &Inputs, plan: &Plan) -> DailyGoals {
    let species = inputs.animal.species;
    let mut reasons = Vec::new();
    match &plan.energy {
        Some(energy) => {
            reasons.push(Reason::new(format!("Energy: {}.", energy.formula), energy.source.clone()));
            reasons.push(Reason::new(
                "Water: about 50 ml per kg of body weight, the food's moisture included.",
                "Merck Veterinary Manual (~)",
            ));
        }
        None => reasons.push(Reason::new("Energy and water: not known without its weight.", "")),
    }
    let enough = usize::from(plan.activity.days) >= ENOUGH_DAYS;
    let active_minutes = plan.activity.active_minutes.filter(|_| enough);
    let text = match (active_minutes, plan.activity.status) {
        (Some(_), _) => "Activity: its own median over its last 30 days.".to_owned(),
        (None, ActivityStatus::Calibrating | ActivityStatus::Measured | ActivityStatus::Stated) => {
            format!(
                "Activity: calibrating, {} of {ENOUGH_DAYS} days with readings enough.",
                plan.activity.days
            )
        }
    };
    reasons.push(Reason::new(text, ""));
    let (least, most) = sleep_hours(species, plan.life_stage);
    let text =
        format!("Sleep: {}s sleep {least:.0} to {most:.0} hours a day at its life stage.", species.noun());
    reasons.push(Reason::new(text, "textbook figures (~)"));
    DailyGoals {
        kcal: plan.kcal_per_day(),
        water_ml: plan.water.map(|water| water.total_ml),
        active_minutes,
        sleep_hours_min: Some(least),
        sleep_hours_max: Some(most),
        meals: plan.meals_per_day,
        reasons,
    }
}

/// Hours a day (domain.md, "Physiology"): dogs 12 to 14, puppies and seniors to 18; cats 12 to 16, to 20. Whose 20 are, the
/// page leaves open: taken for the kittens' and seniors', as with dogs.
fn sleep_hours(species: Species, stage: LifeStage) -> (f64, f64) {
    let sleeps_long = matches!(stage, LifeStage::Growth | LifeStage::Senior);
    match (species, sleeps_long) {
        (Species::Dog, false) => (12.0, 14.0),
        (Species::Dog, true) => (12.0, 18.0),
        (Species::Cat, false) => (12.0, 16.0),
        (Species::Cat, true) => (12.0, 20.0),
    }
}
