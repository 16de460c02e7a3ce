//! Who has a stream open, and of which pet.
//!
//! Invariants: no more streams than are allowed, in all and of one account; a pet is known here only while a stream of it
//! is open.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use petty_chassis::types::{AccountId, PetId};
use petty_chassis::{ApiError, Code};
use tokio::sync::watch;
use uuid::Uuid;

/// When somebody who was refused may try again.
const AGAIN: Duration = Duration::from_secs(5);

/// The seats of a process.
#[derive(Debug)]
pub(super) struct Seats {
    most: usize,
    most_per_caller: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    callers: HashMap<AccountId, usize>,
    pets: HashMap<PetId, Watched>,
}

#[derive(Debug)]
struct Watched {
    seats: usize,
    /// The number last given, as far as was heard; 0: nothing was.
    head: watch::Sender<i64>,
}

/// One stream's seat; free once dropped.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) pet: PetId,
    account: AccountId,
    head: watch::Receiver<i64>,
    seats: Arc<Seats>,
}

impl Seats {
    pub(super) fn new(most: usize, most_per_caller: usize) -> Self {
        Self { most, most_per_caller, taken: Mutex::default() }
    }

    /// Takes a seat. What is heard from then on is not missed.
    pub(super) fn take(self: &Arc<Self>, pet: PetId, account: AccountId) -> Result<Seat, ApiError> {
        let mut taken = self.lock();
        let of_caller = taken.callers.get(&account).copied().unwrap_or_default();
        if of_caller >= self.most_per_caller {
            return Err(too_many("you have as many streams open as one may; close some"));
        }
        if taken.all >= self.most {
            return Err(too_many("too many streams are open; try again"));
        }
        taken.all += 1;
        taken.callers.insert(account, of_caller + 1);
        let watched =
            taken.pets.entry(pet).or_insert_with(|| Watched { seats: 0, head: watch::Sender::new(0) });
        watched.seats += 1;
        let head = watched.head.subscribe();
        drop(taken);
        Ok(Seat { pet, account, head, seats: self.clone() })
    }

    /// Wakes the pet's streams, where the number is news. Hints come in any order: a lower number is none.
    pub(super) fn heard(&self, pet: PetId, sequence: i64) {
        self.note(pet, |known| sequence.max(known));
    }

    /// As [`Seats::heard`], from the database itself: it is right, whatever was heard before.
    pub(super) fn found(&self, pet: PetId, sequence: i64) {
        self.note(pet, |_| sequence);
    }

    fn note(&self, pet: PetId, sequence: impl FnOnce(i64) -> i64) {
        if let Some(watched) = self.lock().pets.get(&pet) {
            watched.head.send_if_modified(|known| {
                let before = std::mem::replace(known, sequence(*known));
                before != *known
            });
        }
    }

    /// The pets with open streams.
    pub(super) fn pets(&self) -> Vec<Uuid> {
        self.lock().pets.keys().map(|pet| pet.0).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    /// Waits until there is something new of the pet. Cancel safe.
    pub(super) async fn news(&mut self) {
        if self.head.changed().await.is_err() {
            // Cannot be: the sender stays for as long as a seat does.
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.lock();
        taken.all = taken.all.saturating_sub(1);
        if let Some(of_caller) = taken.callers.get_mut(&self.account) {
            *of_caller = of_caller.saturating_sub(1);
            if *of_caller == 0 {
                taken.callers.remove(&self.account);
            }
        }
        if let Some(watched) = taken.pets.get_mut(&self.pet) {
            watched.seats = watched.seats.saturating_sub(1);
            if watched.seats == 0 {
                taken.pets.remove(&self.pet);
            }
        }
    }
}

fn too_many(message: &'static str) -> ApiError {
    ApiError {
        retry_after: Some(AGAIN),
        ..ApiError::new(Code::ResourceExhausted, "TOO_MANY_STREAMS", message)
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    const PET: PetId = PetId(Uuid::from_u128(1));
    const OTHER: PetId = PetId(Uuid::from_u128(2));

    fn account(nth: u128) -> AccountId {
        AccountId(Uuid::from_u128(nth))
    }

    #[test]
    fn seats_are_limited_and_free_again_once_dropped() {
        let seats = Arc::new(Seats::new(3, 2));
        let refused = |account| seats.take(PET, account).unwrap_err().reason;
        let (one, _two) = (seats.take(PET, account(1)).unwrap(), seats.take(OTHER, account(1)).unwrap());
        assert_eq!(refused(account(1)), "TOO_MANY_STREAMS");
        let third = seats.take(PET, account(2)).unwrap();
        assert_eq!(refused(account(3)), "TOO_MANY_STREAMS");
        drop(one);
        drop(seats.take(PET, account(1)).unwrap());
        drop(third);
        assert_eq!(seats.pets(), [OTHER.0]);
        assert_eq!(seats.lock().callers.len(), 1);
    }

    #[test]
    fn a_seat_is_woken_by_news_of_its_pet_only() {
        let seats = Arc::new(Seats::new(10, 10));
        let mut seat = seats.take(PET, account(1)).unwrap();
        let mut woken = || seat.news().now_or_never().is_some();
        assert!(!woken());
        seats.heard(OTHER, 1);
        assert!(!woken());
        seats.heard(PET, 1);
        assert!(woken());
        assert!(!woken(), "once is enough");
        seats.heard(PET, 1);
        assert!(!woken(), "no news");
        seats.heard(PET, 3);
        seats.heard(PET, 2);
        assert!(woken());
        seats.heard(PET, 2);
        assert!(!woken(), "late");
        seats.found(PET, 3);
        assert!(!woken(), "no news either");
        // A number that the database never gave, heard from who knows where, must not outshout it.
        seats.heard(PET, 1_000);
        assert!(woken());
        seats.found(PET, 3);
        assert!(woken());
        seats.heard(PET, 4);
        assert!(woken());
    }
}
