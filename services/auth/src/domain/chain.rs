//! The audit log's chains: what an entry's hash is made of, and what is wrong with a chain.
//!
//! Invariant: computed here independently of the database that made the hashes (`migrations/V8__audit_chains.sql`).

use std::fmt;

use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

/// The number of chains.
pub const CHAINS: i16 = 16;
/// What the first entry of a chain is hashed with.
pub const GENESIS: [u8; 32] = [0; 32];

/// An entry as it stands in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// Its number in the log.
    pub id: i64,
    /// When.
    pub at: Timestamp,
    /// `actor_kind`, `actor`, `action`, `subject`, `outcome`, `request_id`, and `detail` as PostgreSQL writes it.
    pub texts: [String; 7],
    /// From where: a keyed hash; empty where nothing is known.
    pub source: Vec<u8>,
}

/// An entry's place in a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// From 1.
    pub place: i64,
    /// The entry's number in the log.
    pub entry_id: i64,
    /// As it was made when the entry was written.
    pub hash: Vec<u8>,
    /// The entry; `None` where it is not there any more.
    pub entry: Option<Written>,
}

/// Where a chain ends, or ended when somebody looked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// 0 to 15.
    pub chain: i16,
    /// The last entry's place; 0 where there is none.
    pub place: i64,
    /// Its hash.
    pub hash: Vec<u8>,
}

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// An entry, its place or its hash is not what it was.
    Changed {
        /// The chain.
        chain: i16,
        /// The place.
        place: i64,
        /// The entry.
        entry: i64,
    },
    /// An entry is gone.
    Deleted {
        /// The chain.
        chain: i16,
        /// The place.
        place: i64,
        /// The entry.
        entry: i64,
    },
    /// A place is empty.
    Missing {
        /// The chain.
        chain: i16,
        /// The place.
        place: i64,
    },
    /// The chain ends elsewhere than its head says.
    Truncated {
        /// The chain.
        chain: i16,
        /// The last place that is there.
        place: i64,
    },
    /// An entry is in no chain, or in one behind its end.
    Inserted {
        /// The entry.
        entry: i64,
    },
    /// A chain is not the one of which this was the end once.
    Rewritten {
        /// The chain.
        chain: i16,
        /// The place that was the last.
        place: i64,
    },
    /// A chain has no head.
    Headless {
        /// The chain.
        chain: i16,
    },
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Changed { chain, place, entry } => {
                write!(formatter, "chain {chain}, place {place}: entry {entry} was changed or moved")
            }
            Self::Deleted { chain, place, entry } => {
                write!(formatter, "chain {chain}, place {place}: entry {entry} was deleted")
            }
            Self::Missing { chain, place } => write!(formatter, "chain {chain}, place {place}: is empty"),
            Self::Truncated { chain, place } => {
                write!(formatter, "chain {chain}: ends at place {place}, and its head says otherwise")
            }
            Self::Inserted { entry } => write!(formatter, "entry {entry} was inserted: no chain leads to it"),
            Self::Rewritten { chain, place } => {
                write!(formatter, "chain {chain}, place {place}: is not the one that was noted once")
            }
            Self::Headless { chain } => write!(formatter, "chain {chain}: its head is gone"),
        }
    }
}

/// The hash of an entry at a place of a chain, behind the hash before.
#[must_use]
pub fn hash(before: &[u8], chain: i16, place: i64, entry: &Written) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(before);
    hash.update(i32::from(chain).to_be_bytes());
    for number in [place, entry.id, entry.at.as_microsecond()] {
        hash.update(number.to_be_bytes());
    }
    for field in entry.texts.iter().map(String::as_bytes).chain([entry.source.as_slice()]) {
        // No field of ours is as long as 2 GiB.
        hash.update(u32::try_from(field.len()).unwrap_or(u32::MAX).to_be_bytes());
        hash.update(field);
    }
    hash.finalize().into()
}

/// A walk along one chain, from its first entry to its head.
#[derive(Debug)]
pub struct Walk<'a> {
    head: &'a Head,
    anchor: Option<&'a Head>,
    place: i64,
    hash: Vec<u8>,
    faults: Vec<Fault>,
}

impl<'a> Walk<'a> {
    /// At its beginning. `anchor`: what was its end once, by somebody's own notes.
    #[must_use]
    pub fn new(head: &'a Head, anchor: Option<&'a Head>) -> Self {
        Self { head, anchor, place: 0, hash: GENESIS.to_vec(), faults: Vec::new() }
    }

    /// How far it has come.
    #[must_use]
    pub fn place(&self) -> i64 {
        self.place
    }

    /// The next entry, by place.
    pub fn take(&mut self, link: &Link) {
        let Link { place, entry_id, hash: written, entry } = link;
        let (chain, place, entry_id) = (self.head.chain, *place, *entry_id);
        // One gap is one fault, however wide.
        if place != self.place + 1 {
            self.faults.push(Fault::Missing { chain, place: self.place + 1 });
        }
        match entry {
            None => self.faults.push(Fault::Deleted { chain, place, entry: entry_id }),
            Some(entry)
                if place == self.place + 1 && hash(&self.hash, chain, place, entry) != written.as_slice() =>
            {
                self.faults.push(Fault::Changed { chain, place, entry: entry_id });
            }
            Some(_) => {}
        }
        if self.anchor.is_some_and(|anchor| anchor.place == place && anchor.hash != *written) {
            self.faults.push(Fault::Rewritten { chain, place });
        }
        self.place = place;
        // On from what stands there: one change is one fault.
        self.hash.clone_from(written);
    }

    /// What is wrong, now that all is seen.
    #[must_use]
    pub fn end(mut self) -> Vec<Fault> {
        let Head { chain, place, hash } = self.head;
        if self.place != *place || self.hash != *hash {
            self.faults.push(Fault::Truncated { chain: *chain, place: self.place });
        }
        if let Some(anchor) = self.anchor.filter(|anchor| anchor.place > self.place) {
            self.faults.push(Fault::Rewritten { chain: *chain, place: anchor.place });
        }
        self.faults
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(id: i64) -> Written {
        let texts = ["ACCOUNT", "a", "LOG_IN", "a", "DONE", "r", "{}"].map(str::to_owned);
        Written { id, at: Timestamp::from_microsecond(id).unwrap(), texts, source: Vec::new() }
    }

    fn chain(length: i64) -> (Vec<Link>, Head) {
        let mut hash_before = GENESIS.to_vec();
        let links = (1..=length).map(|place| {
            let entry = entry(place * 10);
            let made = hash(&hash_before, 3, place, &entry).to_vec();
            hash_before.clone_from(&made);
            Link { place, entry_id: entry.id, hash: made, entry: Some(entry) }
        });
        let links: Vec<Link> = links.collect();
        (links, Head { chain: 3, place: length, hash: hash_before })
    }

    fn walk(links: &[Link], head: &Head, anchor: Option<&Head>) -> Vec<Fault> {
        let mut walk = Walk::new(head, anchor);
        links.iter().for_each(|link| walk.take(link));
        walk.end()
    }

    #[test]
    fn a_chain_that_nobody_touched_has_no_fault() {
        for length in 0..5 {
            let (links, head) = chain(length);
            assert_eq!(walk(&links, &head, Some(&head)), []);
        }
        let (links, _) = chain(2);
        let (longer, head) = chain(5);
        let anchor = Head { chain: 3, place: 2, hash: links[1].hash.clone() };
        assert_eq!(walk(&longer, &head, Some(&anchor)), []);
    }

    #[test]
    fn whatever_was_changed_is_found_and_named() {
        let (links, head) = chain(4);
        for part in 0..9 {
            let mut changed = links.clone();
            let entry = changed[1].entry.as_mut().unwrap();
            match part {
                7 => entry.source = vec![1],
                8 => entry.at = Timestamp::from_microsecond(21).unwrap(),
                text => entry.texts[text].push('x'),
            }
            assert_eq!(
                walk(&changed, &head, None),
                [Fault::Changed { chain: 3, place: 2, entry: 20 }],
                "{part}"
            );
        }
        // A letter that moves from one field to the next.
        let mut moved = links.clone();
        let entry = moved[1].entry.as_mut().unwrap();
        (entry.texts[1], entry.texts[2]) = ("aL".to_owned(), "OG_IN".to_owned());
        assert_eq!(walk(&moved, &head, None), [Fault::Changed { chain: 3, place: 2, entry: 20 }]);

        let mut gone = links.clone();
        gone[2].entry = None;
        assert_eq!(walk(&gone, &head, None), [Fault::Deleted { chain: 3, place: 3, entry: 30 }]);
        let without = [&links[..1], &links[2..]].concat();
        assert_eq!(walk(&without, &head, None), [Fault::Missing { chain: 3, place: 2 }]);
        assert_eq!(walk(&links[..2], &head, None), [Fault::Truncated { chain: 3, place: 2 }]);

        let mut reordered = links.clone();
        let (one, two) = (reordered[1].entry.clone(), reordered[2].entry.clone());
        (reordered[1].entry, reordered[2].entry) = (two, one);
        let faults = walk(&reordered, &head, None);
        let changed = |place, entry| Fault::Changed { chain: 3, place, entry };
        assert_eq!(faults, [changed(2, 20), changed(3, 30)]);
    }

    #[test]
    fn who_rewrites_all_of_it_is_found_by_notes_alone() {
        let (_, noted) = chain(3);
        // Truncated, with its head.
        let (shorter, head) = chain(2);
        assert_eq!(walk(&shorter, &head, None), []);
        assert_eq!(walk(&shorter, &head, Some(&noted)), [Fault::Rewritten { chain: 3, place: 3 }]);
        // Written anew with something else in it.
        let mut before = GENESIS.to_vec();
        let other: Vec<Link> = (1..=3)
            .map(|place| {
                let entry = entry(place * 11);
                before = hash(&before, 3, place, &entry).to_vec();
                Link { place, entry_id: entry.id, hash: before.clone(), entry: Some(entry) }
            })
            .collect();
        let head = Head { chain: 3, place: 3, hash: before };
        assert_eq!(walk(&other, &head, Some(&noted)), [Fault::Rewritten { chain: 3, place: 3 }]);
    }
}
