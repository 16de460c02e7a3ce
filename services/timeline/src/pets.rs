//! When a pet's days begin: from `pet.changed`, or asked of auth where that was not heard yet.

use std::fmt;

use jiff::tz::TimeZone;
use petty_chassis::ApiError;
use petty_chassis::access::pet_not_found;
use petty_chassis::calendar::zone;
use petty_chassis::events::inbox;
use petty_chassis::pets::PetSource;
use petty_chassis::postgres::Db;
use petty_chassis::types::{Clock, PetId};

use crate::store;

/// What is known of pets.
pub struct Pets {
    db: Db,
    clock: Clock,
    source: Box<dyn PetSource>,
}

impl fmt::Debug for Pets {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Pets").finish_non_exhaustive()
    }
}

impl Pets {
    /// Asks `source` of those nobody has told of.
    #[must_use]
    pub fn new(db: Db, clock: Clock, source: Box<dyn PetSource>) -> Self {
        Self { db, clock, source }
    }

    /// The zone that a pet's days are in, and its name.
    ///
    /// # Errors
    /// `PET_NOT_FOUND`, or unavailable.
    pub(crate) async fn time_zone(&self, pet: PetId) -> Result<(String, TimeZone), ApiError> {
        let known = self.db.read("time_zone", |tx| async move { store::time_zone(&tx, pet).await });
        if let Some(name) = known.await.map_err(ApiError::from)? {
            let zone = zone(&name);
            return Ok((name, zone));
        }
        let described = self.source.describe(pet).await?.ok_or_else(pet_not_found)?;
        let (version, name) = (i64::from(described.version), described.time_zone.as_str());
        self.db
            .transaction("remember_pet", |tx| async move {
                store::lock(&tx, pet).await?;
                // Auth's answer may be older than the erasing.
                if inbox::is_erased(&tx, pet).await? {
                    return Err(pet_not_found());
                }
                store::put_pet(&tx, &self.clock, pet, version, name).await?;
                Ok::<_, ApiError>(())
            })
            .await?;
        let zone = zone(name);
        Ok((described.time_zone, zone))
    }
}
