//! What the service does with the events it consumes.
//!
//! Invariants: an event is what the highest version of its episode says, whatever the order in which versions arrive, and
//! however often; what was said of it stays, whatever becomes of it; of a pet that is forgotten nothing stays.

use std::collections::BTreeSet;

use async_trait::async_trait;
use petty_chassis::events::payload::same_pet;
use petty_chassis::events::{Event, Failure, Handler, Part, inbox, outbox, topics};
use petty_chassis::postgres::Tx;
use petty_chassis::types::{AccountId, Clock, PetId};
use petty_proto::events::v1::{AccountErasing, BehaviorChanged, PetErasing};
use uuid::Uuid;

use crate::archive::Archive;
use crate::grpc::convert;
use crate::store::{self, episodes, erasures, feedback, objects};

/// Handles the service's events.
#[derive(Debug)]
pub struct Worker {
    clock: Clock,
    shards: i16,
    archive: Archive,
}

impl Worker {
    /// One that emits into so many shards, and wakes the archive where it has to do.
    #[must_use]
    pub fn new(clock: Clock, shards: i16, archive: Archive) -> Self {
        Self { clock, shards, archive }
    }
}

#[async_trait]
impl Handler for Worker {
    async fn apply(&self, tx: &Tx, event: &Event, part: &Part) -> Result<(), Failure> {
        if *event.topic == topics::BEHAVIOR_CHANGED {
            self.change_behavior(tx, event, part.pet).await
        } else if *event.topic == topics::PET_ERASING {
            self.erase_pet(tx, event, part.pet).await
        } else if *event.topic == topics::ACCOUNT_ERASING {
            self.erase_account(tx, event, part.pet).await
        } else {
            Err(Failure::Poison(format!("{} is not consumed here", event.topic.name)))
        }
    }
}

impl Worker {
    async fn change_behavior(&self, tx: &Tx, event: &Event, pet: PetId) -> Result<(), Failure> {
        let changed: BehaviorChanged = event.read()?;
        let episode = convert::changed(changed, pet, event.version)?;
        if !store::lock(tx, pet).await? || !episodes::put(tx, &self.clock, &episode).await? {
            return Ok(());
        }
        if feedback::learn(tx, &episode).await? > 0 {
            self.archive.wake_after(tx);
        }
        Ok(())
    }

    async fn erase_pet(&self, tx: &Tx, event: &Event, pet: PetId) -> Result<(), Failure> {
        let erasing: PetErasing = event.read()?;
        same_pet(&erasing.pet_id, pet)?;
        store::lock_whatever_it_is(tx, pet).await?;
        inbox::erase(tx, &self.clock, pet).await?;
        let held = feedback::delete_all(tx, pet).await?;
        episodes::delete_all(tx, pet).await?;
        self.let_the_store_follow(tx, pet, &held).await
    }

    /// An account is forgotten as a pet is, under its own id: what is its own here is what it said, of whichever pets.
    async fn erase_account(&self, tx: &Tx, event: &Event, id: PetId) -> Result<(), Failure> {
        let erasing: AccountErasing = event.read()?;
        same_pet(&erasing.account_id, id)?;
        store::lock_whatever_it_is(tx, id).await?;
        inbox::erase(tx, &self.clock, id).await?;
        let held = feedback::delete_of_account(tx, AccountId(id.0)).await?;
        self.let_the_store_follow(tx, id, &held).await
    }

    /// Told once the store has followed: an earlier erasing of the same may still wait.
    async fn let_the_store_follow(&self, tx: &Tx, id: PetId, held: &BTreeSet<Uuid>) -> Result<(), Failure> {
        let changed = objects::change(tx, &self.clock, held).await?;
        erasures::begin(tx, id, &changed).await?;
        if erasures::is_waiting(tx, id).await? {
            self.archive.wake_after(tx);
            return Ok(());
        }
        Ok(outbox::tell_erased(tx, &self.clock, "feedback", id, self.shards).await?)
    }
}
