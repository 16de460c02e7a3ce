//! What the service does with the events it consumes.
//!
//! Invariant: an entry is what the highest version of its episode says, whatever the order in which versions arrive, and
//! however often.

use async_trait::async_trait;
use petty_chassis::events::{Event, Failure, Handler, Outgoing, Part, inbox, outbox, topics, versions};
use petty_chassis::postgres::Tx;
use petty_chassis::types::{Clock, PetId};
use petty_proto::events::v1::{BehaviorChanged, DataErased, PetChanged, PetErasing};

use crate::domain::Change;
use crate::grpc::convert::{self, Unusable};
use crate::store;

/// Handles the service's events.
#[derive(Debug)]
pub struct Worker {
    clock: Clock,
    shards: i16,
}

impl Worker {
    /// One that emits into so many shards.
    #[must_use]
    pub fn new(clock: Clock, shards: i16) -> Self {
        Self { clock, shards }
    }
}

#[async_trait]
impl Handler for Worker {
    async fn apply(&self, tx: &Tx, event: &Event, part: &Part) -> Result<(), Failure> {
        if *event.topic == topics::BEHAVIOR_CHANGED {
            self.change_behavior(tx, event, part.pet).await
        } else if *event.topic == topics::PET_CHANGED {
            change_pet(tx, event, part.pet).await
        } else if *event.topic == topics::PET_ERASING {
            self.erase_pet(tx, event, part.pet).await
        } else {
            Err(Failure::Poison(format!("{} is not consumed here", event.topic.name)))
        }
    }
}

impl Worker {
    async fn change_behavior(&self, tx: &Tx, event: &Event, pet: PetId) -> Result<(), Failure> {
        let changed: BehaviorChanged = event.read()?;
        let (id, change) = convert::change(changed, pet, event.version)?;
        store::lock(tx, pet).await?;
        // What the consumer checked before the lock may have changed while this waited for it.
        if inbox::is_erased(tx, pet).await? {
            return Ok(());
        }
        let superseded = change == Change::Superseded;
        if !versions::advance(tx, "episode", id, event.version, superseded).await? {
            return Ok(());
        }
        match change {
            Change::Stands(entry) => store::put(tx, &self.clock, &entry).await?,
            Change::Unlisted | Change::Superseded => store::remove(tx, pet, id).await?,
        }
        Ok(())
    }

    async fn erase_pet(&self, tx: &Tx, event: &Event, pet: PetId) -> Result<(), Failure> {
        let erasing: PetErasing = event.read()?;
        if erasing.pet_id.parse() != Ok(pet) {
            return Err(Unusable("pet_id").into());
        }
        store::lock(tx, pet).await?;
        inbox::erase(tx, &self.clock, pet).await?;
        store::delete_all(tx, pet).await?;
        let erased = DataErased { pet_id: pet.to_string(), service: "timeline".to_owned() };
        outbox::write(tx, &self.clock, &Outgoing::of_pet(&topics::DATA_ERASED, pet, 0, self.shards, &erased))
            .await?;
        Ok(())
    }
}

/// Nothing of a pet's description is kept here; its version is noted, and that it is gone.
async fn change_pet(tx: &Tx, event: &Event, pet: PetId) -> Result<(), Failure> {
    let changed: PetChanged = event.read()?;
    if changed.pet.and_then(|described| described.pet_id.parse().ok()) != Some(pet) {
        return Err(Unusable("pet_id").into());
    }
    versions::advance(tx, "pet", pet.0, event.version, changed.deleted).await?;
    Ok(())
}

impl From<Unusable> for Failure {
    fn from(unusable: Unusable) -> Self {
        Self::Poison(unusable.to_string())
    }
}
