//! A pet's window: what is kept between one batch of readings and the next.
//!
//! Invariant: as long as each reading arrives no earlier than [`PetState::accepts_from`], the episodes told so far are those
//! [`super::interpret`] finds in all readings together. For that, time is cut three times, each a
//! [`HORIZON_US`] after the one before: readings are kept from K on, intervals that end by K + H are final, readings
//! count from K + 2H on. So a reading that counts changes nothing final, and what is not final is computed
//! from all it depends on. An episode that reaches over the cut is carried as a fold, to the bit what it would have been.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use uuid::Uuid;

use super::canon::{self, SECOND, Sample};
use super::episode::{self, Fold};
use super::label;
use super::revision::{self, Known, Spent, Taken};
use super::rules::{HORIZON_US, RULE_SET};
use super::{Changes, Params, Reading};

/// The first byte of an encoded state. Raised when the encoding changes.
const FORMAT: u8 = 1;

/// How much is kept. Nothing is dropped before one of these is exceeded by an eighth (so that cutting is rare).
#[derive(Debug, Clone, Copy)]
pub(super) struct Retention {
    /// Seconds with readings. 8,192: 11 h at 5 s, a month of a cat's fixes; about 300 KB when every signal is there.
    pub(super) readings: usize,
    /// Microseconds. 31 days: ingest takes readings 30 days back.
    pub(super) span: i64,
}

pub(super) const RETENTION: Retention = Retention { readings: 8_192, span: 31 * 86_400 * SECOND };

/// Kept in any case: two horizons, and an hour for readings to be late in.
const KEPT_ALWAYS_US: i64 = 2 * HORIZON_US + 3_600 * SECOND;

/// Why stored bytes are no state.
#[derive(Debug, Error)]
pub enum StateError {
    /// Written by a version of Petty this one does not know.
    #[error("behaviour state has format {0}, this version reads {FORMAT}")]
    Format(u8),
    /// Not an encoded state.
    #[error("behaviour state does not decode")]
    Corrupt(#[source] postcard::Error),
    /// No bytes at all.
    #[error("behaviour state is empty")]
    Empty,
}

/// A pet's window; [`PetState::default`] is that of a pet never heard of.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct PetState {
    /// What the episodes were computed by; another one computes them anew.
    basis: Option<(String, Params)>,
    /// Canonical.
    samples: Vec<Sample>,
    /// Intervals that end by then are final.
    frozen_to: Option<i64>,
    /// The episode that reached the cut, as far as it.
    carry: Option<Fold>,
    /// What was told of the time after the cut, by start; the carried one first.
    known: Vec<Known>,
    /// Ids not to be given again.
    spent: Vec<Spent>,
    ignored_late: u64,
}

impl PetState {
    /// Takes in readings, in any order, and says what that changed. The ids it gives are functions of pet, behaviour and
    /// first start, so that a repeat of this call on the same state gives the same ones.
    pub fn apply(&mut self, pet: Uuid, params: &Params, readings: &[Reading]) -> Changes {
        self.apply_within(RETENTION, pet, params, readings)
    }

    /// The instant before which readings no longer count, if any were dropped yet. Earlier ones are ignored and counted.
    pub fn accepts_from(&self) -> Option<Timestamp> {
        // A sample's time and two horizons: within the range of a Timestamp.
        self.accepts_from_us().and_then(|us| Timestamp::from_microsecond(us).ok())
    }

    /// The newest reading's time.
    pub fn newest(&self) -> Option<Timestamp> {
        self.samples.last().and_then(|sample| Timestamp::from_microsecond(sample.at).ok())
    }

    /// All readings that came too late to count, ever.
    pub fn ignored_late(&self) -> u64 {
        self.ignored_late
    }

    /// As bytes to keep.
    pub fn encode(&self) -> Result<Vec<u8>, StateError> {
        postcard::to_extend(self, vec![FORMAT]).map_err(StateError::Corrupt)
    }

    /// From bytes that [`PetState::encode`] made.
    pub fn decode(bytes: &[u8]) -> Result<Self, StateError> {
        match bytes.split_first() {
            None => Err(StateError::Empty),
            Some((&FORMAT, rest)) => postcard::from_bytes(rest).map_err(StateError::Corrupt),
            Some((&other, _)) => Err(StateError::Format(other)),
        }
    }

    pub(super) fn apply_within(
        &mut self,
        retention: Retention,
        pet: Uuid,
        params: &Params,
        readings: &[Reading],
    ) -> Changes {
        let mut changes = Changes::default();
        let accepts_from = self.accepts_from_us().unwrap_or(i64::MIN);
        let mut timely = Vec::with_capacity(readings.len());
        for sample in readings.iter().map(Sample::from) {
            if sample.at >= accepts_from {
                timely.push(sample);
            } else if canon::knows(&self.samples, &sample) {
                changes.duplicates += 1;
            } else {
                changes.ignored_late += 1;
            }
        }
        self.ignored_late = self.ignored_late.saturating_add(changes.ignored_late);
        let merged = canon::merge_into(&mut self.samples, timely);
        changes.duplicates += merged.duplicates;

        let same_basis = self.basis.as_ref().is_some_and(|(rules, with)| rules == RULE_SET && with == params);
        if !same_basis {
            self.basis = Some((RULE_SET.to_owned(), *params));
            self.revise(pet, params, i64::MIN, &mut changes);
        } else if let Some(earliest) = merged.earliest_change {
            self.revise(pet, params, earliest.saturating_sub(HORIZON_US), &mut changes);
        }
        self.trim(retention, params);
        changes
    }

    fn accepts_from_us(&self) -> Option<i64> {
        self.frozen_to.map(|frozen| frozen + HORIZON_US)
    }

    /// Computes anew what readings from `affected` on may have changed.
    fn revise(&mut self, pet: Uuid, params: &Params, affected: i64, changes: &mut Changes) {
        let Some(newest) = self.samples.last().map(|sample| sample.at) else { return };
        let boundary = self.boundary();
        // The first interval that may differ begins at the last reading up to `affected`.
        let first = self.samples.partition_point(|sample| sample.at <= affected).saturating_sub(1);
        let from = self.samples[first].at;
        // An episode that ends there may go on, and one that was open may have to close.
        let mut keep = self.known.partition_point(|known| known.end < from);
        if let Some(open) = self.known[..keep].iter().position(|known| known.open) {
            keep = open;
        }
        let start = self.known.get(keep).map_or(from, |known| known.start.min(from));
        let begin = self.samples.partition_point(|sample| sample.at <= start).saturating_sub(1);
        // What begins before the cut goes on from the carried fold, which is the first of the known.
        let (begin, begun) = if begin < boundary || self.carries(start) {
            keep = 0;
            (boundary, self.carry.clone())
        } else {
            (begin, None)
        };

        let context = self.samples[begin].at.saturating_sub(HORIZON_US);
        let slice = &self.samples[self.samples.partition_point(|sample| sample.at < context)..];
        let skipped = self.samples.len() - slice.len();
        let labels = label::label(slice, params);
        let folds = episode::fold(slice, &labels, begin - skipped..labels.intervals.len(), begun);

        let old = self.known.split_off(keep);
        let known = self.known.iter().chain(&old).map(|known| known.id);
        let ids = known.chain(self.spent.iter().map(|spent| spent.id)).collect();
        let mut taken = Taken { ids, spent: &mut self.spent };
        self.known.extend(revision::revise(pet, &old, &folds, newest, &mut taken, changes));
    }

    /// The index of the reading that the first interval which is not final begins at.
    fn boundary(&self) -> usize {
        let frozen = self.frozen_to.unwrap_or(i64::MIN);
        self.samples.partition_point(|sample| sample.at <= frozen).saturating_sub(1)
    }

    /// True where the carried episode is part of what is computed from `start` on.
    fn carries(&self, start: i64) -> bool {
        self.carry.as_ref().is_some_and(|carry| start <= carry.end)
    }

    /// Drops what is beyond the retention.
    fn trim(&mut self, retention: Retention, params: &Params) {
        let (Some(oldest), Some(newest)) = (self.samples.first(), self.samples.last()) else { return };
        let over = self.samples.len().saturating_sub(retention.readings);
        let by_count = (over > retention.readings / 8).then(|| self.samples[over].at);
        let too_old = newest.at - oldest.at > retention.span + retention.span / 8;
        let by_age = too_old.then_some(newest.at - retention.span);
        let Some(wanted) = by_count.max(by_age) else { return };
        // Whole seconds: readings that count as one fall on one side.
        let keep_from = wanted.min(newest.at - KEPT_ALWAYS_US).div_euclid(SECOND) * SECOND;
        let dropped = self.samples.partition_point(|sample| sample.at < keep_from);
        // A dense stream's last hours stay whatever their number; do not cut it reading by reading.
        if dropped == 0 || (!too_old && dropped <= retention.readings / 8) {
            return;
        }

        let frozen_to = keep_from + HORIZON_US;
        let begin = self.boundary();
        let end = self.samples.partition_point(|sample| sample.at <= frozen_to).saturating_sub(1);
        let reached = self.samples[end].at;
        let labels = label::label(&self.samples, params);
        let folds = episode::fold(&self.samples, &labels, begin..end, self.carry.take());
        self.carry = folds.into_iter().next_back().filter(|fold| fold.end == reached);
        self.frozen_to = Some(frozen_to);
        self.samples.drain(..dropped);

        let carried = self.carry.as_ref().map(|carry| carry.start);
        let spent = &mut self.spent;
        self.known.retain(|known| {
            let stays = known.end > frozen_to || carried == Some(known.start);
            if !stays {
                spent.push(Spent { id: known.id, born: known.born });
            }
            stays
        });
        // From now on an episode begins with the carried one or at the cut's reading: older ids cannot be made again.
        let cut = carried.unwrap_or(reached);
        spent.retain(|spent| spent.born >= cut);
    }
}
