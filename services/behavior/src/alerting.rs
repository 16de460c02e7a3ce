//! Alerts: raised by readings, by their absence, and by time; told as `alert.changed`.
//!
//! Invariants: whoever changes an alert of a pet holds the pet's lock, so that each is raised once and told in order, whichever
//! replica does it; what is to be done at a time stands in the database and is taken by one statement.

use jiff::{SignedDuration, Timestamp};
use petty_chassis::calendar;
use petty_chassis::events::{Outgoing, inbox, outbox, topics};
use petty_chassis::postgres::{Db, Error, Tx};
use petty_chassis::types::{Behavior, Clock, PetId};
use petty_proto::events::v1::{AlertChanged, BehaviorChanged};
use uuid::Uuid;

use crate::domain::alerts::due::{self, Lying};
use crate::domain::alerts::machine::{self, Alert};
use crate::domain::alerts::{Context, Kind, Report, Signal, Watch};
use crate::domain::v1::{Head, Own};
use crate::domain::zone::Zone;
use crate::grpc::convert;
use crate::pets::Pet;
use crate::store::{alerts, episodes, states};

/// A silent collar.
const SILENCE: &str = "silence";
/// A pet that lies about.
const INACTIVITY: &str = "inactivity";
/// What was due so long ago was due while this service was away; and so long what waits for it then may take.
const LATE: SignedDuration = SignedDuration::from_mins(2);
/// So much that is due is looked at before looking again.
const BATCH: i64 = 100;

/// What writes alerts down and tells of them.
#[derive(Clone, Debug)]
pub struct Alerting {
    db: Db,
    clock: Clock,
    shards: i16,
}

/// What is told of alerts within a transaction.
pub(crate) struct Teller<'a> {
    pub(crate) tx: &'a Tx,
    pub(crate) clock: &'a Clock,
    pub(crate) shards: i16,
}

impl Teller<'_> {
    /// Takes a locked pet's readings, and does what they say. The watch is the caller's to keep. `zones`: the pet's, where readings say where
    /// it is.
    pub(crate) async fn watch(
        &self,
        (pet, about): (PetId, &Pet),
        head: &Head,
        watch: &mut Watch,
        (reports, zones): (&[Report], &[Zone]),
    ) -> Result<(), Error> {
        let now = self.clock.now();
        if !watch.is_news(reports, now.as_microsecond()) {
            return Ok(());
        }
        let zone = calendar::zone(&about.time_zone);
        let own = head.own().unwrap_or_else(|| Own::expected(about.kin(), now.as_microsecond()));
        let context = Context { species: about.species, zone: &zone, zones, own };
        let signals = watch.take(&context, reports, now.as_microsecond());
        for signal in &signals {
            self.signal(pet, about, signal).await?;
        }
        let from = watch.silent_from().and_then(|from| Timestamp::from_microsecond(from).ok());
        if let Some(from) = from.filter(|_| !watch.armed) {
            alerts::arm(self.tx, pet, SILENCE, from).await?;
            alerts::arm(self.tx, pet, INACTIVITY, now.saturating_add(due::LOOK).unwrap_or(now)).await?;
            watch.armed = true;
        }
        Ok(())
    }

    /// What a signal does to the pet's alert of its kind.
    pub(crate) async fn signal(&self, pet: PetId, about: &Pet, signal: &Signal) -> Result<(), Error> {
        let last = alerts::last(self.tx, pet, signal.kind).await?;
        let (settings, _) = alerts::settings(self.tx, pet).await?;
        let zone = calendar::zone(&about.time_zone);
        // A function of pet, kind and time: told again after a rollback, it is the same.
        let name = format!("alert/{}/{}", signal.kind.slug(), signal.at.as_microsecond());
        let id = Uuid::new_v5(&pet.0, name.as_bytes());
        let now = (self.clock.now(), &zone);
        match machine::on_signal(last.as_ref(), &settings, signal, now, id) {
            Some(alert) => self.put(pet, &alert).await,
            None => Ok(()),
        }
    }

    /// Writes an alert's next version, and tells of it.
    pub(crate) async fn put(&self, pet: PetId, alert: &Alert) -> Result<(), Error> {
        alerts::put(self.tx, self.clock, pet, alert).await?;
        let told = AlertChanged { alert: Some(convert::alert(pet, alert)) };
        let outgoing = Outgoing::of_pet(&topics::ALERT_CHANGED, pet, alert.version, self.shards, &told);
        outbox::write(self.tx, self.clock, &outgoing).await.map(|_| ())
    }
}

impl Alerting {
    /// Over the service's own database, telling into so many shards.
    #[must_use]
    pub fn new(db: Db, clock: Clock, shards: i16) -> Self {
        Self { db, clock, shards }
    }

    /// Does all that is due; how much.
    ///
    /// # Errors
    /// Where something could not be done; the rest is.
    pub async fn do_due(&self) -> Result<usize, Error> {
        let (mut done, mut failed) = (0, None);
        loop {
            let now = self.clock.now();
            let due = self.db.read("dues", |tx| async move { alerts::dues(&tx, now, BATCH).await }).await?;
            for (pet, what) in &due {
                let (pet, what) = (*pet, what.as_str());
                let looked = self
                    .db
                    .transaction("look_at_pet", |tx| async move { self.look(&tx, pet, what).await })
                    .await;
                match looked {
                    Ok(one) => done += usize::from(one),
                    // One that fails holds up no other; it is still due.
                    Err(error) => failed = Some(error),
                }
            }
            if failed.is_some() || due.len() < usize::try_from(BATCH).unwrap_or(usize::MAX) {
                break;
            }
        }
        // Nor does it hold up what nobody has seen.
        let escalated = self.escalate_due().await;
        match failed {
            Some(error) => Err(error),
            None => Ok(done + escalated?),
        }
    }

    /// Tells once more what nobody has seen.
    async fn escalate_due(&self) -> Result<usize, Error> {
        let (mut done, mut failed) = (0, None);
        loop {
            let now = self.clock.now();
            let due =
                self.db.read("due_alerts", |tx| async move { alerts::due(&tx, now, BATCH).await }).await?;
            for (pet, id) in &due {
                let (pet, id) = (*pet, *id);
                let one = self.db.transaction("escalate_alert", |tx| async move {
                    let teller = self.teller(&tx);
                    let Some((about, _)) = teller.lock(pet).await? else { return Ok(false) };
                    let zone = calendar::zone(&about.time_zone);
                    let (settings, _) = alerts::settings(&tx, pet).await?;
                    let alert = alerts::lock(&tx, pet, id).await?;
                    let told = alert.and_then(|alert| machine::escalate(&alert, &settings, (now, &zone)));
                    let Some(told) = told else { return Ok(false) };
                    teller.put(pet, &told).await.map(|()| true)
                });
                match one.await {
                    Ok(one) => done += usize::from(one),
                    Err(error) => failed = Some(error),
                }
            }
            if let Some(error) = failed {
                return Err(error);
            }
            if due.len() < usize::try_from(BATCH).unwrap_or(usize::MAX) {
                return Ok(done);
            }
        }
    }

    /// Looks at a pet though nothing arrived, if that is still due.
    async fn look(&self, tx: &Tx, pet: PetId, what: &str) -> Result<bool, Error> {
        let teller = self.teller(tx);
        let Some((about, mut watch)) = teller.lock(pet).await? else { return Ok(false) };
        let now = self.clock.now();
        let Some(due) = alerts::take_due(tx, pet, what, now).await? else { return Ok(false) };
        let from = watch.silent_from().and_then(|from| Timestamp::from_microsecond(from).ok());
        if what == SILENCE {
            // It said something since: the next look is when it would be silent from now.
            if let Some(from) = from.filter(|from| *from > now) {
                alerts::arm(tx, pet, SILENCE, from).await?;
            } else if now.duration_since(due) > LATE {
                // Nobody looked when it was due, so readings may wait to be taken as well: those come first.
                alerts::arm(tx, pet, SILENCE, now.saturating_add(LATE).unwrap_or(now)).await?;
            } else {
                teller.silence(pet, &about, &mut watch).await?;
            }
            return Ok(true);
        }
        // A collar that is silent says nothing of its pet; its next reading arms this again.
        if from.is_some_and(|from| from > now) {
            teller.lying(pet, &about, now).await?;
            alerts::arm(tx, pet, INACTIVITY, now.saturating_add(due::LOOK).unwrap_or(now)).await?;
        } else {
            watch.armed = false;
            states::put_watch(tx, pet, &watch).await?;
        }
        Ok(true)
    }

    fn teller<'a>(&'a self, tx: &'a Tx) -> Teller<'a> {
        Teller { tx, clock: &self.clock, shards: self.shards }
    }
}

impl Teller<'_> {
    /// A pet's row, locked; `None` where nothing is known of it, or no more.
    async fn lock(&self, pet: PetId) -> Result<Option<(Pet, Watch)>, Error> {
        let state = states::lock_known(self.tx, pet).await?;
        let erased = inbox::is_erased(self.tx, pet).await?;
        let known = state.filter(|_| !erased).and_then(|state| {
            let watch = state.watch.as_deref().map(Watch::decode).unwrap_or_default();
            Some((state.pet?, watch))
        });
        if known.is_none() {
            alerts::forget_dues(self.tx, pet).await?;
        }
        Ok(known)
    }

    /// Ingest has heard nothing of a pet's collar since a reading, though it was due: what the pet did goes on no longer, and whether the
    /// owner is to know is looked at as soon as that is so. Where another collar of the pet was heard since, or that reading is
    /// still on its way here, this says nothing: then the look by its own due time decides.
    pub(crate) async fn fell_silent(&self, pet: PetId, last: Timestamp) -> Result<(), Error> {
        let Some((about, mut watch)) = self.lock(pet).await? else { return Ok(()) };
        if watch.at() != Some(last.as_microsecond()) || watch.is_silent() {
            return Ok(());
        }
        let Some(from) = watch.silent_from().and_then(|from| Timestamp::from_microsecond(from).ok()) else {
            return self.end_open(pet, &watch).await;
        };
        if from > self.clock.now() {
            alerts::arm_sooner(self.tx, pet, SILENCE, from).await?;
            return self.end_open(pet, &watch).await;
        }
        alerts::disarm(self.tx, pet, SILENCE).await?;
        self.silence(pet, &about, &mut watch).await
    }

    /// The pet's last collar was taken off it: that it says nothing is no silence, and what it did goes on no longer.
    pub(crate) async fn taken_off(&self, pet: PetId, at: Timestamp) -> Result<(), Error> {
        let Some((about, mut watch)) = self.lock(pet).await? else { return Ok(()) };
        let over = watch.take_off(at);
        if over.is_empty() {
            return Ok(());
        }
        alerts::forget_dues(self.tx, pet).await?;
        states::put_watch(self.tx, pet, &watch).await?;
        self.end_open(pet, &watch).await?;
        for signal in &over {
            self.signal(pet, &about, signal).await?;
        }
        Ok(())
    }

    /// The pet's collar is silent, as far as it can be told. Its next reading notes again when to look.
    async fn silence(&self, pet: PetId, about: &Pet, watch: &mut Watch) -> Result<(), Error> {
        let now = self.clock.now();
        let last = alerts::last(self.tx, pet, Kind::SilentCollar).await?;
        let signal = match due::silence(watch, last.as_ref(), now) {
            Ok(signal) => signal,
            Err(until) => {
                alerts::arm(self.tx, pet, SILENCE, until).await?;
                return self.end_open(pet, watch).await;
            }
        };
        states::put_watch(self.tx, pet, watch).await?;
        self.end_open(pet, watch).await?;
        match signal {
            Some(signal) => self.signal(pet, about, &signal).await,
            None => Ok(()),
        }
    }

    /// What the pet did when it was last heard of is not known to go on: told as ended there, until its collar says otherwise.
    async fn end_open(&self, pet: PetId, watch: &Watch) -> Result<(), Error> {
        let Some(at) = watch.at().and_then(|at| Timestamp::from_microsecond(at).ok()) else { return Ok(()) };
        for episode in episodes::end_open(self.tx, self.clock, pet, at).await? {
            let version = episode.version;
            let told = BehaviorChanged { episode: Some(convert::episode(episode)), ..Default::default() };
            let outgoing = Outgoing::of_pet(&topics::BEHAVIOR_CHANGED, pet, version, self.shards, &told);
            outbox::write(self.tx, self.clock, &outgoing).await?;
        }
        Ok(())
    }

    /// Whether the pet has been lying for most of the day, and longer than it is wont to.
    async fn lying(&self, pet: PetId, about: &Pet, now: Timestamp) -> Result<(), Error> {
        let zone = calendar::zone(&about.time_zone);
        let since = now.saturating_sub(due::HABIT).unwrap_or(now);
        let moves = episodes::times(self.tx, pet, since, Behavior::moves).await?;
        let said = match due::lying(&zone, now, &moves) {
            Lying::No(said) => said,
            Lying::Since(lay) => {
                let rests = episodes::times(self.tx, pet, lay.bounds.start, Behavior::is_rest).await?;
                lay.told(&zone, &rests, &moves)
            }
        };
        match said {
            Some(signal) => self.signal(pet, about, &signal).await,
            None => Ok(()),
        }
    }
}
