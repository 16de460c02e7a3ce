//! Who may have readings wait for the disk, and how many: beyond that a call is refused at once, and told when to come again,
//! before it costs memory.
//!
//! Invariant: whatever waits for the store is within a [`Place`], and a place that is dropped is free again.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::metrics::Counter;
use petty_chassis::ApiError;
use petty_chassis::error::Code;
use tokio::sync::Notify;

use crate::domain::shares::{Full, Load, Shares};

/// When to come again: what waits now is done with by then, or the database is away.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The room for readings on their way to the disk. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Admission {
    shares: Arc<Mutex<Shares>>,
    freed: Arc<Notify>,
    refused: Counter<u64>,
}

/// Room that was given, until it is dropped.
#[derive(Debug)]
pub struct Place {
    admission: Admission,
    load: Load,
}

impl Admission {
    /// Room for so many readings.
    #[must_use]
    pub fn new(room: usize) -> Self {
        let meter = petty_chassis::telemetry::meter();
        let shares = Arc::new(Mutex::new(Shares::new(room)));
        let waiting = Arc::clone(&shares);
        // Kept by the meter for as long as there is one.
        let _gauge = meter
            .u64_observable_gauge("petty_ingest_waiting")
            .with_description("Readings that wait for the disk")
            .with_callback(move |gauge| {
                let taken = waiting.lock().unwrap_or_else(PoisonError::into_inner).taken();
                gauge.observe(u64::try_from(taken).unwrap_or(u64::MAX), &[]);
            })
            .build();
        let refused = meter
            .u64_counter("petty_ingest_refused")
            .with_description("Readings that were refused for want of room")
            .build();
        Self { shares, freed: Arc::new(Notify::new()), refused }
    }

    /// Room for a load now.
    ///
    /// # Errors
    /// Resource exhausted, with a time to come again: `OVERLOADED`, `ACCOUNT_BUSY`, `COLLAR_BUSY`.
    pub fn enter(&self, load: Load) -> Result<Place, ApiError> {
        let entered = self.shares().enter(&load);
        match entered {
            Ok(()) => Ok(Place { admission: self.clone(), load }),
            Err(full) => {
                let (reason, text) = told(full);
                let count = u64::try_from(load.count()).unwrap_or(u64::MAX);
                self.refused.add(count, &[KeyValue::new("reason", reason)]);
                let error = ApiError::new(Code::ResourceExhausted, reason, text);
                Err(ApiError { retry_after: Some(RETRY_AFTER), ..error })
            }
        }
    }

    /// Room for a load as soon as there is some: for whoever can be made to wait by not being read.
    pub async fn wait(&self, load: Load) -> Place {
        loop {
            let freed = self.freed.notified();
            tokio::pin!(freed);
            // From now on nothing that is given back is missed.
            freed.as_mut().enable();
            if self.shares().enter(&load).is_ok() {
                return Place { admission: self.clone(), load };
            }
            freed.await;
        }
    }

    fn shares(&self) -> MutexGuard<'_, Shares> {
        // Nothing panics half way through a change of the shares.
        self.shares.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.admission.shares().leave(&self.load);
        self.admission.freed.notify_waiters();
    }
}

fn told(full: Full) -> (&'static str, &'static str) {
    match full {
        Full::Room => ("OVERLOADED", "too much at once; try again"),
        Full::Account => ("ACCOUNT_BUSY", "too many of the account's readings are on their way; try again"),
        Full::Collar => ("COLLAR_BUSY", "too many of the collar's readings are on their way; try again"),
    }
}
