//! The circuit breaker of one target.
//!
//! Closed, it lets all calls through. After [`THRESHOLD`] failures in a row it opens: calls are answered for at once. After
//! a while, a second at most, one call is let through; whether it gets an answer decides. A failure is one of the target,
//! none of whose endpoints is left to ask; one endpoint's is told to [`super::endpoints`] alone.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How many failures in a row open it.
const THRESHOLD: u32 = 5;
/// How long it stays open the first time; then twice as long each time, up to [`LONGEST`].
const FIRST: Duration = Duration::from_millis(250);
/// The longest it stays open.
const LONGEST: Duration = Duration::from_secs(1);

/// The breaker.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    failures: u32,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    until: Instant,
    pause: Duration,
    probing: bool,
}

/// A call that was let through. Say how it went; dropped without a word it only frees its place.
#[derive(Debug)]
pub(super) struct Permit<'a> {
    breaker: &'a Breaker,
    probe: bool,
}

impl Breaker {
    /// Lets a call through, or does not.
    pub(super) fn admit(&self, now: Instant) -> Option<Permit<'_>> {
        let mut state = self.lock();
        let Some(open) = &mut state.open else { return Some(Permit { breaker: self, probe: false }) };
        if open.probing || now < open.until {
            return None;
        }
        open.probing = true;
        Some(Permit { breaker: self, probe: true })
    }

    /// A call failed.
    pub(super) fn failed(&self, now: Instant) {
        let state = &mut *self.lock();
        state.failures = state.failures.saturating_add(1);
        match &mut state.open {
            // The probe failed, or was given up and then told to have failed.
            Some(open) if open.probing || now >= open.until => {
                let pause = (open.pause * 2).min(LONGEST);
                *open = Open { until: now + pause, pause, probing: false };
            }
            // Let through before it opened.
            Some(_) => {}
            None if state.failures >= THRESHOLD => {
                state.open = Some(Open { until: now + FIRST, pause: FIRST, probing: false });
            }
            None => {}
        }
    }

    fn succeeded(&self) {
        *self.lock() = State::default();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Permit<'_> {
    /// The target answered.
    pub(super) fn succeeded(mut self) {
        self.probe = false;
        self.breaker.succeeded();
    }

    /// It did not.
    pub(super) fn failed(mut self, now: Instant) {
        self.probe = false;
        self.breaker.failed(now);
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if self.probe
            && let Some(open) = &mut self.breaker.lock().open
        {
            open.probing = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(now: Instant) -> Breaker {
        let breaker = Breaker::default();
        for _ in 0..THRESHOLD {
            breaker.admit(now).expect("closed").failed(now);
        }
        breaker
    }

    #[test]
    fn failures_in_a_row_open_it_and_an_answer_in_between_does_not() {
        let now = Instant::now();
        let breaker = Breaker::default();
        for _ in 0..THRESHOLD * 3 {
            breaker.admit(now).expect("still closed").failed(now);
            breaker.admit(now).expect("still closed").succeeded();
        }
        assert!(opened(now).admit(now).is_none());
    }

    #[test]
    fn one_call_probes_and_its_answer_closes_it() {
        let now = Instant::now();
        let breaker = opened(now);
        assert!(breaker.admit(now + FIRST - Duration::from_millis(1)).is_none());
        let probe = breaker.admit(now + FIRST).expect("half open");
        assert!(breaker.admit(now + FIRST).is_none(), "only one probes");
        probe.succeeded();
        assert!(breaker.admit(now + FIRST).is_some());
    }

    #[test]
    fn a_probe_that_fails_keeps_it_open_for_longer_but_never_over_a_second() {
        let mut now = Instant::now();
        let breaker = opened(now);
        now += FIRST;
        for pause in [500, 1000, 1000, 1000].map(Duration::from_millis) {
            breaker.admit(now).expect("half open").failed(now);
            assert!(breaker.admit(now + pause - Duration::from_millis(1)).is_none());
            now += pause;
        }
    }

    #[test]
    fn a_probe_that_ran_out_of_time_keeps_it_open_too() {
        let now = Instant::now();
        let breaker = opened(now);
        drop(breaker.admit(now + FIRST).expect("half open"));
        breaker.failed(now + FIRST);
        assert!(breaker.admit(now + FIRST * 2).is_none());
    }

    #[test]
    fn a_probe_that_is_given_up_leaves_its_place_to_the_next() {
        let now = Instant::now();
        let breaker = opened(now);
        drop(breaker.admit(now + FIRST).expect("half open"));
        assert!(breaker.admit(now + FIRST).is_some());
    }
}
