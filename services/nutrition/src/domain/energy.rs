//! The energy to feed: an equation or a factor of the resting energy, and which of them applies.
//!
//! Invariant: the energy is finite and above 0 for every weight that is taken, and a factor never leaves its range. Nobody is
//! put on a diet who grows, carries or nurses, or whose body condition is not known to be above ideal.

use serde::{Deserialize, Serialize};

use super::activity::Found;
use super::animal::{ActivityLevel, Animal, LifeStage, Profile, Species, Work};
use super::plan::Reason;
use super::stages::Stage;
use super::weight::{Aim, IDEAL_SCORE, Trend, aim};
use super::{fine, growth, reproduction, rounded};

/// Factors and stages of adults, and the body condition that a diet needs.
const AAHA: &str = "AAHA 2021";
const AAHA_CATS: &str = "AAHA 2021 (~)";
/// Percent of the body weight a week that counts as standing still, and the fastest change that is safe: the ends of
/// domain.md's weekly loss (cat 0.5, dog and cat 2). That they are the trend's bands is ours.
const STILL_PERCENT: f64 = 0.5;
const SAFE_PERCENT: f64 = 2.0;
/// So far beside its band a trend moves the factor through the whole range; ours.
const FULL_PERCENT: f64 = 1.5;

/// Energy a day.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Energy {
    /// 70 × kg^0.75, kcal/day: of the ideal weight in a plan to lose weight, else of the weight.
    pub rer_kcal: f64,
    /// To feed, kcal/day.
    pub kcal_per_day: f64,
    /// kcal_per_day ÷ rer_kcal.
    pub factor: f64,
    /// The range's lower end; absent where an equation decides.
    pub factor_low: Option<f64>,
    /// The range's upper end; absent where an equation decides.
    pub factor_high: Option<f64>,
    /// "70 × kg^0.75 × 1.5".
    pub formula: String,
    /// The literature.
    pub source: String,
    /// What the weights' trend added to the factor; absent where that is nothing.
    pub trend_correction: Option<f64>,
}

/// The energy, and what decided on it.
#[derive(Debug, Clone)]
pub(crate) struct Decision {
    pub(crate) energy: Energy,
    pub(crate) is_weight_loss: bool,
    pub(crate) uses_activity: bool,
    pub(crate) reasons: Vec<Reason>,
}

/// RER = 70 × kg^0.75 kcal/day, dogs and cats of any weight (domain.md, "Energy").
#[must_use]
pub fn rer(kg: f64) -> f64 {
    70.0 * kg.powf(0.75)
}

/// A stated level's factor (domain.md, "Energy"); `None`: cats do not work.
#[must_use]
pub fn level_factor(species: Species, level: ActivityLevel) -> Option<f64> {
    match (species, level) {
        (Species::Dog, ActivityLevel::WeightLoss) => Some(1.0),
        (Species::Dog, ActivityLevel::Inactive) => Some(1.2),
        (Species::Dog, ActivityLevel::Typical) => Some(1.6),
        (Species::Dog, ActivityLevel::Active) => Some(2.0),
        (Species::Dog, ActivityLevel::Working) => Some(3.0),
        (Species::Cat, ActivityLevel::WeightLoss) => Some(0.8),
        (Species::Cat, ActivityLevel::Inactive) => Some(1.0),
        (Species::Cat, ActivityLevel::Typical) => Some(1.2),
        (Species::Cat, ActivityLevel::Active) => Some(1.4),
        (Species::Cat, ActivityLevel::Working) => None,
    }
}

/// Whether its owner's word alone decides how active a grown pet is. Of a dog that works it says which range, and its days where in that.
pub(crate) fn is_stated(animal: &Animal, profile: &Profile) -> bool {
    let works = animal.species == Species::Dog && profile.work.is_some();
    !works && stated_factor(animal.species, profile.activity_level).is_some()
}

/// The factor of an activity that its owner stated. To lose weight is an aim, not an activity.
pub(crate) fn stated_factor(species: Species, level: Option<ActivityLevel>) -> Option<f64> {
    let level = level.filter(|level| *level != ActivityLevel::WeightLoss)?;
    level_factor(species, level)
}

/// An adult's range (domain.md, "Energy"). Where nobody knows whether it is neutered: the point where both ranges meet, at most
/// 0.2 beside what is right; ours.
#[must_use]
pub fn adult_factors(species: Species, neutered: Option<bool>) -> (f64, f64) {
    match (species, neutered) {
        (Species::Dog, Some(true)) => (1.4, 1.6),
        (Species::Dog, Some(false)) => (1.6, 1.8),
        (Species::Dog, None) => (1.6, 1.6),
        (Species::Cat, Some(true)) => (1.2, 1.4),
        (Species::Cat, Some(false)) => (1.4, 1.6),
        (Species::Cat, None) => (1.4, 1.4),
    }
}

/// A working dog's range (domain.md, "Energy").
#[must_use]
pub fn work_factors(work: Work) -> (f64, f64) {
    match work {
        Work::Light => (1.6, 2.0),
        Work::Moderate => (2.0, 5.0),
        Work::Heavy => (5.0, 11.0),
    }
}

/// All that the energy depends on.
#[derive(Clone, Copy)]
pub(crate) struct Case<'a> {
    pub(crate) animal: &'a Animal,
    pub(crate) profile: &'a Profile,
    pub(crate) stage: &'a Stage,
    pub(crate) kg: f64,
    pub(crate) ideal: Option<f64>,
    pub(crate) activity: &'a Found,
    pub(crate) trend: Option<&'a Trend>,
}

pub(crate) fn decide(case: Case<'_>) -> Decision {
    let mut decision = match case.stage.life_stage {
        LifeStage::Growth => case.growing(),
        LifeStage::Gestation => case.carrying(),
        LifeStage::Lactation => case.nursing(),
        LifeStage::Adult | LifeStage::Senior => case.grown(),
    };
    decision.reasons.extend(case.refused_diet());
    decision
}

impl Case<'_> {
    fn growing(self) -> Decision {
        let species = self.animal.species;
        if let Some(adult_kg) = self.profile.expected_adult_weight_kg {
            let (kcal, formula, source) = growth::equation(species, self.kg, adult_kg);
            let mut decision = self.by_equation(kcal, formula, source);
            if self.kg > adult_kg {
                let text = format!(
                    "It weighs {:.1} kg, above the {adult_kg:.1} kg expected of the adult: taken as grown.",
                    self.kg
                );
                decision.reasons.push(Reason::new(text, source));
            }
            return decision;
        }
        let range = growth::factors(species, self.stage.under_four_months);
        self.by_factor(range, 0.5, self.source())
    }

    fn carrying(self) -> Decision {
        match (self.animal.species, self.stage.gestation_day) {
            (Species::Dog, Some(day)) if reproduction::has_gestation_equation(Species::Dog, day) => {
                let formula = "132 × kg^0.75 + 26 × kg".to_owned();
                self.by_equation(reproduction::gestation(self.kg), formula, "NRC 2006/FEDIAF (~)")
            }
            (Species::Dog, _) => {
                let mut decision = self.grown();
                let text = "Carrying asks for more than an adult's energy from the fifth week on.";
                decision.reasons.push(Reason::new(text, "NRC 2006/FEDIAF (~)"));
                decision
            }
            (Species::Cat, _) => {
                let mut decision = self.by_factor(reproduction::QUEEN_GESTATION, 0.5, AAHA_CATS);
                let text = "The middle of the range while she carries: she moves less the more she needs.";
                decision.reasons.push(Reason::new(text, ""));
                decision
            }
        }
    }

    fn nursing(self) -> Decision {
        let species = self.animal.species;
        let (week, litter) = (self.stage.lactation_week, self.profile.litter_size);
        if let (Some(week), Some(litter)) = (week, litter) {
            let (kcal, formula) = reproduction::lactation(species, self.kg, litter, week);
            let mut decision = self.by_equation(kcal, formula, "NRC 2006/FEDIAF (~)");
            if reproduction::is_beyond_table(species, week) {
                let text = format!(
                    "Week {week} of nursing is beyond the table: its last week holds until they are weaned."
                );
                decision.reasons.push(Reason::new(text, ""));
            }
            return decision;
        }
        // "3.0 to 6.0, by litter": one pup is the lower end, eight are the upper.
        let position = match (species, litter) {
            (Species::Dog, Some(litter)) => {
                let most = f64::from(reproduction::LARGEST_LITTER) - 1.0;
                ((f64::from(litter) - 1.0) / most).clamp(0.0, 1.0)
            }
            (Species::Dog, None) | (Species::Cat, _) => 0.5,
        };
        self.by_factor(reproduction::lactation_factors(species), position, self.source())
    }

    fn grown(self) -> Decision {
        let species = self.animal.species;
        if let (Species::Dog, Some(work)) = (species, self.profile.work) {
            // Its peers do not work: only its own days say whether it does more or less than usual.
            let mut decision = self.by_activity(work_factors(work), self.activity.unranked);
            let text = format!("A dog that does {} work; the range is wide, so weigh it often.", work.noun());
            decision.reasons.push(Reason::new(text, AAHA));
            return decision;
        }
        if let Some(factor) = stated_factor(species, self.profile.activity_level) {
            let mut decision = self.by_factor((factor, factor), 0.5, self.source());
            let text = format!("Activity factor {factor}: as its owner says.");
            decision.reasons.push(Reason::new(text, self.source()));
            return decision;
        }
        match self.diet_kg() {
            Some(ideal) => self.losing(ideal),
            None => self.by_activity(self.adult(), self.activity.told.position),
        }
    }

    /// 1.0 (dog), 0.8 (cat) of the resting energy at the ideal weight.
    fn losing(self, ideal: f64) -> Decision {
        let species = self.animal.species;
        // Both have one.
        let factor = level_factor(species, ActivityLevel::WeightLoss).unwrap_or(1.0);
        let on_ideal = Self { kg: ideal, ..self };
        let mut decision = on_ideal.by_factor((factor, factor), 0.5, self.source());
        decision.energy.formula = format!("70 × ideal kg^0.75 × {factor}");
        decision.is_weight_loss = true;
        let text = format!("To lose weight: it weighs {:.1} kg, and {ideal:.1} kg would be ideal.", self.kg);
        decision.reasons.push(Reason::new(text, "AAHA 2021; WSAVA"));
        decision
    }

    /// The weight to feed for, where it is to lose weight: only for the grown up above ideal.
    fn diet_kg(self) -> Option<f64> {
        let is_above = self.profile.body_condition_score? > IDEAL_SCORE;
        // Absent while it grows, carries or nurses by its life stage, which its owner may have stated before it had young.
        self.ideal.filter(|_| is_above && !self.stage.has_young)
    }

    /// Says that there is no diet where one is asked for, or would be due.
    fn refused_diet(self) -> Option<Reason> {
        let is_asked = self.profile.activity_level == Some(ActivityLevel::WeightLoss);
        let score = self.profile.body_condition_score;
        let is_due = score.is_some_and(|score| score > IDEAL_SCORE);
        let may_lose = self.stage.life_stage.is_maintenance() && !self.stage.has_young;
        let why = match (may_lose, score) {
            (false, _) if is_asked || is_due => "while it grows, carries or nurses".to_owned(),
            (true, Some(score)) if is_asked && !is_due => format!("at a body condition of {score} of 9"),
            (true, None) if is_asked => "while its body condition is not known".to_owned(),
            (true | false, _) => return None,
        };
        Some(Reason::new(format!("No plan to lose weight {why}."), AAHA))
    }

    fn adult(self) -> (f64, f64) {
        let carries = self.stage.life_stage == LifeStage::Gestation;
        let neutered = self.profile.neutered.or(self.animal.neutered).filter(|_| !carries);
        adult_factors(self.animal.species, if carries { Some(false) } else { neutered })
    }

    /// Within a range, by measured activity and corrected by the weights' trend.
    fn by_activity(self, range: (f64, f64), position: f64) -> Decision {
        let shift = self.trend_shift();
        let corrected = (position + shift.unwrap_or(0.0)).clamp(0.0, 1.0);
        let mut decision = self.by_factor(range, corrected, self.source());
        let correction = (range.1 - range.0) * (corrected - position);
        decision.uses_activity = range.0 < range.1;
        if range.0 < range.1 {
            decision.reasons.extend(self.trend_reason(correction));
        } else {
            let text = "Whether it is neutered is not known: where both ranges meet; activity counts once it is known.";
            decision.reasons.push(Reason::new(text, self.source()));
        }
        if correction != 0.0 {
            decision.energy.trend_correction = Some(fine(correction));
        }
        decision
    }

    /// How far its weights move it through the range, −1 to 1: down where it gains more, or loses less, than its body
    /// condition asks for. Nothing where that is not known.
    fn trend_shift(self) -> Option<f64> {
        if !self.stage.life_stage.is_maintenance() {
            return None;
        }
        let (low, high) = match aim(self.profile.body_condition_score?) {
            Aim::Gain => (STILL_PERCENT, SAFE_PERCENT),
            Aim::Stay => (-STILL_PERCENT, STILL_PERCENT),
            Aim::Lose => (-SAFE_PERCENT, -STILL_PERCENT),
        };
        let percent = self.trend?.percent_per_week;
        let beside = percent - percent.clamp(low, high);
        Some((-beside / FULL_PERCENT).clamp(-1.0, 1.0))
    }

    fn trend_reason(self, correction: f64) -> Option<Reason> {
        let trend = self.trend.filter(|_| self.stage.life_stage.is_maintenance())?;
        let seen = format!(
            "Its {} weights of eight weeks change by {:+.1} % a week",
            trend.weights, trend.percent_per_week
        );
        let text = match self.profile.body_condition_score {
            None => format!("{seen}: not used, as its body condition is not known."),
            Some(_) if correction == 0.0 => format!("{seen}: as it should, or as far as the range goes."),
            Some(_) => format!("{seen}: the factor is corrected by {correction:+.2}."),
        };
        Some(Reason::new(text, "Merck Veterinary Manual"))
    }

    fn by_factor(self, (low, high): (f64, f64), position: f64, source: &str) -> Decision {
        let factor = (low + (high - low) * position).clamp(low, high);
        let shown = rounded(factor);
        let formula = format!("70 × kg^0.75 × {shown}");
        let mut energy = self.energy(rer(self.kg) * factor, formula, source);
        (energy.factor_low, energy.factor_high) = (Some(low), Some(high));
        Decision { energy, is_weight_loss: false, uses_activity: false, reasons: Vec::new() }
    }

    fn by_equation(self, kcal: f64, formula: String, source: &str) -> Decision {
        let energy = self.energy(kcal, formula, source);
        Decision { energy, is_weight_loss: false, uses_activity: false, reasons: Vec::new() }
    }

    fn energy(self, kcal: f64, formula: String, source: &str) -> Energy {
        Energy {
            rer_kcal: rounded(rer(self.kg)),
            kcal_per_day: rounded(kcal),
            factor: fine(kcal / rer(self.kg)),
            factor_low: None,
            factor_high: None,
            formula,
            source: source.to_owned(),
            trend_correction: None,
        }
    }

    fn source(self) -> &'static str {
        match self.animal.species {
            Species::Dog => AAHA,
            Species::Cat => AAHA_CATS,
        }
    }
}
