//! Threads that do nothing but hash, and the queue before them.
//!
//! Invariants: the queue is first come, first served, and bounded; what nobody waits for any more, or what is late, is not
//! begun; the threads are not those that answer requests, and give way to them.

use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Histogram};
use petty_chassis::{Tasks, telemetry};
use tokio::sync::oneshot;
use tokio::time::Instant;

/// Why work was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    /// Too many wait.
    #[error("too many wait")]
    Full,
    /// Its turn came when its time was over.
    #[error("its turn came too late")]
    Late,
    /// It panicked, or the pool is being closed.
    #[error("it was lost")]
    Lost,
}

/// A pool. Closed, and its threads ended, when the last clone is dropped.
#[derive(Clone, Debug)]
pub(super) struct Pool {
    handle: Arc<Handle>,
    most: usize,
    measured: Measured,
}

#[derive(Clone, Debug)]
struct Measured {
    waited: Histogram<f64>,
    worked: Histogram<f64>,
    refused: Counter<u64>,
}

#[derive(Debug)]
struct Handle(Arc<Queue>);

#[derive(Debug, Default)]
struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    /// Those that wait and those that are worked on.
    unfinished: usize,
    closed: bool,
}

type Job = Box<dyn FnOnce() + Send>;

impl std::fmt::Debug for State {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("State").field("unfinished", &self.unfinished).finish_non_exhaustive()
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.lock().closed = true;
        self.0.changed.notify_all();
    }
}

impl Pool {
    /// So many threads, before which so many may wait.
    pub(super) fn start(tasks: &Tasks, threads: usize, queue: usize) -> std::io::Result<Self> {
        let shared = Arc::new(Queue::default());
        // Whatever happens from here on, the threads that run end with the handle.
        let handle = Arc::new(Handle(shared.clone()));
        for _ in 0..threads {
            let shared = shared.clone();
            tasks.spawn_thread("hash-passphrases", move || shared.work())?;
        }
        let meter = telemetry::meter();
        let seconds = |name: &'static str, what: &'static str| {
            meter.f64_histogram(name).with_unit("s").with_description(what).build()
        };
        let measured = Measured {
            waited: seconds("petty_passphrase_wait", "How long passphrases waited to be hashed"),
            worked: seconds("petty_passphrase_hash", "How long passphrases took to hash"),
            refused: meter
                .u64_counter("petty_passphrases_refused")
                .with_description(
                    "Passphrases that were not hashed: the queue was full, or their time was over",
                )
                .build(),
        };
        Ok(Self { handle, most: threads + queue, measured })
    }

    /// Whether something more would be taken just now.
    pub(super) fn has_room(&self) -> bool {
        self.handle.0.lock().unfinished < self.most
    }

    /// Does it in turn, or not at all: its turn must come before `deadline`.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        deadline: Instant,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Refused> {
        let (answer, answered) = oneshot::channel();
        let (queued, measured) = (Instant::now(), self.measured.clone());
        let job = move || {
            let begun = Instant::now();
            measured.waited.record(begun.duration_since(queued).as_secs_f64(), &[]);
            if begun >= deadline {
                drop(answer.send(Err(Refused::Late)));
            } else if !answer.is_closed() {
                let done = work();
                measured.worked.record(begun.elapsed().as_secs_f64(), &[]);
                drop(answer.send(Ok(done)));
            }
        };
        let ended = match self.handle.0.push(self.most, Box::new(job)) {
            Ok(()) => answered.await.unwrap_or(Err(Refused::Lost)),
            Err(refused) => Err(refused),
        };
        if let Err(refused) = &ended {
            let why = match refused {
                Refused::Full => "full",
                Refused::Late => "late",
                Refused::Lost => "lost",
            };
            self.measured.refused.add(1, &[KeyValue::new("why", why)]);
        }
        ended
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, most: usize, job: Job) -> Result<(), Refused> {
        let mut state = self.lock();
        if state.unfinished >= most {
            return Err(Refused::Full);
        }
        state.unfinished += 1;
        state.jobs.push_back(job);
        drop(state);
        self.changed.notify_one();
        Ok(())
    }

    /// A thread's life.
    fn work(&self) {
        let mut state = self.lock();
        loop {
            if let Some(job) = state.jobs.pop_front() {
                drop(state);
                // Whoever waits hears of it: the way to answer them is dropped with the job.
                if std::panic::catch_unwind(AssertUnwindSafe(job)).is_err() {
                    tracing::error!("the hashing of a passphrase panicked");
                }
                state = self.lock();
                state.unfinished -= 1;
            } else if state.closed {
                return;
            } else {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;
    use std::time::Duration;

    use petty_chassis::Shutdown;

    use super::*;

    fn later() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    /// A pool of one thread that is busy until it is told otherwise.
    async fn busy(queue: usize) -> (Pool, Tasks, Shutdown, mpsc::Sender<()>) {
        let shutdown = Shutdown::new();
        let tasks = Tasks::new(shutdown.clone());
        let pool = Pool::start(&tasks, 1, queue).unwrap();
        let (go_on, told) = mpsc::channel();
        let (begun, has_begun) = oneshot::channel();
        let occupied = pool.clone();
        tasks.spawn("occupy", async move {
            occupied
                .run(later(), move || {
                    begun.send(()).unwrap();
                    told.recv().unwrap();
                })
                .await
        });
        has_begun.await.unwrap();
        (pool, tasks, shutdown, go_on)
    }

    #[tokio::test]
    async fn what_is_late_or_waited_for_by_nobody_is_not_begun() {
        let (pool, tasks, _shutdown, go_on) = busy(8).await;
        let done = Arc::new(AtomicUsize::new(0));
        let count = |done: &Arc<AtomicUsize>| {
            let done = done.clone();
            move || done.fetch_add(1, Ordering::SeqCst)
        };
        let gone = {
            let (pool, work) = (pool.clone(), count(&done));
            async move { pool.run(later(), work).await }
        };
        let gone = tasks.spawn("gone", gone);
        while pool.handle.0.lock().unfinished < 2 {
            tokio::task::yield_now().await;
        }
        gone.abort();
        assert!(gone.await.unwrap_err().is_cancelled());
        let late = pool.run(Instant::now(), count(&done));
        let in_time = pool.run(later(), count(&done));
        let (late, in_time, ()) = tokio::join!(late, in_time, async { go_on.send(()).unwrap() });
        assert_eq!((late, in_time), (Err(Refused::Late), Ok(0)));
        assert_eq!(done.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn a_full_queue_refuses_and_is_served_in_its_order() {
        let (pool, _tasks, _shutdown, go_on) = busy(3).await;
        let order = Arc::new(Mutex::new(Vec::new()));
        let jobs = (0..5).map(|number| {
            let order = order.clone();
            pool.run(later(), move || order.lock().unwrap().push(number))
        });
        let (ended, ()) = tokio::join!(futures::future::join_all(jobs), async { go_on.send(()).unwrap() });
        assert_eq!(ended, [Ok(()), Ok(()), Ok(()), Err(Refused::Full), Err(Refused::Full)]);
        assert_eq!(*order.lock().unwrap(), [0, 1, 2]);
    }

    #[tokio::test]
    async fn a_panic_costs_its_own_caller_the_answer_and_nobody_the_thread() {
        let (pool, _tasks, _shutdown, go_on) = busy(3).await;
        go_on.send(()).unwrap();
        assert_eq!(pool.run(later(), || -> u8 { panic!("on purpose") }).await, Err(Refused::Lost));
        assert_eq!(pool.run(later(), || 7).await, Ok(7));
    }

    #[tokio::test]
    async fn the_threads_end_with_the_pool() {
        let (pool, tasks, shutdown, go_on) = busy(3).await;
        go_on.send(()).unwrap();
        assert_eq!(pool.run(later(), || 7).await, Ok(7));
        assert_eq!(tasks.running("hash-passphrases"), 1);
        drop(pool);
        shutdown.begin();
        assert!(tasks.wait(Duration::from_secs(10)).await);
        assert_eq!(tasks.running("hash-passphrases"), 0);
    }
}
