//! Turns of the processor, where more requests are there than it can work on.
//!
//! What a request touches is in the processor's caches if its connection was worked on a moment ago, and costs half as much again if
//! not. So where there is too much to do, who came last is worked on first (adaptive LIFO), but for every tenth turn, which is that of who waits longest, and
//! the turns of all who have waited for [`PATIENCE`].
//!
//! Invariants: no more than so many wait; a turn is for order alone, who waits is not refused; whenever the processor has nothing else
//! to do, whoever waits is worked on, so that services which take long, or hang, keep nobody waiting here.

use std::collections::BTreeMap;
use std::num::NonZero;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use petty_chassis::Tasks;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::problem::Problem;

/// So many requests keep a processor's core busy, and what they do for each other (packets, system calls) is done together.
const BUSY: usize = 64;
/// So many do where more than those wait: of fewer a cache holds more.
const FEW: usize = 24;
/// Which turn is that of who waits longest.
const OLDEST: u32 = 10;
/// After which whoever waits is first.
const PATIENCE: Duration = Duration::from_secs(1);

/// The turns there are.
#[derive(Debug)]
pub(crate) struct Turns {
    state: Mutex<State>,
    /// As many as keep the processor busy.
    busy: usize,
    /// The same, where more than that wait.
    few: usize,
    most_waiting: usize,
    tasks: Tasks,
}

#[derive(Debug, Default)]
struct State {
    /// Those that have a turn.
    working: usize,
    /// Who waits, by when they came.
    waiting: BTreeMap<u64, Waiter>,
    came: u64,
    /// Turns that were passed on since the last to who waited longest.
    passed: u32,
    /// Whether somebody looks after those who wait.
    watched: bool,
}

#[derive(Debug)]
struct Waiter {
    since: Instant,
    turn: oneshot::Sender<Turn>,
}

/// A turn, until it is dropped.
#[derive(Debug)]
pub(crate) struct Turn(Option<Arc<Turns>>);

/// A place among those who wait, until it is dropped.
struct Waiting<'a> {
    turns: &'a Turns,
    came: u64,
}

impl Turns {
    /// As many as keep this processor busy, for which so many may wait.
    pub(crate) fn new(most_waiting: usize, tasks: Tasks) -> Arc<Self> {
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        Self::with((BUSY * cores, FEW * cores), most_waiting, tasks)
    }

    fn with((busy, few): (usize, usize), most_waiting: usize, tasks: Tasks) -> Arc<Self> {
        Arc::new(Self { state: Mutex::default(), busy, few, most_waiting, tasks })
    }

    /// A turn, now or in a moment.
    ///
    /// # Errors
    /// 503 where too many wait.
    pub(crate) async fn take(self: &Arc<Self>) -> Result<Turn, Problem> {
        {
            let mut state = self.state();
            if state.working < self.enough(state.waiting.len()) {
                state.working += 1;
                return Ok(Turn(Some(Arc::clone(self))));
            }
        }
        // In a box: whoever does not wait should not carry it.
        Box::pin(self.wait()).await
    }

    async fn wait(self: &Arc<Self>) -> Result<Turn, Problem> {
        let (sender, turn) = oneshot::channel();
        let (came, watched) = {
            let mut state = self.state();
            if state.waiting.len() >= self.most_waiting {
                return Err(Problem::overloaded());
            }
            state.came += 1;
            let came = state.came;
            state.waiting.insert(came, Waiter { since: Instant::now(), turn: sender });
            (came, std::mem::replace(&mut state.watched, true))
        };
        let _waiting = Waiting { turns: self, came };
        if !watched {
            drop(self.tasks.spawn("turns", Arc::clone(self).when_idle()));
        }
        turn.await.map_err(|_| Problem::overloaded())
    }

    /// Lets whoever waits go on whenever there is nothing else to do, until nobody waits.
    async fn when_idle(self: Arc<Self>) {
        loop {
            // Comes back when all that can run has run, and now and then before.
            tokio::task::yield_now().await;
            {
                let mut state = self.state();
                if state.waiting.is_empty() {
                    state.watched = false;
                    return;
                }
                state.working += 1;
            }
            self.pass_on();
        }
    }

    /// Gives a turn that is counted to whose it is, or back.
    fn pass_on(self: &Arc<Self>) {
        let mut turn = Turn(Some(Arc::clone(self)));
        loop {
            let Some(next) = self.state().next() else {
                turn.0 = None;
                return;
            };
            match next.turn.send(turn) {
                Ok(()) => return,
                // Gone meanwhile.
                Err(back) => turn = back,
            }
        }
    }

    /// How many are worked on at once while so many wait.
    fn enough(&self, waiting: usize) -> usize {
        if waiting > self.busy { self.few } else { self.busy }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Whose turn it is now; where nobody waits, it is given back.
    fn next(&mut self) -> Option<Waiter> {
        self.passed += 1;
        let longest = self.waiting.first_entry();
        match longest {
            Some(longest) if self.passed >= OLDEST || longest.get().since.elapsed() > PATIENCE => {
                self.passed = 0;
                Some(longest.remove())
            }
            Some(_) => self.waiting.pop_last().map(|(_, last)| last),
            None => {
                self.working -= 1;
                None
            }
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let Some(turns) = self.0.take() else { return };
        {
            let mut state = turns.state();
            if state.waiting.is_empty() || state.working > turns.enough(state.waiting.len()) {
                state.working -= 1;
                return;
            }
        }
        turns.pass_on();
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.turns.state().waiting.remove(&self.came);
    }
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt as _, poll};
    use petty_chassis::Shutdown;

    use super::*;

    fn turns(busy: usize, most_waiting: usize) -> Arc<Turns> {
        Turns::with((busy, busy), most_waiting, Tasks::new(Shutdown::new()))
    }

    /// Polled by hand, so that nothing else runs.
    macro_rules! waits {
        ($turns:expr) => {{
            let mut taking = Box::pin($turns.take());
            assert!(poll!(&mut taking).is_pending());
            taking
        }};
    }

    #[tokio::test]
    async fn who_came_last_is_first_and_each_tenth_turn_is_the_oldests() {
        let turns = turns(1, 99);
        let mut turn = turns.take().await.unwrap();
        let mut waiting = Vec::new();
        for _ in 0..12 {
            waiting.push(waits!(turns));
        }
        let mut order = Vec::new();
        for _ in 0..12 {
            drop(turn);
            let (nth, next) = futures::future::select_all(waiting.iter_mut().map(|taking| taking.as_mut()))
                .map(|(turn, nth, _)| (nth, turn.unwrap()))
                .await;
            drop(waiting.remove(nth));
            order.push((nth, waiting.len()));
            turn = next;
        }
        let oldest: Vec<_> = order.iter().map(|(nth, left)| *nth == 0 && *left > 0).collect();
        assert!(oldest[9], "{order:?}");
        assert!(order.iter().enumerate().all(|(turn, (nth, left))| turn == 9 || nth == left), "{order:?}");
        drop(turn);
        assert_eq!(turns.state().working, 0);
    }

    #[tokio::test]
    async fn who_has_waited_long_is_first() {
        let turns = turns(1, 99);
        let turn = turns.take().await.unwrap();
        let (mut oldest, mut newest) = (waits!(turns), waits!(turns));
        turns.state().waiting.values_mut().next().unwrap().since -= PATIENCE + Duration::from_millis(1);
        drop(turn);
        assert!(poll!(&mut newest).is_pending());
        assert!(poll!(&mut oldest).is_ready());
    }

    #[tokio::test]
    async fn nobody_waits_while_there_is_nothing_else_to_do() {
        let turns = turns(2, 99);
        let hang = futures::future::join_all((0..50).map(|_| turns.take())).await;
        assert!(hang.iter().all(Result::is_ok), "more than keep a processor busy");
        assert_eq!(turns.state().working, 50);
        drop(hang);
        tokio::task::yield_now().await;
        let state = turns.state();
        assert_eq!((state.working, state.waiting.len(), state.watched), (0, 0, false));
    }

    #[tokio::test]
    async fn fewer_are_worked_on_at_once_where_many_wait() {
        let turns = Turns::with((3, 2), 99, Tasks::new(Shutdown::new()));
        let mut working =
            vec![turns.take().await.unwrap(), turns.take().await.unwrap(), turns.take().await.unwrap()];
        let mut waiting = vec![waits!(turns), waits!(turns), waits!(turns), waits!(turns)];
        // Four wait, so that the third turn is given up; three, and the next is passed on.
        working.pop();
        assert!(poll!(&mut waiting[3]).is_pending());
        drop(waiting.remove(0));
        working.pop();
        assert!(poll!(&mut waiting[2]).is_ready());
    }

    #[tokio::test]
    async fn who_is_gone_takes_no_turn_with_him() {
        let turns = turns(1, 99);
        let turn = turns.take().await.unwrap();
        let (mut first, gone, given) = (waits!(turns), waits!(turns), waits!(turns));
        drop(gone);
        drop(turn);
        // Given to the last, who goes without having looked.
        drop(given);
        assert!(poll!(&mut first).is_ready());
        drop(first);
        let state = turns.state();
        assert_eq!((state.working, state.waiting.len()), (0, 0));
    }

    #[tokio::test]
    async fn no_more_than_so_many_wait() {
        let turns = turns(1, 2);
        let _turn = turns.take().await.unwrap();
        let _waiting = (waits!(turns), waits!(turns));
        assert_eq!(turns.take().await.unwrap_err().status, 503);
    }
}
