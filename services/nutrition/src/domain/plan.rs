//! A feeding plan: what is known goes in, what to feed comes out, with where each number comes from and what is missing.
//!
//! Invariant: a plan that is [`Status::Ready`] has finite, positive numbers; one that is not has no energy at all.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::activity::{self, DayActivity, MeasuredActivity, Peers};
use super::animal::{Animal, LifeStage, Profile, Species, WeightPoint};
use super::energy::{self, Energy};
use super::foods::Food;
use super::forbidden::{self, ForbiddenFood};
use super::missing::{self, Missing};
use super::portions::{self, Portion, Water};
use super::stages::{self, Stage};
use super::weight::{self, Trend, WeightGoal};
use super::{DISCLAIMER, RULE_VERSION, rounded};

/// Treats at most, of the day's energy (domain.md, "Energy": at most 10 %).
const TREAT_SHARE: f64 = 0.10;

/// All that a plan is made of.
#[derive(Debug, Clone, PartialEq)]
pub struct Inputs {
    /// The animal.
    pub animal: Animal,
    /// Its body and diet.
    pub profile: Profile,
    /// Its weights, in any order; those of the last year are enough, and always the last one.
    pub weights: Vec<WeightPoint>,
    /// Those of the profile's foods that exist, in any order.
    pub foods: Vec<Food>,
    /// Its closed days, in any order; those of the last 31 are enough.
    pub days: Vec<DayActivity>,
    /// Pets like it, see [`activity::peer_group`].
    pub peers: Peers,
    /// Now.
    pub now: Timestamp,
    /// The day it is now where the pet lives.
    pub today: Date,
    /// The zone that its days are in.
    pub zone: TimeZone,
}

/// Whether there is enough to feed by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Status {
    /// There is.
    Ready,
    /// Something required is missing.
    Incomplete,
}

/// Where something comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// For people.
    pub text: String,
    /// The literature; empty for what is missing, and for what this rule set decided itself.
    pub source: String,
}

impl Reason {
    pub(crate) fn new(text: impl Into<String>, source: impl Into<String>) -> Self {
        Self { text: text.into(), source: source.into() }
    }
}

/// A feeding plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// [`RULE_VERSION`] of the rules that made it.
    pub rule_version: String,
    /// Whether there is enough.
    pub status: Status,
    /// What is missing, the required first.
    pub missing: Vec<Missing>,
    /// The stage it is for.
    pub life_stage: LifeStage,
    /// The pet's weight, kg.
    pub weight_kg: Option<f64>,
    /// By body condition, kg; absent where the score is unknown, or the pet grows, carries or nurses.
    pub ideal_weight_kg: Option<f64>,
    /// The energy; absent where the weight is unknown.
    pub energy: Option<Energy>,
    /// All but the treats', kcal.
    pub meal_kcal_per_day: Option<f64>,
    /// At most, kcal.
    pub treat_kcal_per_day: Option<f64>,
    /// Meals a day.
    pub meals_per_day: u8,
    /// What to put into the bowl.
    pub portions: Vec<Portion>,
    /// Absent where the weight is unknown.
    pub water: Option<Water>,
    /// What never to feed.
    pub forbidden_foods: Vec<ForbiddenFood>,
    /// Losing weight, where that is the aim.
    pub weight_goal: Option<WeightGoal>,
    /// What the collar measured.
    pub activity: MeasuredActivity,
    /// Why it is as it is.
    pub reasons: Vec<Reason>,
    /// What it is not.
    pub disclaimer: String,
}

impl Plan {
    /// Energy a day, kcal.
    #[must_use]
    pub fn kcal_per_day(&self) -> Option<f64> {
        self.energy.as_ref().map(|energy| energy.kcal_per_day)
    }

    /// All of it that [`super::differs`] looks at, and nothing of what people call their foods.
    #[must_use]
    pub fn without_names(&self) -> Self {
        let mut plan = Self { reasons: Vec::new(), ..self.clone() };
        plan.portions.iter_mut().for_each(|portion| portion.name.clear());
        plan
    }
}

/// What the rules found on the way to a plan; recommendations are made of it too.
pub(crate) struct Findings<'a> {
    pub(crate) inputs: &'a Inputs,
    pub(crate) stage: Stage,
    pub(crate) weight: Option<WeightPoint>,
    pub(crate) trend: Option<Trend>,
    pub(crate) left_out: Vec<portions::LeftOut>,
}

/// The plan as of [`Inputs::now`].
#[must_use]
pub fn plan(inputs: &Inputs) -> Plan {
    found(inputs).0
}

pub(crate) fn found(inputs: &Inputs) -> (Plan, Findings<'_>) {
    let (animal, profile) = (&inputs.animal, &inputs.profile);
    let weight = weight::latest(&inputs.weights, inputs.now);
    let kg = weight.map(|point| point.kg);
    let trend = weight::trend(&inputs.weights, profile.litter_date, &inputs.zone, inputs.now);
    let stage = stages::stage(animal, profile, kg, inputs.today);
    let is_stated = energy::is_stated(animal, profile);
    let activity = activity::measured(&inputs.days, &inputs.peers, is_stated, inputs.today);
    let ideal = weight::ideal(profile, stage.life_stage, kg);

    let decision = kg.map(|kg| {
        let (stage, activity, trend) = (&stage, &activity, trend.as_ref());
        energy::decide(energy::Case { animal, profile, stage, kg, ideal, activity, trend })
    });
    let kcal = decision.as_ref().map(|decision| decision.energy.kcal_per_day);
    let treat_kcal = kcal.map(|kcal| rounded(kcal * TREAT_SHARE));
    let meal_kcal = kcal.zip(treat_kcal).map(|(kcal, treats)| rounded(kcal - treats));
    let meals = profile.meals_per_day.unwrap_or_else(|| usual_meals(animal.species, stage.life_stage));
    let (portions, left_out) = portions::portions(animal.species, profile, &inputs.foods, meal_kcal, meals);
    let weight_goal = match (&decision, kg, ideal) {
        (Some(decision), Some(kg), Some(ideal)) if decision.is_weight_loss => {
            weight::goal(animal.species, kg, ideal, trend.as_ref())
        }
        (Some(_) | None, _, _) => None,
    };

    let mut reasons = stage.reasons.clone();
    reasons.extend(decision.iter().flat_map(|decision| decision.reasons.clone()));
    if decision.as_ref().is_some_and(|decision| decision.uses_activity) {
        reasons.extend(activity.reasons.clone());
    }
    reasons.extend(left_out.iter().map(portions::LeftOut::reason));
    if kcal.is_some() {
        reasons.push(Reason::new(
            "Treats at most 10 % of the day's energy; the meals are the other 90 %.",
            "WSAVA; AAHA 2021",
        ));
    }
    let plan = Plan {
        rule_version: RULE_VERSION.to_owned(),
        status: if kg.is_some() { Status::Ready } else { Status::Incomplete },
        missing: missing::missing(animal, profile, &stage, kg, &portions),
        life_stage: stage.life_stage,
        weight_kg: kg,
        ideal_weight_kg: ideal.map(rounded),
        energy: decision.as_ref().map(|decision| decision.energy.clone()),
        meal_kcal_per_day: meal_kcal,
        treat_kcal_per_day: treat_kcal,
        meals_per_day: meals,
        water: kg.map(|kg| portions::water(animal.species, kg, &portions, &inputs.foods)),
        portions,
        forbidden_foods: forbidden::list(animal.species, kg),
        weight_goal,
        activity: activity.told,
        reasons,
        disclaimer: DISCLAIMER.to_owned(),
    };
    (plan, Findings { inputs, stage, weight, trend, left_out })
}

/// Two a day for dogs, three for cats and the young.
fn usual_meals(species: Species, stage: LifeStage) -> u8 {
    match (species, stage) {
        (Species::Cat, _) | (Species::Dog, LifeStage::Growth) => 3,
        (Species::Dog, _) => 2,
    }
}
