//! Open streams of changes, of one process.
//!
//! A stream reads the pet's changes behind the last number it sent, in pages, when the hub hears of another: from the
//! transaction that gave it, where that was in this process; from a hint of another replica; else from a poll of all
//! pets with open streams, every two seconds. What several streams wait for is read in one query. Invariants: what is sent
//! is what the database has, in its order, however it was learnt that there is something to read; a stream that is read
//! slowly holds one page, and nothing grows behind it.

mod follower;
mod reader;
mod seats;

use std::sync::Arc;
use std::time::Duration;

use futures::Stream;
use petty_chassis::events::wake::{Hint, Hints, Wake};
use petty_chassis::postgres::{Db, Error};
use petty_chassis::types::{AccountId, Clock, PetId};
use petty_chassis::{ApiError, Foundation, Shutdown, error, periodic};
use uuid::Uuid;

pub(crate) use follower::Update;
use follower::{Delay, Follower};
use reader::Reader;
use seats::Seats;

use crate::config::StreamConfig;
use crate::store;

/// Where replicas tell each other of changes.
const CHANNEL: &str = "timeline";
/// However lost the hints are: a change is found after this time.
const POLL_INTERVAL: Duration = Duration::from_secs(2);

/// Where open streams learn that there is something to read. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Hub {
    seats: Arc<Seats>,
    reader: Reader,
    wake: Wake,
    clock: Clock,
    delay: Delay,
}

impl Hub {
    /// Begins to listen, and to poll.
    #[must_use]
    pub fn start(base: &Foundation, config: StreamConfig) -> Self {
        let context = &base.context;
        let seats = Arc::new(Seats::new(config.most, config.most_per_caller));
        let hub = Self {
            seats: seats.clone(),
            reader: Reader::start(context, &base.db),
            wake: base.wake.clone(),
            clock: context.clock.clone(),
            delay: Delay::new(),
        };
        let hearing =
            hear(base.wake.listen(CHANNEL), base.db.clone(), seats.clone(), context.shutdown.clone());
        context.tasks.spawn_vital("stream-hints", hearing);
        let db = base.db.clone();
        periodic::every(context, "stream-poll", POLL_INTERVAL, move || {
            let (db, seats) = (db.clone(), seats.clone());
            async move { poll(&db, &seats).await }
        });
        hub
    }

    /// Tells the streams of every replica that a pet's timeline has a change of this number. To be called after the commit.
    pub(crate) fn changed(&self, pet: PetId, sequence: i64) {
        self.seats.heard(pet, sequence);
        self.wake.publish(CHANNEL, said(pet, sequence));
    }

    /// A pet's changes after a number, then those to come; without a number only those to come.
    ///
    /// # Errors
    /// `TOO_MANY_STREAMS`, or unavailable.
    pub(crate) async fn follow(
        &self,
        pet: PetId,
        account: AccountId,
        after: Option<i64>,
    ) -> Result<impl Stream<Item = Update> + Send + use<>, ApiError> {
        let seat = self.seats.take(pet, account)?;
        let follower =
            Follower::open(seat, self.reader.clone(), after, self.clock.clone(), self.delay.clone()).await?;
        Ok(futures::stream::unfold(follower, Follower::next))
    }
}

async fn hear(mut hints: Hints, db: Db, seats: Arc<Seats>, shutdown: Shutdown) {
    loop {
        let hint = tokio::select! {
            () = shutdown.draining() => return,
            hint = hints.next() => hint,
        };
        match hint {
            Hint::Told(bytes) => {
                if let Some((pet, sequence)) = heard(&bytes) {
                    seats.heard(pet, sequence);
                }
            }
            Hint::Missed => {
                if let Err(failure) = poll(&db, &seats).await {
                    tracing::warn!(
                        error = error::chain(&failure),
                        "changes cannot be looked for; it is tried again"
                    );
                }
            }
        }
    }
}

/// Looks for changes of all pets with open streams.
async fn poll(db: &Db, seats: &Seats) -> Result<(), Error> {
    let pets = &seats.pets();
    if pets.is_empty() {
        return Ok(());
    }
    for (pet, sequence) in db.read("poll_heads", |tx| async move { store::heads(&tx, pets).await }).await? {
        seats.found(pet, sequence);
    }
    Ok(())
}

fn said(pet: PetId, sequence: i64) -> Vec<u8> {
    [&pet.0.into_bytes()[..], &sequence.to_be_bytes()[..]].concat()
}

fn heard(bytes: &[u8]) -> Option<(PetId, i64)> {
    let (pet, sequence) = bytes.split_first_chunk::<16>()?;
    Some((PetId(Uuid::from_bytes(*pet)), i64::from_be_bytes(sequence.try_into().ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_is_heard_as_it_was_said_and_nothing_else_is() {
        let pet = PetId(Uuid::from_u128(7));
        assert_eq!(heard(&said(pet, 42)), Some((pet, 42)));
        for bytes in [&b""[..], b"0123456789abcdef", &said(pet, 42)[1..], &[0; 25]] {
            assert_eq!(heard(bytes), None);
        }
    }
}
