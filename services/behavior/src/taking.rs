//! Readings of several pets, taken together.
//!
//! Invariants: what is kept of a pet's readings, its episodes and the events that tell of them change together, under the pet's
//! lock; locks are taken in order of pets, so that two who take readings wait for each other and not on each other. What comes of
//! a pet does not depend on whom it is taken with.

use std::collections::HashMap;

use futures::future::try_join_all;
use petty_chassis::events::{Event, Failure, Outgoing, Part, inbox, outbox, topics, versions};
use petty_chassis::pets::PetSource;
use petty_chassis::postgres::{Error, Tx};
use petty_chassis::telemetry;
use petty_chassis::types::{Clock, PetId, TimelineEventId};
use petty_proto::events::v1::BehaviorChanged;
use uuid::Uuid;

use crate::alerting::Teller;
use crate::config::DayConfig;
use crate::days;
use crate::domain::alerts::{Report, Watch};
use crate::domain::v1::Head;
use crate::domain::zone::Zone;
use crate::domain::{Changes, EpisodeChange, Reading, Superseded};
use crate::grpc::convert;
use crate::interpreting::{self, Take};
use crate::pets::Pet;
use crate::store::days as day_rows;
use crate::store::episodes::{self, Episode, Upsert};
use crate::store::states::{self, Put, State};
use crate::store::zones;

/// So many pets are read and written together at most, a statement each would add up; and so many bytes of readings that came of them, some
/// four thousand: each pet has about an hour of readings in memory meanwhile, as close together as those that came.
const PETS_AT_ONCE: usize = 64;
const BYTES_AT_ONCE: usize = 256 << 10;

/// A pet's readings, of one event or of several.
#[derive(Debug)]
pub(crate) struct Flushed {
    pub(crate) pet: PetId,
    readings: Vec<Reading>,
    reports: Vec<Report>,
    /// Of the last event.
    traceparent: String,
}

/// A locked pet, and what is to be done with it.
#[derive(Debug)]
pub(crate) struct Work {
    pub(crate) about: Pet,
    pub(crate) state: State,
    pub(crate) flushed: Flushed,
}

/// What came of it.
struct Revised {
    pet: PetId,
    about: Pet,
    put: Option<Put>,
    changes: Changes,
    traceparent: String,
}

/// What taking readings needs.
pub(crate) struct Taker<'a> {
    pub(crate) tx: &'a Tx,
    pub(crate) clock: &'a Clock,
    pub(crate) shards: i16,
    pub(crate) days: DayConfig,
    pub(crate) pets: &'a dyn PetSource,
}

impl Flushed {
    /// Of a pet's parts of some events, in the order in which they came.
    pub(crate) fn of(pet: PetId, parts: &[(&Event, &Part)]) -> Result<Self, Failure> {
        let mut flushed = Self::nothing(pet);
        for (event, part) in parts {
            for read in convert::readings(part)? {
                let (reading, report) = read?;
                flushed.readings.push(reading);
                flushed.reports.push(report);
            }
            flushed.traceparent = event.span().in_scope(telemetry::traceparent).unwrap_or_default();
        }
        Ok(flushed)
    }

    /// No readings, told in the trace that this is done in.
    pub(crate) fn nothing(pet: PetId) -> Self {
        let traceparent = telemetry::traceparent().unwrap_or_default();
        Self { pet, readings: Vec::new(), reports: Vec::new(), traceparent }
    }
}

/// How many of the first of some pets are taken together, by how many bytes came of each: one at least, where there is one.
pub(crate) fn at_once(sizes: impl Iterator<Item = usize>) -> usize {
    let mut bytes = 0;
    let fits = |(nth, size): &(usize, usize)| {
        bytes += size;
        *nth == 0 || bytes <= BYTES_AT_ONCE
    };
    sizes.take(PETS_AT_ONCE).enumerate().take_while(fits).count()
}

impl Taker<'_> {
    /// Takes readings of pets, each once and in order.
    pub(crate) async fn take(&self, flushed: Vec<Flushed>) -> Result<(), Failure> {
        let pets: Vec<Uuid> = flushed.iter().map(|flushed| flushed.pet.0).collect();
        // Before the locks: nobody should wait for another service's answer.
        let known = states::known_of(self.tx, &pets).await?;
        let mut described = HashMap::new();
        for Flushed { pet, .. } in flushed.iter().filter(|flushed| !known.contains(&flushed.pet)) {
            if let Some(about) = self.describe(*pet).await? {
                described.insert(*pet, about);
            }
        }
        let mut locked = states::lock_all(self.tx, self.clock, &pets).await?;
        let erased = inbox::erased_of(self.tx, flushed.iter().map(|flushed| flushed.pet)).await?;
        let mut work = Vec::with_capacity(flushed.len());
        for flushed in flushed {
            let pet = flushed.pet;
            let Some(state) = locked.remove(&pet) else { continue };
            // What was consumed meanwhile is newer than what was asked, unless auth's answer is of a version that nobody had heard of.
            let about = match described.remove(&pet) {
                Some((about, true)) => Some(about),
                Some((about, false)) => state.pet.clone().or(Some(about)),
                None => state.pet.clone(),
            };
            match about.filter(|_| !erased.contains(&pet)) {
                Some(about) => work.push(Work { about, state, flushed }),
                None => states::delete(self.tx, pet).await?,
            }
        }
        self.revise(&work).await
    }

    /// Asks about a pet that nothing is known of, and whether that is newer than what was heard of it. `None` where it is gone.
    async fn describe(&self, pet: PetId) -> Result<Option<(Pet, bool)>, Failure> {
        let Some(described) = self.pets.describe(pet).await? else {
            tracing::info!(pet.id = %pet, "readings of a pet that is gone are left out");
            return Ok(None);
        };
        let version = i64::from(described.version);
        let about = convert::pet(described)?;
        // So that an older `pet.changed`, still on its way, does not undo what auth said by now.
        let newer = versions::advance(self.tx, "pet", pet.0, version, false).await?;
        Ok(Some((about, newer)))
    }

    /// Takes readings into locked pets' windows; writes and tells what that, or what is now known of the pets, changed.
    pub(crate) async fn revise(&self, work: &[Work]) -> Result<(), Failure> {
        let revised = self.revise_all(work).await?;
        let puts: Vec<&Put> = revised.iter().filter_map(|revised| revised.put.as_ref()).collect();
        states::put(self.tx, self.clock, &puts).await?;
        self.tell(&revised).await?;
        Ok(())
    }

    async fn revise_all(&self, work: &[Work]) -> Result<Vec<Revised>, Failure> {
        let takes = work.iter().map(|Work { about, state, flushed }| {
            let head = state.head.as_deref().map(Head::decode).transpose()?.unwrap_or_default();
            Ok(Take { pet: flushed.pet, about, head, readings: &flushed.readings })
        });
        let mut takes: Vec<Take<'_>> = takes.collect::<Result<_, Failure>>()?;
        let changes = interpreting::take_all(self.tx, &mut takes).await?;
        let placed = work.iter().filter(|work| work.flushed.reports.iter().any(|one| one.position.is_some()));
        let placed: Vec<Uuid> = placed.map(|work| work.flushed.pet.0).collect();
        let zones = zones::all_of(self.tx, &placed).await?;
        let all = work.iter().zip(takes.iter().zip(changes));
        try_join_all(all.map(|(work, (take, changes))| {
            let zones = zones.get(&take.pet).map_or(&[][..], Vec::as_slice);
            self.watch(work, &take.head, zones, changes)
        }))
        .await
    }

    async fn watch(
        &self,
        Work { about, state, flushed: Flushed { pet, reports, traceparent, .. } }: &Work,
        head: &Head,
        zones: &[Zone],
        mut changes: Changes,
    ) -> Result<Revised, Failure> {
        let pet = *pet;
        let mut watch = state.watch.as_deref().map(Watch::decode).unwrap_or_default();
        let teller = Teller { tx: self.tx, clock: self.clock, shards: self.shards };
        teller.watch((pet, about), head, &mut watch, (reports, zones)).await?;
        if watch.is_silent() || watch.is_bare() {
            changes.end();
        }
        let head = head.encode()?;
        let watch = watch.encode().map_err(|error| Failure::Poison(error.to_string()))?;
        // Repeated readings are common.
        let same = state.head.as_ref() == Some(&head) && state.watch.as_ref() == Some(&watch);
        let same = same && state.pet.as_ref() == Some(about);
        let put = (!same).then(|| Put { pet, about: about.clone(), head, watch });
        Ok(Revised { pet, about: about.clone(), put, changes, traceparent: traceparent.clone() })
    }

    async fn tell(&self, all: &[Revised]) -> Result<(), Error> {
        let changes: Vec<(PetId, &EpisodeChange)> =
            all.iter().flat_map(|one| one.changes.upserts.iter().map(|change| (one.pet, change))).collect();
        // What merely goes on is told now and then, and once nothing more comes (`untold`).
        let growing = changes.iter().filter(|(_, change)| change.was.is_some() && change.episode.open);
        let growing: Vec<Uuid> = growing.map(|(_, change)| change.id).collect();
        let mut told = episodes::told_of(self.tx, &growing).await?;
        told.retain(|id, told| {
            changes.iter().any(|(_, change)| change.id == *id && told.will_do_for(&change.episode))
        });
        let upserts: Vec<Upsert<'_>> = changes
            .iter()
            .map(|(pet, change)| Upsert { pet: *pet, change, told: told.get(&change.id).copied() })
            .collect();
        let superseded: Vec<(PetId, &Superseded)> =
            all.iter().flat_map(|one| one.changes.superseded.iter().map(|gone| (one.pet, gone))).collect();
        let upserts_told = upserts.len() - told.len();
        episodes::upsert(self.tx, self.clock, &upserts).await?;
        let mut gone: HashMap<Uuid, Episode> = episodes::supersede(self.tx, self.clock, &superseded)
            .await?
            .into_iter()
            .map(|episode| (episode.id, episode))
            .collect();
        let (mut dues, now) = (Vec::new(), self.clock.now());
        let mut news = outbox::Batch::new(self.clock);
        for Revised { pet, about, changes: Changes { upserts, superseded }, traceparent, .. } in all {
            let now_there = upserts.iter().map(|change| (change.episode.start, change.episode.end));
            // What shrank or went leaves days behind that nothing new may touch.
            let was_there = upserts.iter().filter_map(|change| change.was);
            let went = superseded.iter().filter_map(|superseded| gone.get(&superseded.id));
            let was_there = was_there.chain(went.map(|episode| (episode.start_at, episode.end_at)));
            dues.extend(days::touched_by(now, self.days, (*pet, about), now_there.chain(was_there)));
            let mut add = |episode: Episode, replaced_by: Option<&Vec<Uuid>>| {
                let version = episode.version;
                let heirs = replaced_by.into_iter().flatten();
                let told = BehaviorChanged {
                    episode: Some(convert::episode(episode)),
                    superseded: replaced_by.is_some(),
                    replaced_by: heirs.map(|heir| TimelineEventId(*heir).to_string()).collect(),
                };
                let outgoing = Outgoing::of_pet(&topics::BEHAVIOR_CHANGED, *pet, version, self.shards, &told);
                news.add(self.clock, &outgoing, traceparent);
            };
            for change in upserts.iter().filter(|change| !told.contains_key(&change.id)) {
                add(Episode::of(*pet, change), None);
            }
            for superseded in superseded {
                if let Some(episode) = gone.remove(&superseded.id) {
                    add(episode, Some(&superseded.replaced_by));
                }
            }
        }
        day_rows::touch(self.tx, self.clock, &dues).await?;
        if upserts_told == 0 && superseded.is_empty() { Ok(()) } else { news.write(self.tx).await }
    }
}

#[cfg(test)]
mod tests {
    use super::{BYTES_AT_ONCE, PETS_AT_ONCE, at_once};

    #[test]
    fn as_many_pets_are_taken_as_fit_and_always_one() {
        let fit = |sizes: &[usize]| at_once(sizes.iter().copied());
        assert_eq!(fit(&[]), 0);
        assert_eq!(fit(&[BYTES_AT_ONCE + 1, 1]), 1);
        assert_eq!(fit(&[1, BYTES_AT_ONCE, 1]), 1);
        assert_eq!(fit(&[1, BYTES_AT_ONCE - 1, 1]), 2);
        assert_eq!(fit(&[1; PETS_AT_ONCE + 1]), PETS_AT_ONCE);
    }
}
