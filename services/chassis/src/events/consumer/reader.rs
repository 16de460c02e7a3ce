//! Reads entries of this replica's shards, beginning with what the reader before left, and hands each to the worker of its shard.
//!
//! A Redis that is full lets nobody make a group, and whatever is in it goes only by being handled: so groups are made only where they are
//! missing, and streams whose group cannot be made yet hold up no others.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use redis::aio::MultiplexedConnection;
use redis::streams::{
    StreamAutoClaimOptions, StreamAutoClaimReply, StreamId, StreamInfoGroupsReply, StreamKey, StreamReadReply,
};
use redis::{AsyncCommands as _, RedisError, RedisResult, Value};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::time::Instant;

use super::shards::{self, Held, Shards};
use super::turns::Turns;
use super::{Consumer, worker};
use crate::events::redis::{each, is_full};
use crate::events::{Topic, topics};

/// So many entries of a stream are read at once at most, and before it is known how large they are.
const BATCH: usize = 32;
const FIRST_BATCH: usize = 4;
/// So many wait for a worker at most.
const QUEUE: usize = worker::TOGETHER;
/// So many bytes of entries wait for workers and are worked on, about, and as many are read at once: what is made of them takes ten times as
/// much.
const BYTES: usize = 2 << 20;
/// So long is waited for what comes, at most: a quarter of a lease.
const BLOCK: Duration = Duration::from_secs(1);
/// Groups that could not be made are asked for so often.
const GROUPS_INTERVAL: Duration = Duration::from_secs(1);
/// Shards are handled side by side by so many workers, each in order.
const WORKERS: usize = 4;

/// A stream of a topic's shard.
#[derive(Clone, Debug)]
pub(super) struct Source {
    pub(super) topic: &'static Topic,
    pub(super) shard: i16,
    pub(super) key: String,
}

/// An entry to be handled.
pub(super) struct Entry {
    pub(super) source: Source,
    pub(super) id: String,
    pub(super) bytes: Bytes,
    /// Its part of what may be in memory at once.
    _room: OwnedSemaphorePermit,
}

/// What a worker is handed.
pub(super) enum Item {
    Entry(Entry),
    /// That no more of a shard comes.
    Left(i16),
}

struct Reader {
    consumer: Arc<Consumer>,
    sources: Vec<Source>,
    /// The streams whose group could not be made, and when that was tried.
    without_group: BTreeSet<String>,
    tried: Instant,
    queues: Vec<mpsc::Sender<Item>>,
    room: Arc<Semaphore>,
    held: watch::Receiver<Held>,
    leave: mpsc::UnboundedReceiver<i16>,
    /// What is read.
    reading: BTreeSet<i16>,
    cut_off: Arc<AtomicBool>,
    pause: Duration,
    /// So many entries of a stream are read at once, as large as the last ones were.
    batch: usize,
}

pub(super) async fn run(consumer: Arc<Consumer>) {
    let sources: Vec<Source> = topics::consumed_by(consumer.context.service)
        .flat_map(|topic| {
            (0..consumer.config.shards).map(move |shard| Source { topic, shard, key: topic.stream(shard) })
        })
        .collect();
    let Shards { held, leave, done_with, cut_off } = shards::start(&consumer);
    let turns = Turns::default();
    let queues: Vec<mpsc::Sender<Item>> = (0..WORKERS)
        .map(|_| {
            let (sender, receiver) = mpsc::channel(QUEUE);
            // Requests come first: what follows from events may come a moment later.
            let worker = worker::run(consumer.clone(), receiver, turns.clone(), done_with.clone());
            consumer.context.tasks.spawn_vital_behind("event-worker", worker);
            sender
        })
        .collect();
    // The workers' ones alone say that none of them runs any more.
    drop(done_with);
    let shutdown = consumer.context.shutdown.clone();
    let room = Arc::new(Semaphore::new(BYTES));
    let (reading, pause) = (BTreeSet::new(), Duration::from_millis(50));
    let batch = FIRST_BATCH;
    let (without_group, tried) = (BTreeSet::new(), Instant::now());
    let mut reader = Reader {
        consumer,
        sources,
        without_group,
        tried,
        queues,
        room,
        held,
        leave,
        reading,
        cut_off,
        pause,
        batch,
    };
    loop {
        tokio::select! {
            () = shutdown.draining() => return,
            Err(error) = reader.read() => {
                reader.cut_off.store(true, Ordering::Release);
                tracing::warn!(error = %error, "events cannot be read just now");
            }
        }
        tokio::select! {
            () = shutdown.draining() => return,
            () = tokio::time::sleep(reader.pause) => {}
        }
        reader.pause = (reader.pause * 2).min(Duration::from_secs(1));
    }
}

impl Reader {
    /// Reads until Redis fails.
    async fn read(&mut self) -> RedisResult<std::convert::Infallible> {
        let lease = self.consumer.lease();
        let block = (lease / 4).min(BLOCK);
        let mut connection = self.consumer.redis.dedicated(block + Duration::from_secs(2)).await?;
        self.make_groups(&mut connection).await?;
        self.cut_off.store(false, Ordering::Release);
        // What the connection before may have been sent and nobody saw is claimed like what another reader left.
        let mut begun = BTreeSet::new();
        let mut claimed = Instant::now();
        loop {
            // First: what is to be left is not held any more, and so is not read after this.
            while let Ok(left) = self.leave.try_recv() {
                let _ = self.queue(left).send(Item::Left(left)).await;
            }
            self.reading = self.held.borrow_and_update().for_at_least(block);
            begun.retain(|shard| self.reading.contains(shard));
            let new: Vec<i16> = self.reading.difference(&begun).copied().collect();
            for shard in new {
                self.claim(&mut connection, shard, Duration::ZERO).await?;
                begun.insert(shard);
            }
            if self.reading.is_empty() {
                tokio::select! {
                    Ok(()) = self.held.changed() => {}
                    () = tokio::time::sleep(block) => {}
                }
                continue;
            }
            if !self.without_group.is_empty() && self.tried.elapsed() >= GROUPS_INTERVAL {
                self.make_groups(&mut connection).await?;
            }
            self.read_new(&mut connection, block).await?;
            if claimed.elapsed() >= lease / 2 {
                claimed = Instant::now();
                for shard in self.reading.clone() {
                    self.claim(&mut connection, shard, lease).await?;
                }
            }
        }
    }

    async fn read_new(&mut self, connection: &mut MultiplexedConnection, block: Duration) -> RedisResult<()> {
        let group = self.consumer.context.service;
        let name = self.consumer.context.base.instance.as_str();
        let mut command = redis::cmd("XREADGROUP");
        command.arg("GROUP").arg(group).arg(name).arg("COUNT").arg(self.batch);
        command.arg("BLOCK").arg(block.as_millis().to_string()).arg("STREAMS");
        let sources = || {
            let with_group = self.sources.iter().filter(|source| !self.without_group.contains(&source.key));
            with_group.filter(|source| self.reading.contains(&source.shard))
        };
        if sources().next().is_none() {
            tokio::time::sleep(block.min(GROUPS_INTERVAL)).await;
            return Ok(());
        }
        for source in sources() {
            command.arg(&source.key);
        }
        for _ in sources() {
            command.arg(">");
        }
        match command.query_async::<Option<StreamReadReply>>(connection).await {
            Ok(reply) => {
                let streams = reply.map(|reply| reply.keys).unwrap_or_default();
                self.batch = batch(&streams, sources().count()).unwrap_or(self.batch);
                for stream in streams {
                    if let Some(source) = self.sources.iter().find(|source| source.key == stream.key) {
                        self.enqueue(source, stream.ids).await;
                    }
                }
                self.pause = Duration::from_millis(50);
                Ok(())
            }
            // The stream was flushed: the groups begin at 0 again.
            Err(error) if is_no_group(&error) => self.make_groups(connection).await,
            Err(error) => Err(error),
        }
    }

    /// Takes over a shard's entries that were read so long ago and that nobody acknowledged, the oldest first.
    async fn claim(
        &mut self,
        connection: &mut MultiplexedConnection,
        shard: i16,
        idle: Duration,
    ) -> RedisResult<()> {
        let group = self.consumer.context.service;
        let name = self.consumer.context.base.instance.as_str();
        let idle = usize::try_from(idle.as_millis()).unwrap_or(usize::MAX);
        let mut flushed = false;
        let with_group = self.sources.iter().filter(|source| !self.without_group.contains(&source.key));
        for source in with_group.filter(|source| source.shard == shard) {
            let mut from = "0-0".to_owned();
            loop {
                let options = StreamAutoClaimOptions::default().count(self.batch);
                let reply: RedisResult<StreamAutoClaimReply> =
                    connection.xautoclaim_options(&source.key, group, name, idle, &from, options).await;
                match reply {
                    Ok(reply) => {
                        self.enqueue(source, reply.claimed).await;
                        from = reply.next_stream_id;
                    }
                    Err(error) if is_no_group(&error) => {
                        flushed = true;
                        break;
                    }
                    Err(error) => return Err(error),
                }
                if from == "0-0" {
                    break;
                }
            }
        }
        if flushed { self.make_groups(connection).await } else { Ok(()) }
    }

    /// Makes the groups that are missing. A full Redis refuses that, even of one that is there.
    async fn make_groups(&mut self, connection: &mut MultiplexedConnection) -> RedisResult<()> {
        let group = self.consumer.context.service;
        self.tried = Instant::now();
        let mut infos = redis::pipe();
        for source in &self.sources {
            infos.xinfo_groups(&source.key);
        }
        let infos = each::<StreamInfoGroupsReply>(connection, &mut infos).await?;
        // A stream that is not there is an error as well; of any other error the making says more.
        let is_missing = |info: &RedisResult<StreamInfoGroupsReply>| {
            info.as_ref().map_or(true, |info| info.groups.iter().all(|known| known.name != group))
        };
        let missing: Vec<&Source> = self
            .sources
            .iter()
            .zip(&infos)
            .filter_map(|(source, info)| is_missing(info).then_some(source))
            .collect();
        let mut makes = redis::pipe();
        for source in &missing {
            makes.xgroup_create_mkstream(&source.key, group, "0");
        }
        let made = each::<Value>(connection, &mut makes).await?;
        let mut without = BTreeSet::new();
        for (source, made) in missing.into_iter().zip(made) {
            match made {
                Err(error) if is_full(&error) => drop(without.insert(source.key.clone())),
                Err(error) if error.code() != Some("BUSYGROUP") => return Err(error),
                Ok(_) | Err(_) => {}
            }
        }
        if self.without_group.is_empty() && !without.is_empty() {
            let streams = without.len();
            tracing::warn!(streams, "the events Redis is full: some streams cannot be read yet");
        }
        self.without_group = without;
        Ok(())
    }

    async fn enqueue(&self, source: &Source, entries: Vec<StreamId>) {
        let queue = self.queue(source.shard);
        for entry in entries {
            let StreamId { id, mut map, .. } = entry;
            let bytes = match map.remove("e") {
                Some(Value::BulkString(bytes)) => Bytes::from(bytes),
                _ => Bytes::new(),
            };
            // One that is larger than all of it comes alone.
            let weight = u32::try_from(bytes.len().min(BYTES)).unwrap_or(u32::MAX);
            let Ok(room) = self.room.clone().acquire_many_owned(weight).await else { return };
            let entry = Entry { source: source.clone(), id, bytes, _room: room };
            // A worker that is gone is shutting down; the entry stays pending and is claimed later.
            let _ = queue.send(Item::Entry(entry)).await;
        }
    }

    fn queue(&self, shard: i16) -> &mpsc::Sender<Item> {
        let worker = usize::try_from(shard).unwrap_or_default() % self.queues.len();
        &self.queues[worker]
    }
}

/// An entry's event.
fn bytes(entry: &StreamId) -> &[u8] {
    match entry.map.get("e") {
        Some(Value::BulkString(bytes)) => bytes,
        _ => &[],
    }
}

/// How many entries of each of so many streams may be read at once, if they are as large as these; of none nobody knows.
fn batch(streams: &[StreamKey], sources: usize) -> Option<usize> {
    let entries = || streams.iter().flat_map(|stream| &stream.ids);
    let mean = entries().map(|entry| bytes(entry).len()).sum::<usize>().checked_div(entries().count())?;
    Some((BYTES / sources.max(1) / mean.max(1)).clamp(1, BATCH))
}

fn is_no_group(error: &RedisError) -> bool {
    error.code() == Some("NOGROUP")
}
