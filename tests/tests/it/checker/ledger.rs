//! What was sent, and what is known of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// A reading by what it is known by: its collar, and its time in microseconds.
pub(super) type Key = (String, i64);

/// What is known of a request, and so of the readings in it. In the order in which knowing more replaces knowing less.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Known {
    /// Refused: it is not there.
    Refused,
    /// Not answered, or by somebody who does not know.
    Unknown,
    /// Acknowledged: it is there.
    Acknowledged,
}

/// A reading that was sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sent {
    pub(super) heart_rate: f64,
    pub(super) known: Known,
}

/// Everything that was sent.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    sent: Mutex<BTreeMap<Key, Sent>>,
    refused: AtomicUsize,
    unknown: AtomicUsize,
    acknowledged: AtomicUsize,
    /// What was refused because there was no room for it.
    without_room: Mutex<BTreeSet<Key>>,
    /// Answers that say that a service of ours has a fault.
    faults: Mutex<Vec<String>>,
}

impl Ledger {
    /// Notes a request of these readings. One that was sent before is known by the most that is known of it.
    pub(super) fn note(&self, readings: &[(Key, f64)], known: Known) {
        let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        for (key, heart_rate) in readings {
            let noted = sent.entry(key.clone()).or_insert(Sent { heart_rate: *heart_rate, known });
            noted.known = noted.known.max(known);
        }
        let count = match known {
            Known::Refused => &self.refused,
            Known::Unknown => &self.unknown,
            Known::Acknowledged => &self.acknowledged,
        };
        count.fetch_add(1, Ordering::AcqRel);
    }

    /// Notes readings that are refused within a request, whatever becomes of it.
    pub(super) fn note_within(&self, refused: &[(Key, f64)]) {
        let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        for (key, heart_rate) in refused {
            sent.insert(key.clone(), Sent { heart_rate: *heart_rate, known: Known::Refused });
        }
    }

    /// Notes what was refused because there was no room for it.
    pub(super) fn note_without_room(&self, readings: &[(Key, f64)]) {
        let mut without_room = self.without_room.lock().unwrap_or_else(PoisonError::into_inner);
        without_room.extend(readings.iter().map(|(key, _)| key.clone()));
    }

    /// Notes an answer that nothing that is done to the mesh excuses.
    pub(super) fn note_fault(&self, answer: &str) {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner).push(answer.to_owned());
    }

    /// The first of them, and how many there were.
    pub(super) fn faults(&self) -> (usize, Vec<String>) {
        let faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        (faults.len(), faults.iter().take(10).cloned().collect())
    }

    /// The readings that were refused for want of room, and that nothing more is known of: they were not sent again.
    pub(super) fn without_room(&self) -> Vec<Key> {
        let without_room = self.without_room.lock().unwrap_or_else(PoisonError::into_inner);
        let sent = self.sent();
        let refused = |key: &&Key| sent.get(*key).is_some_and(|sent| sent.known == Known::Refused);
        without_room.iter().filter(refused).cloned().collect()
    }

    /// How many requests were acknowledged.
    pub(super) fn acknowledged(&self) -> usize {
        self.acknowledged.load(Ordering::Acquire)
    }

    /// How many requests were refused.
    pub(super) fn refused(&self) -> usize {
        self.refused.load(Ordering::Acquire)
    }

    /// Everything.
    pub(super) fn sent(&self) -> BTreeMap<Key, Sent> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether there are readings of every kind.
    pub(super) fn has_all_kinds(&self) -> bool {
        self.counts().iter().all(|count| *count > 0)
    }

    /// For people.
    pub(super) fn summary(&self) -> String {
        let [acknowledged, refused, unknown] = self.counts();
        format!(
            "requests: {} acknowledged, {} refused, {} unknown; readings: {acknowledged} acknowledged, {refused} refused, \
             {unknown} unknown",
            self.acknowledged(),
            self.refused(),
            self.unknown.load(Ordering::Acquire),
        )
    }

    fn counts(&self) -> [usize; 3] {
        let sent = self.sent();
        let of = |known| sent.values().filter(|sent| sent.known == known).count();
        [of(Known::Acknowledged), of(Known::Refused), of(Known::Unknown)]
    }
}
