//! Which requests with an `Idempotency-Key` are being answered just now, in Redis, by all replicas.
//!
//! It accelerates, and tells a client whose first sending still runs; that there is one effect is the owning service's record,
//! in the transaction of the effect itself. So Redis keeps no answer and nothing of a request: a hash, for a while.
//!
//! Invariants: one script takes a key, and only whoever took it lets it go, by a token of its own; where Redis is away or was
//! flushed, the service decides alone; a request that is gone, or whose process is, holds its key no longer than it could
//! run.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::StatusCode;
use http::header::{HeaderValue, RETRY_AFTER};
use opentelemetry::KeyValue;
use opentelemetry::metrics::Counter;
use petty_chassis::events::redis::Connector;
use petty_chassis::types::Entropy;
use petty_chassis::{Tasks, telemetry};
use petty_proto::policy::{MethodPolicy, Repeat};
use redis::aio::ConnectionManager;
use redis::{RedisResult, Script};
use sha2::{Digest as _, Sha256};
use tokio::time::{Instant, timeout};

use crate::problem::Problem;

/// An answer that takes longer is none: the service decides.
const PATIENCE: Duration = Duration::from_millis(100);
/// After a failure Redis is left alone for this time.
const PAUSE: Duration = Duration::from_secs(1);
/// A key stays taken for a method's deadline and so much: longer than any sending runs.
const GRACE: Duration = Duration::from_secs(5);
/// So long it is known that a key came with this request.
const KEPT: Duration = Duration::from_secs(24 * 3_600);

/// Takes a key. KEYS: it. ARGV: the owner's token, the request's hash, life in ms. Answers 1 taken, 2 running, 3 answered before, 4 it
/// was another request's. Whose it is is not known while one is running: the service may refuse it, as it does where Redis has forgotten
/// that the key was somebody else's, and a 422 would then be told to the one who has had the effect.
const TAKE: &str = "
    local there = redis.call('HMGET', KEYS[1], 'owner', 'request')
    if not there[2] then
        redis.call('HSET', KEYS[1], 'owner', ARGV[1], 'request', ARGV[2])
        redis.call('PEXPIRE', KEYS[1], ARGV[3])
        return 1
    end
    if there[1] then return 2 end
    if there[2] ~= ARGV[2] then return 4 end
    return 3";
/// Says that the request was answered. KEYS: its key. ARGV: the owner's token, life in ms.
const ANSWERED: &str = "
    if redis.call('HGET', KEYS[1], 'owner') ~= ARGV[1] then return 0 end
    redis.call('HDEL', KEYS[1], 'owner')
    redis.call('PEXPIRE', KEYS[1], ARGV[2])
    return 1";
/// Lets a key go whose request had no effect, or none that is known of. KEYS: it. ARGV: the owner's token.
const LET_GO: &str = "
    if redis.call('HGET', KEYS[1], 'owner') ~= ARGV[1] then return 0 end
    return redis.call('DEL', KEYS[1])";

/// The keys of all requests.
#[derive(Clone)]
pub struct Sendings {
    inner: Option<Arc<Inner>>,
}

struct Inner {
    redis: ConnectionManager,
    patience: Duration,
    take: Script,
    answered: Script,
    let_go: Script,
    /// Until when Redis is left alone, in milliseconds after `begin`.
    alone_until: AtomicU64,
    begin: Instant,
    tasks: Tasks,
    counted: Counter<u64>,
}

impl std::fmt::Debug for Sendings {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Sendings").finish_non_exhaustive()
    }
}

/// A request whose key is taken. Dropped, it lets the key go.
pub(crate) struct Sending {
    inner: Arc<Inner>,
    key: String,
    owner: String,
    is_over: bool,
}

impl Sendings {
    /// Of no Redis: services decide alone.
    #[must_use]
    pub fn unrecorded() -> Self {
        Self { inner: None }
    }

    /// In this Redis.
    #[must_use]
    pub fn recorded(connector: &Connector, tasks: &Tasks) -> Self {
        Self::recorded_within(connector, tasks, PATIENCE)
    }

    /// The same, waiting for Redis this long.
    #[must_use]
    pub fn recorded_within(connector: &Connector, tasks: &Tasks, patience: Duration) -> Self {
        let inner = Inner {
            redis: connector.shared(),
            patience,
            take: Script::new(TAKE),
            answered: Script::new(ANSWERED),
            let_go: Script::new(LET_GO),
            alone_until: AtomicU64::new(0),
            begin: Instant::now(),
            tasks: tasks.clone(),
            counted: telemetry::meter()
                .u64_counter("petty_http_idempotency_keys")
                .with_description("Requests with an Idempotency-Key, by what was known of it")
                .build(),
        };
        Self { inner: Some(Arc::new(inner)) }
    }

    /// A request of this method begins. `None`: it goes on without a record.
    ///
    /// # Errors
    /// 409 `REQUEST_IN_PROGRESS` while a request with this key runs; 422 where another one was answered.
    pub(crate) async fn begin(
        &self,
        policy: &MethodPolicy,
        request_id: &str,
        request: &[u8],
    ) -> Result<Option<Sending>, Problem> {
        let Some(inner) = self.inner.as_ref().filter(|inner| !inner.is_left_alone()) else {
            return Ok(None);
        };
        // Should whoever asks be gone before Redis answers, it lets go what it may have taken.
        let mut sending = Sending {
            inner: Arc::clone(inner),
            // What it is made of is nothing that a client could choose.
            key: format!("petty:sending:{request_id}"),
            owner: hex::encode(Entropy.bytes::<16>()),
            is_over: false,
        };
        let life = policy.deadline + GRACE;
        let found = inner.within(sending.take(&hash(request_id, request), life)).await;
        sending.is_over = matches!(found, Some(2..=4));
        let (outcome, result) = match found {
            Some(2) => ("running", Err(in_progress())),
            // The service has its answer, sealed, and knows whether it may be shown.
            Some(3) => ("answered", Ok(None)),
            Some(4) => ("another", Err(reused())),
            Some(_) => ("new", Ok(Some(sending))),
            None => ("unknown", Ok(Some(sending))),
        };
        inner.counted.add(1, &[KeyValue::new("outcome", outcome)]);
        result
    }
}

impl Sending {
    async fn take(&self, hash: &str, life: Duration) -> RedisResult<i64> {
        let mut invocation = self.inner.take.prepare_invoke();
        invocation.key(&self.key).arg(&self.owner).arg(hash).arg(millis(life));
        invocation.invoke_async(&mut self.inner.redis.clone()).await
    }

    /// It had its effect, and its answer is kept where that is.
    pub(crate) async fn answered(mut self, policy: &MethodPolicy) {
        match policy.repeat {
            Repeat::RequestId | Repeat::RequestIdSecret => {}
            Repeat::ReadOnly | Repeat::Idempotent | Repeat::NewSession => return,
        }
        let mut invocation = self.inner.answered.prepare_invoke();
        invocation.key(&self.key).arg(&self.owner).arg(millis(KEPT));
        let mut redis = self.inner.redis.clone();
        let said = self.inner.within(invocation.invoke_async::<i64>(&mut redis)).await;
        // What was not said is said by dropping it, later: then the service is asked again, which knows.
        self.is_over = said.is_some();
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        let (inner, key, owner) =
            (Arc::clone(&self.inner), std::mem::take(&mut self.key), std::mem::take(&mut self.owner));
        drop(self.inner.tasks.spawn("idempotency", async move {
            let mut invocation = inner.let_go.prepare_invoke();
            invocation.key(key).arg(owner);
            // Where it cannot be let go it goes by itself.
            inner.within(invocation.invoke_async::<i64>(&mut inner.redis.clone())).await;
        }));
    }
}

impl Inner {
    /// What Redis answers; `None` where it does not, or not soon.
    async fn within<T>(&self, asked: impl Future<Output = RedisResult<T>>) -> Option<T> {
        match timeout(self.patience, asked).await {
            Ok(Ok(answer)) => return Some(answer),
            Ok(Err(error)) => tracing::debug!(%error, "idempotency keys cannot be recorded"),
            Err(_) => tracing::debug!("idempotency keys cannot be recorded in time"),
        }
        self.alone_until.store(self.passed() + millis(PAUSE), Ordering::Relaxed);
        None
    }

    fn is_left_alone(&self) -> bool {
        self.passed() < self.alone_until.load(Ordering::Relaxed)
    }

    fn passed(&self) -> u64 {
        millis(self.begin.elapsed())
    }
}

/// What tells a request from another with the same key. Salted by the id, which is not to be guessed: without it not even short
/// requests can be tried.
fn hash(request_id: &str, request: &[u8]) -> String {
    let hash = Sha256::new().chain_update("petty sending\0").chain_update(request_id).chain_update("\0");
    hex::encode(hash.chain_update(request).finalize())
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn in_progress() -> Problem {
    Problem::new(
        StatusCode::CONFLICT,
        "REQUEST_IN_PROGRESS",
        "The first request with this idempotency key is still being answered; send it again later.",
    )
    .with(RETRY_AFTER, HeaderValue::from_static("1"))
}

/// As the services say it.
fn reused() -> Problem {
    Problem::new(
        StatusCode::UNPROCESSABLE_ENTITY,
        "IDEMPOTENCY_KEY_REUSED",
        "This idempotency key was used for another request.",
    )
}
