//! What a service does again and again beside requests.
//!
//! Invariants: one run ends before the next begins; neither a failure nor a panic is the last run; nothing begins once the
//! process drains. That a run by several replicas at once does no harm is the work's own concern.

use std::fmt;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::FutureExt as _;

use crate::error::chain;
use crate::service::Context;
use crate::tasks::panic_text;

/// The pause after a first failure; it doubles up to the interval.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// Why a run came to nothing.
#[derive(Debug, thiserror::Error)]
enum Lost<E: std::error::Error + 'static> {
    #[error(transparent)]
    Failed(#[from] E),
    #[error("panicked: {0}")]
    Panicked(String),
}

/// Runs `work` now and then `interval` after each end of it, until the process drains. What fails is logged under `name` and
/// tried again soon.
pub fn every<W, F, E>(context: &Context, name: &'static str, interval: Duration, work: W)
where
    W: Fn() -> F + Send + Sync + 'static,
    F: Future<Output = Result<(), E>> + Send,
    E: std::error::Error + Send + 'static,
{
    let shutdown = context.shutdown.clone();
    let repeating = async move {
        let mut failures = 0_u32;
        loop {
            let run = AssertUnwindSafe(work()).catch_unwind();
            let ended = match run.await {
                Ok(ended) => ended.map_err(Lost::Failed),
                Err(panic) => Err(Lost::Panicked(panic_text(panic.as_ref()).to_owned())),
            };
            let pause = match ended {
                Ok(()) => {
                    failures = 0;
                    interval
                }
                Err(lost) => {
                    log(name, &lost);
                    failures = failures.saturating_add(1);
                    (FIRST_PAUSE * 2_u32.saturating_pow((failures - 1).min(16))).min(interval)
                }
            };
            tokio::select! {
                () = shutdown.draining() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    };
    drop(context.tasks.spawn(name, repeating));
}

fn log<E: std::error::Error + 'static>(name: &'static str, lost: &Lost<E>)
where
    Lost<E>: fmt::Display,
{
    tracing::error!(task = name, error = chain(lost), "it failed and is tried again");
}
