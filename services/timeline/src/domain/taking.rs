//! What several changes, one after the other, make of timelines.
//!
//! Invariant: taken together they come to what they come to one by one: of each thing what its highest version says, one note
//! for each change that says something new, in order, and what is gone for good stays so.

use std::collections::{BTreeMap, HashMap};

use petty_chassis::events::versions::Applied;
use petty_chassis::types::PetId;
use uuid::Uuid;

use super::{Change, Entry};

/// What an event says of a thing that may be on a timeline.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Said {
    pub(crate) pet: PetId,
    /// With the id it names the thing whose version it is.
    pub(crate) kind: &'static str,
    pub(crate) id: Uuid,
    pub(crate) version: i64,
    pub(crate) change: Change,
}

/// What is kept of the things that are spoken of.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    pub(crate) applied: HashMap<(&'static str, Uuid), Applied>,
    pub(crate) entries: HashMap<Uuid, Entry>,
}

/// A change that gets a number.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Noted {
    /// As it became, or as it was where it is gone.
    pub(crate) entry: Entry,
    pub(crate) removed: bool,
}

/// What is to be kept anew.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Taken {
    /// By kind and id, so that everybody writes in one order.
    pub(crate) applied: BTreeMap<(&'static str, Uuid), Applied>,
    /// `None`: it is off the timeline, and was on it.
    pub(crate) entries: BTreeMap<Uuid, Option<Entry>>,
    pub(crate) noted: Vec<Noted>,
}

impl Taken {
    /// Of changes, in the order in which they came. `Err` names what stands on the timeline of another pet, or at a version that
    /// was never applied.
    pub(crate) fn of(kept: &Kept, said: Vec<Said>) -> Result<Self, Uuid> {
        let mut taken = Self::default();
        for Said { pet, kind, id, version, change } in said {
            let key = (kind, id);
            let before = taken.applied.get(&key).or_else(|| kept.applied.get(&key));
            if before.is_some_and(|before| !before.lets(version)) {
                continue;
            }
            taken.applied.insert(key, Applied { version, deleted: change == Change::Superseded });
            let standing = match taken.entries.get(&id) {
                Some(entry) => entry.as_ref(),
                None => kept.entries.get(&id),
            };
            match change {
                Change::Stands(entry) => {
                    if standing.is_some_and(|old| old.pet != pet || old.version >= version) {
                        return Err(id);
                    }
                    if standing.is_none_or(|old| !same(old, &entry)) {
                        taken.noted.push(Noted { entry: (*entry).clone(), removed: false });
                    }
                    taken.entries.insert(id, Some(*entry));
                }
                Change::Unlisted | Change::Superseded => {
                    let Some(entry) = standing.filter(|old| old.pet == pet).cloned() else { continue };
                    taken.noted.push(Noted { entry, removed: true });
                    if kept.entries.contains_key(&id) {
                        taken.entries.insert(id, None);
                    } else {
                        taken.entries.remove(&id);
                    }
                }
            }
        }
        Ok(taken)
    }
}

/// Whether an entry says nothing but its version anew.
fn same(old: &Entry, new: &Entry) -> bool {
    let times = |entry: &Entry| (entry.start_at.as_microsecond(), entry.end_at.as_microsecond());
    old.what == new.what
        && times(old) == times(new)
        && old.open == new.open
        && old.confidence == new.confidence
}
