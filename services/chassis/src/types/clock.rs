//! The clock.

use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;

/// Tells the time. The system's, or one that a test moves.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    manual: Option<Arc<Mutex<Timestamp>>>,
}

impl Clock {
    /// The system's clock.
    #[must_use]
    pub fn system() -> Self {
        Self { manual: None }
    }

    /// A clock that stands at `now` until [`Clock::set`].
    #[must_use]
    pub fn manual(now: Timestamp) -> Self {
        Self { manual: Some(Arc::new(Mutex::new(now))) }
    }

    /// Now.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the wall clock")]
    pub fn now(&self) -> Timestamp {
        match &self.manual {
            None => Timestamp::now(),
            Some(time) => *time.lock().unwrap_or_else(PoisonError::into_inner),
        }
    }

    /// Moves a manual clock; the system's is left alone.
    pub fn set(&self, now: Timestamp) {
        if let Some(time) = &self.manual {
            *time.lock().unwrap_or_else(PoisonError::into_inner) = now;
        }
    }
}

/// A time cut to the microsecond, as Postgres keeps it: later and earlier values compare alike on both sides.
#[must_use]
pub fn micros(time: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(time.as_microsecond()).unwrap_or(time)
}
