//! What the service does with the events it consumes.
//!
//! Invariants: an entry is what the highest version of its episode says, whatever the order in which versions arrive, and
//! however often. Whoever looks at an entry's change at a stream's end sees it with the next number of its pet, given in the
//! same transaction; what says nothing new gets none.

use async_trait::async_trait;
use petty_chassis::events::payload::same_pet;
use petty_chassis::events::{Event, Failure, Handler, Part, Unusable, inbox, outbox, topics, versions};
use petty_chassis::postgres::Tx;
use petty_chassis::types::{Clock, PetId};
use petty_proto::events::v1::{PetChanged, PetErasing};
use uuid::Uuid;

use crate::domain::{Change, Entry};
use crate::grpc::receive;
use crate::store;
use crate::stream::Hub;

/// Handles the service's events.
#[derive(Debug)]
pub struct Worker {
    clock: Clock,
    shards: i16,
    hub: Hub,
}

impl Worker {
    /// One that emits into so many shards, and tells the hub of changes.
    #[must_use]
    pub fn new(clock: Clock, shards: i16, hub: Hub) -> Self {
        Self { clock, shards, hub }
    }
}

#[async_trait]
impl Handler for Worker {
    async fn apply(&self, tx: &Tx, event: &Event, part: &Part) -> Result<(), Failure> {
        if *event.topic == topics::BEHAVIOR_CHANGED {
            let (id, change) = receive::change(event.read()?, part.pet, event.version)?;
            self.change(tx, part.pet, ("episode", id, event.version), change).await
        } else if *event.topic == topics::PLAN_CHANGED {
            let entry = receive::plan(event.read()?, part.pet, event.time)?;
            self.note(tx, "plan", entry).await
        } else if *event.topic == topics::ALERT_CHANGED {
            let entry = receive::alert(event.read()?, part.pet, event.version)?;
            self.note(tx, "alert", entry).await
        } else if *event.topic == topics::FEEDBACK_SUBMITTED {
            let entry = receive::feedback(event.read()?, part.pet, event.version)?;
            self.note(tx, "feedback", entry).await
        } else if *event.topic == topics::BEHAVIOR_DAY_CLOSED {
            self.close_day(tx, event, part.pet).await
        } else if *event.topic == topics::PET_CHANGED {
            self.change_pet(tx, event, part.pet).await
        } else if *event.topic == topics::PET_ERASING {
            self.erase_pet(tx, event, part.pet).await
        } else {
            Err(Failure::Poison(format!("{} is not consumed here", event.topic.name)))
        }
    }
}

impl Worker {
    /// Puts an entry that is not a behaviour. Kept by its own version: each is a thing of its own.
    async fn note(&self, tx: &Tx, kind: &'static str, entry: Entry) -> Result<(), Failure> {
        let (pet, entity) = (entry.pet, (kind, entry.id, entry.version));
        self.change(tx, pet, entity, Change::Stands(Box::new(entry))).await
    }

    async fn change(
        &self,
        tx: &Tx,
        pet: PetId,
        (kind, id, version): (&'static str, Uuid, i64),
        change: Change,
    ) -> Result<(), Failure> {
        if !lock(tx, pet).await? {
            return Ok(());
        }
        let superseded = change == Change::Superseded;
        if !versions::advance(tx, kind, id, version, superseded).await? {
            return Ok(());
        }
        let clock = &self.clock;
        let sequence = match change {
            Change::Stands(entry) => {
                if !store::put(tx, clock, &entry).await? {
                    return Ok(());
                }
                store::note_put(tx, clock, &entry).await?
            }
            Change::Unlisted | Change::Superseded => match store::remove(tx, pet, id).await? {
                Some(entry) => store::note_removed(tx, clock, &entry).await?,
                None => return Ok(()),
            },
        };
        let hub = self.hub.clone();
        tx.after_commit(move || hub.changed(pet, sequence));
        Ok(())
    }

    async fn close_day(&self, tx: &Tx, event: &Event, pet: PetId) -> Result<(), Failure> {
        let (date, told) = receive::day(event.read()?, pet)?;
        if lock(tx, pet).await? {
            store::put_told(tx, &self.clock, pet, date, &told).await?;
        }
        Ok(())
    }

    async fn change_pet(&self, tx: &Tx, event: &Event, pet: PetId) -> Result<(), Failure> {
        let changed: PetChanged = event.read()?;
        let described = changed.pet.ok_or(Unusable("pet"))?;
        same_pet(&described.pet_id, pet)?;
        if !lock(tx, pet).await?
            || !versions::advance(tx, "pet", pet.0, event.version, changed.deleted).await?
        {
            return Ok(());
        }
        if !changed.deleted {
            store::put_pet(tx, &self.clock, pet, event.version, &described.time_zone).await?;
        }
        Ok(())
    }

    async fn erase_pet(&self, tx: &Tx, event: &Event, pet: PetId) -> Result<(), Failure> {
        let erasing: PetErasing = event.read()?;
        same_pet(&erasing.pet_id, pet)?;
        store::lock(tx, pet).await?;
        inbox::erase(tx, &self.clock, pet).await?;
        store::delete_all(tx, pet).await?;
        Ok(outbox::tell_erased(tx, &self.clock, "timeline", pet, self.shards).await?)
    }
}

/// Takes the pet's lock; false where the pet is forgotten. What the consumer checked before may have changed while this
/// waited.
async fn lock(tx: &Tx, pet: PetId) -> Result<bool, Failure> {
    store::lock(tx, pet).await?;
    Ok(!inbox::is_erased(tx, pet).await?)
}
