//! Plans, goals and recommendations.

use petty_chassis::types::PetId;
use petty_proto::nutrition::v1 as wire;

use super::profiles::life_stage;
use crate::domain::{
    ActivityStatus, DailyGoals, Energy, ForbiddenFood, MeasuredActivity, Missing, Plan, Portion, Reason,
    Recommendation, Severity, Status, Water, WeightGoal,
};
use crate::store::plans::Told;

/// A plan, as it is answered: made now, under the version last told.
pub(in crate::grpc) fn plan(pet: PetId, plan: Plan, told: Option<&Told>) -> wire::Plan {
    let status = match plan.status {
        Status::Ready => wire::plan::Status::Ready,
        Status::Incomplete => wire::plan::Status::Incomplete,
    };
    wire::Plan {
        pet_id: pet.to_string(),
        version: told.map_or(0, |told| told.version),
        update_time: told.map(|told| told.updated_at.into()),
        rule_version: plan.rule_version,
        status: status.into(),
        missing: plan.missing.into_iter().map(missing).collect(),
        life_stage: life_stage(plan.life_stage).into(),
        weight_kg: plan.weight_kg,
        ideal_weight_kg: plan.ideal_weight_kg,
        energy: plan.energy.map(energy),
        meal_kcal_per_day: plan.meal_kcal_per_day,
        treat_kcal_per_day: plan.treat_kcal_per_day,
        meals_per_day: plan.meals_per_day.into(),
        portions: plan.portions.into_iter().map(portion).collect(),
        water: plan.water.map(water),
        forbidden_foods: plan.forbidden_foods.into_iter().map(forbidden_food).collect(),
        weight_goal: plan.weight_goal.map(weight_goal),
        activity: Some(activity(plan.activity)),
        reasons: plan.reasons.into_iter().map(reason).collect(),
        disclaimer: plan.disclaimer,
    }
}

/// What to reach in a day, as it is answered.
pub(in crate::grpc) fn goals(goals: DailyGoals) -> wire::DailyGoals {
    let DailyGoals { kcal, water_ml, active_minutes, sleep_hours_min, sleep_hours_max, meals, reasons } =
        goals;
    wire::DailyGoals {
        kcal,
        water_ml,
        active_minutes,
        sleep_hours_min,
        sleep_hours_max,
        meals: meals.into(),
        reasons: reasons.into_iter().map(reason).collect(),
    }
}

/// Something recommended, as it is answered.
pub(in crate::grpc) fn recommendation(found: Recommendation) -> wire::Recommendation {
    let Recommendation { code, severity, text, reason, source } = found;
    let severity = match severity {
        Severity::Info => wire::recommendation::Severity::Info,
        Severity::Advice => wire::recommendation::Severity::Advice,
        Severity::SeeAVet => wire::recommendation::Severity::SeeAVet,
    };
    wire::Recommendation { code, severity: severity.into(), text, reason, source }
}

fn missing(missing: Missing) -> wire::Missing {
    let Missing { field, reason, required } = missing;
    wire::Missing { field, reason, required }
}

fn reason(reason: Reason) -> wire::Reason {
    let Reason { text, source } = reason;
    wire::Reason { text, source }
}

fn energy(energy: Energy) -> wire::Energy {
    let Energy { rer_kcal, kcal_per_day, factor, factor_low, factor_high, formula, source, trend_correction } =
        energy;
    wire::Energy {
        rer_kcal,
        kcal_per_day,
        factor,
        factor_low,
        factor_high,
        formula,
        source,
        trend_correction,
    }
}

fn portion(portion: Portion) -> wire::Portion {
    let Portion { food_id, name, grams_per_day, grams_per_meal, kcal_per_day } = portion;
    wire::Portion { food_id: food_id.to_string(), name, grams_per_day, grams_per_meal, kcal_per_day }
}

fn water(water: Water) -> wire::Water {
    let Water { total_ml, from_food_ml, to_drink_ml, ask_a_vet_above_ml } = water;
    wire::Water { total_ml, from_food_ml, to_drink_ml, ask_a_vet_above_ml }
}

fn forbidden_food(food: ForbiddenFood) -> wire::ForbiddenFood {
    let ForbiddenFood { name, reason, danger_from_g, dose_of, source } = food;
    wire::ForbiddenFood { name, reason, danger_from_g, dose_of, source }
}

fn weight_goal(goal: WeightGoal) -> wire::WeightGoal {
    wire::WeightGoal {
        target_weight_kg: goal.target_weight_kg,
        min_kg_per_week: goal.min_kg_per_week,
        max_kg_per_week: goal.max_kg_per_week,
        observed_kg_per_week: goal.observed_kg_per_week,
        weeks_min: i32::try_from(goal.weeks_min).unwrap_or(i32::MAX),
        weeks_max: i32::try_from(goal.weeks_max).unwrap_or(i32::MAX),
    }
}

fn activity(activity: MeasuredActivity) -> wire::MeasuredActivity {
    let status = match activity.status {
        ActivityStatus::Calibrating => wire::measured_activity::Status::Calibrating,
        ActivityStatus::Measured => wire::measured_activity::Status::Measured,
        ActivityStatus::Stated => wire::measured_activity::Status::Stated,
    };
    wire::MeasuredActivity {
        status: status.into(),
        days: activity.days.into(),
        active_minutes: activity.active_minutes,
        recent_active_minutes: activity.recent_active_minutes,
        position: activity.position,
        peers: i32::try_from(activity.peers).unwrap_or(i32::MAX),
    }
}
