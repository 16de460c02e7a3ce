//! What the service does with the events it consumes.
//!
//! Invariant: what is kept of a pet or a day is what the highest version of it says, whatever the order in which versions
//! arrive, and however often; an event that changes nothing makes no plan anew.

use async_trait::async_trait;
use jiff::SignedDuration;
use petty_chassis::calendar::utc_date;
use petty_chassis::events::payload::same_pet;
use petty_chassis::events::{Event, Failure, Handler, Part, Unusable, inbox, outbox, topics, versions};
use petty_chassis::postgres::Tx;
use petty_chassis::types::{AccountId, PetId, micros};
use petty_proto::events::v1::{AccountErasing, DayClosed, PetChanged, PetErasing};

use crate::grpc::convert;
use crate::planning::{Cause, Planner};
use crate::store::{self, days, foods, kept, pets};

/// Handles the service's events.
#[derive(Debug)]
pub struct Worker {
    planner: Planner,
}

impl Worker {
    /// One that makes plans anew with this planner.
    #[must_use]
    pub fn new(planner: Planner) -> Self {
        Self { planner }
    }
}

#[async_trait]
impl Handler for Worker {
    async fn apply(&self, tx: &Tx, event: &Event, part: &Part) -> Result<(), Failure> {
        if *event.topic == topics::PET_CHANGED {
            self.change_pet(tx, event, part.pet).await
        } else if *event.topic == topics::BEHAVIOR_DAY_CLOSED {
            self.close_day(tx, event, part.pet).await
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
    async fn change_pet(&self, tx: &Tx, event: &Event, pet: PetId) -> Result<(), Failure> {
        let changed: PetChanged = event.read()?;
        let described = changed.pet.ok_or(Unusable("pet"))?;
        same_pet(&described.pet_id, pet)?;
        if !store::lock(tx, pet).await? {
            return Ok(());
        }
        if !versions::advance(tx, "pet", pet.0, event.version, changed.deleted).await? || changed.deleted {
            // What is kept of a deleted pet goes with `pet.erasing`.
            return Ok(());
        }
        let about = convert::pet(&described)?;
        let before = pets::get(tx, pet).await?;
        if before.as_ref() == Some(&about) {
            // Its name, for example, is nothing to feeding.
            return Ok(());
        }
        pets::put(tx, pet, &about, micros(self.planner.clock().now())).await?;
        Ok(self.planner.replan(tx, pet, Cause::PetChanged).await?)
    }

    async fn close_day(&self, tx: &Tx, event: &Event, pet: PetId) -> Result<(), Failure> {
        let convert::Day { activity, version } = convert::day(&event.read::<DayClosed>()?, pet)?;
        let described = self.planner.ask(tx, pet).await?;
        if !store::lock(tx, pet).await? {
            return Ok(());
        }
        let known = match described {
            Some(described) => self.planner.learn(tx, pet, &described).await?,
            None => pets::is_known(tx, pet).await?,
        };
        if !known {
            tracing::info!(pet.id = %pet, "a day of a pet that is gone is left out");
            return Ok(());
        }
        let now = micros(self.planner.clock().now());
        // Dates are the pet's; a day more or less does not matter here.
        let oldest = utc_date(now - SignedDuration::from_hours(24 * days::KEPT_DAYS));
        if activity.date < oldest || !days::put(tx, pet, &activity, version, now).await? {
            return Ok(());
        }
        days::forget(tx, pet, oldest).await?;
        Ok(self.planner.replan(tx, pet, Cause::DayClosed).await?)
    }

    async fn erase_pet(&self, tx: &Tx, event: &Event, pet: PetId) -> Result<(), Failure> {
        let erasing: PetErasing = event.read()?;
        same_pet(&erasing.pet_id, pet)?;
        // Sent again, it is told again: who asks twice did not hear it.
        store::lock(tx, pet).await?;
        let clock = self.planner.clock();
        inbox::erase(tx, clock, pet).await?;
        store::delete_all(tx, pet).await?;
        Ok(outbox::tell_erased(tx, clock, "nutrition", pet, self.planner.shards()).await?)
    }

    /// An account is forgotten as a pet is, under its own id: what is its own here are foods. Pets that eat them eat them on, by what
    /// they are and without the names it gave them: who closes an account must not empty somebody else's pet's bowl.
    async fn erase_account(&self, tx: &Tx, event: &Event, id: PetId) -> Result<(), Failure> {
        let erasing: AccountErasing = event.read()?;
        same_pet(&erasing.account_id, id)?;
        store::lock(tx, id).await?;
        let clock = self.planner.clock();
        inbox::erase(tx, clock, id).await?;
        let account = AccountId(id.0);
        let eaters = foods::eaters_of_account(tx, account).await?;
        let mut alive = Vec::new();
        for pet in eaters {
            if store::lock(tx, pet).await? {
                alive.push(pet);
            }
        }
        foods::lock_all(tx, account).await?;
        kept::keep_nameless(tx, account, micros(clock.now())).await?;
        foods::delete_all(tx, account).await?;
        for pet in alive {
            self.planner.replan(tx, pet, Cause::AccountClosed).await?;
        }
        Ok(outbox::tell_erased(tx, clock, "nutrition", id, self.planner.shards()).await?)
    }
}
