//! Days: noted while episodes change, and their totals told once they are over.
//!
//! Invariants: of every change a telling comes that includes it; of several replicas one tells; what did not change is not
//! told again. Whoever notes or tells holds the pet's lock.

use std::collections::BTreeMap;

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp, ToSpan as _};
use petty_chassis::calendar::{self, Bounds, touched, zone};
use petty_chassis::events::{Outgoing, inbox, outbox, topics};
use petty_chassis::postgres::{Db, Error, Tx};
use petty_chassis::types::{Clock, PetId};
use petty_proto::events::v1::DayClosed;

use crate::alerting::Teller;
use crate::config::DayConfig;
use crate::domain::alerts::due;
use crate::domain::history::{Day, TREND_DAYS};
use crate::domain::v1::rules::VERSION;
use crate::domain::{Totals, nights};
use crate::grpc::convert;
use crate::pets::Pet;
use crate::store::days::Due;
use crate::store::{days, states};

/// So many due days are looked at before looking again.
const BATCH: i64 = 100;
/// How far back days follow a pet into another time zone: as far as readings may come late.
const REOPENED: SignedDuration = SignedDuration::from_hours(31 * 24);

/// The days of a pet that changed spans touch, and when they are due. `spans` are of episodes as they are and as they were.
pub(crate) fn touched_by(
    now: Timestamp,
    config: DayConfig,
    (pet, about): (PetId, &Pet),
    spans: impl Iterator<Item = (Timestamp, Timestamp)>,
) -> Vec<Due> {
    let zone = zone(&about.time_zone);
    let mut due: BTreeMap<Date, Timestamp> = BTreeMap::new();
    for date in spans.flat_map(|(start, end)| touched(start, end, &zone)) {
        // A day at the edge of the calendar has no bounds, and no reading is of it.
        let Some(day) = Bounds::of(date, &zone) else { continue };
        let over = day.end.saturating_add(config.grace).unwrap_or(Timestamp::MAX);
        let settled = now.saturating_add(config.settle).unwrap_or(Timestamp::MAX);
        due.insert(date, if over > now { over } else { settled });
    }
    due.into_iter().map(|(date, at)| Due { pet, date, at }).collect()
}

/// Notes that a pet's days are others now: it lives in another time zone.
pub(crate) async fn move_zone(
    tx: &Tx,
    clock: &Clock,
    config: DayConfig,
    (pet, about): (PetId, &Pet),
) -> Result<(), Error> {
    let now = clock.now();
    let since = calendar::date(now.saturating_sub(REOPENED).unwrap_or(now), &zone(&about.time_zone));
    let due = now.saturating_add(config.settle).unwrap_or(now);
    days::reopen(tx, clock, pet, since, due).await
}

/// Tells the totals of days whose time has come.
#[derive(Clone, Debug)]
pub struct Closer {
    db: Db,
    clock: Clock,
    config: DayConfig,
    shards: i16,
}

impl Closer {
    /// Over the service's own database, telling into so many shards.
    #[must_use]
    pub fn new(db: Db, clock: Clock, config: DayConfig, shards: i16) -> Self {
        Self { db, clock, config, shards }
    }

    /// Tells all that is due; how many days.
    ///
    /// # Errors
    /// Where a day could not be told; the others are.
    pub async fn close_due(&self) -> Result<usize, Error> {
        let mut told = 0;
        let mut failed = None;
        loop {
            let now = self.clock.now();
            let due = self.db.read("due_days", |tx| async move { days::due(&tx, now, BATCH).await }).await?;
            for (pet, date) in &due {
                let (pet, date) = (*pet, *date);
                let closed =
                    self.db.transaction("close_day", |tx| async move { self.close(&tx, pet, date).await });
                match closed.await {
                    Ok(one) => told += usize::from(one),
                    // One that cannot be told holds up no other; it is still due.
                    Err(error) => failed = Some(error),
                }
            }
            if let Some(error) = failed {
                return Err(error);
            }
            // Each was taken, here or elsewhere: the next look finds others.
            if due.len() < usize::try_from(BATCH).unwrap_or(usize::MAX) {
                return Ok(told);
            }
        }
    }

    /// Tells one day, if it is still due and its totals changed.
    async fn close(&self, tx: &Tx, pet: PetId, date: Date) -> Result<bool, Error> {
        let state = states::lock(tx, &self.clock, pet).await?;
        let erased = inbox::is_erased(tx, pet).await?;
        let Some(about) = state.and_then(|state| state.pet).filter(|_| !erased) else {
            // The lock may have made a row of what is gone.
            states::delete(tx, pet).await?;
            days::delete_all(tx, pet).await?;
            return Ok(false);
        };
        let Some(taken) = days::take(tx, &self.clock, pet, date).await? else { return Ok(false) };
        let Some(day) = Bounds::of(date, &zone(&about.time_zone)) else { return Ok(false) };
        let over = day.end.saturating_add(self.config.grace).unwrap_or(Timestamp::MAX);
        if over > self.clock.now() {
            // The pet moved west: by the clock that it lives by now the day goes on.
            days::touch(tx, &self.clock, &[Due { pet, date, at: over }]).await?;
            return Ok(false);
        }
        let nights = nights(date, day, &zone(&about.time_zone));
        let stretches = days::stretches(tx, pet, day).await?;
        let totals = Totals { time_zone: about.time_zone.clone(), ..Totals::of(&stretches, day, &nights) };
        // Of a day that is one by no reading there is nothing to tell.
        let is_none = taken.totals.is_none() && stretches.is_empty();
        if is_none || taken.totals.as_ref() == Some(&totals) {
            return Ok(false);
        }
        let version = taken.version.saturating_add(1);
        days::tell(tx, pet, date, version, &totals).await?;
        self.look_back(tx, pet, &about, date, day).await?;
        let closed = DayClosed {
            pet_id: pet.to_string(),
            date: date.to_string(),
            time_zone: about.time_zone,
            start_time: Some(day.start.into()),
            end_time: Some(day.end.into()),
            version,
            covered_minutes: totals.covered_minutes,
            behaviors: convert::shares(&totals),
            distance_m: totals.distance_m,
            resting_heart_rate: totals.resting_heart_rate,
            rule_version: VERSION.to_owned(),
            motion_minutes: Some(totals.motion_minutes()),
        };
        let topic = &topics::BEHAVIOR_DAY_CLOSED;
        outbox::write(tx, &self.clock, &Outgoing::of_pet(topic, pet, version.into(), self.shards, &closed))
            .await?;
        Ok(true)
    }

    /// What a pet's days say together, once the newest of them is told.
    async fn look_back(
        &self,
        tx: &Tx,
        pet: PetId,
        about: &Pet,
        date: Date,
        day: Bounds,
    ) -> Result<(), Error> {
        let told = days::told(tx, pet, date.saturating_sub(TREND_DAYS.days())).await?;
        if told.last().is_none_or(|(last, _)| *last != date) {
            // A day of the past that changed: what is told of now follows from the newest.
            return Ok(());
        }
        let known: Vec<Day> = told.iter().filter_map(|(date, totals)| Day::of(*date, totals)).collect();
        let teller = Teller { tx, clock: &self.clock, shards: self.shards };
        for signal in due::look_back(&known, day.end) {
            teller.signal(pet, about, &signal).await?;
        }
        Ok(())
    }
}
