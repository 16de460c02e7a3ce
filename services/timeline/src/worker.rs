//! What the service does with the events it consumes.
//!
//! Invariants: an entry is what the highest version of its episode says, whatever the order in which versions arrive, and
//! however often. Whoever looks at an entry's change at a stream's end sees it with the next number of its pet, given in the
//! same transaction; what says nothing new gets none.

use std::collections::BTreeSet;

use async_trait::async_trait;
use futures::try_join;
use petty_chassis::events::payload::same_pet;
use petty_chassis::events::{
    Event, Failure, Handler, Part, Unusable, inbox, one_by_one, outbox, topics, versions,
};
use petty_chassis::postgres::Tx;
use petty_chassis::types::{Clock, PetId};
use petty_proto::events::v1::{PetChanged, PetErasing};
use uuid::Uuid;

use crate::domain::{Change, Entry, Kept, Said, Taken};
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
        if let Some(said) = said(event, part)? {
            store::lock(tx, part.pet).await?;
            self.take(tx, vec![said]).await
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

    async fn apply_all(&self, tx: &Tx, parts: &[(&Event, &Part)]) -> Result<(), Failure> {
        // All at once and in order, so that two replicas wait for each other and not on each other.
        let pets: BTreeSet<Uuid> = parts.iter().map(|(_, part)| part.pet.0).collect();
        store::lock_all(tx, &Vec::from_iter(pets)).await?;
        let mut run = Vec::new();
        for (event, part) in parts {
            if let Some(said) = said(event, part)? {
                run.push(said);
            } else {
                // What it came after comes before it.
                self.take(tx, std::mem::take(&mut run)).await?;
                one_by_one(self, tx, &[(*event, *part)]).await?;
            }
        }
        self.take(tx, run).await
    }
}

/// What an event says of a thing that may be on a timeline; `None` where it speaks of something else. What is not a behaviour
/// is kept by its own version: each is a thing of its own.
fn said(event: &Event, part: &Part) -> Result<Option<Said>, Failure> {
    let pet = part.pet;
    let note = |kind, entry: Entry| {
        let (pet, id, version) = (entry.pet, entry.id, entry.version);
        Some(Said { pet, kind, id, version, change: Change::Stands(Box::new(entry)) })
    };
    Ok(if *event.topic == topics::BEHAVIOR_CHANGED {
        let (id, change) = receive::change(event.read()?, pet, event.version)?;
        Some(Said { pet, kind: "episode", id, version: event.version, change })
    } else if *event.topic == topics::PLAN_CHANGED {
        note("plan", receive::plan(event.read()?, pet, event.time)?)
    } else if *event.topic == topics::ALERT_CHANGED {
        note("alert", receive::alert(event.read()?, pet, event.version)?)
    } else if *event.topic == topics::FEEDBACK_SUBMITTED {
        note("feedback", receive::feedback(event.read()?, pet, event.version)?)
    } else {
        None
    })
}

impl Worker {
    /// Takes what was said of locked pets' things, in the order in which it came: a statement a step, however much it is.
    async fn take(&self, tx: &Tx, mut said: Vec<Said>) -> Result<(), Failure> {
        if said.is_empty() {
            return Ok(());
        }
        let pets: BTreeSet<PetId> = said.iter().map(|said| said.pet).collect();
        let things: BTreeSet<(&'static str, Uuid)> = said.iter().map(|said| (said.kind, said.id)).collect();
        let things = Vec::from_iter(things);
        let ids: Vec<Uuid> = things.iter().map(|(_, id)| *id).collect();
        // What the consumer checked before may have changed while this waited for the locks.
        let (erased, applied, entries) = try_join!(
            inbox::erased_of(tx, pets),
            versions::applied_of(tx, &things),
            store::of_ids(tx, &ids)
        )?;
        said.retain(|said| !erased.contains(&said.pet));
        let applied = things.into_iter().zip(applied).filter_map(|(thing, applied)| Some((thing, applied?)));
        let entries = entries.into_iter().map(|entry| (entry.id, entry));
        let kept = Kept { applied: applied.collect(), entries: entries.collect() };
        let taken = Taken::of(&kept, said).map_err(store::clash)?;
        let applied: Vec<_> =
            taken.applied.into_iter().map(|((kind, id), applied)| (kind, id, applied)).collect();
        let put: Vec<&Entry> = taken.entries.values().flatten().collect();
        let gone = taken.entries.iter().filter(|(_, entry)| entry.is_none());
        let gone: Vec<Uuid> = gone.map(|(id, _)| *id).collect();
        let ((), (), (), heads) = try_join!(
            versions::advance_all(tx, &applied),
            store::put(tx, &self.clock, &put),
            store::remove(tx, &gone),
            store::note(tx, &self.clock, &taken.noted)
        )?;
        for (pet, sequence) in heads {
            let hub = self.hub.clone();
            tx.after_commit(move || hub.changed(pet, sequence));
        }
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
