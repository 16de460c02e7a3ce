//! The energy of carrying and nursing.
//!
//! Invariant: an equation is used only within the weeks and litters that domain.md gives it for; beyond, its last value holds
//! and that is said.

use super::animal::Species;

/// (~) Days from mating to birth: bitches 63, queens 65. domain.md counts in weeks from an end that it does not name.
#[must_use]
pub(crate) fn gestation_days(species: Species) -> i32 {
    match species {
        Species::Dog => 63,
        Species::Cat => 65,
    }
}

/// From the fifth week: the last five of nine (domain.md, "Energy": the equation wins from week 5).
const BITCH_EQUATION_FROM_DAY: i32 = 28;
/// Of the table's four weeks the last holds until the young eat for themselves, (~) at six weeks; ours.
const PUPPIES_WEANED_AFTER_WEEKS: i32 = 6;

/// L by week (domain.md, "Energy").
const BITCH_L: [f64; 4] = [0.75, 0.95, 1.1, 1.2];
const QUEEN_L: [f64; 7] = [0.9, 0.9, 1.2, 1.2, 1.1, 1.0, 0.8];
/// The equation is given for litters of up to eight (domain.md, "Energy").
pub(crate) const LARGEST_LITTER: u8 = 8;

/// Whether a bitch is in the last five weeks; queens have no equation, so never.
#[must_use]
pub(crate) fn has_gestation_equation(species: Species, day: i32) -> bool {
    species == Species::Dog && day >= BITCH_EQUATION_FROM_DAY
}

/// Kcal/day of a bitch's last five weeks: 132×kg^0.75 + 26×kg (NRC/FEDIAF (~); domain.md, "Energy").
#[must_use]
pub(crate) fn gestation(kg: f64) -> f64 {
    132.0 * kg.powf(0.75) + 26.0 * kg
}

/// How many weeks of nursing there are figures for.
#[must_use]
pub(crate) fn weeks_nursed(species: Species) -> i32 {
    match species {
        Species::Dog => PUPPIES_WEANED_AFTER_WEEKS,
        Species::Cat => 7,
    }
}

/// Whether a week is beyond the table.
#[must_use]
pub(crate) fn is_beyond_table(species: Species, week: i32) -> bool {
    match species {
        Species::Dog => week > 4,
        Species::Cat => week > 7,
    }
}

/// L of a week, the last one beyond the table.
#[must_use]
pub(crate) fn milk(species: Species, week: i32) -> f64 {
    let table: &[f64] = match species {
        Species::Dog => &BITCH_L,
        Species::Cat => &QUEEN_L,
    };
    let index = usize::try_from(week - 1).unwrap_or(0).min(table.len() - 1);
    table.get(index).copied().unwrap_or(1.0)
}

/// Kcal/day of nursing `litter` young in that week (NRC/FEDIAF (~); domain.md, "Energy").
#[must_use]
pub(crate) fn lactation(species: Species, kg: f64, litter: u8, week: i32) -> (f64, String) {
    let l = milk(species, week);
    match species {
        Species::Dog => {
            let n = f64::from(litter.min(LARGEST_LITTER));
            // 1 to 4: 24n; 5 to 8: 96 + 12(n − 4).
            let per_kg = if n <= 4.0 { 24.0 * n } else { 96.0 + 12.0 * (n - 4.0) };
            (145.0 * kg.powf(0.75) + per_kg * kg * l, format!("145 × kg^0.75 + {per_kg} × kg × {l}"))
        }
        Species::Cat => {
            // 18 under 3, 60 for 3 to 4, 70 above.
            let per_kg = match litter {
                0..=2 => 18.0,
                3..=4 => 60.0,
                5.. => 70.0,
            };
            (100.0 * kg.powf(0.67) + per_kg * kg * l, format!("100 × kg^0.67 + {per_kg} × kg × {l}"))
        }
    }
}

/// The range where the week or the litter is not known (AAHA 2021; domain.md, "Energy"): dogs 3.0 to 6.0, cats 2.0 to 6.0.
#[must_use]
pub(crate) fn lactation_factors(species: Species) -> (f64, f64) {
    match species {
        Species::Dog => (3.0, 6.0),
        Species::Cat => (2.0, 6.0),
    }
}

/// A queen's range (AAHA 2021 (~); domain.md, "Energy").
pub(crate) const QUEEN_GESTATION: (f64, f64) = (1.6, 2.0);
