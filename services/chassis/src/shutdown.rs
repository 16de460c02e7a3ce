//! The end of a process: drain, then cancel.
//!
//! A shutdown has two steps. When it *begins*, nothing new is accepted and everybody finishes what they have; when the
//! grace is over it is *cancelled*, and what still runs is dropped. Invariant: only this module touches signals.

use std::future::Future;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// What the process exits with when a second signal cuts the drain short.
const EXIT_ABORTED: i32 = 130;

/// Tells everybody when to finish. Clones are the same shutdown.
#[derive(Clone, Debug, Default)]
pub struct Shutdown {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    draining: CancellationToken,
    cancelled: CancellationToken,
    failure: Mutex<Option<String>>,
}

impl Shutdown {
    /// One that has not begun.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins to drain. Beginning again changes nothing.
    pub fn begin(&self) {
        self.inner.draining.cancel();
    }

    /// Begins to drain because something failed; the first failure is kept.
    pub fn fail(&self, failure: impl Into<String>) {
        let failure = failure.into();
        tracing::error!(failure, "shutting down after a failure");
        self.inner.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(failure);
        self.begin();
    }

    /// Why it began, where something failed.
    #[must_use]
    pub fn failure(&self) -> Option<String> {
        self.inner.failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Ends the grace: whoever has not finished is dropped.
    pub fn cancel(&self) {
        self.begin();
        self.inner.cancelled.cancel();
    }

    /// Whether it has begun.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.inner.draining.is_cancelled()
    }

    /// Whether the grace is over.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.inner.cancelled.is_cancelled()
    }

    /// Resolves when it begins.
    pub fn draining(&self) -> impl Future<Output = ()> + Send + use<> {
        self.inner.draining.clone().cancelled_owned()
    }

    /// Resolves when the grace is over.
    pub fn cancelled(&self) -> impl Future<Output = ()> + Send + use<> {
        self.inner.cancelled.clone().cancelled_owned()
    }
}

/// Lets SIGTERM and SIGINT begin the shutdown, and a second one of them end the process at once.
///
/// # Errors
///
/// Where the signals cannot be listened to.
pub fn listen_for_signals(shutdown: &Shutdown) -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let shutdown = shutdown.clone();
    let listen = async move {
        for first in [true, false] {
            let name = tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
            };
            if first && !shutdown.is_draining() {
                tracing::info!(signal = name, "draining");
                shutdown.begin();
            } else {
                tracing::warn!(signal = name, "aborting: a signal came while draining");
                abort();
            }
        }
    };
    #[expect(clippy::disallowed_methods, reason = "it must outlive the drain that Tasks waits for")]
    tokio::spawn(listen);
    Ok(())
}

#[expect(
    clippy::disallowed_methods,
    reason = "a second signal asks not to wait for anything, a flush included"
)]
fn abort() -> ! {
    std::process::exit(EXIT_ABORTED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn draining_comes_before_cancelling_and_both_are_heard_late_too() {
        let shutdown = Shutdown::new();
        assert!(!shutdown.is_draining());
        let early = shutdown.draining();
        shutdown.begin();
        early.await;
        shutdown.draining().await;
        assert!(!shutdown.is_cancelled());
        shutdown.cancel();
        shutdown.cancelled().await;
    }

    #[tokio::test]
    async fn cancelling_begins_as_well() {
        let shutdown = Shutdown::new();
        shutdown.cancel();
        shutdown.draining().await;
        assert!(shutdown.is_draining());
    }

    #[test]
    fn the_first_failure_is_the_one_told() {
        let shutdown = Shutdown::new();
        assert_eq!(shutdown.failure(), None);
        shutdown.fail("the relay ended");
        shutdown.fail("the pool closed");
        assert_eq!(shutdown.failure().as_deref(), Some("the relay ended"));
        assert!(shutdown.is_draining());
    }
}
