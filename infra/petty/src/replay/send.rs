//! Sending a plan: each animal gets a pet, a collar and a device token, then its readings in order, in batches. A
//! batch that is not acknowledged is sent again until it is; the API takes what it knows already for a duplicate.

use std::{collections::BTreeMap, time::Duration};

use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use secrecy::SecretString;
use tokio::time::Instant;

use super::{
    client::{Account, Acknowledged, BATCH, Client, Error},
    plan::{Plan, Planned},
};

/// A call that cannot be made for this long is given up. Long enough for a service, or a database, to come back.
const PATIENCE: Duration = Duration::from_secs(120);
/// Signing in comes first: with no gateway there, the person at the terminal should soon know.
const SIGN_IN_PATIENCE: Duration = Duration::from_secs(10);
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Animals sent at once, unless their times say otherwise.
const AT_ONCE: usize = 4;

/// What goes on, for a progress bar.
#[derive(Debug, Clone, Copy)]
pub enum News<'a> {
    /// So many more readings are acknowledged.
    Acknowledged(usize),
    /// A call is going to be made again.
    Waiting(&'a str),
    /// It succeeded.
    Resumed,
}

/// Takes the news.
pub type Listener<'a> = &'a (dyn Fn(News<'_>) + Sync);

/// What became of a plan.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// In the order of the plan.
    pub animals: Vec<Sent>,
}

/// What became of one animal.
#[derive(Debug, Clone, Default)]
pub struct Sent {
    /// Its name.
    pub name: String,
    /// Its pet's id.
    pub pet_id: String,
    /// Its collar's id.
    pub collar_id: String,
    /// Readings planned.
    pub readings: usize,
    /// Of these, new and on disk.
    pub accepted: usize,
    /// Of these, there already (a batch sent again).
    pub duplicates: usize,
    /// Of these, refused: reason and count.
    pub rejected: BTreeMap<String, usize>,
    /// Why the rest was not sent.
    pub gave_up: Option<String>,
}

impl Outcome {
    /// Whether every reading was acknowledged.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.animals.iter().all(|animal| animal.gave_up.is_none() && animal.acknowledged() == animal.readings)
    }
}

impl Sent {
    /// Readings that are on disk now.
    #[must_use]
    pub fn acknowledged(&self) -> usize {
        self.accepted + self.duplicates
    }
}

/// Sends it all. With `speed`, at that many times real time, all animals on one clock.
///
/// # Errors
///
/// If the account cannot be used, or a pet or collar not be made. What happens to readings is in the outcome.
pub async fn send(
    client: &Client,
    account: &Account,
    plan: &Plan,
    speed: Option<f64>,
    listener: Listener<'_>,
) -> Result<Outcome, Error> {
    let token = sign_in(client, account, listener).await?;
    let equipped: Vec<Wearer<'_>> = stream::iter(&plan.animals)
        .map(|animal| equip(client, &token, plan, animal, listener))
        .buffered(AT_ONCE)
        .try_collect()
        .await?;
    let clock = speed.map(|speed| Clock {
        first: plan.animals.iter().map(Planned::start_time).min().unwrap_or_default(),
        begun: Instant::now(),
        speed,
    });
    let at_once = if clock.is_some() { equipped.len().max(1) } else { AT_ONCE };
    let animals = stream::iter(equipped)
        .map(|wearer| wearer.send(client, clock, listener))
        .buffered(at_once)
        .collect()
        .await;
    Ok(Outcome { animals })
}

/// The account's token; the account is opened where there is none.
///
/// # Errors
///
/// Any [`Error`].
pub async fn sign_in(
    client: &Client,
    account: &Account,
    listener: Listener<'_>,
) -> Result<SecretString, Error> {
    match persist_for(SIGN_IN_PATIENCE, listener, || client.sign_up(account)).await {
        Err(error) if error.status() == Some(409) => {
            persist_for(SIGN_IN_PATIENCE, listener, || client.log_in(account)).await
        }
        answer => answer,
    }
}

/// When readings are due in a paced replay.
#[derive(Debug, Clone, Copy)]
struct Clock {
    first: Timestamp,
    begun: Instant,
    speed: f64,
}

impl Clock {
    fn due(self, time: Timestamp) -> Instant {
        let after = time.duration_since(self.first).as_secs_f64() / self.speed;
        self.begun + Duration::try_from_secs_f64(after).unwrap_or_default()
    }
}

/// An animal with its collar on.
struct Wearer<'a> {
    planned: &'a Planned,
    pet_id: String,
    secret: SecretString,
    token: SecretString,
}

async fn equip<'a>(
    client: &Client,
    token: &SecretString,
    plan: &Plan,
    planned: &'a Planned,
    listener: Listener<'_>,
) -> Result<Wearer<'a>, Error> {
    let collar_id = &planned.collar_id;
    let (pet_key, collar_key) = (format!("{collar_id}-pet"), format!("{collar_id}-{}", plan.run));
    let pet_id = persist(listener, || client.create_pet(token, &planned.animal, &pet_key)).await?;
    let start = planned.start_time();
    let paired =
        persist(listener, || client.pair_collar(token, &pet_id, collar_id, start, &collar_key)).await;
    let secret = match paired {
        // The answer with the secret was lost on its way.
        Err(error) if error.code() == "SECRET_ALREADY_SHOWN" => {
            persist(listener, || client.rotate_secret(token, &pet_id, collar_id)).await?
        }
        other => other?,
    };
    let token = persist(listener, || client.collar_token(collar_id, &secret)).await?;
    Ok(Wearer { planned, pet_id, secret, token })
}

impl Wearer<'_> {
    async fn send(mut self, client: &Client, clock: Option<Clock>, listener: Listener<'_>) -> Sent {
        let readings = &self.planned.readings;
        let mut sent = Sent {
            name: self.planned.animal.name.clone(),
            pet_id: self.pet_id.clone(),
            collar_id: self.planned.collar_id.clone(),
            readings: readings.len(),
            ..Sent::default()
        };
        let mut rest = readings.as_slice();
        while let Some(next) = rest.first() {
            let mut count = rest.len().min(BATCH);
            if let Some(clock) = clock {
                tokio::time::sleep_until(clock.due(next.timestamp)).await;
                let now = Instant::now();
                count =
                    rest.iter().take(BATCH).take_while(|reading| clock.due(reading.timestamp) <= now).count();
            }
            // Timers may fire a little early; what was waited for is due.
            let (batch, later) = rest.split_at(count.max(1));
            rest = later;
            match self.post(client, batch, listener).await {
                Ok(answer) => {
                    sent.accepted += answer.accepted;
                    sent.duplicates += answer.duplicates;
                    for refused in answer.rejected {
                        *sent
                            .rejected
                            .entry(format!("{}: {}", refused.field, refused.reason))
                            .or_default() += 1;
                    }
                    listener(News::Acknowledged(batch.len()));
                }
                Err(error) => {
                    sent.gave_up = Some(error.to_string());
                    break;
                }
            }
        }
        sent
    }

    /// Posts a batch until it is acknowledged, with a new token where the old one has run out.
    async fn post(
        &mut self,
        client: &Client,
        batch: &[super::plan::Reading],
        listener: Listener<'_>,
    ) -> Result<Acknowledged, Error> {
        match persist(listener, || client.ingest(&self.token, batch)).await {
            Err(error) if error.status() == Some(401) => {
                let collar_id = &self.planned.collar_id;
                self.token = persist(listener, || client.collar_token(collar_id, &self.secret)).await?;
                persist(listener, || client.ingest(&self.token, batch)).await
            }
            answer => answer,
        }
    }
}

async fn persist<T, F>(listener: Listener<'_>, call: impl Fn() -> F) -> Result<T, Error>
where
    F: Future<Output = Result<T, Error>>,
{
    persist_for(PATIENCE, listener, call).await
}

/// Makes a call again while its failure is temporary, at growing intervals, until patience runs out.
async fn persist_for<T, F>(
    patience: Duration,
    listener: Listener<'_>,
    call: impl Fn() -> F,
) -> Result<T, Error>
where
    F: Future<Output = Result<T, Error>>,
{
    let deadline = Instant::now() + patience;
    let mut pause = FIRST_PAUSE;
    let mut waited = false;
    loop {
        match call().await {
            Err(error) if error.is_temporary() && Instant::now() < deadline => {
                listener(News::Waiting(&error.to_string()));
                waited = true;
                tokio::time::sleep(error.retry_after().unwrap_or(pause).min(patience)).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            answer => {
                if waited {
                    listener(News::Resumed);
                }
                return answer;
            }
        }
    }
}

#[cfg(test)]
mod tests;
