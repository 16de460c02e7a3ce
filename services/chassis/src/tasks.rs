//! Everything that runs beside a request.
//!
//! Invariants: no task outlives the shutdown, none dies unheard (a panic is logged with the task's name and counted), and
//! every log line of a task says whose it is.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt as _;
use opentelemetry::KeyValue;
use tokio::task::JoinHandle;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use crate::shutdown::Shutdown;
use crate::telemetry;

/// How long dropped tasks get to be gone.
const AFTER_CANCEL: Duration = Duration::from_secs(1);

/// Spawns, watches and waits. Clones share what they watch.
#[derive(Clone)]
pub struct Tasks {
    tracker: TaskTracker,
    shutdown: Shutdown,
    running: Arc<Mutex<BTreeMap<&'static str, usize>>>,
    service: &'static str,
    instance: Arc<str>,
}

/// A blocking task panicked or was never run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the task {0} was lost")]
pub struct TaskLost(pub &'static str);

impl Tasks {
    /// None yet; `shutdown` cuts them off when its grace is over.
    #[must_use]
    pub fn new(shutdown: Shutdown) -> Self {
        Self {
            tracker: TaskTracker::new(),
            shutdown,
            running: Arc::default(),
            service: "",
            instance: Arc::from(""),
        }
    }

    /// The same tasks; those spawned through the answer log under this service's name.
    #[must_use]
    pub fn of_service(&self, service: &'static str, instance: &str) -> Self {
        Self { service, instance: Arc::from(instance), ..self.clone() }
    }

    /// Whose they are; empty where nobody said so.
    pub(crate) fn service(&self) -> &'static str {
        self.service
    }

    /// Runs `future` until it ends or the grace is over. Its output is `None` where it panicked or was cut off.
    pub fn spawn<F>(&self, name: &'static str, future: F) -> JoinHandle<Option<F::Output>>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let watched = self.watch(name, future);
        self.tracker.spawn(async move { watched.await.ok() }.instrument(self.span(name)))
    }

    /// Runs what the service cannot be without: when it ends before the shutdown begins, whichever way, the shutdown
    /// begins with a failure.
    pub fn spawn_critical<F>(&self, name: &'static str, future: F) -> JoinHandle<()>
    where
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let watched = self.watch(name, future);
        let shutdown = self.shutdown.clone();
        let critical = async move {
            let ended = watched.await;
            if shutdown.is_draining() {
                if let Ok(Err(error)) = ended {
                    tracing::error!(
                        task = name,
                        error = crate::error::chain(error.as_ref()),
                        "a task failed while draining"
                    );
                }
                return;
            }
            match ended {
                Ok(Ok(())) => shutdown.fail(format!("{name} ended")),
                Ok(Err(error)) => shutdown.fail(format!("{name}: {}", crate::error::chain(error.as_ref()))),
                Err(Lost::Panicked(panic)) => shutdown.fail(format!("{name} panicked: {panic}")),
                Err(Lost::CutOff) => {}
            }
        };
        self.tracker.spawn(critical.instrument(self.span(name)))
    }

    /// Runs what must be there until all others have ended; nobody waits for it.
    pub(crate) fn spawn_background<F>(&self, name: &'static str, future: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let watched = self.watch(name, future);
        #[expect(
            clippy::disallowed_methods,
            reason = "the tracker would wait for it; the cancelling ends it"
        )]
        tokio::spawn(async move { drop(watched.await) }.instrument(self.span(name)));
    }

    /// Runs what blocks on a thread of its own.
    ///
    /// # Errors
    ///
    /// [`TaskLost`] where it panicked.
    pub async fn spawn_blocking<F, T>(&self, name: &'static str, work: F) -> Result<T, TaskLost>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let span = self.span(name);
        let service = self.service;
        let counted = Running::enter(&self.running, name);
        let task = self.tracker.spawn_blocking(move || {
            let _counted = counted;
            let _entered = span.enter();
            std::panic::catch_unwind(AssertUnwindSafe(work))
                .map_err(|panic| panicked(service, name, panic.as_ref()))
        });
        task.await.ok().and_then(Result::ok).ok_or(TaskLost(name))
    }

    /// Runs what keeps processors busy on a thread of its own, which gives way to all other threads of the machine where
    /// there is not enough for all (on Linux). It ends by itself once nobody needs it: the drain waits for it as for a task.
    ///
    /// # Errors
    ///
    /// Where the system has no thread to give.
    pub fn spawn_thread<F>(&self, name: &'static str, work: F) -> std::io::Result<()>
    where
        F: FnOnce() + Send + 'static,
    {
        let (span, service) = (self.span(name), self.service);
        let counted = Running::enter(&self.running, name);
        let token = self.tracker.token();
        let thread = std::thread::Builder::new().name(name.to_owned());
        let running = move || {
            let _counted = (counted, token);
            let _entered = span.enter();
            give_way();
            if let Err(panic) = std::panic::catch_unwind(AssertUnwindSafe(work)) {
                panicked(service, name, panic.as_ref());
            }
        };
        thread.spawn(running).map(|_| ())
    }

    /// As [`Tasks::spawn`], but on a thread of its own that gives way to all others: for what nobody's answer waits for. What
    /// `future` itself spawns runs beside everything else. Where there is no thread it runs there too.
    pub fn spawn_behind<F>(&self, name: &'static str, future: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let runtime = tokio::runtime::Handle::current();
        let (give, given) = std::sync::mpsc::sync_channel(1);
        let thread = self.spawn_thread(name, move || {
            if let Ok(watched) = given.recv() {
                let _ended: Result<(), Lost> = runtime.block_on(watched);
            }
        });
        match thread {
            // It has only just begun, and waits for this.
            Ok(()) => drop(give.send(self.watch(name, future))),
            Err(error) => {
                tracing::warn!(task = name, %error, "a task that should give way to others has no thread");
                drop(self.spawn(name, future));
            }
        }
    }

    /// How many tasks run under a name.
    #[must_use]
    pub fn running(&self, name: &str) -> usize {
        self.running.lock().unwrap_or_else(PoisonError::into_inner).get(name).copied().unwrap_or_default()
    }

    /// Waits, once the shutdown has begun, until all have ended; after `grace` what is left is dropped. True where nothing
    /// had to be. Either way the shutdown is cancelled then.
    pub async fn wait(&self, grace: Duration) -> bool {
        self.tracker.close();
        if tokio::time::timeout(grace, self.tracker.wait()).await.is_ok() {
            self.shutdown.cancel();
            return true;
        }
        let left: Vec<&str> =
            self.running.lock().unwrap_or_else(PoisonError::into_inner).keys().copied().collect();
        tracing::warn!(tasks = ?left, grace = ?grace, "dropping what did not finish within the grace");
        self.shutdown.cancel();
        if tokio::time::timeout(AFTER_CANCEL, self.tracker.wait()).await.is_err() {
            tracing::error!("some tasks cannot be dropped; leaving them behind");
        }
        false
    }

    fn watch<F>(
        &self,
        name: &'static str,
        future: F,
    ) -> impl Future<Output = Result<F::Output, Lost>> + Send + use<F>
    where
        F: Future + Send + 'static,
        F::Output: Send,
    {
        let counted = Running::enter(&self.running, name);
        let cancelled = self.shutdown.cancelled();
        let service = self.service;
        async move {
            let _counted = counted;
            tokio::select! {
                biased;
                ended = AssertUnwindSafe(future).catch_unwind() => {
                    ended.map_err(|panic| Lost::Panicked(panicked(service, name, panic.as_ref())))
                }
                () = cancelled => Err(Lost::CutOff),
            }
        }
    }

    /// Carries the service's name into the task's log lines. Not exported as a trace: a task is no unit of work.
    fn span(&self, name: &'static str) -> tracing::Span {
        tracing::error_span!(
            target: telemetry::SCOPE,
            parent: None,
            "task",
            task = name,
            service = self.service,
            instance = &*self.instance
        )
    }
}

impl fmt::Debug for Tasks {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Tasks").field("running", &self.running).finish_non_exhaustive()
    }
}

/// Puts the calling thread behind all others: about a ninth of the share of one that did not.
#[cfg(target_os = "linux")]
fn give_way() {
    // On Linux it is the thread's, elsewhere the whole process'.
    if let Err(error) = rustix::process::nice(10) {
        tracing::warn!(%error, "a thread that should give way to others cannot");
    }
}

#[cfg(not(target_os = "linux"))]
fn give_way() {}

/// How a task ended without an output.
enum Lost {
    Panicked(String),
    CutOff,
}

/// Counts a task under its name while it lives.
struct Running {
    counts: Arc<Mutex<BTreeMap<&'static str, usize>>>,
    name: &'static str,
}

impl Running {
    fn enter(counts: &Arc<Mutex<BTreeMap<&'static str, usize>>>, name: &'static str) -> Self {
        *counts.lock().unwrap_or_else(PoisonError::into_inner).entry(name).or_default() += 1;
        Self { counts: Arc::clone(counts), name }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(self.name) {
            *count -= 1;
            if *count == 0 {
                counts.remove(self.name);
            }
        }
    }
}

/// Logs and counts a panic; its text.
fn panicked(service: &'static str, name: &'static str, panic: &(dyn Any + Send)) -> String {
    let panic = panic_text(panic);
    tracing::error!(task = name, panic, "a task panicked");
    count_panic(service, name);
    panic.to_owned()
}

/// Counts a panic of a task, or of a run of one that begins again.
pub(crate) fn count_panic(service: &'static str, name: &'static str) {
    let counter = telemetry::meter()
        .u64_counter("petty_task_panics")
        .with_description("Tasks, and runs of those that begin again, that ended in a panic")
        .build();
    counter.add(1, &[KeyValue::new("service", service), KeyValue::new("task", name)]);
}

/// What a panic said.
pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&'static str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no text")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tasks() -> (Tasks, Shutdown) {
        let shutdown = Shutdown::new();
        (Tasks::new(shutdown.clone()).of_service("auth", "a1"), shutdown)
    }

    fn panics(task: &str) -> bool {
        telemetry::prometheus_text().lines().any(|line| {
            line.starts_with("petty_task_panics_total{")
                && line.contains(&format!("task=\"{task}\""))
                && line.ends_with(" 1")
        })
    }

    #[tokio::test]
    async fn a_panic_is_counted_and_takes_nobody_along() {
        let (tasks, shutdown) = tasks();
        let panicking = tasks.spawn("panics_once", async { panic!("on purpose") });
        let other = tasks.spawn("other", async { 7 });
        assert_eq!(panicking.await.unwrap(), None::<()>);
        assert_eq!(other.await.unwrap(), Some(7));
        assert!(panics("panics_once"), "{}", telemetry::prometheus_text());
        assert!(!shutdown.is_draining());
    }

    #[tokio::test]
    async fn what_is_critical_takes_the_service_down_with_its_reason() {
        for (task, reason) in [
            (async { Ok(()) }.boxed(), "relay ended"),
            (async { Err(anyhow::anyhow!("lost").context("redis")) }.boxed(), "relay: redis: lost"),
            (async { panic!("on purpose") }.boxed(), "relay panicked: on purpose"),
        ] {
            let (tasks, shutdown) = tasks();
            tasks.spawn_critical("relay", task);
            shutdown.draining().await;
            assert_eq!(shutdown.failure().as_deref(), Some(reason));
        }
    }

    #[tokio::test]
    async fn ending_while_draining_is_no_failure() {
        let (tasks, shutdown) = tasks();
        let draining = shutdown.draining();
        tasks.spawn_critical("server", async move {
            draining.await;
            Ok(())
        });
        shutdown.begin();
        assert!(tasks.wait(Duration::from_secs(5)).await);
        assert_eq!(shutdown.failure(), None);
    }

    #[tokio::test]
    async fn a_task_that_ignores_the_drain_is_dropped_after_the_grace() {
        let (tasks, shutdown) = tasks();
        let stubborn = tasks.spawn("stubborn", std::future::pending::<()>());
        assert_eq!(tasks.running("stubborn"), 1);
        shutdown.begin();
        assert!(!tasks.wait(Duration::from_millis(20)).await);
        assert!(shutdown.is_cancelled());
        assert_eq!(stubborn.await.unwrap(), None);
        assert_eq!(tasks.running("stubborn"), 0);
    }

    #[tokio::test]
    async fn blocking_work_answers_or_is_reported_lost() {
        let (tasks, _shutdown) = tasks();
        assert_eq!(tasks.spawn_blocking("hash", || 3).await, Ok(3));
        let lost = tasks.spawn_blocking("panics_blocking", || -> i32 { panic!("on purpose") }).await;
        assert_eq!(lost, Err(TaskLost("panics_blocking")));
        assert!(panics("panics_blocking"));
    }

    #[tokio::test]
    async fn a_thread_gives_way_and_is_waited_for() {
        let (tasks, shutdown) = tasks();
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let (say, said) = tokio::sync::oneshot::channel();
        tasks
            .spawn_thread("busy", move || {
                #[cfg(target_os = "linux")]
                say.send(rustix::process::getpriority_process(None).unwrap()).unwrap();
                #[cfg(not(target_os = "linux"))]
                say.send(10).unwrap();
                ended.recv().unwrap();
            })
            .unwrap();
        assert_eq!((said.await.unwrap(), tasks.running("busy")), (10, 1));
        #[cfg(target_os = "linux")]
        assert_eq!(rustix::process::getpriority_process(None).unwrap(), 0);
        shutdown.begin();
        assert!(!tasks.wait(Duration::from_millis(20)).await);
        end.send(()).unwrap();
        assert!(tasks.wait(Duration::from_secs(5)).await);
        assert_eq!(tasks.running("busy"), 0);

        tasks.spawn_thread("panics_thread", || panic!("on purpose")).unwrap();
        assert!(tasks.wait(Duration::from_secs(5)).await);
        assert!(panics("panics_thread"));
    }

    #[tokio::test]
    async fn what_gives_way_uses_the_runtime_and_ends_with_the_shutdown() {
        let (tasks, shutdown) = tasks();
        let (say, said) = tokio::sync::oneshot::channel();
        tasks.spawn_behind("behind", async move {
            tokio::time::sleep(Duration::from_millis(1)).await;
            #[cfg(target_os = "linux")]
            say.send(rustix::process::getpriority_process(None).unwrap()).unwrap();
            #[cfg(not(target_os = "linux"))]
            say.send(10).unwrap();
            std::future::pending::<()>().await;
        });
        assert_eq!(said.await.unwrap(), 10);
        assert!(tasks.running("behind") > 0);
        shutdown.begin();
        assert!(!tasks.wait(Duration::from_millis(20)).await);
        while tasks.running("behind") > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }

        tasks.spawn_behind("panics_behind", async { panic!("on purpose") });
        assert!(tasks.wait(Duration::from_secs(5)).await);
        assert!(panics("panics_behind"));
    }
}
