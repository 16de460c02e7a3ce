//! What never to feed, and from which dose a pet is in danger.
//!
//! Invariant: a dose is stated only where domain.md ("Energy", "Never") has a figure for the species.

use serde::{Deserialize, Serialize};

use super::animal::Species;
use super::ingredients;

/// What never to feed, for one pet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ForbiddenFood {
    /// "chocolate".
    pub name: String,
    /// What it does.
    pub reason: String,
    /// The dose at which signs begin, grams of `dose_of`; absent: any amount, or the weight is not known.
    pub danger_from_g: Option<f64>,
    /// What the dose counts, "theobromine".
    pub dose_of: String,
    /// The literature.
    pub source: String,
}

struct Poison {
    name: &'static str,
    /// By what it is known among ingredients.
    words: &'static [&'static str],
    /// Whom it harms; `None`: dogs and cats.
    only: Option<Species>,
    reason: &'static str,
    /// Grams per kilogram of body weight: dog, cat.
    g_per_kg: Option<(f64, f64)>,
    dose_of: &'static str,
}

const SOURCE: &str = "Merck Veterinary Manual";

/// domain.md, "Energy": chocolate (theobromine signs from 20 mg/kg, cardiac 40 to 50, seizures 60), grapes and raisins in any
/// amount, onion (cat 5 g/kg, dog 15 to 30 g/kg: the lower end), macadamia (0.7 g/kg), xylitol (0.1 g/kg), lilies (cat, any amount).
const POISONS: [Poison; 6] = [
    Poison {
        name: "chocolate",
        words: &["chocolate", "cocoa", "cacao"],
        only: None,
        reason: "Theobromine: vomiting and restlessness from 20 mg per kg of body weight, heart trouble from 40 to 50, \
                 seizures from 60.",
        g_per_kg: Some((0.020, 0.020)),
        dose_of: "theobromine",
    },
    Poison {
        name: "grapes and raisins",
        words: &["grape", "raisin", "sultana", "currant"],
        only: None,
        reason: "May stop the kidneys, in any amount.",
        g_per_kg: None,
        dose_of: "grapes or raisins",
    },
    Poison {
        name: "onion",
        words: &["onion"],
        only: None,
        reason: "Destroys red blood cells, cooked and dried too.",
        g_per_kg: Some((15.0, 5.0)),
        dose_of: "onion",
    },
    Poison {
        name: "macadamia nuts",
        words: &["macadamia"],
        only: None,
        reason: "Weakness, tremor, vomiting.",
        g_per_kg: Some((0.7, 0.7)),
        dose_of: "macadamia nuts",
    },
    Poison {
        name: "xylitol",
        words: &["xylitol", "birch sugar", "e967", "e 967"],
        only: None,
        reason: "Drops the blood sugar within the hour; harms the liver.",
        g_per_kg: Some((0.1, 0.1)),
        dose_of: "xylitol",
    },
    Poison {
        name: "lilies",
        words: &["lily"],
        only: Some(Species::Cat),
        reason: "Stop the kidneys, in any amount: leaf, flower, pollen, the vase's water.",
        g_per_kg: None,
        dose_of: "lilies",
    },
];

/// What never to feed to that species, with the doses for that weight.
#[must_use]
pub fn list(species: Species, weight_kg: Option<f64>) -> Vec<ForbiddenFood> {
    let dose = |poison: &Poison| {
        let (dog, cat) = poison.g_per_kg?;
        let per_kg = match species {
            Species::Dog => dog,
            Species::Cat => cat,
        };
        // To the hundredth of a gram, of a small pet to the thousandth: more would be precision that nobody has. Down, never up: what is
        // dangerous must not be said to be less than that.
        let dose = per_kg * weight_kg?;
        let steps = if dose < 0.1 { 1_000.0 } else { 100.0 };
        Some((dose * steps + 1e-6).floor() / steps)
    };
    let listed = POISONS.iter().filter(|poison| poison.harms(species)).map(|poison| ForbiddenFood {
        name: poison.name.to_owned(),
        reason: poison.reason.to_owned(),
        danger_from_g: dose(poison),
        dose_of: poison.dose_of.to_owned(),
        source: SOURCE.to_owned(),
    });
    listed.collect()
}

/// What in this ingredient poisons that species.
#[must_use]
pub fn poison(ingredient: &str, species: Species) -> Option<&'static str> {
    let found = POISONS.iter().find(|poison| poison.harms(species) && poison.is_in(ingredient))?;
    Some(found.name)
}

/// What in this ingredient poisons dogs and cats alike. Foods have no species, so that this is what they are refused for.
pub(crate) fn poison_for_all(ingredient: &str) -> Option<&'static str> {
    let found = POISONS.iter().find(|poison| poison.only.is_none() && poison.is_in(ingredient))?;
    Some(found.name)
}

impl Poison {
    fn harms(&self, species: Species) -> bool {
        self.only.is_none_or(|only| only == species)
    }

    fn is_in(&self, ingredient: &str) -> bool {
        self.words.iter().any(|word| ingredients::has(ingredient, word))
    }
}
