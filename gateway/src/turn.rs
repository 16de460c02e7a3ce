//! Places that requests take, and the short wait for one.
//!
//! Refusing costs nearly what answering does: refused at once, and asking again at once, a crowd would leave no time for answers. So
//! who finds no place waits for [`WAIT`], and where waiting holds nothing longer the more wait, so that so many are refused a second and no
//! more. Invariants: no more than so many have places; no more than so many wait, none longer than [`LONGEST`]. Where those who wait hold
//! places of others, nobody waits once all were taken for [`WAIT`] and nobody left: who hangs is not waited for.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout};

use crate::problem::Problem;

/// Far below what a client waits, and longer than a healthy service takes for all that are before it.
pub(crate) const WAIT: Duration = Duration::from_millis(250);
/// However many wait.
const LONGEST: Duration = Duration::from_secs(2);
/// So many are refused a second: a tenth, about, of what one core could.
const REFUSED_PER_SECOND: f64 = 1_000.0;

/// Those who wait.
#[derive(Debug)]
pub(crate) struct Line {
    free: Semaphore,
    most: usize,
}

impl Line {
    /// In which so many may wait.
    pub(crate) fn new(most: usize) -> Self {
        let most = most.min(Semaphore::MAX_PERMITS);
        Self { free: Semaphore::new(most), most }
    }

    /// A place at its end, and how long to wait there at most; `None` where too many wait.
    pub(crate) fn enter(&self) -> Option<(SemaphorePermit<'_>, Duration)> {
        let waiting = self.most.saturating_sub(self.free.available_permits());
        #[expect(clippy::cast_precision_loss, reason = "a number of requests in memory")]
        let wait = Duration::from_secs_f64(waiting as f64 / REFUSED_PER_SECOND);
        Some((self.free.try_acquire().ok()?, wait.clamp(WAIT, LONGEST)))
    }
}

/// The places there are.
#[derive(Debug)]
pub(crate) struct Places {
    free: Arc<Semaphore>,
    line: Line,
    /// Whether those who hang are waited for.
    patient: bool,
    begin: Instant,
    /// When a place was last left, or the last one taken, in milliseconds after `begin`.
    moved: AtomicU64,
}

/// A place, until it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    places: Arc<Places>,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.move_on();
    }
}

impl Places {
    /// So many, for which so many may wait for a moment, unless whoever has them hangs.
    pub(crate) fn new(most: usize, line: usize) -> Arc<Self> {
        Self::with(most, line, false)
    }

    /// The same for what nobody else waits behind: who waits here holds up none.
    pub(crate) fn patient(most: usize, line: usize) -> Arc<Self> {
        Self::with(most, line, true)
    }

    fn with(most: usize, line: usize, patient: bool) -> Arc<Self> {
        Arc::new(Self {
            free: Arc::new(Semaphore::new(most.min(Semaphore::MAX_PERMITS))),
            line: Line::new(line),
            patient,
            begin: Instant::now(),
            moved: AtomicU64::new(0),
        })
    }

    /// A place, now or in a moment.
    ///
    /// # Errors
    /// 503 where there is none.
    pub(crate) async fn take(self: &Arc<Self>) -> Result<Place, Problem> {
        let permit = match Arc::clone(&self.free).try_acquire_owned() {
            Ok(permit) => {
                if self.free.available_permits() == 0 {
                    self.move_on();
                }
                permit
            }
            // In a box: it is rare, and whoever does not wait should not carry it.
            Err(_) => Box::pin(self.wait()).await.ok_or_else(Problem::overloaded)?,
        };
        Ok(Place { places: Arc::clone(self), _permit: permit })
    }

    async fn wait(&self) -> Option<OwnedSemaphorePermit> {
        let moved = Duration::from_millis(self.moved.load(Ordering::Relaxed));
        if !self.patient && self.begin.elapsed().saturating_sub(moved) > WAIT {
            return None;
        }
        let (_turn, longest) = self.line.enter()?;
        let wait = if self.patient { longest } else { WAIT };
        timeout(wait, Arc::clone(&self.free).acquire_owned()).await.ok()?.ok()
    }

    fn move_on(&self) {
        let passed = u64::try_from(self.begin.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.moved.store(passed, Ordering::Relaxed);
    }
}

/// The places of those who open something at a service without being a request of the gateway's, which are no more than so many: so that
/// they take no more than a part of the service's places, however many come at once.
#[derive(Clone, Debug)]
pub(crate) struct Openings {
    part: Arc<Places>,
    whole: Arc<Places>,
}

impl Openings {
    /// So many of these places, for which so many may wait.
    pub(crate) fn new(whole: &Arc<Places>, most: usize, line: usize) -> Self {
        Self { part: Places::new(most, line), whole: Arc::clone(whole) }
    }

    /// A place, now or in a moment.
    ///
    /// # Errors
    /// 503 where there is none.
    pub(crate) async fn take(&self) -> Result<(Place, Place), Problem> {
        let part = self.part.take().await?;
        Ok((part, self.whole.take().await?))
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
    async fn the_more_wait_the_longer_they_do() {
        let places = Places::patient(1, 9_999);
        let _hangs = places.take().await.unwrap();
        let began = Instant::now();
        assert!(places.take().await.is_err());
        assert_eq!(began.elapsed(), WAIT);
        let all = (0..1_500).map(|_| async {
            assert!(places.take().await.is_err());
            began.elapsed()
        });
        let waited = futures::future::join_all(all).await;
        assert_eq!(waited[0], WAIT * 2, "the first, as one alone");
        assert_eq!(waited[1_499], WAIT + Duration::from_millis(1_499), "and one behind so many");
    }

    #[tokio::test(start_paused = true)]
    async fn who_opens_something_leaves_places_to_the_others() {
        let places = Places::new(4, 9);
        let openings = Openings::new(&places, 2, 9);
        let opening = [openings.take().await.unwrap(), openings.take().await.unwrap()];
        assert!(openings.take().await.is_err(), "two of four");
        let _others = [places.take().await.unwrap(), places.take().await.unwrap()];
        drop(opening);
        drop(openings.take().await.unwrap());
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
