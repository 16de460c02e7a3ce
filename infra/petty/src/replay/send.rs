//! Sending a plan: each animal gets a pet, a collar and a device token, then its readings in order, in batches. A
//! batch that is not acknowledged is sent again until it is; the API takes what it knows already for a duplicate.

use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use secrecy::SecretString;
use tokio::time::Instant;

use super::plan::{Plan, Planned};
use crate::client::patience::{AT_ONCE, persist, sign_in};
use crate::client::{Account, BATCH, Client, Error, NewPet, wearer};

pub use crate::client::patience::{Listener, News};
pub use crate::client::wearer::{Outcome, Sent, Wearer};

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
    let equipped: Vec<(&Planned, Wearer)> = stream::iter(&plan.animals)
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
        .map(|equipped| send_one(equipped, client, clock, listener))
        .buffered(at_once)
        .collect()
        .await;
    Ok(Outcome { animals })
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

async fn equip<'a>(
    client: &Client,
    token: &SecretString,
    plan: &Plan,
    planned: &'a Planned,
    listener: Listener<'_>,
) -> Result<(&'a Planned, Wearer), Error> {
    let (animal, collar_id) = (&planned.animal, &planned.collar_id);
    let (pet_key, collar_key) = (format!("{collar_id}-pet"), format!("{collar_id}-{}", plan.run));
    let new = NewPet {
        name: animal.name.clone(),
        species: animal.species,
        breed: animal.breed.clone(),
        neutered: None,
        birth_date: None,
        time_zone: None,
    };
    let pet_id = persist(listener, || client.create_pet(token, &new, &pet_key)).await?;
    let start = planned.start_time();
    let secret = wearer::pair(client, token, &pet_id, collar_id, start, &collar_key, listener).await?;
    let wearer = Wearer::sign_in(client, &animal.name, pet_id, collar_id, secret, listener).await?;
    Ok((planned, wearer))
}

async fn send_one(
    (planned, mut wearer): (&Planned, Wearer),
    client: &Client,
    clock: Option<Clock>,
    listener: Listener<'_>,
) -> Sent {
    wearer.sent.readings = planned.readings.len();
    let mut rest = planned.readings.as_slice();
    while let Some(next) = rest.first() {
        let mut count = rest.len().min(BATCH);
        if let Some(clock) = clock {
            tokio::time::sleep_until(clock.due(next.timestamp)).await;
            let now = Instant::now();
            count = rest.iter().take(BATCH).take_while(|reading| clock.due(reading.timestamp) <= now).count();
        }
        // Timers may fire a little early; what was waited for is due.
        let (batch, later) = rest.split_at(count.max(1));
        rest = later;
        if let Err(error) = wearer.post(client, batch, listener).await {
            wearer.sent.gave_up = Some(error.to_string());
            break;
        }
    }
    wearer.sent
}

#[cfg(test)]
mod tests;
