//! Everything that runs beside a request.
//!
//! Invariants: no task outlives the shutdown, none dies unheard (a panic is logged with the task's name and counted), one that the
//! service would be silently wrong without does not die alone, and every log line of a task says whose it is.

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

    /// Runs what goes on and on and would be missed by nobody before it is too late: where it panics, the shutdown begins with a
    /// failure, and the service is started again with it. It may end by itself.
    pub fn spawn_vital<F>(&self, name: &'static str, future: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let _ending = self.tracker.spawn(self.vital(name, future).instrument(self.span(name)));
    }

    /// As [`Tasks::spawn_vital`], for what must be there until all others have ended; nobody waits for it.
    pub(crate) fn spawn_background<F>(&self, name: &'static str, future: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        #[expect(
            clippy::disallowed_methods,
            reason = "the tracker would wait for it; the cancelling ends it"
        )]
        tokio::spawn(self.vital(name, future).instrument(self.span(name)));
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
        let watched = self.watch(name, future);
        self.run_behind(name, async move { drop(watched.await) });
    }

    /// As [`Tasks::spawn_vital`], but where [`Tasks::spawn_behind`] runs it.
    pub fn spawn_vital_behind<F>(&self, name: &'static str, future: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.run_behind(name, self.vital(name, future));
    }

    fn run_behind<F>(&self, name: &'static str, watched: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let runtime = tokio::runtime::Handle::current();
        let (give, given) = std::sync::mpsc::sync_channel(1);
        let thread = self.spawn_thread(name, move || {
            if let Ok(watched) = given.recv() {
                runtime.block_on(watched);
            }
        });
        match thread {
            // It has only just begun, and waits for this.
            Ok(()) => drop(give.send(watched)),
            Err(error) => {
                tracing::warn!(task = name, %error, "a task that should give way to others has no thread");
                drop(self.tracker.spawn(watched.instrument(self.span(name))));
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

    /// A panic of `future` is not its own affair.
    fn vital<F>(&self, name: &'static str, future: F) -> impl Future<Output = ()> + Send + use<F>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (watched, shutdown) = (self.watch(name, future), self.shutdown.clone());
        async move {
            if let Err(Lost::Panicked(panic)) = watched.await
                && !shutdown.is_draining()
            {
                shutdown.fail(format!("{name} panicked: {panic}"));
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
mod tests;
