//! What a service does again and again beside requests.
//!
//! Invariants: one run ends before the next begins; neither a failure nor a panic is the last run; a panic is counted as any
//! task's is; all end with the drain.
//! That a run by several replicas at once does no harm is the work's own concern.

use std::fmt;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::FutureExt as _;

use crate::error::chain;
use crate::service::Context;
use crate::tasks::{count_panic, panic_text};

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
/// tried again soon. A run that the drain finds under way is dropped: what it does, it does in transactions.
pub fn every<W, F, E>(context: &Context, name: &'static str, interval: Duration, work: W)
where
    W: Fn() -> F + Send + Sync + 'static,
    F: Future<Output = Result<(), E>> + Send,
    E: std::error::Error + Send + 'static,
{
    let draining = context.shutdown.draining();
    let service = context.service;
    let repeating = async move {
        tokio::select! {
            biased;
            () = draining => {}
            () = repeat(service, name, interval, work) => {}
        }
    };
    context.tasks.spawn_vital(name, repeating);
}

async fn repeat<W, F, E>(service: &'static str, name: &'static str, interval: Duration, work: W)
where
    W: Fn() -> F,
    F: Future<Output = Result<(), E>>,
    E: std::error::Error + 'static,
{
    let mut failures = 0_u32;
    loop {
        // What panics before there is anything to await does so within.
        let run = AssertUnwindSafe(async { work().await }).catch_unwind();
        let ended = match run.await {
            Ok(ended) => ended.map_err(Lost::Failed),
            Err(panic) => {
                count_panic(service, name);
                Err(Lost::Panicked(panic_text(panic.as_ref()).to_owned()))
            }
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
        tokio::time::sleep(pause).await;
    }
}

fn log<E: std::error::Error + 'static>(name: &'static str, lost: &Lost<E>)
where
    Lost<E>: fmt::Display,
{
    tracing::error!(task = name, error = chain(lost), "it failed and is tried again");
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use secrecy::ExposeSecret as _;
    use tokio::time::Instant;

    use super::*;
    use crate::config::{BaseConfig, Environment, load};
    use crate::grpc::identity::generate_key;
    use crate::shutdown::Shutdown;
    use crate::tasks::Tasks;
    use crate::telemetry;

    #[derive(Debug, thiserror::Error)]
    #[error("on purpose")]
    struct OnPurpose;

    /// How a run ends.
    #[derive(Clone, Copy)]
    enum End {
        Well,
        Badly,
        Panicking,
        PanickingAtOnce,
        Never,
    }

    /// When runs began, in seconds.
    #[derive(Clone, Default)]
    struct Began(Arc<Mutex<Vec<u64>>>);

    impl Began {
        fn seconds(&self) -> Vec<u64> {
            self.0.lock().unwrap().clone()
        }
    }

    fn context() -> Context {
        let environment = Environment::default()
            .with("PETTY_SERVICE_KEY", generate_key().unwrap().0.expose_secret())
            .with("PETTY_SERVICE_KEYS", "{}");
        let base = load::<BaseConfig>(&environment).unwrap();
        let shutdown = Shutdown::new();
        Context::new("nutrition", base, shutdown.clone(), &Tasks::new(shutdown))
    }

    /// Runs that take a second each and end as they are told to, one after the other, and then well.
    fn start(context: &Context, interval: u64, ends: &'static [End]) -> Began {
        let (began, start) = (Began::default(), Instant::now());
        let noted = began.clone();
        every(context, "periodic_test", Duration::from_secs(interval), move || {
            let nth = {
                let mut noted = noted.0.lock().unwrap();
                noted.push(start.elapsed().as_secs());
                noted.len() - 1
            };
            let end = ends.get(nth).copied().unwrap_or(End::Well);
            assert!(!matches!(end, End::PanickingAtOnce), "on purpose");
            async move {
                tokio::time::sleep(Duration::from_secs(1)).await;
                match end {
                    End::Well => Ok(()),
                    End::Badly => Err(OnPurpose),
                    End::Panicking | End::PanickingAtOnce => panic!("on purpose"),
                    End::Never => std::future::pending().await,
                }
            }
        });
        began
    }

    async fn after(seconds: u64) {
        tokio::time::sleep(Duration::from_millis(seconds * 1_000 + 500)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn it_runs_now_and_an_interval_after_each_end() {
        let context = context();
        let began = start(&context, 10, &[]);
        after(40).await;
        assert_eq!(began.seconds(), [0, 11, 22, 33]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_is_tried_again_soon_then_later_and_at_most_an_interval_later() {
        let context = context();
        let began = start(&context, 10, &[End::Badly; 6]);
        after(70).await;
        // After 1, 2, 4, 8, 10, 10 s, and after the interval once one went well.
        assert_eq!(began.seconds(), [0, 2, 5, 10, 19, 30, 41, 52, 63]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_went_well_makes_the_next_failure_the_first_one() {
        let context = context();
        let began = start(&context, 10, &[End::Badly, End::Badly, End::Well, End::Badly, End::Well]);
        after(20).await;
        assert_eq!(began.seconds(), [0, 2, 5, 16, 18]);
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_tried_later_than_usual() {
        let context = context();
        let began = start(&context, 0, &[End::Badly]);
        after(2).await;
        assert_eq!(began.seconds(), [0, 1, 2]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_panic_is_counted_and_not_the_last_run() {
        let context = context();
        let began = start(&context, 10, &[End::Panicking, End::PanickingAtOnce]);
        after(20).await;
        assert_eq!(began.seconds(), [0, 2, 4, 15]);
        let shown = telemetry::prometheus_text();
        let counted = |line: &str| {
            line.starts_with("petty_task_panics_total{")
                && line.contains("service=\"nutrition\"")
                && line.contains("task=\"periodic_test\"")
                && line.ends_with(" 2")
        };
        assert!(shown.lines().any(counted), "{shown}");
    }

    #[tokio::test(start_paused = true)]
    async fn it_ends_with_the_drain_whether_it_waits_or_runs_or_has_not_begun() {
        for (ends, before, runs) in [(&[][..], 5, vec![0]), (&[End::Never], 5, vec![0]), (&[], 0, vec![])] {
            let context = context();
            if before == 0 {
                context.shutdown.begin();
            }
            let began = start(&context, 10, ends);
            after(before).await;
            context.shutdown.begin();
            after(0).await;
            assert_eq!(context.tasks.running("periodic_test"), 0);
            after(60).await;
            assert_eq!(began.seconds(), runs);
        }
    }
}
