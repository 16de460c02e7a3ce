//! Which shards this replica reads.
//!
//! Invariants: a shard is read by one replica at a time, by a lease, so that what is about one pet is handled in its order; a
//! shard is given up only once all of it that was read is handled. Shards are shared out evenly among the replicas that are there.
//! That nothing is applied twice does not rest on this: where two take themselves for the reader of a shard, the inbox decides.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use opentelemetry::KeyValue;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::Consumer;
use crate::postgres::Error;
use crate::telemetry::meter;

/// A lease is renewed so many times before it ends, but at least once a second.
const RENEWALS: u32 = 5;
const RENEW_INTERVAL: Duration = Duration::from_secs(1);

/// What is this replica's, and for how long.
#[derive(Clone, Debug)]
pub(super) struct Held {
    shards: BTreeSet<i16>,
    until: Instant,
}

impl Held {
    /// The shards, where they are ours for as long as a wait takes.
    pub(super) fn for_at_least(&self, wait: Duration) -> BTreeSet<i16> {
        if Instant::now() + wait < self.until { self.shards.clone() } else { BTreeSet::new() }
    }
}

/// What readers and workers see of it.
pub(super) struct Shards {
    /// To be read.
    pub(super) held: watch::Receiver<Held>,
    /// Hears which shards are to be given up: each is no more among those held by then, and is to be answered once.
    pub(super) leave: mpsc::UnboundedReceiver<i16>,
    /// Hears of such a shard that it is handled as far as it was read. Closed once all workers have ended.
    pub(super) done_with: mpsc::UnboundedSender<i16>,
    /// Set while streams cannot be read from here: another replica may be able to.
    pub(super) cut_off: Arc<AtomicBool>,
}

struct Keeper {
    consumer: Arc<Consumer>,
    held: watch::Sender<Held>,
    done_with: mpsc::UnboundedReceiver<i16>,
    leave: mpsc::UnboundedSender<i16>,
    /// Ours by the table, and no longer read.
    leaving: BTreeSet<i16>,
    /// Those of them that no worker has anything of: to be given up.
    handled: BTreeSet<i16>,
    cut_off: Arc<AtomicBool>,
    cut_off_since: Option<Instant>,
}

/// What the table says.
struct Share {
    ours: BTreeSet<i16>,
    /// As many as each replica that is there may have.
    fair: usize,
}

/// Begins to keep this replica's share, until the shutdown.
pub(super) fn start(consumer: &Arc<Consumer>) -> Shards {
    let (held, seen) = watch::channel(Held { shards: BTreeSet::new(), until: Instant::now() });
    let (done_with, heard) = mpsc::unbounded_channel();
    let (leave, asked) = mpsc::unbounded_channel();
    let cut_off = Arc::<AtomicBool>::default();
    let keeper = Keeper {
        consumer: consumer.clone(),
        held,
        done_with: heard,
        leave,
        leaving: BTreeSet::new(),
        handled: BTreeSet::new(),
        cut_off: cut_off.clone(),
        cut_off_since: None,
    };
    consumer.context.tasks.spawn_vital("event-shards", keeper.run());
    Shards { held: seen, leave: asked, done_with, cut_off }
}

impl Keeper {
    async fn run(mut self) {
        let shutdown = self.consumer.context.shutdown.clone();
        let interval = (self.consumer.lease() / RENEWALS).min(RENEW_INTERVAL);
        let gauge = meter()
            .u64_gauge("petty_events_shards_read")
            .with_description("Shards whose events this replica handles")
            .build();
        let service = [KeyValue::new("service", self.consumer.context.service)];
        while !shutdown.is_draining() {
            self.renew().await;
            let read = self.held.borrow().for_at_least(Duration::ZERO).len();
            gauge.record(u64::try_from(read).unwrap_or_default(), &service);
            let next = Instant::now() + interval;
            loop {
                tokio::select! {
                    () = shutdown.draining() => break,
                    Some(shard) = self.done_with.recv() => {
                        if self.leaving.contains(&shard) {
                            self.handled.insert(shard);
                            self.give_up().await;
                        }
                    }
                    () = tokio::time::sleep_until(next) => break,
                }
            }
        }
        // It would go on saying what it said last.
        gauge.record(0, &service);
        // Readers stop by themselves; what workers have begun is finished before another replica takes over.
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = async { while self.done_with.recv().await.is_some() {} } => {}
        }
        if let Err(error) = self.leave().await {
            tracing::debug!(
                error = crate::error::chain(&error),
                "shards are not given back; their leases end"
            );
        }
    }

    /// Renews what is held, takes what is free, and begins to give up what is too much.
    async fn renew(&mut self) {
        let now = Instant::now();
        let lease = self.consumer.lease();
        let cut_off = self.cut_off.load(Ordering::Acquire);
        self.cut_off_since = cut_off.then(|| self.cut_off_since.unwrap_or(now));
        if self.cut_off_since.is_some_and(|since| since.elapsed() >= lease) {
            self.held.send_replace(Held { shards: BTreeSet::new(), until: now });
            self.leaving.clear();
            self.handled.clear();
            if let Err(error) = self.leave().await {
                tracing::debug!(
                    error = crate::error::chain(&error),
                    "shards are not given back; their leases end"
                );
            }
            return;
        }
        let share = match self.share().await {
            Ok(share) => share,
            Err(error) => {
                let error = crate::error::chain(&error);
                tracing::warn!(error, "the leases of shards cannot be renewed just now");
                return;
            }
        };
        self.leaving.retain(|shard| share.ours.contains(shard));
        self.handled.retain(|shard| share.ours.contains(shard));
        let mut shards: BTreeSet<i16> = share.ours.difference(&self.leaving).copied().collect();
        let mut too_many = Vec::new();
        while shards.len() > share.fair {
            too_many.extend(shards.pop_last());
        }
        self.held.send_if_modified(|held| {
            // What merely lasts longer wakes nobody.
            let changed = held.shards != shards || held.until < Instant::now();
            *held = Held { shards, until: now + lease };
            changed
        });
        for shard in too_many {
            self.leaving.insert(shard);
            // Where nobody hears it, the reader has ended, and all is given back.
            let _ = self.leave.send(shard);
        }
        self.give_up().await;
    }

    async fn share(&self) -> Result<Share, Error> {
        let (holder, lease) = (self.holder(), self.consumer.lease().as_secs_f64());
        let shards = &(0..self.consumer.config.shards).collect::<Vec<i16>>();
        self.consumer
            .db
            .transaction("share_shards", |tx| async move {
                // Those that went are forgotten long after they count no more, so that nobody waits for anybody here.
                let sql = "-- consumers_alive
                    WITH gone AS (DELETE FROM event_consumers WHERE alive_until < now() - interval '10 minutes')
                    INSERT INTO event_consumers (holder, alive_until) VALUES ($1, now() + make_interval(secs => $2))
                    ON CONFLICT (holder) DO UPDATE SET alive_until = EXCLUDED.alive_until";
                tx.execute(sql, &[&holder, &lease]).await?;
                let sql = "-- count_consumers\nSELECT count(*) FROM event_consumers WHERE alive_until >= now() OR holder = $1";
                let row = tx.query_one(sql, &[&holder]).await?;
                let there: i64 = Error::column(&row, "event_consumers", 0)?;
                let there = usize::try_from(there).unwrap_or(1).max(1);
                let fair = shards.len().div_ceil(there);
                let sql = "-- renew_shards\nUPDATE event_consumer_shards SET lease_until = now() + make_interval(secs => $2)
                           WHERE holder = $1 RETURNING shard";
                let shard = |row| Error::column(row, "event_consumer_shards", 0);
                let rows = tx.query(sql, &[&holder, &lease]).await?;
                let mut ours = rows.iter().map(shard).collect::<Result<BTreeSet<i16>, _>>()?;
                let room = i64::try_from(fair.saturating_sub(ours.len())).unwrap_or_default();
                if room > 0 {
                    let sql = "-- known_consumer_shards\nINSERT INTO event_consumer_shards (shard, lease_until)
                               SELECT unnest($1::int2[]), '-infinity' ON CONFLICT DO NOTHING";
                    tx.execute(sql, &[shards]).await?;
                    let sql = "-- take_shards\nUPDATE event_consumer_shards SET holder = $1, lease_until = now() + make_interval(secs => $2)
                               WHERE shard IN (SELECT shard FROM event_consumer_shards WHERE lease_until < now()
                                               ORDER BY shard LIMIT $3 FOR UPDATE SKIP LOCKED) RETURNING shard";
                    let rows = tx.query(sql, &[&holder, &lease, &room]).await?;
                    ours.extend(rows.iter().map(shard).collect::<Result<Vec<i16>, _>>()?);
                }
                Ok(Share { ours, fair })
            })
            .await
    }

    /// Lets other replicas have what is handled; in the next round, where that cannot be said now.
    async fn give_up(&mut self) {
        if self.handled.is_empty() {
            return;
        }
        let (holder, shards) = (self.holder(), &self.handled.iter().copied().collect::<Vec<i16>>());
        let sql = "-- give_up_shards\nUPDATE event_consumer_shards SET holder = NULL, lease_until = '-infinity' WHERE holder = $1 AND shard = ANY($2)";
        let given = self.consumer.db.transaction("give_up_shards", |tx| async move {
            tx.execute(sql, &[&holder, shards]).await.map(|_| ())
        });
        if given.await.is_ok() {
            let handled = std::mem::take(&mut self.handled);
            self.leaving.retain(|shard| !handled.contains(shard));
        }
    }

    /// Gives back all.
    async fn leave(&self) -> Result<(), Error> {
        let holder = self.holder();
        self.consumer
            .db
            .transaction("leave_shards", |tx| async move {
                let sql = "-- leave_shards\nUPDATE event_consumer_shards SET holder = NULL, lease_until = '-infinity' WHERE holder = $1";
                tx.execute(sql, &[&holder]).await?;
                tx.execute("-- leave_consumers\nDELETE FROM event_consumers WHERE holder = $1", &[&holder]).await.map(|_| ())
            })
            .await
    }

    fn holder(&self) -> &str {
        &self.consumer.context.base.instance
    }
}
