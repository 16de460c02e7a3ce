//! What auth would say of pets.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use petty_chassis::ApiError;
use petty_chassis::pets::PetSource;
use petty_chassis::types::PetId;
use petty_proto::auth::v1::Pet;
use petty_proto::auth::v1::pet::Species;

/// A dog that lives in Berlin, at a version.
///
/// # Panics
/// Where there can be no such version.
#[must_use]
pub fn a_dog(pet: PetId, version: i64) -> Pet {
    Pet {
        pet_id: pet.to_string(),
        name: "Rex".to_owned(),
        species: Species::Dog.into(),
        time_zone: "Europe/Berlin".to_owned(),
        version: i32::try_from(version).expect("a version"),
        ..Pet::default()
    }
}

/// A cat that lives in Berlin, at a version.
///
/// # Panics
/// Where there can be no such version.
#[must_use]
pub fn a_cat(pet: PetId, version: i64) -> Pet {
    Pet { name: "Minka".to_owned(), species: Species::Cat.into(), ..a_dog(pet, version) }
}

/// What auth would say of pets. Of whom nothing was said, it cannot be asked: it is away. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Pets {
    /// `None`: the pet is gone.
    known: Arc<Mutex<BTreeMap<PetId, Option<Pet>>>>,
}

impl Pets {
    /// It is this from now on.
    ///
    /// # Panics
    /// Where the pet has no id.
    pub fn say(&self, pet: Pet) {
        let id = pet.pet_id.parse().expect("a pet's id");
        self.tell(id, Some(pet));
    }

    /// There is no such pet (any more).
    pub fn gone(&self, pet: PetId) {
        self.tell(pet, None);
    }

    fn tell(&self, pet: PetId, said: Option<Pet>) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(pet, said);
    }
}

#[tonic::async_trait]
impl PetSource for Pets {
    async fn describe(&self, pet: PetId) -> Result<Option<Pet>, ApiError> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&pet).cloned().ok_or_else(|| ApiError::unavailable("PET_UNKNOWN", "auth is away"))
    }
}
