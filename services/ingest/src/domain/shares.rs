//! How the room for readings that wait for the disk is shared out.
//!
//! Invariants: no more than all of it is ever taken; who holds none of it is refused only where what they bring does not fit in
//! what is left; and as each holds no more than one share of one more than there are, a newcomer finds some left.

use std::collections::HashMap;
use std::hash::Hash;

use petty_chassis::types::{AccountId, CollarId};

/// Of an account's readings so many may be one collar's: a fraction of all the room.
const COLLARS: usize = 8;

/// The room, and who holds how much of it. Counts are of readings.
#[derive(Debug)]
pub struct Shares {
    room: usize,
    taken: usize,
    accounts: HashMap<AccountId, usize>,
    /// By account too: nobody takes up the room of a collar that is not theirs by saying its id.
    collars: HashMap<(AccountId, CollarId), usize>,
}

/// What wants in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Load {
    /// Whose.
    pub account: AccountId,
    /// How many of each collar.
    pub collars: Vec<(CollarId, usize)>,
}

/// Why it may not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// There is no room left for it.
    Room,
    /// The account holds its share.
    Account,
    /// One of its collars does.
    Collar,
}

impl Load {
    /// These readings' collars, each as often as it comes.
    pub fn of<'a>(account: AccountId, readings: impl IntoIterator<Item = &'a CollarId>) -> Self {
        let mut counts: HashMap<&CollarId, usize> = HashMap::new();
        let mut readings = readings.into_iter().peekable();
        while let Some(collar) = readings.next() {
            let mut count = 1;
            while readings.next_if_eq(&collar).is_some() {
                count += 1;
            }
            *counts.entry(collar).or_default() += count;
        }
        let collars = counts.into_iter().map(|(collar, count)| (collar.clone(), count)).collect();
        Self { account, collars }
    }

    /// How many readings it is.
    #[must_use]
    pub fn count(&self) -> usize {
        self.collars.iter().map(|(_, count)| count).sum()
    }
}

impl Shares {
    /// Room for so many readings.
    #[must_use]
    pub fn new(room: usize) -> Self {
        Self { room, taken: 0, accounts: HashMap::new(), collars: HashMap::new() }
    }

    /// How much is taken.
    #[must_use]
    pub fn taken(&self) -> usize {
        self.taken
    }

    /// Takes room for a load; all or nothing.
    ///
    /// # Errors
    /// Where there is none for it.
    pub fn enter(&mut self, load: &Load) -> Result<(), Full> {
        let count = load.count();
        if count > self.room - self.taken {
            return Err(Full::Room);
        }
        let held = held(&self.accounts, &load.account);
        if held > 0 && held + count > self.room / (self.accounts.len() + 1) {
            return Err(Full::Account);
        }
        for (collar, count) in &load.collars {
            let held = self.collars.get(&(load.account, collar.clone())).copied().unwrap_or_default();
            if held > 0 && held + count > self.room / COLLARS {
                return Err(Full::Collar);
            }
        }
        self.taken += count;
        *self.accounts.entry(load.account).or_default() += count;
        for (collar, count) in &load.collars {
            *self.collars.entry((load.account, collar.clone())).or_default() += count;
        }
        Ok(())
    }

    /// Gives back what a load that entered took.
    pub fn leave(&mut self, load: &Load) {
        let count = load.count();
        self.taken -= count;
        give_back(&mut self.accounts, load.account, count);
        for (collar, count) in &load.collars {
            give_back(&mut self.collars, (load.account, collar.clone()), *count);
        }
    }
}

fn held<K: Eq + Hash>(shares: &HashMap<K, usize>, of: &K) -> usize {
    shares.get(of).copied().unwrap_or_default()
}

fn give_back<K: Eq + Hash>(shares: &mut HashMap<K, usize>, of: K, count: usize) {
    let left = held(shares, &of) - count;
    if left == 0 {
        shares.remove(&of);
    } else {
        shares.insert(of, left);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    fn account(number: u128) -> AccountId {
        AccountId(Uuid::from_u128(number))
    }

    /// So many readings of one of an account's collars.
    fn load(of: u128, collar: usize, count: usize) -> Load {
        let collar: CollarId = format!("collar-{collar}").parse().unwrap();
        Load::of(account(of), std::iter::repeat_n(&collar, count))
    }

    #[test]
    fn one_account_holds_half_of_the_room_at_most_and_its_collar_an_eighth() {
        let mut shares = Shares::new(8_000);
        for collar in 0..3 {
            shares.enter(&load(1, collar, 999)).unwrap();
            assert_eq!(shares.enter(&load(1, collar, 2)), Err(Full::Collar));
            shares.enter(&load(1, collar, 1)).unwrap();
        }
        shares.enter(&load(1, 8, 1_000)).unwrap();
        assert_eq!(shares.enter(&load(1, 9, 1)), Err(Full::Account));
        shares.leave(&load(1, 0, 1));
        shares.enter(&load(1, 9, 1)).unwrap();
    }

    #[test]
    fn a_flood_by_some_leaves_room_for_who_comes_next() {
        let mut even = Shares::new(12_000);
        for round in 0..200 {
            for flooder in 1..=3 {
                let _full = even.enter(&load(flooder, round, 100));
            }
        }
        assert_eq!(even.taken(), 9_000);
        even.enter(&load(4, 0, 1_000)).unwrap();
        assert_eq!(even.enter(&load(4, 1, 2_000)), Err(Full::Account));
        assert_eq!(even.enter(&load(5, 0, 2_001)), Err(Full::Room));
    }

    #[test]
    fn nobody_takes_up_the_room_of_a_collar_by_its_id() {
        let mut shares = Shares::new(8_000);
        shares.enter(&load(1, 0, 1_000)).unwrap();
        assert_eq!(shares.enter(&load(1, 0, 1)), Err(Full::Collar));
        shares.enter(&load(2, 0, 1_000)).unwrap();
    }

    proptest! {
        #[test]
        fn whoever_comes_and_goes_the_room_is_never_overdrawn_and_empties(
            steps in proptest::collection::vec((0_u128..6, 0_usize..5, 1_usize..400, any::<bool>()), 1..200),
        ) {
            let mut shares = Shares::new(1_000);
            let mut within: Vec<Load> = Vec::new();
            for (of, collar, count, leaves) in steps {
                if leaves && !within.is_empty() {
                    let gone = within.swap_remove(collar % within.len());
                    shares.leave(&gone);
                    continue;
                }
                let wants = load(of, collar, count);
                let holds_none = within.iter().all(|held| held.account != wants.account);
                let left = 1_000 - shares.taken();
                match shares.enter(&wants) {
                    Ok(()) => within.push(wants),
                    Err(_) => prop_assert!(!holds_none || count > left),
                }
                prop_assert!(shares.taken() <= 1_000);
                prop_assert_eq!(shares.taken(), within.iter().map(Load::count).sum::<usize>());
            }
            for load in within {
                shares.leave(&load);
            }
            prop_assert_eq!(shares.taken(), 0);
            prop_assert!(shares.accounts.is_empty() && shares.collars.is_empty());
        }
    }
}
