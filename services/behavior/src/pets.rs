//! What a pet is, as far as its behaviour goes.

use crate::domain::{Build, Kin, Species};

/// What the behavior service needs to know of a pet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pet {
    /// Chooses the priors.
    pub species: Species,
    /// So do size and age.
    pub build: Build,
    /// The IANA zone of its days and nights.
    pub time_zone: String,
}

impl Pet {
    /// Whom it is like.
    #[must_use]
    pub const fn kin(&self) -> Kin {
        Kin { species: self.species, build: self.build }
    }
}
