//! How many calls may be sent again: a fifth of those made, and ten a second.
//!
//! Without a limit a target that is slow is made slower by everybody asking twice.

use std::sync::{Mutex, PoisonError};

use tokio::time::Instant;

/// What each call adds.
const PER_CALL: f64 = 0.2;
/// What each second adds.
const PER_SECOND: f64 = 10.0;
/// The most that is saved up.
const MOST: f64 = 100.0;

/// The budget of one target.
#[derive(Debug)]
pub(super) struct Budget {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    tokens: f64,
    at: Instant,
}

impl Default for Budget {
    fn default() -> Self {
        Self { state: Mutex::new(State { tokens: PER_SECOND, at: Instant::now() }) }
    }
}

impl Budget {
    /// A call was made.
    pub(super) fn deposit(&self) {
        self.change(PER_CALL);
    }

    /// Takes what sending one call again costs; false where it cannot be afforded.
    pub(super) fn withdraw(&self) -> bool {
        self.change(-1.0)
    }

    fn change(&self, by: f64) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let elapsed = now.saturating_duration_since(state.at).as_secs_f64();
        state.at = now;
        state.tokens = (state.tokens + elapsed * PER_SECOND).min(MOST);
        let after = state.tokens + by;
        if after < 0.0 {
            return false;
        }
        state.tokens = after.min(MOST);
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
