//! Each collar's newest reading, in Redis: what is asked for again and again is answered without the database.
//!
//! Invariants: what is there is never replaced by something older, by one script, whoever writes when; every entry goes by
//! itself after [`KEPT`], so that what a crash or an outage kept from being written is not missed for longer, and the
//! database is asked where there is none; nothing of a forgotten pet is written after its mark. Redis holds nothing that the
//! database does not: it may be empty, flushed or away at any time.

mod kept;
mod pending;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use opentelemetry::metrics::Counter;
use petty_chassis::Context;
use petty_chassis::events::redis::Connector;
use petty_chassis::telemetry::{CacheMeasures, meter};
use petty_chassis::types::{CollarId, PetId};
use redis::aio::ConnectionManager;
use redis::{RedisResult, Script};
use tokio::time::{Instant, timeout};

use crate::store::Stored;
use pending::Pending;

/// An entry goes by itself after this time.
pub const KEPT: Duration = Duration::from_secs(60);
/// So long nothing of a forgotten pet is taken: longer than anything that was read before is on its way.
const MARKED: Duration = Duration::from_secs(300);
/// An answer that takes longer is none: the database is about as fast.
const PATIENCE: Duration = Duration::from_millis(100);
/// After a failure Redis is left alone for this time.
const PAUSE: Duration = Duration::from_secs(1);
/// So many entries are written at once.
const BATCH: usize = 256;

/// Sets what is newer than what is there. KEYS: a collar's entry, its forgotten pets. ARGV: time, pet, reading, life in ms.
const SET: &str = "
    if redis.call('SISMEMBER', KEYS[2], ARGV[2]) == 1 then return 0 end
    local there = redis.call('HGET', KEYS[1], 'time')
    if there and tonumber(there) > tonumber(ARGV[1]) then return 0 end
    redis.call('HSET', KEYS[1], 'time', ARGV[1], 'pet', ARGV[2], 'reading', ARGV[3])
    redis.call('PEXPIRE', KEYS[1], ARGV[4])
    return 1";
/// Forgets what is a pet's, and takes nothing more of it. KEYS: as before. ARGV: pet, life of the mark in ms.
const FORGET: &str = "
    if redis.call('HGET', KEYS[1], 'pet') == ARGV[1] then redis.call('DEL', KEYS[1]) end
    redis.call('SADD', KEYS[2], ARGV[1])
    redis.call('PEXPIRE', KEYS[2], ARGV[2])
    return 1";

/// Newest readings. Cheap to clone.
#[derive(Clone)]
pub struct Realtime {
    inner: Arc<Inner>,
}

struct Inner {
    redis: ConnectionManager,
    pending: Pending,
    /// Until when Redis is left alone, in milliseconds after `begin`.
    alone_until: AtomicU64,
    begin: Instant,
    set: Script,
    forget: Script,
    lookups: CacheMeasures,
    away: Counter<u64>,
}

impl std::fmt::Debug for Realtime {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Realtime").finish_non_exhaustive()
    }
}

impl Realtime {
    /// In the Redis that `connector` leads to; begins to write.
    #[must_use]
    pub fn start(context: &Context, connector: &Connector) -> Self {
        let inner = Inner {
            redis: connector.shared(),
            pending: Pending::default(),
            alone_until: AtomicU64::new(0),
            begin: Instant::now(),
            set: Script::new(SET),
            forget: Script::new(FORGET),
            lookups: CacheMeasures::new("realtime", context.service),
            away: meter()
                .u64_counter("petty_realtime_redis_failures")
                .with_description("Times that newest readings could not be read from Redis, or written to it")
                .build(),
        };
        let realtime = Self { inner: Arc::new(inner) };
        let (writer, draining) = (realtime.clone(), context.shutdown.draining());
        context.tasks.spawn_vital("realtime", async move {
            tokio::select! {
                () = writer.write() => {}
                () = draining => {}
            }
        });
        realtime
    }

    /// These are committed. They are written soon, and seen through this replica at once.
    pub fn note(&self, newest: impl IntoIterator<Item = Stored>) {
        self.inner.pending.note(newest);
    }

    /// The pet is forgotten: nothing of it stays in these collars' entries, and nothing comes.
    pub fn forget(&self, pet: PetId, collars: Vec<CollarId>) {
        self.inner.pending.forget(pet, collars);
    }

    /// A collar's newest reading; `None` where there is none, and where Redis does not answer: what waits here need not be the newest
    /// then, for what other replicas wrote is not seen.
    pub async fn get(&self, collar: &CollarId) -> Option<Stored> {
        let pending = self.inner.pending.get(collar);
        let answer = if self.is_left_alone() { None } else { self.ask(collar).await };
        let newest = answer.and_then(|found| match (pending, found) {
            (Some(pending), Some(found)) => {
                Some(if found.measured_at > pending.measured_at { found } else { pending })
            }
            (pending, found) => found.or(pending),
        });
        match newest {
            Some(_) => self.inner.lookups.hit(),
            None => self.inner.lookups.missed(),
        }
        newest
    }

    /// What Redis has of a collar, where it says so.
    async fn ask(&self, collar: &CollarId) -> Option<Option<Stored>> {
        let mut redis = self.inner.redis.clone();
        let mut command = redis::cmd("HGET");
        command.arg(key(collar)).arg("reading");
        let asked = timeout(PATIENCE, command.query_async::<Option<Vec<u8>>>(&mut redis)).await;
        match asked {
            Ok(Ok(None)) => Some(None),
            // What cannot be read was written by another version: the database says what it is.
            Ok(Ok(Some(bytes))) => kept::read(collar, &bytes).map(Some),
            Ok(Err(error)) => {
                tracing::debug!(%error, "newest readings cannot be read from Redis");
                self.leave_alone();
                None
            }
            Err(_) => {
                self.leave_alone();
                None
            }
        }
    }

    async fn write(&self) {
        loop {
            self.inner.pending.some().await;
            let batch = self.inner.pending.take(BATCH);
            let written = self.send(&batch).await;
            if let Err(error) = &written {
                tracing::debug!(%error, "newest readings cannot be written to Redis");
                self.leave_alone();
            }
            self.inner.pending.done(batch, written.is_ok());
            if written.is_err() {
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    async fn send(&self, batch: &pending::Batch) -> RedisResult<()> {
        let Inner { redis, set, forget, .. } = &*self.inner;
        let millis = |life: Duration| u64::try_from(life.as_millis()).unwrap_or(u64::MAX);
        let mut pipeline = redis::pipe();
        // Scripts that a restarted Redis has forgotten are there again with the first command.
        pipeline.load_script(set).ignore().load_script(forget).ignore();
        for (collar, pet) in batch.forgotten() {
            let mut call = forget.key(key(collar));
            call.key(forgotten(collar)).arg(pet.to_string()).arg(millis(MARKED));
            pipeline.invoke_script(&call).ignore();
        }
        for stored in batch.newest() {
            let mut call = set.key(key(&stored.collar));
            call.key(forgotten(&stored.collar))
                .arg(stored.measured_at.as_microsecond())
                .arg(stored.pet.to_string())
                .arg(kept::write(stored))
                .arg(millis(KEPT));
            pipeline.invoke_script(&call).ignore();
        }
        pipeline.query_async::<()>(&mut redis.clone()).await
    }

    fn is_left_alone(&self) -> bool {
        let now = u64::try_from(self.inner.begin.elapsed().as_millis()).unwrap_or(u64::MAX);
        now < self.inner.alone_until.load(Ordering::Relaxed)
    }

    fn leave_alone(&self) {
        self.inner.away.add(1, &[]);
        let until = u64::try_from((self.inner.begin.elapsed() + PAUSE).as_millis()).unwrap_or(u64::MAX);
        self.inner.alone_until.store(until, Ordering::Relaxed);
    }
}

/// Both in one slot of a cluster.
fn key(collar: &CollarId) -> String {
    format!("petty:newest:{{{collar}}}")
}

fn forgotten(collar: &CollarId) -> String {
    format!("petty:forgotten:{{{collar}}}")
}
