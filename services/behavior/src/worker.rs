//! What the service does with the events it consumes.
//!
//! Invariant: whatever changes of a pet changes under its lock. The episodes are a function of the set of readings, so it does not
//! matter in which order, or how often, these arrive.

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use petty_chassis::events::payload::same_pet;
use petty_chassis::events::{
    Event, Failure, Handler, Part, Unusable, inbox, one_by_one, outbox, topics, versions,
};
use petty_chassis::pets::PetSource;
use petty_chassis::postgres::{Error, Tx};
use petty_chassis::types::{Clock, PetId};
use petty_proto::events::v1::{CollarUnpaired, PetChanged, PetErasing, ReadingsSilent};

use crate::alerting::Teller;
use crate::config::DayConfig;
use crate::days;
use crate::grpc::convert;
use crate::store::days as day_rows;
use crate::store::states::{self, State};
use crate::store::{alerts, episodes, windows, zones};
use crate::taking::{self, Flushed, Taker, Work};

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
        if tells_readings(event) {
            return Ok(convert::parts(event.payload.clone())?);
        }
        Ok(vec![Part { pet: PetId(event.subject), body: event.payload.clone() }])
    }

    fn alone(&self, event: &Event, part: &Part) -> Bytes {
        if tells_readings(event) { convert::alone(part) } else { event.payload.clone() }
    }

    async fn apply(&self, tx: &Tx, event: &Event, part: &Part) -> Result<(), Failure> {
        if tells_readings(event) {
            self.taker(tx).take(vec![Flushed::of(part.pet, &[(event, part)])?]).await
        } else if *event.topic == topics::PET_CHANGED {
            self.change_pet(tx, event, part.pet).await
        } else if *event.topic == topics::PET_ERASING {
            self.erase_pet(tx, event, part.pet).await
        } else if *event.topic == topics::READINGS_SILENT {
            self.fall_silent(tx, event, part.pet).await
        } else if *event.topic == topics::COLLAR_UNPAIRED {
            self.take_off(tx, event, part.pet).await
        } else {
            Err(Failure::Poison(format!("{} is not consumed here", event.topic.name)))
        }
    }

    async fn apply_all(&self, tx: &Tx, parts: &[(&Event, &Part)]) -> Result<(), Failure> {
        // What a pet's readings came between, stays between them.
        for run in parts.chunk_by(|(a, _), (b, _)| tells_readings(a) == tells_readings(b)) {
            if run.first().is_some_and(|(event, _)| tells_readings(event)) {
                let pets: Vec<&[(&Event, &Part)]> = run.chunk_by(|(_, a), (_, b)| a.pet == b.pet).collect();
                let mut rest = &pets[..];
                while !rest.is_empty() {
                    let size = |of: &&[(&Event, &Part)]| of.iter().map(|(_, part)| part.body.len()).sum();
                    let (some, after) = rest.split_at(taking::at_once(rest.iter().map(size)));
                    let flushed = some.iter().filter_map(|of| Some(Flushed::of(of.first()?.1.pet, of)));
                    self.taker(tx).take(flushed.collect::<Result<_, _>>()?).await?;
                    rest = after;
                }
            } else {
                one_by_one(self, tx, run).await?;
            }
        }
        Ok(())
    }
}

impl Worker {
    fn taker<'a>(&'a self, tx: &'a Tx) -> Taker<'a> {
        Taker { tx, clock: &self.clock, shards: self.shards, days: self.days, pets: &*self.pets }
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
        let work = Work { about, state, flushed: Flushed::nothing(pet) };
        self.taker(tx).revise(&[work]).await
    }

    async fn fall_silent(&self, tx: &Tx, event: &Event, pet: PetId) -> Result<(), Failure> {
        let silent: ReadingsSilent = event.read()?;
        same_pet(&silent.pet_id, pet)?;
        let last = silent.last_time.and_then(|last| Timestamp::try_from(last).ok());
        let teller = Teller { tx, clock: &self.clock, shards: self.shards };
        Ok(teller.fell_silent(pet, last.ok_or(Unusable("last_time"))?).await?)
    }

    async fn take_off(&self, tx: &Tx, event: &Event, pet: PetId) -> Result<(), Failure> {
        let unpaired: CollarUnpaired = event.read()?;
        same_pet(&unpaired.pet_id, pet)?;
        let end = unpaired.end_time.and_then(|end| Timestamp::try_from(end).ok());
        let end = end.ok_or(Unusable("end_time"))?;
        if unpaired.worn > 0 {
            return Ok(());
        }
        // Said to have ended earlier, it was worn by the pet for all that anybody knew until then.
        let at = end.max(event.time);
        Ok(Teller { tx, clock: &self.clock, shards: self.shards }.taken_off(pet, at).await?)
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
}

fn tells_readings(event: &Event) -> bool {
    *event.topic == topics::READINGS_ACCEPTED
}
