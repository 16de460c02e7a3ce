//! Which life stage a pet is in.
//!
//! Invariant: what the owner says wins; then the litter's and the mating's dates; then the age. An age that is not known is
//! taken for an adult's, and said to be missing.

use jiff::civil::Date;
use jiff::{Span, Unit};
use petty_chassis::breeds::{Size, size_of};
use serde::{Deserialize, Serialize};

use super::animal::{Animal, LifeStage, Profile, Sex, Species};
use super::plan::Reason;
use super::profile::MATING_AT_MOST_DAYS;
use super::reproduction;

/// Puppies to 12 months (domain.md, "Life stages"); kittens likewise.
const GROWN_MONTHS: i32 = 12;
/// Giant breeds to 24 (domain.md, "Life stages").
const GIANT_GROWN_MONTHS: i32 = 24;
/// Cats are senior from 10 years (domain.md, "Life stages").
const CAT_SENIOR_YEARS: i32 = 10;
/// The last quarter of the expected life (domain.md, "Life stages").
const SENIOR_FROM: f64 = 0.75;
const DAYS_A_YEAR: f64 = 365.25;

/// How large a dog is as an adult, by weight: under 10, 25 and 45 kg, and above. (~) As breeders and feeders divide them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SizeClass {
    /// Under 10 kg.
    Small,
    /// 10 to under 25 kg.
    Medium,
    /// 25 to under 45 kg.
    Large,
    /// From 45 kg.
    Giant,
}

impl SizeClass {
    /// By the adult's weight.
    #[must_use]
    pub fn of(adult_kg: f64) -> Self {
        match adult_kg {
            ..10.0 => Self::Small,
            ..25.0 => Self::Medium,
            ..45.0 => Self::Large,
            _ => Self::Giant,
        }
    }

    /// "small", for sentences.
    #[must_use]
    pub fn noun(self) -> &'static str {
        match self {
            Self::Small => "small",
            Self::Medium => "medium",
            Self::Large => "large",
            Self::Giant => "giant",
        }
    }

    /// Years expected at birth, (~) Montoya et al. 2023, Front Vet Sci 10:1082102 (13 million dogs; 12.69 for all of them). domain.md asks
    /// for the size's expected life and has no table of it.
    #[must_use]
    pub fn expected_life_years(self) -> f64 {
        match self {
            Self::Small => 13.5,
            Self::Medium => 12.7,
            Self::Large => 11.5,
            Self::Giant => 9.5,
        }
    }
}

/// A life stage, and what decided on it.
#[derive(Debug, Clone)]
pub(crate) struct Stage {
    pub(crate) life_stage: LifeStage,
    /// Dogs of known weight.
    pub(crate) size: Option<SizeClass>,
    pub(crate) age_days: Option<i32>,
    /// Under four months old; `None` where the age is not known.
    pub(crate) under_four_months: Option<bool>,
    /// Whole days since mating.
    pub(crate) gestation_day: Option<i32>,
    /// The first week after birth is 1.
    pub(crate) lactation_week: Option<i32>,
    /// By its dates it carries or nurses, whatever its owner says of its life stage.
    pub(crate) has_young: bool,
    pub(crate) is_stated: bool,
    pub(crate) reasons: Vec<Reason>,
}

pub(crate) fn stage(animal: &Animal, profile: &Profile, kg: Option<f64>, today: Date) -> Stage {
    let size = (animal.species == Species::Dog).then(|| size(animal, profile, kg, today)).flatten();
    let age = |birth: Date| days_between(birth, today).max(0);
    let can_bear = animal.sex != Some(Sex::Male);
    let is_neutered = profile.neutered.or(animal.neutered) == Some(true);
    let days_since = |day: Option<Date>| day.map(|day| days_between(day, today)).filter(|days| *days >= 0);
    let nursing_days = days_since(profile.litter_date).filter(|_| can_bear);
    let gestation_day = days_since(profile.mating_date)
        .filter(|day| can_bear && !is_neutered && *day <= MATING_AT_MOST_DAYS)
        // Born: that mating's litter is there.
        .filter(|day| nursing_days.is_none_or(|nursing| *day < nursing));
    let lactation_week = nursing_days.map(|days| days / 7 + 1);
    let nurses = lactation_week.is_some_and(|week| week <= reproduction::weeks_nursed(animal.species));

    let mut reasons = Vec::new();
    let by_age = by_age(animal, size, today, &mut reasons);
    let life_stage = match profile.life_stage {
        Some(stated) => {
            reasons.clear();
            let text = format!("Life stage {}: as its owner says.", stated.name());
            reasons.push(Reason::new(text, ""));
            stated
        }
        // Who was mated again while nursing carries and nurses: nursing needs more.
        None if nurses => LifeStage::Lactation,
        None if gestation_day.is_some() => LifeStage::Gestation,
        None => by_age,
    };
    let four_months = |birth: Date| is_under(birth, 4, today);
    Stage {
        life_stage,
        size,
        age_days: animal.birth_date.map(age),
        under_four_months: animal.birth_date.map(four_months),
        gestation_day,
        lactation_week,
        has_young: nurses || gestation_day.is_some(),
        is_stated: profile.life_stage.is_some(),
        reasons,
    }
}

fn by_age(animal: &Animal, size: Option<SizeClass>, today: Date, reasons: &mut Vec<Reason>) -> LifeStage {
    let Some(birth) = animal.birth_date else {
        reasons.push(Reason::new("Its birth date is not known: taken for an adult.", ""));
        return LifeStage::Adult;
    };
    let is_giant = size == Some(SizeClass::Giant) || is_of_giants(animal);
    let grown_months = if is_giant { GIANT_GROWN_MONTHS } else { GROWN_MONTHS };
    if is_under(birth, grown_months, today) {
        let text = format!("Growing: under {grown_months} months old.");
        reasons.push(Reason::new(text, "AAHA 2021"));
        return LifeStage::Growth;
    }
    let (senior_from, whose, source) = match (animal.species, size) {
        (Species::Cat, _) => {
            let from = birth.saturating_add(Span::new().years(CAT_SENIOR_YEARS));
            (from, format!("cats are from {CAT_SENIOR_YEARS} years"), "AAHA/AAFP 2021")
        }
        (Species::Dog, Some(size)) => {
            let years = size.expected_life_years() * SENIOR_FROM;
            #[expect(clippy::cast_possible_truncation, reason = "some thousands of days")]
            let days = (years * DAYS_A_YEAR).ceil() as i32;
            let whose = format!("{} dogs are from {years:.1} years", size.noun());
            (birth.saturating_add(Span::new().days(days)), whose, "AAHA 2019; Montoya 2023 (~)")
        }
        // Without its size nobody knows how long it lives.
        (Species::Dog, None) => return LifeStage::Adult,
    };
    if today < senior_from {
        return LifeStage::Adult;
    }
    let years = f64::from(days_between(birth, today)) / DAYS_A_YEAR;
    reasons.push(Reason::new(format!("Senior: {years:.1} years old; {whose}."), source));
    LifeStage::Senior
}

/// By the expected adult weight, or else the ideal weight, or else the weight. Of one that may be growing the ideal weight is not its
/// adult's: a giant that is a little round would be taken for a large dog, grown up, and to be slimmed.
fn size(animal: &Animal, profile: &Profile, kg: Option<f64>, today: Date) -> Option<SizeClass> {
    let may_grow = animal.birth_date.is_some_and(|birth| is_under(birth, GIANT_GROWN_MONTHS, today));
    let adult = profile.expected_adult_weight_kg.or_else(|| {
        let score = profile.body_condition_score.filter(|_| !may_grow).unwrap_or(super::weight::IDEAL_SCORE);
        Some(super::weight::ideal_kg(kg?, score))
    });
    adult.map(SizeClass::of)
}

/// Whether its breed, as far as the owner's word for it is known, grows for as long as giants do, whatever this one weighs.
fn is_of_giants(animal: &Animal) -> bool {
    animal.species == Species::Dog
        && animal.breed.as_deref().is_some_and(|breed| size_of(breed) == Some(Size::Giant))
}

fn is_under(birth: Date, months: i32, today: Date) -> bool {
    today < birth.saturating_add(Span::new().months(months))
}

pub(crate) fn days_between(from: Date, to: Date) -> i32 {
    // Dates are at most 7.3 million days apart, and days are the largest unit asked for: it cannot fail.
    from.until((Unit::Day, to)).map_or(0, |span| span.get_days())
}
