//! Places that requests take, and the short wait for one.
//!
//! Refusing costs nearly what answering does: refused at once, and asking again at once, a crowd would leave no time for answers. So
//! who finds no place waits for a moment. Invariants: no more than so many have places; no more than so many wait, none longer than
//! [`WAIT`]; nobody waits where nobody has left for as long, because who hangs is not waited for.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

use crate::problem::Problem;

/// Far below what a client waits, and longer than a healthy service takes for all that are before it.
const WAIT: Duration = Duration::from_millis(250);

/// The places there are.
#[derive(Debug)]
pub(crate) struct Places {
    free: Arc<Semaphore>,
    waiting: Semaphore,
    begin: Instant,
    /// When a place was last left, in milliseconds after `begin`.
    left: AtomicU64,
}

/// A place, until it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    places: Arc<Places>,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.left.store(self.places.passed(), Ordering::Relaxed);
    }
}

impl Places {
    /// So many, for which so many may wait.
    pub(crate) fn new(most: usize, waiting: usize) -> Arc<Self> {
        let most = most.min(Semaphore::MAX_PERMITS);
        Arc::new(Self {
            free: Arc::new(Semaphore::new(most)),
            waiting: Semaphore::new(waiting.min(Semaphore::MAX_PERMITS)),
            begin: Instant::now(),
            left: AtomicU64::new(0),
        })
    }

    /// A place, now or in a moment.
    ///
    /// # Errors
    /// 503 where there is none.
    pub(crate) async fn take(self: &Arc<Self>) -> Result<Place, Problem> {
        let permit = match Arc::clone(&self.free).try_acquire_owned() {
            Ok(permit) => permit,
            // In a box: it is rare, and whoever does not wait should not carry it.
            Err(_) => Box::pin(self.wait()).await.ok_or_else(Problem::overloaded)?,
        };
        Ok(Place { places: Arc::clone(self), _permit: permit })
    }

    async fn wait(&self) -> Option<OwnedSemaphorePermit> {
        let left = Duration::from_millis(self.left.load(Ordering::Relaxed));
        if self.begin.elapsed().saturating_sub(left) > WAIT {
            return None;
        }
        let _turn = self.waiting.try_acquire().ok()?;
        timeout(WAIT, Arc::clone(&self.free).acquire_owned()).await.ok()?.ok()
    }

    fn passed(&self) -> u64 {
        u64::try_from(self.begin.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_finds_no_place_waits_for_the_next_that_is_left() {
        let places = Places::new(1, 1);
        let first = places.take().await.unwrap();
        let second = async {
            let _place = places.take().await.unwrap();
        };
        let third = async {
            tokio::task::yield_now().await;
            assert_eq!(places.take().await.unwrap_err().status, 503, "one may wait");
            drop(first);
        };
        tokio::join!(second, third);
    }

    #[tokio::test(start_paused = true)]
    async fn who_hangs_is_not_waited_for() {
        let places = Places::new(1, 9);
        let _hangs = places.take().await.unwrap();
        let began = Instant::now();
        assert!(places.take().await.is_err(), "it does not end");
        assert_eq!(began.elapsed(), WAIT);
        tokio::time::advance(Duration::from_millis(1)).await;
        let began = Instant::now();
        assert!(places.take().await.is_err());
        assert_eq!(began.elapsed(), Duration::ZERO, "nobody left for so long that nobody will");
    }
}
