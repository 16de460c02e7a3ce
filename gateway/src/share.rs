//! What each caller has of what there is for all.
//!
//! Invariants: nobody has more than a share; who has nothing is not known.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, Hash, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Everybody's shares of one thing.
#[derive(Debug)]
pub(crate) struct Shares {
    /// The most of one caller.
    most: usize,
    /// What each caller has who has some, by a hash under a key that nobody outside knows: nobody can make up a caller who is taken
    /// for another.
    callers: Mutex<HashMap<u64, usize>>,
    key: RandomState,
}

/// One of a caller's, until it is dropped.
#[derive(Debug)]
pub(crate) struct Part<'a> {
    shares: &'a Shares,
    /// `None`: nobody whose share could be told from others'.
    caller: Option<u64>,
}

impl Shares {
    /// Of which one caller has so many at most.
    pub(crate) fn of(most: usize) -> Self {
        Self { most, callers: Mutex::default(), key: RandomState::new() }
    }

    /// What a caller is known by, here and wherever else it is used.
    pub(crate) fn key(&self, caller: impl Hash) -> u64 {
        self.key.hash_one(caller)
    }

    fn callers(&self) -> MutexGuard<'_, HashMap<u64, usize>> {
        // It is whole between any two of its steps.
        self.callers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// So many more for a caller, if its share has them.
    pub(crate) fn lend(&self, caller: u64, count: usize) -> bool {
        let mut callers = self.callers();
        let lent = callers.get(&caller).copied().unwrap_or_default() + count;
        if lent > self.most {
            return false;
        }
        callers.insert(caller, lent);
        true
    }

    pub(crate) fn give_back(&self, caller: u64, count: usize) {
        let mut callers = self.callers();
        if let Some(lent) = callers.get_mut(&caller) {
            *lent = lent.saturating_sub(count);
            if *lent == 0 {
                callers.remove(&caller);
            }
        }
    }

    /// One more, if the caller's share has it.
    pub(crate) fn one(&self, caller: Option<u64>) -> Option<Part<'_>> {
        let lent = caller.is_none_or(|caller| self.lend(caller, 1));
        // Not made where it is not lent: it would give back what is another's.
        lent.then(|| Part { shares: self, caller })
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.callers().is_empty()
    }
}

impl Drop for Part<'_> {
    fn drop(&mut self) {
        if let Some(caller) = self.caller {
            self.shares.give_back(caller, 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_caller_has_a_share_and_gives_it_back() {
        let shares = Shares::of(2);
        let (greedy, other) = (Some(shares.key("greedy")), Some(shares.key("other")));
        let both = [shares.one(greedy).unwrap(), shares.one(greedy).unwrap()];
        for _ in 0..3 {
            assert!(shares.one(greedy).is_none());
        }
        assert!(shares.one(other).is_some() && shares.one(other).is_some());
        let all: Vec<_> = (0..9).map(|_| shares.one(None).unwrap()).collect();
        drop(both);
        drop(shares.one(greedy).unwrap());
        drop(all);
        assert!(shares.is_empty(), "who has nothing is forgotten");
    }
}
