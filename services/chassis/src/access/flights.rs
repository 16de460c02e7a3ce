//! Checks that are under way, and those who wait for the same one.
//!
//! Invariant: of one session and one target, auth is asked once at a time. A check that began before a change was heard answers
//! nobody who came after it; and none takes longer than a second, so that without the broadcast too no answer is older than that.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared, WeakShared};
use secrecy::SecretString;
use tokio::time::Instant;

use super::decisions::Key;
use super::{AccessReason, Asker, Decision};
use crate::caller::Caller;
use crate::error::{ApiError, Code, chain};
use crate::grpc::ClientAddress;

/// How long a check may take. It is its own, and not that of whoever asked first.
const CHECK: Duration = Duration::from_secs(1);
/// So many that nobody waits for any more are left lying about.
const LEFT: usize = 1_024;

/// What is asked, and after how many changes.
pub(super) type Flight = (Key, u64);
/// What came of a check.
pub(super) type Answer = Result<Arc<Decision>, Failure>;

/// Why a check came to nothing, for each of those who waited.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    code: Code,
    reason: &'static str,
    message: Cow<'static, str>,
    retry_after: Option<Duration>,
    source: Option<String>,
}

/// An asker whose check goes on without them.
pub(super) struct Owned {
    caller: Caller,
    token: SecretString,
    request_id: String,
    client_address: Option<ClientAddress>,
    reason: Option<AccessReason>,
    deadline: Instant,
}

/// All checks that are under way.
#[derive(Default)]
pub(super) struct Flights {
    under_way: Mutex<HashMap<Flight, WeakShared<BoxFuture<'static, Answer>>>>,
}

impl Flights {
    /// The check of that key that is under way, or the one that `start` starts; and whether it was under way.
    pub(super) fn join(
        &self,
        key: Flight,
        start: impl FnOnce() -> BoxFuture<'static, Answer>,
    ) -> (Shared<BoxFuture<'static, Answer>>, bool) {
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        let joined = under_way.get(&key).and_then(WeakShared::upgrade);
        // One that has landed is no more under way: its answer is of before.
        if let Some(flight) = joined.filter(|flight| flight.peek().is_none()) {
            return (flight, true);
        }
        if under_way.len() >= LEFT {
            under_way.retain(|_, flight| flight.upgrade().is_some_and(|flight| flight.peek().is_none()));
        }
        let flight = start().shared();
        if let Some(weak) = flight.downgrade() {
            under_way.insert(key, weak);
        }
        (flight, false)
    }
}

impl Owned {
    pub(super) fn of(asker: &Asker<'_>) -> Self {
        let Asker { caller, token, request_id, client_address, reason, .. } = *asker;
        let (caller, token, request_id) = (caller.clone(), token.clone(), request_id.to_owned());
        let reason = reason.cloned();
        Self { caller, token, request_id, client_address, reason, deadline: Instant::now() + CHECK }
    }

    pub(super) fn asker(&self) -> Asker<'_> {
        Asker {
            caller: &self.caller,
            token: &self.token,
            request_id: &self.request_id,
            deadline: self.deadline,
            client_address: self.client_address,
            reason: self.reason.as_ref(),
        }
    }
}

impl Failure {
    /// Whether it is about the token that was shown, and says nothing of another one of the session.
    pub(super) fn is_of_the_token(&self) -> bool {
        self.code == Code::Unauthenticated && self.reason.starts_with("TOKEN_")
    }

    /// Whether it leaves open what may be done: auth is away or busy, or the token that was shown was no good.
    pub(super) fn says_nothing(&self) -> bool {
        let busy = [Code::Unavailable, Code::DeadlineExceeded, Code::ResourceExhausted, Code::Internal];
        busy.contains(&self.code) || self.is_of_the_token()
    }
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        let source = error.source.as_deref().map(|source| chain(source));
        let ApiError { code, reason, message, retry_after, .. } = error;
        Self { code, reason, message, retry_after, source }
    }
}

impl From<Failure> for ApiError {
    fn from(failure: Failure) -> Self {
        let Failure { code, reason, message, retry_after, source } = failure;
        let error = Self::new(code, reason, message);
        Self { retry_after, source: source.map(Into::into), ..error }
    }
}
