//! The episodes that were told of a span against those that are found now: who lives on, who is new, who is gone.
//!
//! Invariant: an id belongs to one episode for good. It follows the episode through every revision, is never given twice,
//! and once gone says what took its place.

use uuid::Uuid;

use super::super::{Behavior, Changes, EpisodeChange, Superseded};
use super::Episode;

/// An episode that was told to the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// Its id.
    pub id: Uuid,
    /// Its version.
    pub version: u64,
    /// What it was told to be.
    pub behavior: Behavior,
    /// Its start, microseconds since 1970.
    pub start: i64,
    /// Its end.
    pub end: i64,
    /// Of all that was told, so that an unchanged one is told from a changed one.
    pub digest: i64,
}

/// Takes `old` (by start) for gone or living on as `new` (by start). New ids are numbered on from `serial`, so that a
/// repeat of this call gives the same ones.
#[must_use]
pub fn revise(pet: Uuid, old: &[Known], new: &[Episode], serial: &mut u64) -> Changes {
    let mut changes = Changes::default();
    let heirs = match_up(old, new);
    let mut ids = Vec::with_capacity(new.len());
    for (episode, heir) in new.iter().zip(&heirs) {
        let digest = digest(episode);
        let before = heir.map(|index| old[index]);
        if let Some(same) = before.filter(|known| known.digest == digest) {
            ids.push(same.id);
            continue;
        }
        let (id, version) = match before {
            Some(known) => (known.id, known.version + 1),
            None => {
                *serial += 1;
                (Uuid::new_v5(&pet, format!("episode/{serial}").as_bytes()), 1)
            }
        };
        ids.push(id);
        let was = before.map(|known| {
            (super::super::episode::timestamp(known.start), super::super::episode::timestamp(known.end))
        });
        changes.upserts.push(EpisodeChange { id, version, episode: episode.clone(), digest, was });
    }
    let mut lives = vec![false; old.len()];
    for index in heirs.into_iter().flatten() {
        lives[index] = true;
    }
    for gone in old.iter().zip(lives).filter_map(|(known, lives)| (!lives).then_some(known)) {
        let first = new.partition_point(|episode| episode.end.as_microsecond() <= gone.start);
        let covers = new[first..].iter().take_while(|episode| episode.start.as_microsecond() < gone.end);
        let replaced_by = ids[first..].iter().copied().take(covers.count()).collect();
        changes.superseded.push(Superseded { id: gone.id, version: gone.version + 1, replaced_by });
    }
    changes
}

/// For each new one the old one it goes on from: of the same behaviour, the greatest overlap first, each used once.
fn match_up(old: &[Known], new: &[Episode]) -> Vec<Option<usize>> {
    let mut pairs = Vec::new();
    for (nth, episode) in new.iter().enumerate() {
        let (start, end) = (episode.start.as_microsecond(), episode.end.as_microsecond());
        let first = old.partition_point(|known| known.end <= start);
        for (index, known) in old.iter().enumerate().skip(first).take_while(|(_, known)| known.start < end) {
            if known.behavior == episode.behavior {
                let overlap = known.end.min(end) - known.start.max(start);
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
fn digest(episode: &Episode) -> i64 {
    // The encoding of plain data into a growing buffer cannot fail; were it to, every episode would count as changed alike.
    let bytes = postcard::to_stdvec(episode).unwrap_or_default();
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    hash.cast_signed()
}
