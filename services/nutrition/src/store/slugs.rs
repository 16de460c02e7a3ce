//! The words that rows carry for what the domain tells apart. They never change.

use petty_chassis::postgres::{Error, Row};

use crate::domain::{ActivityLevel, FoodKind, LifeStage, Sex, Species, Work};

type Words<T> = &'static [(T, &'static str)];

pub(super) const SPECIES: Words<Species> = &[(Species::Dog, "dog"), (Species::Cat, "cat")];

pub(super) const SEXES: Words<Sex> = &[(Sex::Female, "female"), (Sex::Male, "male")];

pub(super) const LIFE_STAGES: Words<LifeStage> = &[
    (LifeStage::Growth, "growth"),
    (LifeStage::Adult, "adult"),
    (LifeStage::Senior, "senior"),
    (LifeStage::Gestation, "gestation"),
    (LifeStage::Lactation, "lactation"),
];

pub(super) const ACTIVITY_LEVELS: Words<ActivityLevel> = &[
    (ActivityLevel::WeightLoss, "weight_loss"),
    (ActivityLevel::Inactive, "inactive"),
    (ActivityLevel::Typical, "typical"),
    (ActivityLevel::Active, "active"),
    (ActivityLevel::Working, "working"),
];

pub(super) const WORKS: Words<Work> =
    &[(Work::Light, "light"), (Work::Moderate, "moderate"), (Work::Heavy, "heavy")];

pub(super) const FOOD_KINDS: Words<FoodKind> = &[
    (FoodKind::Dry, "dry"),
    (FoodKind::Wet, "wet"),
    (FoodKind::Raw, "raw"),
    (FoodKind::HomeCooked, "home_cooked"),
    (FoodKind::Treat, "treat"),
];

/// The word for a value.
pub(super) fn slug<T: Copy + PartialEq>(words: Words<T>, value: T) -> &'static str {
    // Each table has all of its type's values; a missing one is refused by the column's check.
    words.iter().find(|(of, _)| *of == value).map(|(_, word)| *word).unwrap_or_default()
}

/// The value whose word a column holds, if it holds any.
pub(super) fn of_slug<T: Copy>(
    words: Words<T>,
    row: &Row,
    table: &'static str,
    index: usize,
) -> Result<Option<T>, Error> {
    let word: Option<&str> = Error::column(row, table, index)?;
    let Some(word) = word else { return Ok(None) };
    let known = words.iter().find(|(_, known)| *known == word);
    let known = known.ok_or_else(|| {
        let column = row.columns().get(index).map(|column| column.name().to_owned()).unwrap_or_default();
        Error::Inconsistent { table, column }
    })?;
    Ok(Some(known.0))
}
