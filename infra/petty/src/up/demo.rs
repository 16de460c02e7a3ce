//! The demo: a household with a dog and a cat, three days behind them, live from then on, so that there is something to
//! look at.
//!
//! Both are simulated, and say so. They go through the same doors as any pet: REST, device tokens, readings.

use std::net::SocketAddr;

use anyhow::Context as _;
use futures::future::{join_all, try_join_all};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use petty_chassis::Shutdown;
use petty_chassis::types::Clock;
use secrecy::SecretString;
use serde_json::{Value, json};

use crate::client::patience::{Listener, persist, sign_in};
use crate::client::{Account, Client, Error};
use crate::simulate::household::{Household, Member};
use crate::simulate::{begin, named};

/// The demo account's address.
pub(super) const DEMO_EMAIL: &str = "demo@petty.example";
/// The dog's collar.
pub(super) const DEMO_COLLAR: &str = "demo-collar-1";
/// The cat's.
pub(super) const DEMO_CAT_COLLAR: &str = "demo-collar-2";

/// The pets of this seed: its first is a Beagle, its second a European Shorthair.
const SEED: u64 = 330;
/// So many whole days lie behind a new demo; and no more are made up for after a pause.
const DAYS: u8 = 3;
/// The collars read this often.
const INTERVAL: SignedDuration = SignedDuration::from_secs(10);
/// What lies further back was read this often, so that the start need not wait for it.
const SPARSE: SignedDuration = SignedDuration::from_secs(60);
const SPARSE_BEFORE: SignedDuration = SignedDuration::from_mins(30);

const QUIET: Listener<'static> = &|_| {};

/// What the demo says of each pet: name, collar, and what it weighs and is like.
struct Described {
    number: u32,
    name: &'static str,
    collar: &'static str,
    weight_kg: f64,
}

const PETS: [Described; 2] = [
    Described { number: 0, name: "Biscuit (simulated)", collar: DEMO_COLLAR, weight_kg: 11.5 },
    Described { number: 1, name: "Mittens (simulated)", collar: DEMO_CAT_COLLAR, weight_kg: 4.2 },
];

/// The demo's collars.
pub(super) struct Demo {
    client: Client,
    members: Vec<Member>,
    clock: Clock,
}

/// Signs the demo account up, or in; adds pets and collars where they are not there; sends what lies behind: three days,
/// or what was missed since the last time.
pub(super) async fn set_up(gateway: SocketAddr, password: &str, shutdown: &Shutdown) -> anyhow::Result<Demo> {
    let clock = Clock::system();
    let client = Client::new(&format!("http://{gateway}"))?;
    let account = Account { email: DEMO_EMAIL.to_owned(), password: password.to_owned().into() };
    let token = sign_in(&client, &account, QUIET).await?;
    let known = persist(QUIET, || client.pets(&token)).await?;
    let now = clock.now();
    let run = format!("{:x}", now.as_millisecond());
    let household = Household { client: &client, token: &token, known: &known, now, run, listener: QUIET };
    let members = try_join_all(PETS.iter().map(|pet| settle(&household, pet, now))).await?;
    let mut demo = Demo { client, members, clock };
    demo.catch_up(shutdown).await;
    match demo.members.iter().find_map(|member| member.sent().gave_up.as_ref()) {
        Some(error) if !shutdown.is_draining() => anyhow::bail!("send the demo's readings: {error}"),
        _ => Ok(demo),
    }
}

/// One pet with its collar on, from where its readings end.
async fn settle(household: &Household<'_>, described: &Described, now: Timestamp) -> anyhow::Result<Member> {
    let pet = named(SEED, described.number, described.name, TimeZone::system());
    let from = |pet: &crate::simulate::pet::Pet| begin(&pet.time_zone, now, DAYS);
    let mut member = household.equip(pet, described.collar.to_owned(), from).await?;
    let Household { client, token, .. } = household;
    let newest = persist(QUIET, || client.newest(token, described.collar)).await?;
    if let Some(newest) = newest {
        member.seek(newest + SignedDuration::from_micros(1));
    }
    feed(client, token, &member.sent().pet_id, described).await.context("the demo's feeding profiles")?;
    Ok(member)
}

/// A feeding profile, with the weight, where nobody has filled one in. Where there is no such route, that is noted, and no more.
async fn feed(
    client: &Client,
    token: &SecretString,
    pet_id: &str,
    described: &Described,
) -> Result<(), Error> {
    let path = format!("/v1/pets/{pet_id}/nutrition-profile");
    let filled_in = match persist(QUIET, || client.read::<Value>(token, &path)).await {
        Ok(profile) => !profile["update_time"].is_null(),
        Err(error) if error.code() == "ROUTE_NOT_FOUND" => {
            tracing::info!("no feeding profiles here: the demo goes on without");
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    if !filled_in {
        let profile = json!({"weight_kg": described.weight_kg, "body_condition_score": 5});
        persist(QUIET, || client.put::<Value>(token, &path, &profile)).await?;
    }
    Ok(())
}

impl Demo {
    /// The dog's id.
    pub(super) fn pet_id(&self) -> &str {
        self.members.first().map_or("", |member| &member.sent().pet_id)
    }

    /// Goes on reporting until the end. A failure is tried again: that is what a collar does.
    pub(super) async fn live(mut self, shutdown: Shutdown) {
        while !shutdown.is_draining() {
            let now = self.clock.now();
            let wait = self.members.iter().map(|member| member.due_in(now, INTERVAL)).min();
            tokio::select! {
                () = shutdown.draining() => return,
                () = tokio::time::sleep(wait.unwrap_or_default()) => {}
            }
            self.catch_up(&shutdown).await;
            for sent in self.members.iter().map(Member::sent) {
                if let Some(error) = &sent.gave_up {
                    tracing::warn!(error, collar = sent.collar_id, "a collar of the demo could not report");
                }
            }
        }
    }

    async fn catch_up(&mut self, shutdown: &Shutdown) {
        let now = self.clock.now();
        let client = &self.client;
        join_all(self.members.iter_mut().map(|member| async move {
            let sparse = member.send(client, now - SPARSE_BEFORE, SPARSE, QUIET, shutdown).await;
            if sparse {
                member.send(client, now, INTERVAL, QUIET, shutdown).await;
            }
        }))
        .await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Species;

    #[test]
    fn the_demos_pets_are_what_the_greeting_calls_them() {
        let pet = |number: usize| {
            let pet = named(SEED, PETS[number].number, PETS[number].name, TimeZone::UTC);
            (pet.species, pet.breed, pet.name)
        };
        assert_eq!(pet(0), (Species::Dog, "Beagle", "Biscuit (simulated)".to_owned()));
        assert_eq!(pet(1), (Species::Cat, "European Shorthair", "Mittens (simulated)".to_owned()));
    }
}
