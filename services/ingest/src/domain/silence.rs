//! Whether a collar has stopped.
//!
//! A collar is silent once nothing new came for two and a half of its own intervals, so that it is noticed within three,
//! whatever its clock says. Its interval is the median of its last gaps. One whose readings come late, though it measured all
//! the while (a phone out of reach, a hub that sends every few minutes), is waited for a little longer than it was late, for
//! a day.

use jiff::{SignedDuration, Timestamp};

/// So many intervals without anything new are silence; noticing takes less than the other half.
const INTERVALS: f64 = 2.5;
/// The shortest interval that counts, and the longest: collars measure every 5 to 60 s, some every few minutes.
pub const SHORTEST: SignedDuration = SignedDuration::from_secs(5);
const LONGEST: SignedDuration = SignedDuration::from_hours(1);
/// The interval of a collar of which no gap is known: a quarter of an hour passes until it is missed.
const UNKNOWN: SignedDuration = SignedDuration::from_mins(6);
/// So many gaps tell the interval.
pub const GAPS: usize = 12;
/// It is learned again after this time, and at each look while fewer gaps than these told it.
const FEWEST_GAPS: usize = 3;
const LEARNED_FOR: SignedDuration = SignedDuration::from_mins(10);
/// While it is not known, readings are looked for that tell it.
const UNLEARNED_LOOK: SignedDuration = SignedDuration::from_secs(5);
/// A reading that was older when it came is filled in, and says nothing about now.
const LIVE: SignedDuration = SignedDuration::from_hours(1);
/// What is seen for the first time, or again, later than this after it came, was missed: it is no news.
const NEWS: SignedDuration = SignedDuration::from_mins(30);
/// Patience beyond lateness, its end, and its most.
const PATIENCE: f64 = 1.25;
const PATIENT_FOR: SignedDuration = SignedDuration::from_hours(24);
const MOST_PATIENCE: SignedDuration = SignedDuration::from_hours(1);
/// A silent collar is looked at after a thirtieth of its silence, within these.
const SILENT_LOOK: (SignedDuration, SignedDuration) =
    (SignedDuration::from_secs(2), SignedDuration::from_secs(60));
/// One that has no reading: just before its first is committed, and once all of them are erased.
const NONE_YET_LOOK: SignedDuration = SignedDuration::from_secs(5);
const NONE_ANY_MORE_LOOK: SignedDuration = SignedDuration::from_secs(60);

/// A collar's newest reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Newest {
    /// When it came.
    pub received_at: Timestamp,
    /// When it was measured, by the collar's clock.
    pub measured_at: Timestamp,
}

/// What was known of a collar at the last look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Watch {
    /// Its newest reading then.
    pub seen: Option<Newest>,
    /// Its interval, and when it was learned.
    pub interval: Option<(SignedDuration, Timestamp)>,
    /// How late its readings came, and until when that counts.
    pub patience: Option<(SignedDuration, Timestamp)>,
    /// Whether it was silent.
    pub silent: bool,
}

/// What is found at a look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// What is known now.
    pub watch: Watch,
    /// When to look again.
    pub look_at: Timestamp,
    /// Whether the collar has fallen silent since the last look.
    pub fell_silent: bool,
}

impl Watch {
    /// Whether the last gaps are wanted at a look.
    #[must_use]
    pub fn is_to_learn(&self, newest: Option<Newest>, now: Timestamp) -> bool {
        newest != self.seen
            && self.interval.is_none_or(|(_, learned_at)| now.duration_since(learned_at) >= LEARNED_FOR)
    }

    /// Whether it is wanted what came first after the reading that was seen last: the collar is back.
    #[must_use]
    pub fn is_back(&self, newest: Option<Newest>) -> bool {
        self.silent && self.seen.is_some() && newest.is_some() && newest != self.seen
    }

    /// Looks. `times` are those of the last readings, the newest first, where they were wanted; `next_after` is when the first
    /// reading after the one seen last was measured, where that was.
    #[must_use]
    pub fn look(
        mut self,
        newest: Option<Newest>,
        times: &[Timestamp],
        next_after: Option<Timestamp>,
        now: Timestamp,
    ) -> Look {
        let Some(newest) = newest else {
            let pause = if self.silent { NONE_ANY_MORE_LOOK } else { NONE_YET_LOOK };
            return Look { watch: self, look_at: later(now, pause), fell_silent: false };
        };
        if let Some(interval) = interval(times) {
            let is_sure = times.len() > FEWEST_GAPS;
            self.interval = Some((interval, if is_sure { now } else { Timestamp::UNIX_EPOCH }));
        }
        self.patience = self.patience.filter(|(_, until)| now < *until);
        let was_live = !self.silent && self.seen.is_some();
        if let Some(seen) = self.seen.filter(|_| self.is_back(Some(newest)))
            && next_after.is_some_and(|next| next.duration_since(seen.measured_at) <= self.quiet())
        {
            let late = newest.received_at.duration_since(seen.received_at).min(MOST_PATIENCE);
            self.patience = Some((late, later(now, PATIENT_FOR)));
        }
        let is_new = self.seen != Some(newest);
        self.seen = Some(newest);
        let since = now.duration_since(newest.received_at).max(SignedDuration::ZERO);
        let limit = self.limit();
        if since < limit {
            self.silent = false;
            let mut pause = limit - since;
            if self.interval.is_none() {
                pause = pause.min(UNLEARNED_LOOK);
            }
            return Look { watch: self, look_at: later(now, pause), fell_silent: false };
        }
        self.silent = true;
        let is_live = newest.received_at.duration_since(newest.measured_at) <= LIVE;
        // What was live at the last look has stopped, however long nobody looked; another may have come and gone since.
        let is_news = was_live || (is_new && since <= NEWS);
        let (least, most) = SILENT_LOOK;
        let pause = (since / 30).clamp(least, most);
        Look { watch: self, look_at: later(now, pause), fell_silent: is_live && is_news }
    }

    /// The collar's interval, as far as it is known.
    #[must_use]
    pub fn own_interval(&self) -> SignedDuration {
        self.interval.map_or(UNKNOWN, |(interval, _)| interval)
    }

    fn quiet(&self) -> SignedDuration {
        self.own_interval().mul_f64(INTERVALS)
    }

    fn limit(&self) -> SignedDuration {
        let patience = self.patience.map_or(SignedDuration::ZERO, |(late, _)| late.mul_f64(PATIENCE));
        self.quiet().max(patience)
    }
}

/// The median gap.
fn interval(newest_first: &[Timestamp]) -> Option<SignedDuration> {
    let mut gaps: Vec<SignedDuration> =
        newest_first.windows(2).map(|pair| pair[0].duration_since(pair[1])).collect();
    gaps.sort_unstable();
    gaps.get(gaps.len() / 2).map(|median| (*median).clamp(SHORTEST, LONGEST))
}

fn later(now: Timestamp, pause: SignedDuration) -> Timestamp {
    now.checked_add(pause).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests;
