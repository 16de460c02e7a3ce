//! When an episode that goes on is told again.
//!
//! Invariant: only what goes on just as it was told may wait: its end is at most [`SPAN`] later. Whatever is new, over or other
//! than it was is told at once.

use jiff::{SignedDuration, Timestamp};

use super::{Behavior, v1};

/// Of an episode's own time. A collar that sends a reading a second would have its pet told of sixty times a minute else. At most
/// half of the minute within which the first system's clients take an open episode to be going on (timeline, `ACTIVE`).
pub const SPAN: SignedDuration = SignedDuration::from_secs(30);
/// A confidence that moved so far is another one: percentages are read by the ten (ours).
pub const STEP: f64 = 0.1;

/// An episode, as it was told last.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Told {
    /// What the pet did.
    pub behavior: Behavior,
    /// The first reading.
    pub start: Timestamp,
    /// The last one.
    pub end: Timestamp,
    /// It might still grow.
    pub open: bool,
    /// 0 to 1.
    pub confidence: f64,
}

impl Told {
    /// Whether telling an episode as it is now may wait.
    #[must_use]
    pub fn will_do_for(&self, now: &v1::Episode) -> bool {
        let goes_on = self.open && now.open && self.behavior == now.behavior && self.start == now.start;
        goes_on
            && now.end >= self.end
            && now.end.duration_since(self.end) < SPAN
            && (now.confidence - self.confidence).abs() < STEP
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_767_225_600 + seconds).unwrap()
    }

    fn episode() -> v1::Episode {
        let readings: Vec<_> = (0..40)
            .map(|minute| super::super::Reading {
                at: at(60 * minute),
                heart_rate: Some(55.0),
                activity_level: Some(0),
                respiratory_rate: None,
                position: None,
            })
            .collect();
        let rules = v1::Rules::built_in().unwrap();
        let params = super::super::Params::of(super::super::Species::Dog);
        v1::interpret(&rules, &params, &readings).pop().unwrap()
    }

    #[test]
    fn only_what_goes_on_as_it_was_told_waits_and_not_for_long() {
        let now = episode();
        assert!(now.open);
        let told = Told {
            behavior: now.behavior,
            start: now.start,
            end: now.end - SignedDuration::from_secs(29),
            open: true,
            confidence: now.confidence,
        };
        assert!(told.will_do_for(&now));
        for other in [
            Told { end: now.end - SPAN, ..told },
            // It shrank.
            Told { end: now.end + SignedDuration::from_secs(1), ..told },
            Told { start: now.start - SignedDuration::from_secs(1), ..told },
            Told { behavior: Behavior::Walking, ..told },
            Told { confidence: now.confidence - STEP - 0.001, ..told },
            Told { open: false, ..told },
        ] {
            assert!(!other.will_do_for(&now), "{other:?}");
        }
        let over = v1::Episode { open: false, ..now };
        assert!(!told.will_do_for(&over));
    }
}
