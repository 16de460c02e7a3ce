//! How many lines a second are said of what clients or a service's outage can make happen as often as they like.
//!
//! Invariant: at most [`A_SECOND`] lines in each second of the clock that this runs by; how many were left out is told with the
//! next that is said. What is left out is counted by the metrics all the same.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// So many show what goes on; more cost the time of those who are answered.
const A_SECOND: u64 = 20;

/// Counts what is said.
#[derive(Debug)]
pub(crate) struct Sparing {
    begin: Instant,
    /// The second, and how much was said in it: one number, so that both change at once.
    said: AtomicU64,
    left_out: AtomicU64,
}

impl Sparing {
    pub(crate) fn new() -> Self {
        Self { begin: Instant::now(), said: AtomicU64::new(0), left_out: AtomicU64::new(0) }
    }

    /// Whether another line may be said; then, how many were left out before it.
    pub(crate) fn may_say(&self) -> Option<u64> {
        self.may_say_after(self.begin.elapsed())
    }

    fn may_say_after(&self, passed: Duration) -> Option<u64> {
        let second = passed.as_secs() << 32;
        let mut may = false;
        // What loads it next sees this or a later second: nothing else hangs on the order.
        let _known = self.said.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |known| {
            let known = known.max(second);
            may = known - (known >> 32 << 32) < A_SECOND;
            may.then_some(known + 1)
        });
        if may {
            return Some(self.left_out.swap(0, Ordering::Relaxed));
        }
        self.left_out.fetch_add(1, Ordering::Relaxed);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_so_many_a_second_and_tell_how_many_were_left_out() {
        let sparing = Sparing::new();
        let at = |ms| sparing.may_say_after(Duration::from_millis(ms));
        for _ in 0..A_SECOND {
            assert_eq!(at(900), Some(0));
        }
        for _ in 0..5 {
            assert_eq!(at(999), None);
        }
        assert_eq!(at(1_000), Some(5));
        // Who was late by some milliseconds counts in the second that has begun.
        assert_eq!(at(999), Some(0));
        for _ in 2..A_SECOND {
            assert_eq!(at(1_999), Some(0));
        }
        assert_eq!(at(1_999), None);
        assert_eq!(at(7_000), Some(1));
    }
}
