//! What the service does with the events it consumes.
//!
//! Invariants: an event is what the highest version of its episode says, whatever the order in which versions arrive, and
//! however often; what was said of it stays, whatever becomes of it; of a pet that is forgotten nothing stays.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use async_trait::async_trait;
use futures::try_join;
use petty_chassis::events::payload::same_pet;
use petty_chassis::events::versions::{self, Applied};
use petty_chassis::events::{Event, Failure, Handler, Part, inbox, one_by_one, outbox, topics};
use petty_chassis::postgres::Tx;
use petty_chassis::types::{AccountId, Clock, PetId};
use petty_proto::events::v1::{AccountErasing, BehaviorChanged, PetErasing};
use uuid::Uuid;

use crate::archive::Archive;
use crate::domain::Episode;
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
            let episode = told(event, part)?;
            store::lock_whatever_it_is(tx, part.pet).await?;
            self.take(tx, vec![episode]).await
        } else if *event.topic == topics::PET_ERASING {
            self.erase_pet(tx, event, part.pet).await
        } else if *event.topic == topics::ACCOUNT_ERASING {
            self.erase_account(tx, event, part.pet).await
        } else {
            Err(Failure::Poison(format!("{} is not consumed here", event.topic.name)))
        }
    }

    async fn apply_all(&self, tx: &Tx, parts: &[(&Event, &Part)]) -> Result<(), Failure> {
        if parts.iter().any(|(event, _)| *event.topic != topics::BEHAVIOR_CHANGED) {
            // What is to be forgotten; it comes alone.
            return one_by_one(self, tx, parts).await;
        }
        let told = parts.iter().map(|(event, part)| told(event, part)).collect::<Result<Vec<_>, _>>()?;
        // All at once and in order, so that two replicas wait for each other and not on each other.
        let pets: BTreeSet<Uuid> = parts.iter().map(|(_, part)| part.pet.0).collect();
        store::lock_all(tx, &Vec::from_iter(pets)).await?;
        self.take(tx, told).await
    }
}

fn told(event: &Event, part: &Part) -> Result<Episode, Failure> {
    Ok(convert::changed(event.read::<BehaviorChanged>()?, part.pet, event.version)?)
}

/// What of all that was told is news: of each event the first that is, which those learn who knew of it at second hand, and the
/// last, which stays.
#[derive(Default)]
struct Heard<'a> {
    first: BTreeMap<Uuid, &'a Episode>,
    last: BTreeMap<Uuid, &'a Episode>,
}

impl<'a> Heard<'a> {
    fn of(applied: &HashMap<Uuid, Applied>, told: &'a [Episode]) -> Self {
        let mut heard = Self::default();
        for episode in told {
            let id = episode.id;
            let before =
                heard.last.get(&id).map(|last| applied_by(last)).or_else(|| applied.get(&id).copied());
            if before.is_none_or(|before| before.lets(episode.told.version)) {
                heard.first.entry(id).or_insert(episode);
                heard.last.insert(id, episode);
            }
        }
        heard
    }
}

fn applied_by(episode: &Episode) -> Applied {
    Applied { version: episode.told.version, deleted: episode.superseded }
}

impl Worker {
    /// Takes what was told of locked pets' events, in the order in which it came: a statement a step, however much it is.
    async fn take(&self, tx: &Tx, mut told: Vec<Episode>) -> Result<(), Failure> {
        if told.is_empty() {
            return Ok(());
        }
        let pets: BTreeSet<PetId> = told.iter().map(|episode| episode.pet).collect();
        let ids: BTreeSet<Uuid> = told.iter().map(|episode| episode.id).collect();
        let ids: Vec<(&str, Uuid)> = ids.into_iter().map(|id| (episodes::KIND, id)).collect();
        // What the consumer checked before may have changed while this waited for the locks.
        let (erased, applied) = try_join!(inbox::erased_of(tx, pets), versions::applied_of(tx, &ids))?;
        told.retain(|episode| !erased.contains(&episode.pet));
        let applied = ids.into_iter().zip(applied).filter_map(|((_, id), applied)| Some((id, applied?)));
        let Heard { first, last } = Heard::of(&applied.collect(), &told);
        let (first, last) = (Vec::from_iter(first.into_values()), Vec::from_iter(last.into_values()));
        let advanced: Vec<_> =
            last.iter().map(|episode| (episodes::KIND, episode.id, applied_by(episode))).collect();
        let ((), (), learned) = try_join!(
            versions::advance_all(tx, &advanced),
            episodes::put(tx, &self.clock, &last),
            feedback::learn(tx, &first)
        )?;
        if learned > 0 {
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
