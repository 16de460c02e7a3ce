//! Foods, and the energy in them.
//!
//! Invariant: a [`NewFood`] has an energy above 0: the label's own, or by modified Atwater from an analysis that adds up.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::fault::{Fault, check};
use super::forbidden;
use super::ingredients::{MAX_CHARS, normalized};

/// kcal per gram of protein: modified Atwater (domain.md, "Energy").
const PROTEIN_KCAL: f64 = 3.5;
/// kcal per gram of fat: modified Atwater (domain.md, "Energy").
const FAT_KCAL: f64 = 8.5;
/// kcal per gram of nitrogen-free extract: modified Atwater (domain.md, "Energy").
const NFE_KCAL: f64 = 3.5;
/// The energy a food may state or come to, kcal per 100 g: pure fat has 850 to 900.
const MIN_KCAL: f64 = 1.0;
const MAX_KCAL: f64 = 950.0;
/// Labels round each of their figures, so that a sum may be a little above 100.
const ROUNDING_PERCENT: f64 = 1.0;
const MAX_NAME: usize = 100;
const MAX_INGREDIENTS: usize = 100;

/// What a food is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum FoodKind {
    /// Kibble.
    Dry,
    /// Cans, pouches.
    Wet,
    /// Raw.
    Raw,
    /// Cooked at home.
    HomeCooked,
    /// Never part of the meals.
    Treat,
}

impl FoodKind {
    /// What to call a food whose name is gone.
    #[must_use]
    pub fn plain_name(self) -> &'static str {
        match self {
            Self::Dry => "Dry food",
            Self::Wet => "Wet food",
            Self::Raw => "Raw food",
            Self::HomeCooked => "Home-cooked food",
            Self::Treat => "Treat",
        }
    }
}

/// A food as somebody describes it, before it was looked at.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct FoodInput {
    /// Its name.
    pub name: String,
    /// Unspecified is `None`.
    pub kind: Option<FoodKind>,
    /// kcal per 100 g as fed.
    pub label_kcal_per_100g: Option<f64>,
    /// Percent as fed.
    pub protein_percent: Option<f64>,
    /// Percent as fed.
    pub fat_percent: Option<f64>,
    /// Percent as fed.
    pub fibre_percent: Option<f64>,
    /// Percent as fed.
    pub moisture_percent: Option<f64>,
    /// Percent as fed.
    pub ash_percent: Option<f64>,
    /// Names.
    pub ingredients: Vec<String>,
}

/// What to change of a food: what is `None` or empty stays.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct FoodPatch {
    /// New name.
    pub name: Option<String>,
    /// New kind.
    pub kind: Option<FoodKind>,
    /// New label energy; 0 removes it.
    pub label_kcal_per_100g: Option<f64>,
    /// New protein.
    pub protein_percent: Option<f64>,
    /// New fat.
    pub fat_percent: Option<f64>,
    /// New fibre.
    pub fibre_percent: Option<f64>,
    /// New moisture.
    pub moisture_percent: Option<f64>,
    /// New ash.
    pub ash_percent: Option<f64>,
    /// New ingredients.
    pub ingredients: Vec<String>,
}

/// A food's description.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NewFood {
    /// 1 to 100 characters.
    pub name: String,
    /// What it is.
    pub kind: FoodKind,
    /// kcal per 100 g as fed.
    pub label_kcal_per_100g: Option<f64>,
    /// Percent as fed.
    pub protein_percent: Option<f64>,
    /// Percent as fed.
    pub fat_percent: Option<f64>,
    /// Percent as fed.
    pub fibre_percent: Option<f64>,
    /// Percent as fed.
    pub moisture_percent: Option<f64>,
    /// Percent as fed.
    pub ash_percent: Option<f64>,
    /// In lower case, each once.
    pub ingredients: Vec<String>,
}

/// A food that exists.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Food {
    /// Its id.
    pub id: Uuid,
    /// Its description.
    pub facts: NewFood,
}

/// Where a food's energy comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum EnergySource {
    /// The label's own figure.
    Label,
    /// From the analysis.
    ModifiedAtwater,
}

impl EnergySource {
    /// "label" or "modified Atwater".
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Label => "label",
            Self::ModifiedAtwater => "modified Atwater",
        }
    }
}

/// The energy that plans reckon with.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct FoodEnergy {
    /// kcal per 100 g as fed.
    pub kcal_per_100g: f64,
    /// Where that comes from.
    pub source: EnergySource,
}

impl FoodInput {
    /// The food, if all of it can be used.
    ///
    /// # Errors
    /// Each field that cannot, by its path; `FORBIDDEN_FOOD` names an ingredient that poisons dogs and cats.
    pub fn parse(self) -> Result<NewFood, Vec<Fault>> {
        self.parse_as_sent(|_| true)
    }

    /// The same, of a food of which only some percentages were sent.
    fn parse_as_sent(self, is_sent: impl Fn(&str) -> bool) -> Result<NewFood, Vec<Fault>> {
        let mut faults = Vec::new();
        let name = self.name.trim().to_owned();
        if name.is_empty() {
            faults.push(Fault::required("name"));
        } else if name.chars().count() > MAX_NAME {
            faults.push(Fault::out_of_range("name", format!("must be at most {MAX_NAME} characters")));
        }
        if self.kind.is_none() {
            faults.push(Fault::required("kind"));
        }
        if let Some(kcal) = self.label_kcal_per_100g {
            check(&mut faults, "label_kcal_per_100g", kcal, MIN_KCAL, MAX_KCAL, " kcal per 100 g");
        }
        let ingredients = ingredients(&mut faults, &self.ingredients);
        let food = NewFood {
            name,
            // Where there is none, there is a fault.
            kind: self.kind.unwrap_or(FoodKind::Dry),
            label_kcal_per_100g: self.label_kcal_per_100g,
            protein_percent: self.protein_percent,
            fat_percent: self.fat_percent,
            fibre_percent: self.fibre_percent,
            moisture_percent: self.moisture_percent,
            ash_percent: self.ash_percent,
            ingredients,
        };
        food.check_analysis(&mut faults, is_sent);
        if faults.is_empty() { Ok(food) } else { Err(faults) }
    }
}

impl FoodPatch {
    /// Refuses what no food could be changed to. What depends on the food itself, [`FoodPatch::apply`] says.
    ///
    /// # Errors
    /// As [`FoodInput::parse`].
    pub fn check(&self) -> Result<(), Vec<Fault>> {
        let any = NewFood {
            name: "any".to_owned(),
            kind: FoodKind::Dry,
            label_kcal_per_100g: Some(MAX_KCAL),
            protein_percent: None,
            fat_percent: None,
            fibre_percent: None,
            moisture_percent: None,
            ash_percent: None,
            ingredients: Vec::new(),
        };
        // Whether the label's energy may go depends on what else is known of the food.
        let label = self.label_kcal_per_100g.filter(|kcal| *kcal != 0.0);
        Self { label_kcal_per_100g: label, ..self.clone() }.apply(&any).map(|_| ())
    }

    /// The food as it is with these changes.
    ///
    /// # Errors
    /// As [`FoodInput::parse`].
    pub fn apply(self, food: &NewFood) -> Result<NewFood, Vec<Fault>> {
        let label = match self.label_kcal_per_100g {
            Some(0.0) => None,
            Some(kcal) => Some(kcal),
            None => food.label_kcal_per_100g,
        };
        let sent = [
            ("protein_percent", self.protein_percent),
            ("fat_percent", self.fat_percent),
            ("fibre_percent", self.fibre_percent),
            ("moisture_percent", self.moisture_percent),
            ("ash_percent", self.ash_percent),
        ];
        let ingredients =
            if self.ingredients.is_empty() { food.ingredients.clone() } else { self.ingredients };
        let changed = FoodInput {
            name: self.name.unwrap_or_else(|| food.name.clone()),
            kind: Some(self.kind.unwrap_or(food.kind)),
            label_kcal_per_100g: label,
            protein_percent: self.protein_percent.or(food.protein_percent),
            fat_percent: self.fat_percent.or(food.fat_percent),
            fibre_percent: self.fibre_percent.or(food.fibre_percent),
            moisture_percent: self.moisture_percent.or(food.moisture_percent),
            ash_percent: self.ash_percent.or(food.ash_percent),
            ingredients,
        };
        changed.parse_as_sent(|field| sent.iter().any(|(name, percent)| *name == field && percent.is_some()))
    }
}

impl NewFood {
    /// The energy as fed: the label's own figure wins (domain.md, "Energy").
    #[must_use]
    pub fn energy(&self) -> FoodEnergy {
        let (kcal_per_100g, source) = match (self.label_kcal_per_100g, self.atwater()) {
            (Some(kcal), _) => (kcal, EnergySource::Label),
            // Neither cannot be: `check_analysis` refuses it. Should a stored food lack both, it counts as poor.
            (None, kcal) => (kcal.unwrap_or(MIN_KCAL), EnergySource::ModifiedAtwater),
        };
        FoodEnergy { kcal_per_100g: kcal_per_100g.clamp(MIN_KCAL, MAX_KCAL), source }
    }

    /// 3.5 protein + 8.5 fat + 3.5 NFE, kcal per 100 g; `None` without protein, fat and moisture. What is left of 100 g after
    /// protein, fat, moisture, ash and fibre is the NFE; labels often leave out ash and fibre, which then count as 0.
    fn atwater(&self) -> Option<f64> {
        let (protein, fat) = (self.protein_percent?, self.fat_percent?);
        let rest =
            self.moisture_percent? + self.ash_percent.unwrap_or(0.0) + self.fibre_percent.unwrap_or(0.0);
        let nfe = (100.0 - protein - fat - rest).max(0.0);
        Some(PROTEIN_KCAL * protein + FAT_KCAL * fat + NFE_KCAL * nfe)
    }

    fn check_analysis(&self, faults: &mut Vec<Fault>, is_sent: impl Fn(&str) -> bool) {
        let parts = [
            ("protein_percent", self.protein_percent),
            ("fat_percent", self.fat_percent),
            ("fibre_percent", self.fibre_percent),
            ("moisture_percent", self.moisture_percent),
            ("ash_percent", self.ash_percent),
        ];
        let before = faults.len();
        for (field, percent) in parts {
            if let Some(percent) = percent {
                check(faults, field, percent, 0.0, 100.0, " percent");
            }
        }
        if faults.len() > before {
            return;
        }
        let sum: f64 = parts.iter().filter_map(|(_, percent)| *percent).sum();
        if sum > 100.0 + ROUNDING_PERCENT {
            let reason = format!("with the other parts makes {sum:.1} percent: more than 100");
            let is_known = |(field, percent): &&(&str, Option<f64>)| percent.is_some() && is_sent(field);
            let (field, _) = parts.iter().find(is_known).unwrap_or(&parts[0]);
            faults.push(Fault::out_of_range(*field, reason));
        }
        if self.label_kcal_per_100g.is_some() {
            return;
        }
        let needed = [parts[0], parts[1], parts[3]];
        if needed.iter().all(|(_, percent)| percent.is_none()) {
            let reason = "is required where there is no analysis (protein, fat and moisture)";
            faults.push(Fault {
                field: "label_kcal_per_100g".into(),
                reason: reason.into(),
                code: "REQUIRED",
            });
            return;
        }
        for (field, _) in needed.iter().filter(|(_, percent)| percent.is_none()) {
            let reason = "is required where the label states no energy";
            faults.push(Fault { field: (*field).into(), reason: reason.into(), code: "REQUIRED" });
        }
        if self.atwater().is_some_and(|kcal| kcal < MIN_KCAL) {
            faults.push(Fault::out_of_range("moisture_percent", "leaves nothing that has energy"));
        }
    }
}

fn ingredients(faults: &mut Vec<Fault>, names: &[String]) -> Vec<String> {
    if names.len() > MAX_INGREDIENTS {
        faults.push(Fault::out_of_range("ingredients", format!("must be at most {MAX_INGREDIENTS}")));
        return Vec::new();
    }
    let mut ingredients = Vec::with_capacity(names.len());
    for (index, name) in names.iter().enumerate() {
        let field = format!("ingredients[{index}]");
        let Some(name) = normalized(name) else {
            let reason = format!("must be 1 to {MAX_CHARS} characters, a letter among them");
            faults.push(Fault::out_of_range(field, reason));
            continue;
        };
        if let Some(poison) = forbidden::poison_for_all(&name) {
            faults
                .push(Fault::forbidden(field, format!("{name}: {poison} must never be fed to dogs or cats")));
        }
        if !ingredients.contains(&name) {
            ingredients.push(name);
        }
    }
    ingredients
}
