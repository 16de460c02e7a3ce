//! Reads entries of all shards, claims those of dead readers, and hands each to the worker of its shard.

use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::streams::{StreamAutoClaimOptions, StreamAutoClaimReply, StreamId, StreamReadReply};
use redis::{AsyncCommands as _, RedisError, RedisResult, Value};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::{Consumer, worker};
use crate::events::{Topic, topics};

/// So many entries of a stream are read at once.
const BATCH: usize = 32;
/// So many wait for a worker at most.
const QUEUE: usize = worker::TOGETHER;
const BLOCK: Duration = Duration::from_secs(1);
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
    pub(super) bytes: Vec<u8>,
}

pub(super) async fn run(consumer: Arc<Consumer>) {
    let sources: Vec<Source> = topics::consumed_by(consumer.context.service)
        .flat_map(|topic| {
            (0..consumer.config.shards).map(move |shard| Source { topic, shard, key: topic.stream(shard) })
        })
        .collect();
    let queues: Vec<mpsc::Sender<Entry>> = (0..WORKERS)
        .map(|_| {
            let (sender, receiver) = mpsc::channel(QUEUE);
            // Requests come first: what follows from events may come a moment later.
            consumer.context.tasks.spawn_behind("event-worker", worker::run(consumer.clone(), receiver));
            sender
        })
        .collect();
    let shutdown = consumer.context.shutdown.clone();
    let mut pause = Duration::from_millis(50);
    loop {
        let reading = read(&consumer, &sources, &queues, &mut pause);
        tokio::select! {
            () = shutdown.draining() => return,
            Err(error) = reading => tracing::warn!(error = %error, "events cannot be read just now"),
        }
        tokio::select! {
            () = shutdown.draining() => return,
            () = tokio::time::sleep(pause) => {}
        }
        pause = (pause * 2).min(Duration::from_secs(1));
    }
}

/// Reads until Redis fails.
async fn read(
    consumer: &Consumer,
    sources: &[Source],
    queues: &[mpsc::Sender<Entry>],
    pause: &mut Duration,
) -> RedisResult<std::convert::Infallible> {
    let group = consumer.context.service;
    let name = consumer.context.base.instance.as_str();
    let mut connection = consumer.redis.dedicated(BLOCK + Duration::from_secs(2)).await?;
    make_groups(&mut connection, group, sources).await?;
    let mut claimed = Instant::now();
    loop {
        let mut command = redis::cmd("XREADGROUP");
        command.arg("GROUP").arg(group).arg(name).arg("COUNT").arg(BATCH);
        command.arg("BLOCK").arg(BLOCK.as_millis().to_string()).arg("STREAMS");
        for source in sources {
            command.arg(&source.key);
        }
        for _ in sources {
            command.arg(">");
        }
        match command.query_async::<Option<StreamReadReply>>(&mut connection).await {
            Ok(reply) => {
                for stream in reply.into_iter().flat_map(|reply| reply.keys) {
                    if let Some(source) = sources.iter().find(|source| source.key == stream.key) {
                        enqueue(source, stream.ids, queues).await;
                    }
                }
                *pause = Duration::from_millis(50);
            }
            // The stream was flushed: the groups begin at 0 again.
            Err(error) if is_no_group(&error) => make_groups(&mut connection, group, sources).await?,
            Err(error) => return Err(error),
        }
        if claimed.elapsed() >= consumer.reclaim_after() / 2 {
            claimed = Instant::now();
            claim(consumer, &mut connection, sources, queues).await?;
        }
    }
}

async fn make_groups(
    connection: &mut MultiplexedConnection,
    group: &str,
    sources: &[Source],
) -> RedisResult<()> {
    for source in sources {
        let made: RedisResult<()> = connection.xgroup_create_mkstream(&source.key, group, "0").await;
        match made {
            Err(error) if error.code() != Some("BUSYGROUP") => return Err(error),
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

fn is_no_group(error: &RedisError) -> bool {
    error.code() == Some("NOGROUP")
}

/// Takes over entries that nobody acknowledged in time.
async fn claim(
    consumer: &Consumer,
    connection: &mut MultiplexedConnection,
    sources: &[Source],
    queues: &[mpsc::Sender<Entry>],
) -> RedisResult<()> {
    let group = consumer.context.service;
    let idle = usize::try_from(consumer.reclaim_after().as_millis()).unwrap_or(usize::MAX);
    for source in sources {
        let options = StreamAutoClaimOptions::default().count(BATCH);
        let reply: RedisResult<StreamAutoClaimReply> = connection
            .xautoclaim_options(
                &source.key,
                group,
                consumer.context.base.instance.as_str(),
                idle,
                "0-0",
                options,
            )
            .await;
        match reply {
            Ok(reply) => enqueue(source, reply.claimed, queues).await,
            Err(error) if is_no_group(&error) => make_groups(connection, group, sources).await?,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

async fn enqueue(source: &Source, entries: Vec<StreamId>, queues: &[mpsc::Sender<Entry>]) {
    let worker = usize::try_from(source.shard).unwrap_or_default() % queues.len();
    for entry in entries {
        let bytes = match entry.map.get("e") {
            Some(Value::BulkString(bytes)) => bytes.clone(),
            _ => Vec::new(),
        };
        // A worker that is gone is shutting down; the entry stays pending and is claimed later.
        let _ = queues[worker].send(Entry { source: source.clone(), id: entry.id, bytes }).await;
    }
}
