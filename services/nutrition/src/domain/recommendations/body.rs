//! What a pet's weight, body condition and life stage ask for.

use jiff::SignedDuration;

use super::Recommendation;
use crate::domain::animal::{ActivityLevel, LifeStage, Species};
use crate::domain::energy::level_factor;
use crate::domain::plan::{Findings, Plan};
use crate::domain::weight::{self, Aim, IDEAL_SCORE, THIN_SCORE};
use crate::domain::{activity, reproduction};

/// A weight that is older is not the pet's any more; ours: each fortnight for those whose weight is to change.
const WEIGH_CHANGING_DAYS: i64 = 14;
/// Ours: each two months for the others, so that a trend of eight weeks is not blind.
const WEIGH_DAYS: i64 = 60;
/// (~) WSAVA: eight and nine are obese.
const OBESE_SCORE: u8 = 8;
/// (~) Puppies and kittens live on milk for four weeks.
const UNWEANED_DAYS: i32 = 28;
/// (~) A healthy bitch or queen carries at most that much longer than the mean.
const OVERDUE_DAYS: i32 = 7;

pub(super) fn recommend(plan: &Plan, findings: &Findings<'_>, told: &mut Vec<Recommendation>) {
    weights(plan, findings, told);
    condition(plan, findings, told);
    trend(plan, findings, told);
    activity_level(findings, told);
    stage(plan, findings, told);
    if usize::from(plan.activity.days) < activity::ENOUGH_DAYS {
        let text = "Keep the collar on: its activity is being learned.";
        let days = plan.activity.days;
        let reason = format!("{days} of {} days with readings enough so far.", activity::ENOUGH_DAYS);
        told.push(Recommendation::info("CALIBRATING", text, reason, ""));
    }
}

fn weights(plan: &Plan, findings: &Findings<'_>, told: &mut Vec<Recommendation>) {
    let Some(last) = findings.weight else {
        let text = "Weigh the pet and note its weight.";
        let reason = "Without its weight there is no plan.";
        told.push(Recommendation::advice("WEIGHT_UNKNOWN", text, reason, ""));
        return;
    };
    let is_changing = !plan.life_stage.is_maintenance() || plan.weight_goal.is_some();
    let at_most = if is_changing { WEIGH_CHANGING_DAYS } else { WEIGH_DAYS };
    let age = findings.inputs.now.duration_since(last.at);
    if age > SignedDuration::from_hours(24 * at_most) {
        let reason = format!("The last weight, {:.1} kg, is {} days old.", last.kg, age.as_hours() / 24);
        told.push(Recommendation::advice("WEIGH_AGAIN", "Weigh the pet again.", reason, ""));
    }
}

fn condition(plan: &Plan, findings: &Findings<'_>, told: &mut Vec<Recommendation>) {
    let profile = &findings.inputs.profile;
    let Some(score) = profile.body_condition_score else {
        let text =
            "Score its body condition, from 1 to 9: ribs, waist and belly from above and from the side.";
        let reason = "Its ideal weight is not known without it.";
        told.push(Recommendation::advice("BODY_CONDITION_UNKNOWN", text, reason, "WSAVA"));
        return;
    };
    let is_asked = profile.activity_level == Some(ActivityLevel::WeightLoss);
    if !plan.life_stage.is_maintenance() && (is_asked || score > IDEAL_SCORE) {
        let text = "No plan to lose weight now: ask a vet how to feed it.";
        let stage = plan.life_stage.name();
        let reason = format!(
            "Body condition {score} of 9, life stage {stage}: to lose weight would harm it or its young."
        );
        told.push(Recommendation::advice("NO_WEIGHT_LOSS_NOW", text, reason, "AAHA 2021"));
    }
    let at = plan.weight_kg.map_or_else(String::new, |kg| format!(" at {kg:.1} kg"));
    let ideal =
        plan.ideal_weight_kg.map_or_else(String::new, |kg| format!("; about {kg:.1} kg would be ideal"));
    let reason = format!("Body condition {score} of 9{at}{ideal}.");
    match weight::aim(score) {
        Aim::Gain => {
            let text = "It is thin: have a vet find out why, and how to feed it up.";
            told.push(Recommendation::vet("UNDERWEIGHT", text, reason, "WSAVA"));
        }
        Aim::Stay if is_asked && plan.life_stage.is_maintenance() => {
            let text = "It is not overweight: no plan to lose weight was made.";
            told.push(Recommendation::info("NO_WEIGHT_LOSS_NEEDED", text, reason, "AAHA 2021"));
        }
        Aim::Lose if plan.life_stage.is_maintenance() => told.push(overweight(plan, score, reason)),
        Aim::Stay | Aim::Lose => {}
    }
}

fn overweight(plan: &Plan, score: u8, reason: String) -> Recommendation {
    let text = match (plan.weight_goal, plan.weight_kg) {
        (Some(goal), _) => format!(
            "Let it lose {:.0} to {:.0} g a week by this plan, and weigh it each fortnight: about {} to {} weeks.",
            goal.min_kg_per_week * 1_000.0,
            goal.max_kg_per_week * 1_000.0,
            goal.weeks_min,
            goal.weeks_max
        ),
        (None, Some(_)) => {
            "It is overweight, and this plan keeps its weight, as its stated activity or work decides: set \
                            WEIGHT_LOSS, or leave the activity to the collar."
                .to_owned()
        }
        (None, None) => "It is overweight: weigh it, so that there is a plan to lose weight.".to_owned(),
    };
    if score >= OBESE_SCORE {
        let text = format!("{text} Have a vet look at it before it starts.");
        Recommendation::vet("OVERWEIGHT", text, reason, "WSAVA; AAHA 2021")
    } else {
        Recommendation::advice("OVERWEIGHT", text, reason, "WSAVA; AAHA 2021")
    }
}

fn trend(plan: &Plan, findings: &Findings<'_>, told: &mut Vec<Recommendation>) {
    let Some(trend) = findings.trend else { return };
    let species = findings.inputs.animal.species;
    let (slowest, fastest) = weight::loss_percent(species);
    let percent = trend.percent_per_week;
    let seen = format!(
        "{} weights of eight weeks: {percent:+.1} %, {:+.2} kg a week.",
        trend.weights, trend.kg_per_week
    );
    let score = findings.inputs.profile.body_condition_score;
    if -percent > fastest {
        let text = match species {
            Species::Dog => "It loses weight faster than is safe: see a vet.",
            Species::Cat => {
                "It loses weight faster than is safe: see a vet now. A cat that eats too little may fall ill of its liver \
                 (hepatic lipidosis)."
            }
        };
        let reason = format!("{seen} More than {fastest:.0} % a week is not safe.");
        told.push(Recommendation::vet("LOSING_TOO_FAST", text, reason, "AAHA 2021; Merck Veterinary Manual"));
    } else if score.is_some_and(|score| score <= THIN_SCORE) && percent < 0.0 {
        let text = "It is thin and goes on losing weight: see a vet.";
        told.push(Recommendation::vet("THIN_AND_LOSING", text, seen, "WSAVA"));
    } else if plan.weight_goal.is_some() && -percent < slowest {
        let text =
            "It does not lose weight by this plan: count the treats and what others feed; then ask a vet.";
        let reason = format!("{seen} {slowest} to {fastest} % a week is the aim.");
        told.push(Recommendation::advice("NOT_LOSING", text, reason, "AAHA 2021"));
    } else if plan.weight_goal.is_none()
        && plan.life_stage.is_maintenance()
        && score.is_some_and(|score| score >= IDEAL_SCORE)
        && percent > 0.5
    {
        let text = "It gains weight: weigh the food, count the treats, score its body condition again.";
        told.push(Recommendation::advice("GAINING", text, seen, "AAHA 2021"));
    }
}

/// Refused when it is said; but the species may be put right later.
fn activity_level(findings: &Findings<'_>, told: &mut Vec<Recommendation>) {
    let (animal, profile) = (&findings.inputs.animal, &findings.inputs.profile);
    let is_refused = |level| level_factor(animal.species, level).is_none();
    if animal.species == Species::Cat
        && (profile.work.is_some() || profile.activity_level.is_some_and(is_refused))
    {
        let text = "State another activity, or none: work is for dogs.";
        told.push(Recommendation::info("WORK_NOT_FOR_CATS", text, "It is a cat, and was said to work.", ""));
    }
}

fn stage(plan: &Plan, findings: &Findings<'_>, told: &mut Vec<Recommendation>) {
    let species = findings.inputs.animal.species;
    let stage = &findings.stage;
    match plan.life_stage {
        LifeStage::Senior => {
            let years = stage.age_days.map(|days| f64::from(days) / 365.25);
            let reason = years.map_or_else(
                || "Its owner says it is senior.".to_owned(),
                |years| format!("It is {years:.1} years old."),
            );
            let text = "Have a vet check it twice a year, its weight and teeth among it.";
            told.push(Recommendation::info("SENIOR_CHECK", text, reason, "AAHA 2023"));
        }
        LifeStage::Growth if stage.age_days.is_some_and(|days| days < UNWEANED_DAYS) => {
            let text =
                "It lives on its mother's milk or a milk replacer: ask a vet before it gets anything else.";
            let reason = format!("It is {} days old.", stage.age_days.unwrap_or(0));
            told.push(Recommendation::vet("UNWEANED", text, reason, "textbook figure (~)"));
        }
        LifeStage::Gestation => {
            let term = reproduction::gestation_days(species);
            match stage.gestation_day {
                Some(day) if day > term + OVERDUE_DAYS => {
                    let text = "She is overdue: see a vet, or say when the young were born.";
                    let reason = format!("Day {day} after mating; {term} are usual.");
                    told.push(Recommendation::vet("OVERDUE", text, reason, "textbook figure (~)"));
                }
                Some(_) | None => {}
            }
        }
        LifeStage::Lactation => nursing(findings, told),
        LifeStage::Growth | LifeStage::Adult => {}
    }
    for lack in plan
        .missing
        .iter()
        .filter(|lack| !matches!(lack.field.as_str(), "weight_kg" | "body_condition_score" | "foods"))
    {
        let code = format!("{}_UNKNOWN", lack.field.trim_end_matches("_kg").to_uppercase());
        told.push(Recommendation::advice(
            &code,
            lack.reason.clone(),
            format!("{} is not known.", lack.field),
            "",
        ));
    }
}

fn nursing(findings: &Findings<'_>, told: &mut Vec<Recommendation>) {
    let species = findings.inputs.animal.species;
    if let Some(litter) = findings.inputs.profile.litter_size
        && species == Species::Dog
        && litter > reproduction::LARGEST_LITTER
    {
        let most = reproduction::LARGEST_LITTER;
        let text = "Ask a vet how to feed her: let her eat as much as she wants, and feed the young too.";
        let reason =
            format!("She nurses {litter}; the equation is for up to {most}, and the plan is for {most}.");
        told.push(Recommendation::vet("LITTER_ABOVE_TABLE", text, reason, "NRC 2006/FEDIAF (~)"));
    }
    if let Some(week) = findings.stage.lactation_week
        && reproduction::is_beyond_table(species, week)
    {
        let text = "Feed her less step by step while the young eat for themselves, and set another life stage once they are weaned.";
        let reason = format!("Week {week} of nursing: the table ends before.");
        told.push(Recommendation::advice("WEANING", text, reason, "textbook figure (~)"));
    }
}
