//! Whether a plan is told anew.
//!
//! Invariant: held against the plan that was last told, small steps that add up are told once they have added up.

use super::plan::{Plan, Status};

/// Less than that is within what a kitchen scale and a scoop can do; ours.
const WORTH_TELLING: f64 = 0.01;

/// Why `after` feeds the pet otherwise, in words, so that it is worth a version of its own; `before` is the plan of the last version, not the last one computed.
#[must_use]
pub fn differs(before: &Plan, after: &Plan) -> Option<String> {
    let mut reasons = Vec::new();
    if before.status != after.status {
        reasons.push(match after.status {
            Status::Ready => "there is enough to feed by".to_owned(),
            Status::Incomplete => "something required is missing".to_owned(),
        });
    }
    if before.life_stage != after.life_stage {
        reasons.push(format!(
            "life stage {} instead of {}",
            after.life_stage.name(),
            before.life_stage.name()
        ));
    }
    if let (Some(old), Some(new)) = (before.kcal_per_day(), after.kcal_per_day())
        && is_apart(old, new)
    {
        reasons.push(format!("{new:.0} kcal a day instead of {old:.0}"));
    }
    if before.weight_goal.is_some() != after.weight_goal.is_some() {
        reasons.push(match after.weight_goal {
            Some(goal) => format!("to come down to {:.1} kg", goal.target_weight_kg),
            None => "no weight to reach any more".to_owned(),
        });
    }
    if before.meals_per_day != after.meals_per_day {
        reasons.push(format!("{} meals a day instead of {}", after.meals_per_day, before.meals_per_day));
    }
    if do_portions_differ(before, after) {
        reasons.push("other portions".to_owned());
    }
    (!reasons.is_empty()).then(|| reasons.join("; "))
}

fn is_apart(old: f64, new: f64) -> bool {
    (new - old).abs() > WORTH_TELLING * old.abs()
}

fn do_portions_differ(before: &Plan, after: &Plan) -> bool {
    before.portions.len() != after.portions.len()
        || before
            .portions
            .iter()
            .zip(&after.portions)
            .any(|(old, new)| old.food_id != new.food_id || is_apart(old.grams_per_day, new.grams_per_day))
}
