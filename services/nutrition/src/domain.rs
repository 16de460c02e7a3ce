//! How a pet is to be fed, by what is known of it: pure and synchronous.
//!
//! Invariant: a plan is a function of its [`Inputs`]; every constant of the field has its source beside it, and what the
//! field's page ("domain.md", the design's page of the field's numbers) leaves open is said to be ours. (~) marks figures whose primary page was
//! not re-read. What is not known is said to be missing, never made up.

pub mod activity;
pub mod animal;
mod change;
pub mod energy;
mod fault;
pub mod foods;
pub mod forbidden;
mod goals;
mod growth;
pub mod ingredients;
mod missing;
mod plan;
pub mod portions;
pub mod profile;
mod recommendations;
mod reproduction;
pub mod stages;
#[cfg(test)]
mod tests;
pub mod weight;

pub use activity::{ActivityStatus, DayActivity, MeasuredActivity, PeerGroup, Peers};
pub use animal::{ActivityLevel, Animal, FoodChoice, LifeStage, Profile, Sex, Species, WeightPoint, Work};
pub use change::differs;
pub use energy::Energy;
pub use fault::Fault;
pub use foods::{EnergySource, Food, FoodEnergy, FoodInput, FoodKind, FoodPatch, NewFood};
pub use forbidden::ForbiddenFood;
pub use goals::{DailyGoals, goals};
pub use missing::Missing;
pub use plan::{Inputs, Plan, Reason, Status, plan};
pub use portions::{Portion, Water};
pub use profile::{FoodChoiceInput, ProfileChange, ProfileInput};
pub use recommendations::{Recommendation, Severity, recommendations};
pub use weight::WeightGoal;

/// The version of the rules; it changes with every rule and every constant.
pub const RULE_VERSION: &str = "nutrition/2";

/// What a plan is not.
pub const DISCLAIMER: &str = "Petty informs; it does not diagnose. Individual need varies three-fold at one weight: weigh the pet, \
                              watch its body condition, and ask a vet before you change the diet of one that is ill, very young, \
                              carrying or nursing.";

/// To a ten-thousandth: of a factor, of kilograms a week.
pub(crate) fn fine(value: f64) -> f64 {
    (value * 10_000.0).round() / 10_000.0
}

/// To a hundredth: numbers are for people and for comparing, not for reckoning on.
pub(crate) fn rounded(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}
