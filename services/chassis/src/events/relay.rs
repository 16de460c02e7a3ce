//! The relay: from the outbox to Redis Streams.
//!
//! Each shard has one holder at a time, by a lease. The holder first gives numbers, in a transaction that checks the lease,
//! and only then sends, in the order of the numbers; a row is marked as sent once Redis answered. A crash between the two
//! sends the same numbers again, which consumers know by the event's id.
//!
//! A Redis that is full refuses what is sent, and is full until something is trimmed away: so trimming and the heartbeat of auth come
//! first, and none of the three waits for another to succeed.

mod names;
mod send;
mod trim;

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use futures::FutureExt as _;
use jiff::civil::Date;
use redis::aio::ConnectionManager;
use tokio::time::Instant;
use uuid::Uuid;

use super::redis::Connector;
use super::{Topic, topics};
use crate::access;
use crate::postgres::{Db, Error};
use crate::service::Context;

/// A holder that is silent this long loses its shards.
const LEASE: Duration = Duration::from_secs(3);
const RENEW_INTERVAL: Duration = Duration::from_millis(1_000);
/// The longest wait for a commit of another replica's.
const POLL_INTERVAL: Duration = Duration::from_millis(100);
/// So many times as long as a round took it rests after one during which more was written, and how long at most. What comes together
/// costs little more, here and with all who hear of it, than one alone; what comes after a quiet moment waits for nothing.
const REST: (u32, Duration) = (10, Duration::from_secs(1));
/// How long it goes on after a drain began.
const LINGER: Duration = Duration::from_millis(300);
/// So many rows are numbered at once.
const BATCH: i64 = 500;

/// What went wrong in one round; the next one may go well.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error("database")]
    Database(#[from] Error),
    #[error("redis")]
    Redis(#[from] redis::RedisError),
}

pub(super) struct Relay {
    context: Context,
    db: Db,
    redis: ConnectionManager,
    holder: Uuid,
    shards: i16,
    held: Vec<i16>,
    /// How often it was asked to send again, of each shard that is held.
    replays: Vec<(i16, i64)>,
    renewed: Option<Instant>,
    beaten: Option<Instant>,
    topics: Vec<&'static Topic>,
    sending: send::Sending,
    trimming: trim::Trimming,
    /// Whether it rests. Not where somebody waits for an answer until something is sent.
    patient: bool,
    /// Whether the last round took as much as a round may, and so may have left some.
    full: bool,
    /// Whether there may be rows with a number that were not sent.
    unsent: bool,
}

impl Relay {
    pub(super) fn start(context: &Context, db: &Db, redis: &Connector, shards: i16) {
        let topics: Vec<_> = topics::produced_by(context.service).collect();
        let relay = Self {
            context: context.clone(),
            db: db.clone(),
            redis: redis.shared(),
            holder: crate::types::EventId::new(&context.clock).0,
            shards,
            held: Vec::new(),
            replays: Vec::new(),
            renewed: None,
            beaten: None,
            sending: send::Sending::default(),
            trimming: trim::Trimming::default(),
            patient: !topics.contains(&&topics::ACCESS_CHANGED),
            topics,
            full: false,
            unsent: true,
        };
        if !relay.topics.is_empty() {
            context.tasks.spawn_vital("event-relay", relay.run());
        }
    }

    async fn run(mut self) {
        let written = self.db.events_written();
        let shutdown = self.context.shutdown.clone();
        let mut pause = POLL_INTERVAL;
        let mut draining: Option<Instant> = None;
        loop {
            let began = Instant::now();
            let round = tokio::select! {
                () = shutdown.cancelled() => break,
                round = self.round() => round,
            };
            let took = began.elapsed();
            // Requests that are being finished may still write events: a little longer, then until all is sent.
            if draining.is_some_and(|since| since.elapsed() > LINGER)
                && !matches!(round, Ok(sent) if sent > 0)
            {
                break;
            }
            let rests = self.patient && !self.full && matches!(round, Ok(sent) if sent > 0);
            if rests && draining.is_none() && written.notified().now_or_never().is_some() {
                tokio::select! {
                    () = shutdown.draining() => draining = Some(Instant::now()),
                    () = tokio::time::sleep((took * REST.0).min(REST.1)) => {}
                }
            }
            pause = match round {
                // More may be waiting: no pause.
                Ok(sent) if sent > 0 => Duration::ZERO,
                Ok(_) => POLL_INTERVAL,
                Err(fault) => {
                    tracing::warn!(
                        error = crate::error::chain(&fault),
                        "events cannot be sent just now; they wait in the outbox"
                    );
                    (pause * 2).clamp(POLL_INTERVAL, Duration::from_secs(1))
                }
            };
            tokio::select! {
                () = shutdown.draining(), if draining.is_none() => draining = Some(Instant::now()),
                () = written.notified() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
        // Another replica need not wait for the lease to run out.
        let _ = self.release().await;
    }

    /// One round; how many events were sent.
    async fn round(&mut self) -> Result<usize, Fault> {
        if self.renewed.is_none_or(|at| at.elapsed() >= RENEW_INTERVAL) {
            let mut replays = self.lease().await?;
            replays.sort_unstable();
            // What the former holder of a shard left unsent is now ours to send; so is what is to be sent again.
            self.unsent |= replays != self.replays;
            self.held = replays.iter().map(|(shard, _)| *shard).collect();
            self.replays = replays;
            self.renewed = Some(Instant::now());
        }
        if self.held.is_empty() {
            return Ok(0);
        }
        if let Err(error) = self.trimming.trim(&mut self.redis, &self.topics, &self.held).await {
            tracing::warn!(error = %error, "streams cannot be trimmed just now");
        }
        let beaten = self.beat().await;
        self.number().await?;
        let sent = self.send().await;
        beaten.and(sent)
    }

    async fn lease(&self) -> Result<Vec<(i16, i64)>, Error> {
        let shards = &(0..self.shards).collect::<Vec<i16>>();
        self.db
            .transaction("lease_shards", |tx| async move {
                let sql = "-- known_shards\nINSERT INTO event_relay_shards (shard, lease_until)
                           SELECT unnest($1::int2[]), '-infinity' ON CONFLICT DO NOTHING";
                if self.renewed.is_none() {
                    tx.execute(sql, &[shards]).await?;
                }
                let sql = "-- lease_shards\nUPDATE event_relay_shards SET holder = $1, lease_until = now() + make_interval(secs => $2)
                           WHERE shard IN (SELECT shard FROM event_relay_shards WHERE holder = $1 OR lease_until < now()
                                           ORDER BY shard FOR UPDATE SKIP LOCKED) RETURNING shard, replays";
                let rows = tx.query(sql, &[&self.holder, &LEASE.as_secs_f64()]).await?;
                let leased = |row| {
                    Ok((Error::column(row, "event_relay_shards", 0)?, Error::column(row, "event_relay_shards", 1)?))
                };
                rows.iter().map(leased).collect()
            })
            .await
    }

    async fn release(&self) -> Result<(), Error> {
        let sql =
            "-- release_shards\nUPDATE event_relay_shards SET lease_until = '-infinity' WHERE holder = $1";
        self.db
            .transaction(
                "release_shards",
                |tx| async move { tx.execute(sql, &[&self.holder]).await.map(|_| ()) },
            )
            .await
    }

    /// Gives numbers to rows that have none.
    async fn number(&mut self) -> Result<(), Error> {
        let waiting =
            "-- any_unnumbered\nSELECT 1 FROM event_outbox WHERE number IS NULL AND shard = ANY($1) LIMIT 1";
        let held = &self.held;
        let any =
            self.db.read("any_unnumbered", |tx| async move { tx.query_opt(waiting, &[held]).await }).await?;
        self.full = false;
        if any.is_none() {
            return Ok(());
        }
        self.unsent = true;
        let holder = &self.holder;
        let numbered = self
            .db
            .transaction("number_events", |tx| async move {
                let sql = "-- hold_shards\nSELECT shard FROM event_relay_shards WHERE holder = $1 AND lease_until > now()
                           ORDER BY shard FOR UPDATE";
                let rows = tx.query(sql, &[holder]).await?;
                let held = rows.iter().map(|row| Error::column(row, "event_relay_shards", 0)).collect::<Result<Vec<i16>, _>>()?;
                let sql = "-- unnumbered\nSELECT id, day, topic, shard FROM event_outbox
                           WHERE number IS NULL AND shard = ANY($1) ORDER BY id LIMIT $2";
                let mut groups: BTreeMap<(String, i16), Vec<(Uuid, Date)>> = BTreeMap::new();
                for row in tx.query(sql, &[&held, &BATCH]).await? {
                    let key = (Error::column(&row, "event_outbox", 2)?, Error::column(&row, "event_outbox", 3)?);
                    let id = (Error::column(&row, "event_outbox", 0)?, Error::column(&row, "event_outbox", 1)?);
                    groups.entry(key).or_default().push(id);
                }
                let (mut topics, mut shards, mut counts) = (Vec::new(), Vec::new(), Vec::new());
                for ((topic, shard), rows) in &groups {
                    topics.push(topic.as_str());
                    shards.push(*shard);
                    counts.push(i64::try_from(rows.len()).unwrap_or(i64::MAX));
                }
                let sql = "-- take_numbers\nINSERT INTO event_relay_numbers (topic, shard, last_number)
                           SELECT topic, shard, count FROM unnest($1::text[], $2::int2[], $3::int8[]) AS n (topic, shard, count)
                           ON CONFLICT (topic, shard) DO UPDATE
                           SET last_number = event_relay_numbers.last_number + EXCLUDED.last_number
                           RETURNING topic, shard, last_number";
                let mut lasts: HashMap<(String, i16), i64> = HashMap::new();
                for row in tx.query(sql, &[&topics, &shards, &counts]).await? {
                    let key = (Error::column(&row, "event_relay_numbers", 0)?, Error::column(&row, "event_relay_numbers", 1)?);
                    lasts.insert(key, Error::column(&row, "event_relay_numbers", 2)?);
                }
                let (mut ids, mut days, mut numbers) = (Vec::new(), Vec::new(), Vec::new());
                for (key, rows) in groups {
                    let Some(last) = lasts.get(&key) else { continue };
                    let count = i64::try_from(rows.len()).unwrap_or(i64::MAX);
                    for ((id, day), number) in rows.into_iter().zip(last - count + 1..) {
                        ids.push(id);
                        days.push(day);
                        numbers.push(number);
                    }
                }
                let sql = "-- number_events\nUPDATE event_outbox o SET number = n.number
                           FROM unnest($1::uuid[], $2::date[], $3::int8[]) AS n (id, day, number)
                           WHERE o.id = n.id AND o.day = n.day";
                tx.execute(sql, &[&ids, &days, &numbers]).await
            })
            .await?;
        self.full = numbered >= BATCH.unsigned_abs();
        Ok(())
    }

    /// auth says that it is there, with the number last sent, so that a replica notices silence and what it missed.
    async fn beat(&mut self) -> Result<(), Fault> {
        let due = self.beaten.is_none_or(|at| at.elapsed() >= access::HEARTBEAT_INTERVAL);
        if !due || !self.topics.contains(&&topics::ACCESS_CHANGED) || !self.held.contains(&0) {
            return Ok(());
        }
        let sql = "-- last_sent\nSELECT coalesce(max(number), 0) FROM event_outbox
                   WHERE topic = $1 AND shard = 0 AND number IS NOT NULL AND sent_at IS NOT NULL";
        let topic = topics::ACCESS_CHANGED.name;
        let row = self.db.read("last_sent", |tx| async move { tx.query_one(sql, &[&topic]).await }).await?;
        let number: i64 = Error::column(&row, "event_outbox", 0)?;
        let mut command = redis::cmd("XADD");
        command.arg(access::STREAM).arg("MAXLEN").arg("~").arg(10_000).arg("*").arg("n").arg(number);
        command.query_async::<()>(&mut self.redis).await?;
        self.beaten = Some(Instant::now());
        Ok(())
    }
}

/// Waits until an event is in its stream. The caller's deadline ends the waiting.
///
/// # Errors
/// Where the database says no.
pub async fn sent(db: &Db, event: crate::types::EventId) -> Result<(), Error> {
    let sql = "-- is_sent\nSELECT 1 FROM event_outbox WHERE id = $1 AND sent_at IS NOT NULL";
    let mut pause = Duration::from_millis(2);
    loop {
        if db.read("is_sent", |tx| async move { tx.query_opt(sql, &[&event.0]).await }).await?.is_some() {
            return Ok(());
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}
