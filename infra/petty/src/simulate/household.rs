//! Simulated pets as the API knows them: found again or added, each with a collar of its own, and sent for.

use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use petty_chassis::Shutdown;
use secrecy::SecretString;

use super::pet::Pet;
use super::reading::Reading;
use super::stream::Stream;
use crate::client::patience::{Listener, persist};
use crate::client::wearer::{self, Sent, Wearer};
use crate::client::{self, BATCH, Client, Error, REACH};

/// What is being sent may take this much longer when everything stops.
const GRACE: Duration = Duration::from_secs(5);

/// An account, and what is there of it already.
pub(crate) struct Household<'a> {
    pub(crate) client: &'a Client,
    pub(crate) token: &'a SecretString,
    /// The account's pets.
    pub(crate) known: &'a [client::Pet],
    pub(crate) now: Timestamp,
    /// Tells this run from another.
    pub(crate) run: String,
    pub(crate) listener: Listener<'a>,
}

/// A simulated pet with its collar on.
pub(crate) struct Member {
    stream: Stream,
    wearer: Wearer,
    /// Taken from the stream, not acknowledged yet.
    pending: Vec<Reading>,
}

impl Household<'_> {
    /// The pet with that collar on: the one that wears it already, or else a new one. Readings begin at `from` (of the pet
    /// where it really lives), and not before the collar was put on.
    pub(crate) async fn equip(
        &self,
        mut pet: Pet,
        collar_id: String,
        from: impl FnOnce(&Pet) -> Timestamp,
    ) -> Result<Member, Error> {
        let Self { client, token, listener, .. } = *self;
        let found = self.find(&pet, &collar_id).await?;
        let key = |what: &str| format!("{collar_id}-{}-{what}", self.run);
        let (pet_id, secret, since) = match found {
            Some((known, collar)) => {
                // It lives where its owner says.
                if let Ok(zone) = TimeZone::get(&known.time_zone)
                    && *pet.zone != *known.time_zone
                {
                    pet.live_in(zone);
                }
                let (secret, since) = match collar.end_time {
                    // The secret was shown once, and is not kept.
                    None => {
                        let rotate = || client.rotate_secret(token, &known.pet_id, &collar_id);
                        (persist(listener, rotate).await?, collar.start_time)
                    }
                    Some(end) => (self.pair(&known.pet_id, &collar_id, end, &key("collar")).await?, end),
                };
                (known.pet_id.clone(), secret, since)
            }
            None => {
                let new = pet.as_new(self.now.to_zoned(pet.time_zone.clone()).date());
                let key_of_pet = key("pet");
                let pet_id = persist(listener, || client.create_pet(token, &new, &key_of_pet)).await?;
                let since = self.now - REACH;
                let secret = self.pair(&pet_id, &collar_id, since, &key("collar")).await?;
                (pet_id, secret, since)
            }
        };
        let from = from(&pet).max(since);
        let wearer = Wearer::sign_in(client, &pet.name, pet_id, &collar_id, secret, listener).await?;
        Ok(Member { stream: Stream::new(pet, collar_id, from), wearer, pending: Vec::new() })
    }

    async fn pair(
        &self,
        pet_id: &str,
        collar_id: &str,
        since: Timestamp,
        key: &str,
    ) -> Result<SecretString, Error> {
        let since = since.max(self.now - REACH);
        wearer::pair(self.client, self.token, pet_id, collar_id, since, key, self.listener).await
    }

    /// The pet of that name that wears the collar, or wore it last.
    async fn find(
        &self,
        pet: &Pet,
        collar_id: &str,
    ) -> Result<Option<(&client::Pet, client::Collar)>, Error> {
        for known in self.known.iter().filter(|known| known.name == pet.name) {
            let collars = persist(self.listener, || self.client.collars(self.token, &known.pet_id)).await?;
            if let Some(collar) = collars.into_iter().find(|collar| collar.collar_id == collar_id) {
                return Ok(Some((known, collar)));
            }
        }
        Ok(None)
    }
}

impl Member {
    /// What became of its readings so far.
    pub(crate) fn sent(&self) -> &Sent {
        &self.wearer.sent
    }

    /// The next moment it may be read at.
    pub(crate) fn next(&self) -> Timestamp {
        self.stream.next()
    }

    /// Begins later than it would.
    pub(crate) fn seek(&mut self, to: Timestamp) {
        if to > self.stream.next() {
            self.stream.seek(to);
        }
    }

    /// About how many readings there are up to a moment.
    pub(crate) fn ahead(&self, to: Timestamp, interval: SignedDuration) -> i64 {
        (to.as_second() - self.next().as_second()).max(0) / interval.as_secs().max(1)
    }

    /// How long until the next reading.
    pub(crate) fn due_in(&self, now: Timestamp, interval: SignedDuration) -> Duration {
        let wait = self.stream.upcoming(interval).duration_since(now);
        // Never at once: where sending fails for good, that would be all this does.
        Duration::try_from(wait).unwrap_or_default().max(Duration::from_millis(200))
    }

    /// Sends all readings up to a moment; false where some are left over.
    pub(crate) async fn send(
        &mut self,
        client: &Client,
        to: Timestamp,
        interval: SignedDuration,
        listener: Listener<'_>,
        shutdown: &Shutdown,
    ) -> bool {
        loop {
            if self.pending.is_empty() {
                if shutdown.is_draining() {
                    return self.stream.upcoming(interval) > to;
                }
                self.pending = self.stream.take(to, interval, BATCH);
                self.wearer.sent.readings += self.pending.len();
            }
            if self.pending.is_empty() {
                return true;
            }
            let over = async {
                shutdown.draining().await;
                tokio::time::sleep(GRACE).await;
            };
            let posted = tokio::select! {
                posted = self.wearer.post(client, &self.pending, listener) => posted.map_err(|error| error.to_string()),
                () = over => Err("stopped before it was acknowledged".to_owned()),
            };
            match posted {
                Ok(()) => {
                    self.pending.clear();
                    self.wearer.sent.gave_up = None;
                }
                Err(error) => {
                    self.wearer.sent.gave_up = Some(error);
                    return false;
                }
            }
        }
    }

    /// Notes why the rest is not sent.
    pub(crate) fn give_up(&mut self, why: &str) {
        self.wearer.sent.gave_up = Some(why.to_owned());
    }

    /// What became of it all.
    pub(crate) fn finish(self) -> Sent {
        self.wearer.sent
    }
}

#[cfg(test)]
mod tests;
