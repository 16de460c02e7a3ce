//! How many calls may be sent again: a fifth of those made, and ten a second.
//!
//! Without a limit a target that is slow is made slower by everybody asking twice.

use std::sync::{Mutex, PoisonError};

use tokio::time::Instant;

/// What sending once again costs; everything here is counted in millionths of it.
const ONE: u64 = 1_000_000;
/// What each call adds.
const PER_CALL: u64 = ONE / 5;
/// What each microsecond adds: ten a second.
const PER_MICROSECOND: u64 = 10;
/// What there is at the start.
const FIRST: u64 = 10 * ONE;
/// The most that is saved up.
const MOST: u64 = 100 * ONE;

/// The budget of one target.
#[derive(Debug)]
pub(super) struct Budget {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    saved: u64,
    at: Instant,
}

impl Default for Budget {
    fn default() -> Self {
        Self { state: Mutex::new(State { saved: FIRST, at: Instant::now() }) }
    }
}

impl Budget {
    /// A call was made.
    pub(super) fn deposit(&self) {
        self.change(|saved| Some(saved + PER_CALL));
    }

    /// Takes what sending one call again costs; false where it cannot be afforded.
    pub(super) fn withdraw(&self) -> bool {
        self.change(|saved| saved.checked_sub(ONE))
    }

    fn change(&self, change: impl FnOnce(u64) -> Option<u64>) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let elapsed = u64::try_from(now.saturating_duration_since(state.at).as_micros()).unwrap_or(u64::MAX);
        state.at = now;
        state.saved = state.saved.saturating_add(elapsed.saturating_mul(PER_MICROSECOND)).min(MOST);
        let Some(saved) = change(state.saved) else { return false };
        state.saved = saved.min(MOST);
        true
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_burst_is_cut_off_and_time_and_calls_earn_it_back() {
        let budget = Budget::default();
        let afforded = (0..100).take_while(|_| budget.withdraw()).count();
        assert_eq!(afforded, 10);
        for _ in 0..10 {
            budget.deposit();
        }
        assert_eq!((0..100).take_while(|_| budget.withdraw()).count(), 2);
        tokio::time::advance(Duration::from_millis(501)).await;
        assert_eq!((0..100).take_while(|_| budget.withdraw()).count(), 5);
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_quiet_time_saves_up_no_more_than_a_bound() {
        let budget = Budget::default();
        tokio::time::advance(Duration::from_secs(3600)).await;
        assert_eq!((0..1000).take_while(|_| budget.withdraw()).count(), 100);
    }
}
