//! What an owner may say of a pet's body and diet.
//!
//! Invariant: a [`Profile`] or a weight that this module made is within the bounds that the formulas hold for.

use jiff::civil::Date;
use jiff::{SignedDuration, Span, Timestamp};
use uuid::Uuid;

use super::animal::{ActivityLevel, Animal, FoodChoice, LifeStage, Profile, Sex, Species, WeightPoint, Work};
use super::fault::{Fault, check};
use super::ingredients::{MAX_CHARS, normalized};

/// The lightest weight taken, kg: a new-born kitten weighs twice that.
pub const MIN_WEIGHT_KG: f64 = 0.05;
/// The heaviest weight taken, kg: no dog is known to have been heavier.
pub const MAX_WEIGHT_KG: f64 = 150.0;
/// Mating that long ago has led to a litter, or to none: bitches carry for 63 days and queens for 65, (~) a week more at most.
pub const MATING_AT_MOST_DAYS: i32 = 80;
/// A litter that old is not nursed any more.
pub const LITTER_AT_MOST_DAYS: i32 = 120;
/// Weights that long ago say nothing of the pet as it is.
pub const WEIGHT_AT_MOST_YEARS: i64 = 10;
/// So far ahead of ours a client's clock may be, and its measurements with it.
const CLOCKS_APART: SignedDuration = SignedDuration::from_mins(5);

const MAX_FOODS: usize = 10;
const MAX_ALLERGIES: usize = 50;

/// What was said, before it was looked at.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ProfileInput {
    /// Weight as of now, kg.
    pub weight_kg: Option<f64>,
    /// 1 to 9.
    pub body_condition_score: Option<i32>,
    /// Unspecified is `None`.
    pub life_stage: Option<LifeStage>,
    /// Absent: as the animal itself says.
    pub neutered: Option<bool>,
    /// Unspecified is `None`.
    pub activity_level: Option<ActivityLevel>,
    /// Unspecified is `None`.
    pub work: Option<Work>,
    /// kg.
    pub expected_adult_weight_kg: Option<f64>,
    /// YYYY-MM-DD.
    pub mating_date: Option<String>,
    /// YYYY-MM-DD.
    pub litter_date: Option<String>,
    /// 1 to 25.
    pub litter_size: Option<i32>,
    /// Ids and shares.
    pub foods: Vec<FoodChoiceInput>,
    /// 1 to 8.
    pub meals_per_day: Option<i32>,
    /// Ingredients.
    pub allergies: Vec<String>,
}

/// A chosen food, before it was looked at.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct FoodChoiceInput {
    /// The food's id.
    pub food_id: String,
    /// Its share.
    pub share: f64,
}

/// What to do: the profile that replaces the other, and a weight where one was said.
#[derive(Debug, Clone, PartialEq)]
pub struct ProfileChange {
    /// The last weight from now on, kg.
    pub weight_kg: Option<f64>,
    /// All the rest.
    pub profile: Profile,
}

impl ProfileInput {
    /// Everything that can be said without knowing the pet; then comes [`Profile::suits`].
    ///
    /// # Errors
    /// Each field that is out of its bounds, by its path.
    pub fn parse(self) -> Result<ProfileChange, Vec<Fault>> {
        let mut faults = Vec::new();
        if let Some(kg) = self.weight_kg {
            check(&mut faults, "weight_kg", kg, MIN_WEIGHT_KG, MAX_WEIGHT_KG, " kg");
        }
        if let Some(kg) = self.expected_adult_weight_kg {
            check(&mut faults, "expected_adult_weight_kg", kg, 0.5, MAX_WEIGHT_KG, " kg");
        }
        let profile = Profile {
            body_condition_score: small(&mut faults, "body_condition_score", self.body_condition_score, 9),
            life_stage: self.life_stage,
            neutered: self.neutered,
            activity_level: self.activity_level,
            work: self.work,
            expected_adult_weight_kg: self.expected_adult_weight_kg,
            mating_date: date(&mut faults, "mating_date", self.mating_date.as_deref()),
            litter_date: date(&mut faults, "litter_date", self.litter_date.as_deref()),
            litter_size: small(&mut faults, "litter_size", self.litter_size, 25),
            foods: foods(&mut faults, &self.foods),
            meals_per_day: small(&mut faults, "meals_per_day", self.meals_per_day, 8),
            allergies: allergies(&mut faults, &self.allergies),
        };
        if profile.work.is_some()
            && profile.activity_level.is_some_and(|level| level != ActivityLevel::Working)
        {
            faults.push(Fault::out_of_range(
                "activity_level",
                "must be WORKING or absent for a dog that works",
            ));
        }
        if faults.is_empty() { Ok(ProfileChange { weight_kg: self.weight_kg, profile }) } else { Err(faults) }
    }
}

impl Profile {
    /// Whether this can be said of that animal on that day of its own zone.
    ///
    /// # Errors
    /// Each field that cannot, unless it only says again what was said before: that once suited, and days pass.
    pub fn suits(&self, before: Option<&Self>, animal: &Animal, today: Date) -> Result<(), Vec<Fault>> {
        let mut faults = self.unfit(animal, today);
        if let Some(before) = before {
            let neutered = |profile: &Self| profile.neutered.or(animal.neutered);
            let same = neutered(before) == neutered(self);
            faults.retain(|fault| {
                !(self.repeats(before, &fault.field) && (same || fault.code != Fault::UNFIT))
            });
        }
        if faults.is_empty() { Ok(()) } else { Err(faults) }
    }

    /// As it is to be kept: where it only repeats what the pet itself says of neutering, that is not its own word, and follows the pet.
    #[must_use]
    pub fn beside(self, before: Option<&Self>, animal: &Animal) -> Self {
        let is_own = before.is_some_and(|before| before.neutered.is_some());
        let neutered = self.neutered.filter(|_| is_own || self.neutered != animal.neutered);
        Self { neutered, ..self }
    }

    fn repeats(&self, before: &Self, field: &str) -> bool {
        match field {
            "activity_level" => self.activity_level == before.activity_level,
            "work" => self.work == before.work,
            "mating_date" => self.mating_date == before.mating_date,
            "litter_date" => self.litter_date == before.litter_date,
            "litter_size" => self.litter_size == before.litter_size,
            "life_stage" => self.life_stage == before.life_stage,
            _ => false,
        }
    }

    fn unfit(&self, animal: &Animal, today: Date) -> Vec<Fault> {
        let mut faults = Vec::new();
        if animal.species == Species::Cat {
            if self.activity_level == Some(ActivityLevel::Working) {
                faults.push(Fault::unfit("activity_level", "WORKING is for dogs"));
            }
            if self.work.is_some() {
                faults.push(Fault::unfit("work", "is for dogs"));
            }
        }
        since(&mut faults, "mating_date", self.mating_date, today, MATING_AT_MOST_DAYS);
        since(&mut faults, "litter_date", self.litter_date, today, LITTER_AT_MOST_DAYS);
        let bears = |stage| matches!(stage, Some(LifeStage::Gestation | LifeStage::Lactation));
        if animal.sex == Some(Sex::Male) {
            let said = [
                ("mating_date", self.mating_date.is_some()),
                ("litter_date", self.litter_date.is_some()),
                ("litter_size", self.litter_size.is_some()),
                ("life_stage", bears(self.life_stage)),
            ];
            let said = said.into_iter().filter(|(_, is_said)| *is_said);
            faults.extend(said.map(|(field, _)| Fault::unfit(field, "is for females")));
        } else if self.neutered.or(animal.neutered) == Some(true) {
            let oldest = today.saturating_sub(Span::new().days(MATING_AT_MOST_DAYS));
            if self.mating_date.is_some_and(|mated| mated >= oldest) {
                faults.push(Fault::unfit("mating_date", "a neutered pet cannot carry young"));
            }
            if self.life_stage == Some(LifeStage::Gestation) {
                faults.push(Fault::unfit("life_stage", "a neutered pet cannot carry young"));
            }
        }
        faults
    }
}

/// A weight that was measured at a time, now where none is said.
///
/// # Errors
/// `weight_kg` or `measure_time` out of bounds.
pub fn weight(kg: f64, at: Option<Timestamp>, now: Timestamp) -> Result<WeightPoint, Vec<Fault>> {
    let mut faults = Vec::new();
    check(&mut faults, "weight_kg", kg, MIN_WEIGHT_KG, MAX_WEIGHT_KG, " kg");
    let at = at.unwrap_or(now);
    if at > now.saturating_add(CLOCKS_APART).unwrap_or(now) {
        faults.push(Fault::out_of_range("measure_time", "must not be in the future"));
    }
    let oldest = SignedDuration::from_hours(WEIGHT_AT_MOST_YEARS * 8_766);
    if now.duration_since(at) > oldest {
        faults.push(Fault::out_of_range(
            "measure_time",
            format!("must be at most {WEIGHT_AT_MOST_YEARS} years back"),
        ));
    }
    if faults.is_empty() { Ok(WeightPoint { kg, at: at.min(now) }) } else { Err(faults) }
}

fn small(faults: &mut Vec<Fault>, field: &str, value: Option<i32>, high: u8) -> Option<u8> {
    let value = value?;
    match u8::try_from(value) {
        Ok(small) if (1..=high).contains(&small) => Some(small),
        Ok(_) | Err(_) => {
            faults.push(Fault::out_of_range(field, format!("must be 1 to {high}")));
            None
        }
    }
}

fn date(faults: &mut Vec<Fault>, field: &str, text: Option<&str>) -> Option<Date> {
    let text = text?;
    // jiff takes more than that, times among it.
    let parsed = (text.len() == 10).then(|| text.parse::<Date>().ok()).flatten();
    if parsed.is_none() {
        faults.push(Fault::malformed(field, "must be a date, YYYY-MM-DD"));
    }
    parsed
}

fn since(faults: &mut Vec<Fault>, field: &str, day: Option<Date>, today: Date, at_most: i32) {
    let Some(day) = day else { return };
    if day > today {
        faults.push(Fault::out_of_range(field, "must not be in the future"));
    } else if day < today.saturating_sub(Span::new().days(at_most)) {
        faults.push(Fault::out_of_range(field, format!("must be at most {at_most} days back")));
    }
}

fn foods(faults: &mut Vec<Fault>, choices: &[FoodChoiceInput]) -> Vec<FoodChoice> {
    if choices.len() > MAX_FOODS {
        faults.push(Fault::out_of_range("foods", format!("must be at most {MAX_FOODS}")));
        return Vec::new();
    }
    let mut chosen: Vec<FoodChoice> = Vec::with_capacity(choices.len());
    for (index, choice) in choices.iter().enumerate() {
        if !(0.0..=1e6).contains(&choice.share) {
            faults.push(Fault::out_of_range(format!("foods[{index}].share"), "must be 0 to 1000000"));
        }
        match Uuid::try_parse(&choice.food_id) {
            Ok(food_id) if chosen.iter().any(|other| other.food_id == food_id) => {
                faults.push(Fault::malformed(format!("foods[{index}].food_id"), "is chosen twice"));
            }
            Ok(food_id) => chosen.push(FoodChoice { food_id, share: choice.share }),
            Err(_) => {
                faults.push(Fault::malformed(format!("foods[{index}].food_id"), "must be a food's id"));
            }
        }
    }
    chosen
}

fn allergies(faults: &mut Vec<Fault>, names: &[String]) -> Vec<String> {
    if names.len() > MAX_ALLERGIES {
        faults.push(Fault::out_of_range("allergies", format!("must be at most {MAX_ALLERGIES}")));
        return Vec::new();
    }
    let mut allergies = Vec::with_capacity(names.len());
    for (index, name) in names.iter().enumerate() {
        match normalized(name) {
            Some(name) if allergies.contains(&name) => {}
            Some(name) => allergies.push(name),
            None => {
                let reason = format!("must be 1 to {MAX_CHARS} characters, a letter among them");
                faults.push(Fault::out_of_range(format!("allergies[{index}]"), reason));
            }
        }
    }
    allergies
}
