//! The old episodes of a span against the new ones: who lives on, who is new, who is gone.
//!
//! Invariant: an id belongs to one episode for good. It follows the episode through every revision, is never given twice,
//! and once gone says what took its place.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::episode::{Fold, timestamp};
use super::{Behavior, Changes, Episode, EpisodeChange, Superseded};

/// An episode that was told to the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Known {
    pub(super) id: Uuid,
    pub(super) version: u64,
    pub(super) behavior: Behavior,
    pub(super) start: i64,
    pub(super) end: i64,
    pub(super) open: bool,
    /// Its start when it got its id.
    pub(super) born: i64,
    /// Of all that was told, so that an unchanged one is told from a changed one.
    digest: u64,
}

/// An id that is taken though no episode in reach bears it, and the start it was made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Spent {
    pub(super) id: Uuid,
    pub(super) born: i64,
}

/// Takes `old` (by start) for gone or living on as `new` (by start), notes the changes, and returns the new `Known`s.
pub(super) fn revise(
    pet: Uuid,
    old: &[Known],
    new: &[Fold],
    newest: i64,
    taken: &mut Taken<'_>,
    changes: &mut Changes,
) -> Vec<Known> {
    let heirs = match_up(old, new);
    let mut result = Vec::with_capacity(new.len());
    for (fold, heir) in new.iter().zip(&heirs) {
        let episode = fold.episode(newest);
        let digest = digest(&episode);
        let before = heir.map(|index| old[index]);
        if let Some(same) = before.filter(|known| known.digest == digest) {
            result.push(same);
            continue;
        }
        let (id, version, born) = match before {
            Some(known) => (known.id, known.version + 1, known.born),
            None => (taken.fresh_id(pet, fold), 1, fold.start),
        };
        result.push(Known {
            id,
            version,
            behavior: fold.behavior,
            start: fold.start,
            end: fold.end,
            open: episode.open,
            born,
            digest,
        });
        let was = before.map(|known| (timestamp(known.start), timestamp(known.end)));
        changes.upserts.push(EpisodeChange { id, version, episode, was });
    }
    let mut lives = vec![false; old.len()];
    for index in heirs.into_iter().flatten() {
        lives[index] = true;
    }
    for gone in old.iter().zip(lives).filter_map(|(known, lives)| (!lives).then_some(known)) {
        taken.spent.push(Spent { id: gone.id, born: gone.born });
        let first = result.partition_point(|known| known.end <= gone.start);
        let replaced_by =
            result[first..].iter().take_while(|known| known.start < gone.end).map(|known| known.id).collect();
        changes.superseded.push(Superseded { id: gone.id, version: gone.version + 1, replaced_by });
    }
    result
}

/// The ids that are not free.
#[derive(Debug)]
pub(super) struct Taken<'a> {
    /// Of all episodes in reach, and the spent ones.
    pub(super) ids: HashSet<Uuid>,
    pub(super) spent: &'a mut Vec<Spent>,
}

impl Taken<'_> {
    /// The first free one of the row that pet, behaviour and start make: any replica makes the same.
    fn fresh_id(&mut self, pet: Uuid, fold: &Fold) -> Uuid {
        let mut nth = 0_u32;
        loop {
            let id = Uuid::new_v5(
                &pet,
                format!("episode/{}/{}/{nth}", fold.behavior.slug(), fold.start).as_bytes(),
            );
            if self.ids.insert(id) {
                return id;
            }
            nth += 1;
        }
    }
}

/// For each new one the old one it goes on from: of the same behaviour, the greatest overlap first, each used once.
fn match_up(old: &[Known], new: &[Fold]) -> Vec<Option<usize>> {
    let mut pairs = Vec::new();
    for (nth, fold) in new.iter().enumerate() {
        let first = old.partition_point(|known| known.end <= fold.start);
        for (index, known) in
            old.iter().enumerate().skip(first).take_while(|(_, known)| known.start < fold.end)
        {
            if known.behavior == fold.behavior {
                let overlap = known.end.min(fold.end) - known.start.max(fold.start);
                pairs.push((std::cmp::Reverse(overlap), index, nth));
            }
        }
    }
    pairs.sort_unstable();
    let mut heirs = vec![None; new.len()];
    let mut used = vec![false; old.len()];
    for (_, index, nth) in pairs {
        if heirs[nth].is_none() && !used[index] {
            heirs[nth] = Some(index);
            used[index] = true;
        }
    }
    heirs
}

/// FNV-1a over the episode's encoding.
fn digest(episode: &Episode) -> u64 {
    // The encoding of plain data into a growing buffer cannot fail; were it to, every episode would count as changed alike.
    let bytes = postcard::to_stdvec(episode).unwrap_or_default();
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
