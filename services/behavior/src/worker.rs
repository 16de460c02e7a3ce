//! What the service does with the events it consumes.
//!
//! Invariant: what is kept of a pet's readings, its episodes and the events that tell of them change together, under the pet's lock. The
//! episodes are a function of the set of readings, so it does not matter in which order, or how often, these arrive.

use async_trait::async_trait;
use bytes::Bytes;
use futures::future::try_join_all;
use petty_chassis::events::payload::same_pet;
use petty_chassis::events::{
    Event, Failure, Handler, Outgoing, Part, Unusable, inbox, outbox, topics, versions,
};
use petty_chassis::pets::PetSource;
use petty_chassis::postgres::{Error, Tx};
use petty_chassis::types::{Clock, PetId, TimelineEventId};
use petty_proto::events::v1::{BehaviorChanged, PetChanged, PetErasing, ReadingsAccepted, ReadingsSilent};

use crate::alerting::Teller;
use crate::config::DayConfig;
use crate::days;
use crate::domain::alerts::{Report, Watch};
use crate::domain::v1::Head;
use crate::domain::{Changes, Reading};
use crate::grpc::convert;
use crate::interpreting;
use crate::pets::Pet;
use crate::store::days as day_rows;
use crate::store::episodes::{self, Episode};
use crate::store::states::{self, State};
use crate::store::{alerts, windows, zones};

/// So many outbox rows are on their way to the database at once: one round trip each would add up.
const PIPELINE: usize = 64;

/// Handles the service's events.
pub struct Worker {
    clock: Clock,
    shards: i16,
    pets: Box<dyn PetSource>,
    days: DayConfig,
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Worker").field("shards", &self.shards).finish_non_exhaustive()
    }
}

impl Worker {
    /// One that asks `pets` about pets it was told nothing of.
    #[must_use]
    pub fn new(clock: Clock, shards: i16, pets: Box<dyn PetSource>) -> Self {
        Self { clock, shards, pets, days: DayConfig::default() }
    }

    /// The same, closing days at other times.
    #[must_use]
    pub fn closing_days(self, days: DayConfig) -> Self {
        Self { days, ..self }
    }
}

#[async_trait]
impl Handler for Worker {
    fn split(&self, event: &Event) -> Result<Vec<Part>, Failure> {
        if *event.topic == topics::READINGS_ACCEPTED {
            return Ok(convert::parts(event.read::<ReadingsAccepted>()?));
        }
        Ok(vec![Part { pet: PetId(event.subject), body: event.payload.clone() }])
    }

    fn alone(&self, event: &Event, part: &Part) -> Bytes {
        if *event.topic == topics::READINGS_ACCEPTED { convert::alone(part) } else { event.payload.clone() }
    }

    async fn apply(&self, tx: &Tx, event: &Event, part: &Part) -> Result<(), Failure> {
        if *event.topic == topics::READINGS_ACCEPTED {
            self.take_readings(tx, part).await
        } else if *event.topic == topics::PET_CHANGED {
            self.change_pet(tx, event, part.pet).await
        } else if *event.topic == topics::PET_ERASING {
            self.erase_pet(tx, event, part.pet).await
        } else if *event.topic == topics::READINGS_SILENT {
            // The alert of a silent collar is raised by looks of its own (`alerting`), after its own patience.
            let silent: ReadingsSilent = event.read()?;
            Ok(same_pet(&silent.pet_id, part.pet)?)
        } else {
            Err(Failure::Poison(format!("{} is not consumed here", event.topic.name)))
        }
    }
}

impl Worker {
    async fn take_readings(&self, tx: &Tx, part: &Part) -> Result<(), Failure> {
        let pet = part.pet;
        let (readings, reports): (Vec<Reading>, Vec<Report>) = convert::readings(part)?.into_iter().unzip();
        // Before the lock: nobody should wait for another service's answer.
        let described = if states::is_known(tx, pet).await? { None } else { self.describe(tx, pet).await? };
        let Some(state) = self.lock(tx, pet).await? else { return Ok(()) };
        // What was consumed meanwhile is newer than what was asked.
        let Some(about) = state.pet.clone().or(described) else {
            return Ok(states::delete(tx, pet).await?);
        };
        self.revise(tx, pet, &about, &state, (&readings, &reports)).await
    }

    /// Asks about a pet that nothing is known of. `None` where it is gone.
    async fn describe(&self, tx: &Tx, pet: PetId) -> Result<Option<Pet>, Failure> {
        let Some(described) = self.pets.describe(pet).await? else {
            tracing::info!(pet.id = %pet, "readings of a pet that is gone are left out");
            return Ok(None);
        };
        let version = i64::from(described.version);
        let about = convert::pet(described)?;
        // So that an older `pet.changed`, still on its way, does not undo what auth said by now.
        versions::advance(tx, "pet", pet.0, version, false).await?;
        Ok(Some(about))
    }

    async fn change_pet(&self, tx: &Tx, event: &Event, pet: PetId) -> Result<(), Failure> {
        let changed: PetChanged = event.read()?;
        let described = changed.pet.ok_or(Unusable("pet"))?;
        same_pet(&described.pet_id, pet)?;
        if !versions::advance(tx, "pet", pet.0, event.version, changed.deleted).await? || changed.deleted {
            // What is kept of a deleted pet goes with `pet.erasing`.
            return Ok(());
        }
        let about = convert::pet(described)?;
        let Some(state) = self.lock(tx, pet).await? else { return Ok(()) };
        if state.pet.as_ref().is_some_and(|before| before.time_zone != about.time_zone) {
            days::move_zone(tx, &self.clock, self.days, (pet, &about)).await?;
        }
        // Another species has other priors: what was told so far is told anew.
        self.revise(tx, pet, &about, &state, (&[], &[])).await
    }

    async fn erase_pet(&self, tx: &Tx, event: &Event, pet: PetId) -> Result<(), Failure> {
        let erasing: PetErasing = event.read()?;
        same_pet(&erasing.pet_id, pet)?;
        // Waits for whoever works on the pet; what comes after the lock finds the tombstone.
        states::lock(tx, &self.clock, pet).await?;
        inbox::erase(tx, &self.clock, pet).await?;
        episodes::delete_all(tx, pet).await?;
        day_rows::delete_all(tx, pet).await?;
        windows::delete_all(tx, pet).await?;
        alerts::delete_all(tx, pet).await?;
        zones::delete_all(tx, pet).await?;
        states::delete(tx, pet).await?;
        Ok(outbox::tell_erased(tx, &self.clock, "behavior", pet, self.shards).await?)
    }

    /// The pet's row, locked; `None` where the pet was forgotten while this waited for the lock.
    async fn lock(&self, tx: &Tx, pet: PetId) -> Result<Option<State>, Error> {
        let state = states::lock(tx, &self.clock, pet).await?;
        if inbox::is_erased(tx, pet).await? {
            states::delete(tx, pet).await?;
            return Ok(None);
        }
        Ok(state)
    }

    /// Takes readings into a locked pet's window; writes and tells what that, or what is now known of the pet, changed.
    async fn revise(
        &self,
        tx: &Tx,
        pet: PetId,
        about: &Pet,
        known: &State,
        (readings, reports): (&[Reading], &[Report]),
    ) -> Result<(), Failure> {
        let mut head = known.head.as_deref().map(Head::decode).transpose()?.unwrap_or_default();
        let changes = interpreting::take(tx, pet, about, &mut head, readings).await?;
        let mut watch = known.watch.as_deref().map(Watch::decode).unwrap_or_default();
        let teller = Teller { tx, clock: &self.clock, shards: self.shards };
        teller.watch(pet, about, &head, &mut watch, reports).await?;
        let encoded = head.encode()?;
        let watched = watch.encode().map_err(|error| Failure::Poison(error.to_string()))?;
        // Repeated readings are common.
        let same = known.head.as_ref() == Some(&encoded) && known.watch.as_ref() == Some(&watched);
        if !same || known.pet.as_ref() != Some(about) {
            states::put(tx, &self.clock, pet, about, (&encoded, &watched)).await?;
        }
        self.tell(tx, pet, about, changes).await
    }

    async fn tell(&self, tx: &Tx, pet: PetId, about: &Pet, changes: Changes) -> Result<(), Failure> {
        let Changes { upserts, superseded } = changes;
        episodes::upsert(tx, &self.clock, pet, &upserts).await?;
        let gone = episodes::supersede(tx, &self.clock, pet, &superseded).await?;
        let now_there = upserts.iter().map(|change| (change.episode.start, change.episode.end));
        // What shrank or went leaves days behind that nothing new may touch.
        let was_there = upserts.iter().filter_map(|change| change.was);
        let was_there = was_there.chain(gone.iter().map(|episode| (episode.start_at, episode.end_at)));
        days::touch(tx, &self.clock, self.days, (pet, about), now_there.chain(was_there)).await?;
        let mut news: Vec<(i64, BehaviorChanged)> = Vec::with_capacity(upserts.len() + gone.len());
        for change in &upserts {
            let episode = Episode::of(pet, change);
            let version = episode.version;
            let told = BehaviorChanged {
                episode: Some(convert::episode(episode)),
                superseded: false,
                replaced_by: Vec::new(),
            };
            news.push((version, told));
        }
        for episode in gone {
            let heirs = superseded.iter().find(|superseded| superseded.id == episode.id);
            let replaced_by = heirs.iter().flat_map(|superseded| &superseded.replaced_by).copied();
            let replaced_by = replaced_by.map(|heir| TimelineEventId(heir).to_string()).collect();
            let version = episode.version;
            news.push((
                version,
                BehaviorChanged { episode: Some(convert::episode(episode)), superseded: true, replaced_by },
            ));
        }
        for some in news.chunks(PIPELINE) {
            try_join_all(some.iter().map(|(version, told)| async move {
                let outgoing = Outgoing::of_pet(&topics::BEHAVIOR_CHANGED, pet, *version, self.shards, told);
                outbox::write(tx, &self.clock, &outgoing).await
            }))
            .await?;
        }
        Ok(())
    }
}
