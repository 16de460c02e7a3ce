//! The room that bodies have in memory until their requests are answered, and each caller's share of it.
//!
//! Invariants: all bodies together have no more than the room, and those of one caller no more than its share, so that whoever
//! sends much and then nothing leaves room for the others; a body has room for what came of it and at most as much again: if
//! what is only declared took any, a few who send nothing would have everybody else refused. And a caller's bodies that are waited for are no
//! more than a quarter of the requests that are answered at once: whose bodies do not come has not all the places.

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::config::Limits;
use crate::problem::Problem;
use crate::quota::Who;
use crate::share::Shares;

/// Room is taken in pieces of so many bytes.
const PIECE: usize = 1 << 10;

/// The room there is.
#[derive(Debug)]
pub(crate) struct Room {
    all: Semaphore,
    /// The pieces of each caller.
    shares: Shares,
    /// The bodies of each caller that are waited for.
    awaited: Shares,
}

/// The room that one body has, until it is dropped.
#[derive(Debug)]
pub(crate) struct Held<'a> {
    room: &'a Room,
    /// `None`: nobody whose share could be told from others'.
    caller: Option<u64>,
    permit: Option<SemaphorePermit<'a>>,
    bytes: usize,
}

impl Room {
    /// As large as these say; one of the largest bodies fits, into the room and into a share.
    pub(crate) fn new(limits: Limits) -> Self {
        let largest = limits.batch_bytes.max(limits.body_bytes);
        Self {
            all: Semaphore::new(limits.bodies_bytes.max(largest).div_ceil(PIECE)),
            shares: Shares::of(limits.caller_bodies_bytes.max(largest).div_ceil(PIECE)),
            awaited: Shares::of((limits.concurrency / 4).max(1)),
        }
    }

    /// For a body of this caller's: nothing yet.
    pub(crate) fn of(&self, who: Option<Who<'_>>) -> Held<'_> {
        Held { room: self, caller: who.map(|who| self.shares.key(who)), permit: None, bytes: 0 }
    }
}

impl<'a> Held<'a> {
    /// Where it counts while it is waited for, and as whose.
    pub(super) fn awaited(&self) -> (&'a Shares, Option<u64>) {
        (&self.room.awaited, self.caller)
    }

    /// For how many bytes there is room.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Holds room for so many bytes in all.
    ///
    /// # Errors
    /// 429 where the caller's share is used up, 503 where the room is.
    pub(super) fn grow(&mut self, bytes: usize) -> Result<(), Problem> {
        let pieces = bytes.saturating_sub(self.bytes).div_ceil(PIECE);
        if pieces == 0 {
            return Ok(());
        }
        if self.caller.is_some_and(|caller| !self.room.shares.lend(caller, pieces)) {
            return Err(Problem::caller_busy(
                "The bodies of your other requests fill your share of the room; try again once they are answered.",
            ));
        }
        let Ok(more) = self.room.all.try_acquire_many(u32::try_from(pieces).unwrap_or(u32::MAX)) else {
            if let Some(caller) = self.caller {
                self.room.shares.give_back(caller, pieces);
            }
            return Err(Problem::overloaded());
        };
        self.bytes += pieces * PIECE;
        match &mut self.permit {
            Some(permit) => permit.merge(more),
            None => self.permit = Some(more),
        }
        Ok(())
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if let Some(caller) = self.caller.filter(|_| self.bytes > 0) {
            self.room.shares.give_back(caller, self.bytes / PIECE);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A room of eight pieces, of which one caller may have three.
    fn room() -> Room {
        let limits = Limits {
            bodies_bytes: 8 * PIECE,
            caller_bodies_bytes: 3 * PIECE,
            batch_bytes: 2 * PIECE,
            body_bytes: PIECE,
            ..Limits::default()
        };
        Room::new(limits)
    }

    fn grow(held: &mut Held<'_>, pieces: usize) -> Result<(), u16> {
        held.grow(pieces * PIECE).map_err(|problem| problem.status.as_u16())
    }

    #[test]
    fn one_caller_has_no_more_than_a_share_and_gets_it_back() {
        let room = room();
        let (greedy, other) = (Some(Who::Caller("greedy")), Some(Who::Caller("other")));
        let (mut first, mut second) = (room.of(greedy), room.of(greedy));
        assert_eq!((grow(&mut first, 2), grow(&mut second, 1)), (Ok(()), Ok(())));
        assert_eq!((grow(&mut first, 3), grow(&mut second, 2)), (Err(429), Err(429)));
        assert_eq!((first.bytes(), second.bytes()), (2 * PIECE, PIECE), "what it had, it has");
        let mut theirs = room.of(other);
        assert_eq!(grow(&mut theirs, 3), Ok(()));
        drop(second);
        assert_eq!(grow(&mut first, 3), Ok(()));
        drop(first);
        drop(theirs);
        assert!(room.shares.is_empty(), "who holds nothing is forgotten");
        assert_eq!(room.all.available_permits(), 8);
    }

    #[test]
    fn what_the_room_refuses_does_not_count_towards_a_share() {
        let room = room();
        let mut full = room.of(None);
        assert_eq!(grow(&mut full, 7), Ok(()), "who cannot be told from others has no share");
        let mut held = room.of(Some(Who::Caller("late")));
        assert_eq!(
            (grow(&mut held, 3), grow(&mut held, 1), grow(&mut held, 3)),
            (Err(503), Ok(()), Err(503))
        );
        drop(full);
        assert_eq!(grow(&mut held, 3), Ok(()));
    }

    #[test]
    fn a_source_is_what_the_quotas_take_it_for() {
        let room = room();
        let at = |text: &str| room.of(Some(Who::Source(text.parse().unwrap())));
        let mut one = at("2001:db8::1");
        assert_eq!(grow(&mut one, 3), Ok(()));
        assert_eq!(grow(&mut at("2001:db8::2"), 1), Err(429), "one subscriber's network");
        assert_eq!(grow(&mut at("2001:db8:0:1::1"), 1), Ok(()));
        let mut four = at("198.51.100.7");
        assert_eq!(grow(&mut four, 3), Ok(()));
        assert_eq!(grow(&mut at("::ffff:198.51.100.7"), 1), Err(429));
        assert_eq!(grow(&mut at("198.51.100.8"), 1), Ok(()));
        assert_eq!(
            grow(&mut room.of(Some(Who::Caller("198.51.100.7"))), 1),
            Ok(()),
            "an account is no address"
        );
    }
}
