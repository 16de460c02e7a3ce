//! Who of a consumer's workers may work now.
//!
//! Workers take turns while they are not behind: what comes while another one works gathers, and is handled together, which is cheaper
//! by far than one by one; and the database, which knows nothing of what gives way to what, has one transaction of theirs at a time. Who
//! is behind works beside others, more of them the further it is behind. Invariant: nobody waits behind one that is stuck for longer
//! than a turn lasts at most.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

/// For each time that a worker is so far behind, one more may work at once.
const BEHIND: Duration = Duration::from_secs(2);
/// So often who waits looks how far it is behind by now.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// A consumer's turns. Clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct Turns(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    working: AtomicUsize,
    left: Notify,
}

/// A turn, until it is dropped.
#[derive(Debug)]
pub(super) struct Turn(Turns);

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.0.working.fetch_sub(1, Ordering::AcqRel);
        self.0.0.left.notify_one();
    }
}

impl Turns {
    /// Waits for a turn of a worker that is so far behind.
    pub(super) async fn take(&self, behind: impl Fn() -> Duration) -> Turn {
        loop {
            let left = self.0.left.notified();
            if let Some(turn) = self.take_now(behind()) {
                return turn;
            }
            // Whichever comes first: looked at either way.
            let _ = tokio::time::timeout(LOOK_INTERVAL, left).await;
        }
    }

    fn take_now(&self, behind: Duration) -> Option<Turn> {
        let most = usize::try_from(1 + behind.as_millis() / BEHIND.as_millis()).unwrap_or(usize::MAX);
        let one_more = |working: usize| (working < most).then_some(working + 1);
        let taken = self.0.working.fetch_update(Ordering::AcqRel, Ordering::Acquire, one_more);
        taken.is_ok().then(|| Turn(self.clone()))
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn one_works_at_a_time_and_more_the_further_they_are_behind() {
        let turns = Turns::default();
        let now = || Duration::ZERO;
        let first = turns.take(now).now_or_never().unwrap();
        assert!(turns.take(now).now_or_never().is_none(), "the second waits");
        assert!(turns.take(|| BEHIND / 2).now_or_never().is_none(), "it is hardly behind");
        let second = turns.take(|| BEHIND).now_or_never().unwrap();
        assert!(turns.take(|| BEHIND).now_or_never().is_none(), "two work");
        let third = turns.take(|| BEHIND * 2).now_or_never().unwrap();
        drop((second, third));
        assert!(turns.take(now).now_or_never().is_none(), "the first still works");
        drop(first);
        let _first = turns.take(now).now_or_never().unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_gets_the_next_turn_or_one_when_it_is_behind() {
        let turns = Turns::default();
        let first = turns.take(|| Duration::ZERO).await;
        let since = tokio::time::Instant::now();
        let second = turns.take(|| since.elapsed()).await;
        assert!(since.elapsed() >= BEHIND, "it was let in before it was behind");
        drop(second);
        let (third, ()) = futures::join!(turns.take(|| Duration::ZERO), async { drop(first) });
        drop(third);
    }
}
