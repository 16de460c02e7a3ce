//! The energy of growing: by equation where the adult's weight is expected, else by factor.
//!
//! Invariant: the part of the adult weight that is reached, p, is never above 1: there the equations fall below an adult's need.

use super::animal::Species;

/// Kcal/day by equation, and the equation with its numbers.
pub(crate) fn equation(species: Species, kg: f64, adult_kg: f64) -> (f64, String, &'static str) {
    let p = (kg / adult_kg).min(1.0);
    match species {
        // NRC 2006 (domain.md, "Energy"): 130 × W^0.75 × 3.2 × (e^(−0.87p) − 0.1).
        Species::Dog => {
            let kcal = 130.0 * kg.powf(0.75) * 3.2 * ((-0.87 * p).exp() - 0.1);
            (kcal, format!("130 × kg^0.75 × 3.2 × (e^(−0.87 × {p:.2}) − 0.1)"), "NRC 2006")
        }
        // NRC 2006 (~) (domain.md, "Energy"): 100 × W^0.67 × 6.7 × (e^(−0.189p) − 0.66).
        Species::Cat => {
            let kcal = 100.0 * kg.powf(0.67) * 6.7 * ((-0.189 * p).exp() - 0.66);
            (kcal, format!("100 × kg^0.67 × 6.7 × (e^(−0.189 × {p:.2}) − 0.66)"), "NRC 2006 (~)")
        }
    }
}

/// The range of factors (domain.md, "Energy", growth): dogs under 4 months 3.0, then 2.0; cats 2.5. A dog of unknown age is
/// somewhere between.
pub(crate) fn factors(species: Species, under_four_months: Option<bool>) -> (f64, f64) {
    match (species, under_four_months) {
        (Species::Cat, _) => (2.5, 2.5),
        (Species::Dog, Some(true)) => (3.0, 3.0),
        (Species::Dog, Some(false)) => (2.0, 2.0),
        (Species::Dog, None) => (2.0, 3.0),
    }
}
