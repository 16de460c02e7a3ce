//! What a pet is, as far as its behaviour goes.

use crate::domain::Species;

/// What the behavior service needs to know of a pet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pet {
    /// Chooses the priors.
    pub species: Species,
    /// The IANA zone of its days and nights.
    pub time_zone: String,
}
