//! Sending: what has a number and was not sent goes into its streams, in the order of the numbers.
//!
//! Invariants: what is sent of a stream at once is taken as a whole or refused as a whole (`MULTI`), so that nothing stands in it before
//! what Redis refused; what was taken is marked as sent whatever became of other streams; and no more is in memory than a pipeline
//! has room for, and one event. What is sent next is the first of each stream, the oldest of those first, then the second of each, and so
//! on: a stream with much in it holds up no other.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::civil::Date;
use prost::Message as _;
use redis::{RedisResult, Value};
use tokio::time::Instant;
use tokio_postgres::Row;
use uuid::Uuid;

use super::{Fault, Relay};
use crate::events::redis::{each, is_full};
use crate::events::{Topic, outbox_service};
use crate::postgres::Error;

/// So many rows of one stream are sent at once.
const STREAM_BATCH: usize = 100;
/// About so many bytes are on their way to Redis at once, of all streams: it syncs its disk once for all that comes together.
const PIPELINE_BYTES: i64 = 4 << 20;
/// While some is refused and some sent, that is told so often at most.
const TELL_INTERVAL: Duration = Duration::from_secs(10);

/// What sending remembers.
pub(super) struct Sending {
    /// About so many bytes are sent at once: fewer while Redis has no memory for more, so that it takes what it has room for.
    bytes: i64,
    /// The streams that hold as much as they may. Each is told once.
    crowded: BTreeSet<String>,
    /// When it was last told that some was refused.
    told: Option<Instant>,
}

impl Default for Sending {
    fn default() -> Self {
        Self { bytes: PIPELINE_BYTES, crowded: BTreeSet::new(), told: None }
    }
}

/// A stream with room for some rows.
struct Stream {
    topic: &'static Topic,
    shard: i16,
    key: String,
    room: usize,
}

/// Rows of one stream, in the order of their numbers.
#[derive(Default)]
struct Run<'a> {
    rows: Vec<&'a Row>,
    ids: Vec<Uuid>,
    days: Vec<Date>,
}

impl Relay {
    /// Sends some of what has a number and was not sent; how many events. Where some was refused and nothing sent: why.
    pub(super) async fn send(&mut self) -> Result<usize, Fault> {
        if !self.unsent {
            return Ok(0);
        }
        let (streams, mut refused) = self.streams().await?;
        let rows = self.next(&streams).await?;
        let mut runs: BTreeMap<i64, Run<'_>> = BTreeMap::new();
        let mut bytes = 0;
        for row in &rows {
            let run = runs.entry(Error::column(row, "event_outbox", 9)?).or_default();
            run.rows.push(row);
            run.ids.push(Error::column(row, "event_outbox", 0)?);
            run.days.push(Error::column(row, "event_outbox", 8)?);
            bytes += i64::from(Error::column::<i32>(row, "event_outbox", 10)?);
        }
        self.full |= bytes >= self.sending.bytes || runs.values().any(|run| run.rows.len() >= STREAM_BATCH);
        let (mut ids, mut days, mut full) = (Vec::new(), Vec::new(), false);
        for (run, answer) in self.add(&streams, runs).await? {
            match answer {
                Ok(()) => {
                    ids.extend(run.ids);
                    days.extend(run.days);
                }
                Err(error) => {
                    full |= is_full(&error);
                    refused = Some(error);
                }
            }
        }
        self.mark_sent(&ids, &days).await?;
        let bytes = self.sending.bytes;
        self.sending.bytes = if full { (bytes / 2).max(1) } else { (bytes * 2).min(PIPELINE_BYTES) };
        match refused {
            Some(error) if ids.is_empty() => return Err(error.into()),
            Some(error) if self.sending.told.is_none_or(|at| at.elapsed() >= TELL_INTERVAL) => {
                self.sending.told = Some(Instant::now());
                tracing::warn!(error = %error, "some events cannot be sent just now; they wait in the outbox");
            }
            None if ids.is_empty() => self.unsent = streams.iter().any(|stream| stream.room == 0),
            Some(_) | None => {}
        }
        Ok(ids.len())
    }

    /// The streams of what is held, each with its room; and what was wrong with one that is not among them.
    async fn streams(&mut self) -> RedisResult<(Vec<Stream>, Option<redis::RedisError>)> {
        let mut streams: Vec<Stream> = Vec::with_capacity(self.topics.len() * self.held.len());
        for &topic in &self.topics {
            let stream = |&shard: &i16| Stream { topic, shard, key: topic.stream(shard), room: STREAM_BATCH };
            streams.extend(self.held.iter().map(stream));
        }
        // A broadcast drops its oldest where it holds too much.
        let (mut lengths, mut refused) = (redis::pipe(), None);
        for stream in streams.iter().filter(|stream| !stream.topic.is_broadcast()) {
            lengths.cmd("XLEN").arg(&stream.key);
        }
        let mut lengths = each::<usize>(&mut self.redis, &mut lengths).await?.into_iter();
        streams.retain_mut(|stream| {
            if stream.topic.is_broadcast() {
                return true;
            }
            let length = match lengths.next() {
                Some(Ok(length)) => length,
                Some(Err(error)) => {
                    refused = Some(error);
                    return false;
                }
                None => return false,
            };
            stream.room = stream.topic.stream_limit.saturating_sub(length).min(STREAM_BATCH);
            if stream.room > 0 {
                self.sending.crowded.remove(&stream.key);
            } else if self.sending.crowded.insert(stream.key.clone()) {
                tracing::warn!(
                    stream = stream.key,
                    length,
                    "the stream is full; the rest waits in the outbox"
                );
            }
            true
        });
        Ok((streams, refused))
    }

    /// The rows to be sent next: of each stream as many as it has room for, and of all about as many bytes as are sent at once. Those of a
    /// stream are in the order of their numbers.
    async fn next(&self, streams: &[Stream]) -> Result<Vec<Row>, Error> {
        // The first that passes the limit of bytes is the last, so that there is one at least.
        let sql = "-- unsent
            SELECT id, subject, version, created_at, schema_version, traceparent, payload, number, day, stream, size FROM (
                SELECT *, sum(size) OVER (ORDER BY place, id) - size AS before FROM (
                    SELECT s.stream, u.* FROM unnest($1::text[], $2::int2[], $3::int8[]) WITH ORDINALITY AS s (topic, shard, room, stream)
                    CROSS JOIN LATERAL (
                        SELECT *, octet_length(payload) AS size, row_number() OVER (ORDER BY number) AS place FROM (
                            SELECT * FROM event_outbox o WHERE o.topic = s.topic AND o.shard = s.shard
                            AND o.sent_at IS NULL AND o.number IS NOT NULL ORDER BY o.number LIMIT s.room
                        ) o
                    ) u
                ) waiting
            ) waiting WHERE before < $4 ORDER BY place, id";
        let topics: Vec<&str> = streams.iter().map(|stream| stream.topic.name).collect();
        let shards: Vec<i16> = streams.iter().map(|stream| stream.shard).collect();
        let room = |stream: &Stream| i64::try_from(stream.room).unwrap_or(i64::MAX);
        let rooms: Vec<i64> = streams.iter().map(room).collect();
        let (topics, shards, rooms, bytes) = (&topics, &shards, &rooms, &self.sending.bytes);
        self.db.read("unsent", |tx| async move { tx.query(sql, &[topics, shards, rooms, bytes]).await }).await
    }

    /// Adds runs to their streams, and says of each whether it was taken.
    async fn add<'a>(
        &mut self,
        streams: &[Stream],
        runs: BTreeMap<i64, Run<'a>>,
    ) -> Result<Vec<(Run<'a>, RedisResult<()>)>, Fault> {
        let mut pipeline = redis::pipe();
        let mut added = Vec::with_capacity(runs.len());
        for (place, run) in runs {
            // Counted from one.
            let stream = usize::try_from(place - 1).ok().and_then(|place| streams.get(place));
            let Some(Stream { topic, shard, key, .. }) = stream else { continue };
            pipeline.cmd("MULTI");
            for row in &run.rows {
                let envelope = outbox_service::envelope(row, topic, *shard, self.context.service)?;
                let command = pipeline.cmd("XADD").arg(key);
                if topic.is_broadcast() {
                    command.arg("MAXLEN").arg("~").arg(topic.stream_limit);
                }
                command.arg("*").arg("e").arg(envelope.encode_to_vec());
            }
            pipeline.cmd("EXEC");
            added.push(run);
        }
        let mut answers = each::<Value>(&mut self.redis, &mut pipeline).await?.into_iter();
        let answered = |run: Run<'a>| {
            // That of MULTI, those of the rows, and that of EXEC, which has what became of them. The first refusal says why.
            let answers: Vec<_> = answers.by_ref().take(run.rows.len() + 2).collect();
            let taken = answers.into_iter().try_for_each(|answer| answer?.extract_error().map(|_| ()));
            (run, taken)
        };
        Ok(added.into_iter().map(answered).collect())
    }

    async fn mark_sent(&self, ids: &[Uuid], days: &[Date]) -> Result<(), Error> {
        if ids.is_empty() {
            return Ok(());
        }
        let sql = "-- mark_sent\nUPDATE event_outbox o SET sent_at = now() FROM unnest($1::uuid[], $2::date[]) AS s (id, day)
                   WHERE o.id = s.id AND o.day = s.day";
        self.db
            .transaction("mark_sent", |tx| async move { tx.execute(sql, &[&ids, &days]).await.map(|_| ()) })
            .await
    }
}
