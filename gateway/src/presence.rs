//! Who looks at a pet just now, counted over all replicas.
//!
//! Invariants: only numbers go out, and only to those who may see the pet; an account is one, however many sockets it has;
//! whoever is gone without a word is no longer counted after [`KEPT`]. Redis holds hashes, for so long. Where it is away, the
//! number is that of this replica.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use petty_chassis::events::redis::Connector;
use petty_chassis::{Shutdown, Tasks};
use redis::aio::ConnectionManager;
use redis::{RedisResult, Script};
use sha2::{Digest as _, Sha256};
use tokio::sync::watch;
use tokio::time::timeout;

/// How often replicas say who is there, and learn of the others'.
const PERIOD: Duration = Duration::from_secs(5);
/// How long somebody is counted who was said to be there.
const KEPT: Duration = Duration::from_secs(15);
/// An answer that takes longer is none.
const PATIENCE: Duration = Duration::from_millis(500);
/// So many pets are asked about at once.
const BATCH: usize = 256;

/// Says who is there, and counts. KEYS: a pet's set. ARGV: life in ms, accounts. By Redis' own clock, which is everybody's.
const SAY: &str = "
    local time = redis.call('TIME')
    local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
    redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
    for at = 2, #ARGV do
        redis.call('ZADD', KEYS[1], now + tonumber(ARGV[1]), ARGV[at])
    end
    redis.call('PEXPIRE', KEYS[1], ARGV[1])
    return redis.call('ZCARD', KEYS[1])";

/// All who look. Cheap to clone.
#[derive(Clone, Default)]
pub struct Presence {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    pets: Mutex<HashMap<String, Pet>>,
    redis: Option<ConnectionManager>,
}

/// One pet, while somebody looks at it here.
struct Pet {
    /// How many sockets each account has.
    accounts: HashMap<String, usize>,
    count: watch::Sender<usize>,
}

/// Somebody who looks at a pet, until it is dropped.
pub(crate) struct Looking {
    inner: Arc<Inner>,
    pet: String,
    account: String,
    /// How many accounts look.
    pub(crate) count: watch::Receiver<usize>,
}

impl std::fmt::Debug for Presence {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Presence").finish_non_exhaustive()
    }
}

impl Presence {
    /// Counted with all replicas that use this Redis.
    #[must_use]
    pub fn shared(connector: &Connector, tasks: &Tasks, shutdown: &Shutdown) -> Self {
        let inner = Arc::new(Inner { pets: Mutex::default(), redis: Some(connector.shared()) });
        let (teller, draining) = (Arc::clone(&inner), shutdown.draining());
        tasks.spawn_vital("presence", async move {
            tokio::pin!(draining);
            let say = Script::new(SAY);
            loop {
                tokio::select! {
                    () = &mut draining => return,
                    () = tokio::time::sleep(PERIOD) => teller.tell(&say).await,
                }
            }
        });
        Self { inner }
    }

    /// An account looks at a pet that it may see.
    pub(crate) fn look(&self, pet: &str, account: &str) -> Looking {
        let account = hash(pet, account);
        let mut pets = self.inner.pets();
        let there = pets
            .entry(pet.to_owned())
            .or_insert_with(|| Pet { accounts: HashMap::new(), count: watch::Sender::new(0) });
        *there.accounts.entry(account.clone()).or_default() += 1;
        there.at_least_here();
        let count = there.count.subscribe();
        drop(pets);
        Looking { inner: Arc::clone(&self.inner), pet: pet.to_owned(), account, count }
    }
}

impl Drop for Looking {
    fn drop(&mut self) {
        let mut pets = self.inner.pets();
        let Some(there) = pets.get_mut(&self.pet) else { return };
        if let Some(sockets) = there.accounts.get_mut(&self.account) {
            *sockets -= 1;
            if *sockets == 0 {
                there.accounts.remove(&self.account);
            }
        }
        if there.accounts.is_empty() {
            pets.remove(&self.pet);
        } else if self.inner.redis.is_none() {
            there.only_here();
        }
    }
}

impl Pet {
    /// Whoever is here is there.
    fn at_least_here(&self) {
        let here = self.accounts.len();
        self.count.send_if_modified(|count| std::mem::replace(count, here.max(*count)) < here);
    }

    fn only_here(&self) {
        self.set(self.accounts.len());
    }

    fn set(&self, now: usize) {
        self.count.send_if_modified(|count| std::mem::replace(count, now) != now);
    }
}

impl Inner {
    fn pets(&self) -> MutexGuard<'_, HashMap<String, Pet>> {
        // It is whole between any two of its steps.
        self.pets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn tell(&self, say: &Script) {
        let here: Vec<(String, Vec<String>)> = self
            .pets()
            .iter()
            .map(|(pet, there)| (pet.clone(), there.accounts.keys().cloned().collect()))
            .collect();
        for batch in here.chunks(BATCH) {
            let counts = batch.iter().map(|(pet, accounts)| self.say(say, pet, accounts));
            let counts = timeout(PATIENCE, futures::future::join_all(counts)).await;
            let counts =
                counts.unwrap_or_default().into_iter().map(Result::ok).chain(std::iter::repeat(None));
            let pets = self.pets();
            for ((pet, _), count) in batch.iter().zip(counts) {
                match (pets.get(pet), count) {
                    (Some(there), Some(count)) => there.set(count.max(there.accounts.len())),
                    (Some(there), None) => there.only_here(),
                    (None, _) => {}
                }
            }
        }
    }

    async fn say(&self, say: &Script, pet: &str, accounts: &[String]) -> RedisResult<usize> {
        let Some(redis) = &self.redis else { return Ok(0) };
        let mut invocation = say.prepare_invoke();
        invocation
            .key(format!("petty:presence:{}", hash("", pet)))
            .arg(u64::try_from(KEPT.as_millis()).unwrap_or(u64::MAX));
        for account in accounts {
            invocation.arg(account);
        }
        invocation.invoke_async(&mut redis.clone()).await
    }
}

/// What an account is counted by: of each pet another, so that nothing ties two sets together.
fn hash(pet: &str, account: &str) -> String {
    let mut hash = Sha256::new();
    for part in ["petty presence", pet, account] {
        hash.update(part.as_bytes());
        hash.update(b"\0");
    }
    hex::encode(hash.finalize().get(..16).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_one_however_many_sockets_it_has() {
        let presence = Presence::default();
        let first = presence.look("p-1", "a");
        let again = presence.look("p-1", "a");
        assert_eq!(*first.count.borrow(), 1);
        let other = presence.look("p-1", "b");
        assert_eq!(*first.count.borrow(), 2);
        let elsewhere = presence.look("p-2", "a");
        assert_eq!(*elsewhere.count.borrow(), 1);
        drop(again);
        assert_eq!(*first.count.borrow(), 2, "one of two sockets is gone");
        drop(other);
        assert_eq!(*first.count.borrow(), 1);
        drop(first);
        assert!(!presence.inner.pets().contains_key("p-1"), "nothing is kept of a pet that nobody looks at");
    }
}
