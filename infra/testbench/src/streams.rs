//! Redis databases: one for each bench that consumes, so that no test reads another's streams.

use std::collections::VecDeque;
use std::sync::{LazyLock, Mutex, PoisonError};

use petty_provision::Stack;
use secrecy::ExposeSecret as _;

use crate::wait::eventually;

/// Redis has 16 of them. The first is for those who only produce, and for all of these at once.
static FREE: LazyLock<Mutex<VecDeque<u8>>> = LazyLock::new(|| Mutex::new((1..=15).collect()));

/// A Redis database; free for another once dropped.
#[derive(Debug)]
pub(crate) struct Streams {
    database: u8,
}

impl Drop for Streams {
    fn drop(&mut self) {
        if self.database != 0 {
            FREE.lock().unwrap_or_else(PoisonError::into_inner).push_back(self.database);
        }
    }
}

impl Streams {
    /// The one that all share who only produce.
    #[must_use]
    pub(crate) fn shared() -> Self {
        Self { database: 0 }
    }

    /// An empty one that nobody else uses. Those free for the longest time come first: who used it last may still be
    /// about to end.
    ///
    /// # Panics
    /// Where none becomes free.
    pub(crate) async fn own(stack: &Stack) -> Self {
        let mut found = None;
        eventually("a Redis database is free", || {
            found = take();
            let any = found.is_some();
            async move { any }
        })
        .await;
        let streams = Self { database: found.expect("one was free") };
        let client = redis::Client::open(streams.url(stack)).expect("a Redis address");
        let mut connection =
            client.get_multiplexed_async_connection().await.expect("connect to the test's Redis");
        let _ok: String =
            redis::cmd("FLUSHDB").query_async(&mut connection).await.expect("empty the database");
        streams
    }

    /// Where it is.
    #[must_use]
    pub(crate) fn url(&self, stack: &Stack) -> String {
        let url = stack.redis().url();
        let server = url.expose_secret().strip_suffix("/0").expect("the stack names the first database");
        format!("{server}/{}", self.database)
    }
}

fn take() -> Option<u8> {
    FREE.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
}
