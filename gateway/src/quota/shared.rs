//! The buckets that replicas share, in Redis.
//!
//! Invariant: a charge is sent once, and what could not be sent is charged later; nobody waits for Redis longer than
//! [`PATIENCE`], and where it is away nobody waits at all.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use opentelemetry::metrics::Counter;
use petty_chassis::events::redis::Connector;
use petty_chassis::{Shutdown, Tasks, telemetry};
use redis::aio::ConnectionManager;
use redis::{RedisResult, Script};
use tokio::time::{Instant, timeout};

use super::Shelf;

/// An answer that takes longer is none.
const PATIENCE: Duration = Duration::from_millis(100);
/// After a failure Redis is left alone for this time, in milliseconds.
const PAUSE: u64 = 1_000;
/// How long what was taken stays untold where nobody asks.
const PERIOD: Duration = Duration::from_millis(100);
/// So many buckets are told at once.
const BATCH: usize = 512;

/// Charges a bucket, which may come to owe, but no more than a quota: KEYS: it. ARGV: how many, quota, window in ms. Answers what is
/// there in thousandths.
const CHARGE: &str = "
    local quota, window = tonumber(ARGV[2]), tonumber(ARGV[3])
    local time = redis.call('TIME')
    local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
    local there = redis.call('HMGET', KEYS[1], 'tokens', 'at')
    local tokens = quota
    if there[1] then
        local passed = math.max(0, now - tonumber(there[2]))
        tokens = math.min(quota, tonumber(there[1]) / 1000 + passed * quota / window)
    end
    tokens = math.max(-quota, tokens - tonumber(ARGV[1]))
    local kept = string.format('%d', math.floor(tokens * 1000))
    redis.call('HSET', KEYS[1], 'tokens', kept, 'at', string.format('%d', now))
    redis.call('PEXPIRE', KEYS[1], 2 * window)
    return tonumber(kept)";

/// The way to the shared buckets.
pub(super) struct Shared {
    inner: Arc<Inner>,
}

struct Inner {
    redis: ConnectionManager,
    charge: Script,
    /// Until when Redis is left alone, in milliseconds after `begin`.
    alone_until: AtomicU64,
    begin: Instant,
    /// Buckets that were taken from.
    noted: Mutex<Vec<Weak<Shelf>>>,
    away: Counter<u64>,
}

impl Shared {
    pub(super) fn start(connector: &Connector, tasks: &Tasks, shutdown: &Shutdown) -> Self {
        let inner = Arc::new(Inner {
            redis: connector.shared(),
            charge: Script::new(CHARGE),
            alone_until: AtomicU64::new(0),
            begin: Instant::now(),
            noted: Mutex::default(),
            away: telemetry::meter()
                .u64_counter("petty_http_quota_redis_failures")
                .with_description("Times that the shared quotas could not be asked for")
                .build(),
        });
        let teller = Arc::clone(&inner);
        let draining = shutdown.draining();
        tasks.spawn_vital("quotas", async move {
            tokio::pin!(draining);
            loop {
                tokio::select! {
                    () = &mut draining => break,
                    () = tokio::time::sleep(PERIOD) => teller.tell().await,
                }
            }
            teller.tell().await;
        });
        Self { inner }
    }

    /// The bucket was taken from: it is told soon.
    pub(super) fn note(&self, shelf: &Arc<Shelf>) {
        if shelf.is_noted() {
            return;
        }
        self.inner.noted.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::downgrade(shelf));
    }

    /// Tells the shared bucket what was taken, and learns what there is.
    pub(super) async fn settle(&self, shelf: &Shelf) {
        self.inner.settle(shelf).await;
    }
}

/// What a bucket is being told. What was not told goes back, whatever became of the asking: charged twice, a caller is refused
/// a little early; never charged, too late.
struct Untold<'a> {
    shelf: &'a Shelf,
    count: u32,
}

impl Drop for Untold<'_> {
    fn drop(&mut self) {
        self.shelf.bucket().alone(self.count);
    }
}

impl Inner {
    async fn tell(&self) {
        let noted = std::mem::take(&mut *self.noted.lock().unwrap_or_else(PoisonError::into_inner));
        for batch in noted.chunks(BATCH) {
            let shelves: Vec<Arc<Shelf>> = batch.iter().filter_map(Weak::upgrade).collect();
            // One connection, one after the other's back: Redis gets them in one piece.
            futures::future::join_all(shelves.iter().map(|shelf| async {
                shelf.unnote();
                let _asking = shelf.asking.lock().await;
                self.settle(shelf).await;
            }))
            .await;
        }
    }

    async fn settle(&self, shelf: &Shelf) {
        let mut untold = Untold { shelf, count: shelf.bucket().untold() };
        if self.is_left_alone() {
            return;
        }
        match timeout(PATIENCE, self.charge(shelf, untold.count)).await {
            Ok(Ok(thousandths)) => {
                untold.count = 0;
                shelf.bucket().told(thousandths as f64 / 1_000.0, Instant::now());
                return;
            }
            Ok(Err(error)) => tracing::debug!(%error, "the shared quotas cannot be asked for"),
            Err(_) => tracing::debug!("the shared quotas do not answer"),
        }
        self.failed();
    }

    async fn charge(&self, shelf: &Shelf, count: u32) -> RedisResult<i64> {
        let mut invocation = self.charge.prepare_invoke();
        let window = u64::try_from(shelf.rate.window.as_millis()).unwrap_or(u64::MAX);
        invocation.key(&shelf.key).arg(count).arg(shelf.rate.quota).arg(window);
        invocation.invoke_async(&mut self.redis.clone()).await
    }

    fn failed(&self) {
        self.away.add(1, &[]);
        self.alone_until.store(self.passed() + PAUSE, Ordering::Relaxed);
    }

    fn is_left_alone(&self) -> bool {
        self.passed() < self.alone_until.load(Ordering::Relaxed)
    }

    fn passed(&self) -> u64 {
        u64::try_from(self.begin.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}
