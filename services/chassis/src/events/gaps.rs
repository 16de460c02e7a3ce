//! Gap repair: what a stream lost is fetched again, by number, from the producer's outbox.
//!
//! Each producer says how far each shard of a topic has come; a consumer whose own frontier stands still below that, though
//! nothing waits for it in the stream, asks for what is missing and handles it as if it had been read, page by page. What was
//! handled meanwhile is known by the inbox, so a repair too many is harmless.
//!
//! Invariants: all that had a number when the waiting began is waited for once, not once for each page; its pages are handled in
//! the order of their numbers, each as what waits together in a stream is, and one page is in memory at a time. Gaps take turns,
//! so that a long one holds up no other. One that does not move, because the database refuses what is in it, is waited for again.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::metrics::Counter;
use petty_proto::events::v1 as wire;
use petty_proto::events::v1::outbox_service_client::OutboxServiceClient;
use redis::streams::{StreamInfoGroupsReply, StreamRangeReply};
use redis::{AsyncCommands as _, RedisResult};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::consumer::Consumer;
use super::standing::{self, Unmoved};
use super::{Event, topics};
use crate::error::ApiError;
use crate::grpc::client::{Channel, Mesh};
use crate::postgres::Error;
use crate::telemetry::meter;

/// So many events are fetched at once at most; fewer, where they are large.
const LIMIT: i32 = 200;
/// An answer may have so many bytes: the producer ends it at two megabytes, but divides no event.
const LARGEST_ANSWER: usize = 64 << 20;
/// Gaps that show while others are repaired are looked for after this long.
const LONGEST_TURN: Duration = Duration::from_secs(30);
/// Who does not read a shard waits so many times as long before it repairs it: whoever reads it will have begun, or cannot.
const OF_OTHERS: u32 = 6;

/// A topic, its producer, and a shard.
pub(super) type Place = (&'static str, &'static str, i16);

/// A shard that has not come as far as its producer.
struct Standing {
    frontier: i64,
    /// The number last given when the waiting began: all up to it has been waited for as long as the first.
    head: i64,
    since: Instant,
    /// Once it is being repaired: until it has come that far no waiting begins anew.
    begun: Option<Begun>,
}

struct Begun {
    at: Instant,
    /// So many events were fetched.
    events: usize,
}

impl Standing {
    fn new(frontier: i64, head: i64) -> Self {
        Self { frontier, head, since: Instant::now(), begun: None }
    }
}

/// How far a shard was handled here.
#[derive(Clone, Copy)]
struct Progress {
    frontier: i64,
    /// The first number that was handled beyond a gap.
    ahead: Option<i64>,
    /// Whether it is read by another replica.
    elsewhere: bool,
}

/// A gap that is to be repaired now.
struct Gap {
    place: Place,
    progress: Progress,
}

struct Gaps {
    consumer: Arc<Consumer>,
    mesh: Mesh,
    standing: HashMap<Place, Standing>,
    unmoved: Unmoved,
    repaired: Counter<u64>,
}

pub(super) fn start(consumer: &Arc<Consumer>, mesh: &Mesh) {
    let repaired = meter()
        .u64_counter("petty_events_repaired")
        .with_description(
            "Events that a stream lost and that were fetched again from their producer's outbox",
        )
        .build();
    let (consumer, mesh, unmoved) = (consumer.clone(), mesh.clone(), Unmoved::default());
    standing::start(&consumer, unmoved.clone());
    let tasks = consumer.context.tasks.clone();
    let gaps = Gaps { consumer, mesh, standing: HashMap::new(), unmoved, repaired };
    tasks.spawn_vital("event-gaps", gaps.run());
}

impl Gaps {
    async fn run(mut self) {
        let shutdown = self.consumer.context.shutdown.clone();
        loop {
            tokio::select! {
                () = shutdown.draining() => return,
                () = tokio::time::sleep(self.consumer.config.gap_interval) => {}
            }
            let due = tokio::select! {
                () = shutdown.draining() => return,
                due = self.due() => due,
            };
            if due.is_empty() {
                continue;
            }
            // Where it panics all gaps are waited for again.
            let (consumer, mesh) = (self.consumer.clone(), self.mesh.clone());
            let (unmoved, repaired) = (self.unmoved.clone(), self.repaired.clone());
            let anew = Self { consumer, mesh, standing: HashMap::new(), unmoved, repaired };
            let (give, given) = oneshot::channel();
            let tasks = self.consumer.context.tasks.clone();
            // What is handled gives way to requests, as what workers handle does.
            tasks.spawn_behind("event-repair", async move {
                self.repair_all(due).await;
                drop(give.send(self));
            });
            self = given.await.unwrap_or(anew);
        }
    }

    /// Repairs gaps, a page of each in turn, until they are closed, or until it is time to look for others.
    async fn repair_all(&mut self, mut due: Vec<Gap>) {
        let shutdown = self.consumer.context.shutdown.clone();
        let until = Instant::now() + LONGEST_TURN;
        while !due.is_empty() && Instant::now() < until {
            let mut open = Vec::with_capacity(due.len());
            for gap in due {
                let (topic, producer, shard) = gap.place;
                let repaired = tokio::select! {
                    // A repair that is cut off is found handled, or not, by the next one.
                    () = shutdown.draining() => return,
                    repaired = self.repair(gap) => repaired,
                };
                match repaired {
                    Ok(rest) => open.extend(rest),
                    Err(error) => {
                        let error = crate::error::chain(&error);
                        tracing::warn!(topic, producer, shard, error, "a gap cannot be repaired just now");
                    }
                }
            }
            due = open;
        }
    }

    async fn due(&mut self) -> Vec<Gap> {
        let mut due = Vec::new();
        for topic in topics::consumed_by(self.consumer.context.service) {
            for producer in topic.producers {
                match self.due_of(topic.name, producer).await {
                    Ok(gaps) => due.extend(gaps),
                    Err(error) => {
                        let error = crate::error::chain(&error);
                        tracing::debug!(
                            topic = topic.name,
                            producer,
                            error,
                            "gaps cannot be looked for just now"
                        );
                    }
                }
            }
        }
        due
    }

    async fn due_of(&mut self, topic: &'static str, producer: &'static str) -> Result<Vec<Gap>, ApiError> {
        let request = wire::ListHeadsRequest { topic: topic.to_owned() };
        let heads = client(&self.mesh, producer).list_heads(request).await.map_err(away)?.into_inner().heads;
        let heads: BTreeMap<i16, i64> = heads
            .into_iter()
            .filter_map(|head| Some((i16::try_from(head.shard).ok()?, head.last_number)))
            .collect();
        let shards: Vec<i16> = heads.keys().copied().collect();
        let mut due = Vec::new();
        for (shard, progress) in progress(&self.consumer, topic, producer, &shards).await? {
            let (place, head) = ((topic, producer, shard), heads.get(&shard).copied().unwrap_or(0));
            self.unmoved.seen(place, progress.frontier);
            if self.standing.get(&place).is_some_and(|known| progress.frontier >= known.head) {
                self.close(place);
            }
            if progress.frontier < head && self.is_due(place, progress, head).await {
                due.push(Gap { place, progress });
            }
        }
        Ok(due)
    }

    /// Whether what a shard misses was waited for long enough, and is lost.
    async fn is_due(&mut self, place: Place, progress: Progress, head: i64) -> bool {
        let (topic, producer, shard) = place;
        let Progress { frontier, ahead, elsewhere } = progress;
        let known = self.standing.entry(place).or_insert_with(|| Standing::new(frontier, head));
        if known.begun.is_some() {
            return true;
        }
        if known.frontier != frontier {
            *known = Standing::new(frontier, head);
        }
        let grace = self.consumer.config.gap_grace;
        let grace = if elsewhere { grace * OF_OTHERS } else { grace };
        // What waits in the stream is late, not lost: once it is handled, what is missing before it shows.
        if known.since.elapsed() < grace || (ahead.is_none() && waits(&self.consumer, topic, shard).await) {
            return false;
        }
        known.begun = Some(Begun { at: Instant::now(), events: 0 });
        let (from, to) = (frontier + 1, known.head);
        tracing::info!(topic, producer, shard, from, to, "what a stream lost is fetched again");
        true
    }

    /// Fetches and handles a page of what is missing; answers what is missing then.
    async fn repair(&mut self, Gap { place, progress: before }: Gap) -> Result<Option<Gap>, ApiError> {
        let (topic, producer, shard) = place;
        let Some(known) = self.standing.get_mut(&place) else { return Ok(None) };
        self.unmoved.repaired(place, before.frontier);
        // Only up to what was handled already: what lies beyond is not missing.
        let last = before.ahead.map_or(known.head, |ahead| known.head.min(ahead - 1));
        let count = handle_page(&self.consumer, &self.mesh, place, (before.frontier + 1, last)).await?;
        if let Some(begun) = &mut known.begun {
            begun.events += count;
        }
        let labels = [KeyValue::new("service", self.consumer.context.service), KeyValue::new("topic", topic)];
        self.repaired.add(u64::try_from(count).unwrap_or_default(), &labels);
        let after = progress(&self.consumer, topic, producer, &[shard]).await?;
        let Some((_, after)) = after.into_iter().next() else { return Ok(None) };
        self.unmoved.seen(place, after.frontier);
        if after.frontier >= known.head {
            self.close(place);
            return Ok(None);
        }
        if after.frontier <= before.frontier {
            tracing::warn!(
                topic,
                producer,
                shard,
                number = before.frontier + 1,
                "a gap cannot be closed yet"
            );
            *known = Standing::new(after.frontier, known.head);
            return Ok(None);
        }
        Ok(Some(Gap { place, progress: after }))
    }

    /// Forgets a gap, by whomever it was closed.
    fn close(&mut self, place: Place) {
        let (topic, producer, shard) = place;
        if let Some(Begun { at, events }) = self.standing.remove(&place).and_then(|known| known.begun) {
            let seconds = at.elapsed().as_secs_f64();
            tracing::info!(topic, producer, shard, events, seconds, "what a stream had lost is handled");
        }
    }
}

fn client(mesh: &Mesh, producer: &str) -> OutboxServiceClient<Channel> {
    OutboxServiceClient::new(mesh.channel(producer)).max_decoding_message_size(LARGEST_ANSWER)
}

fn away(status: tonic::Status) -> ApiError {
    ApiError::unavailable("UPSTREAM_UNAVAILABLE", status)
}

/// Fetches and handles the first events of a run of numbers; how many there were.
async fn handle_page(
    consumer: &Consumer,
    mesh: &Mesh,
    place: Place,
    (first_number, last_number): (i64, i64),
) -> Result<usize, ApiError> {
    let (topic, producer, shard) = place;
    let request = wire::FetchEventsRequest {
        topic: topic.to_owned(),
        shard: i32::from(shard),
        first_number,
        last_number,
        limit: LIMIT,
    };
    let events = client(mesh, producer).fetch_events(request).await.map_err(away)?.into_inner().events;
    let first = events.first().map_or(last_number + 1, |event| event.number);
    if first > first_number {
        // Older than the outbox keeps. It must be seen, and it must not hold up what follows.
        let (from, to) = (first_number, first - 1);
        tracing::error!(topic, producer, shard, from, to, "events are lost: the outbox keeps them no longer");
        skip(consumer, place, (from, to)).await?;
    }
    let events: Result<Vec<Event>, _> = events.into_iter().map(Event::try_from).collect();
    let events = events.map_err(ApiError::internal)?;
    if !events.is_empty() {
        consumer.handle_all(&events).await;
    }
    Ok(events.len())
}

/// Whether entries of a stream are on their way to this group. Where Redis does not say, nothing is: then it brings none.
async fn waits(consumer: &Consumer, topic: &str, shard: i16) -> bool {
    let Some(topic) = topics::named(topic) else { return false };
    let (key, group) = (topic.stream(shard), consumer.context.service);
    let asked: RedisResult<bool> = async {
        let mut redis = consumer.redis.shared();
        let groups: StreamInfoGroupsReply = redis.xinfo_groups(&key).await?;
        let Some(group) = groups.groups.into_iter().find(|known| known.name == group) else {
            return Ok(false);
        };
        let newest: StreamRangeReply = redis.xrevrange_count(&key, "+", "-", 1).await?;
        let undelivered =
            newest.ids.first().is_some_and(|entry| place(&entry.id) > place(&group.last_delivered_id));
        Ok(group.pending > 0 || undelivered)
    }
    .await;
    asked.unwrap_or(false)
}

/// An entry's place in its stream: its id, `1526919030474-55` for example, as numbers.
fn place(id: &str) -> (u64, u64) {
    let (time, sequence) = id.split_once('-').unwrap_or((id, ""));
    (time.parse().unwrap_or_default(), sequence.parse().unwrap_or_default())
}

/// How far some shards of a topic were handled here.
async fn progress(
    consumer: &Consumer,
    topic: &str,
    source: &str,
    shards: &[i16],
) -> Result<Vec<(i16, Progress)>, Error> {
    let sql = "-- shard_progress
        SELECT s.shard, coalesce(p.frontier, 0),
               (SELECT min(a.number) FROM event_progress_ahead a
                WHERE a.topic = $1 AND a.source = $2 AND a.shard = s.shard AND a.number > coalesce(p.frontier, 0)),
               EXISTS (SELECT FROM event_consumer_shards c
                       WHERE c.shard = s.shard AND c.holder <> $4 AND c.lease_until > now())
        FROM unnest($3::int2[]) AS s (shard)
        LEFT JOIN event_progress p ON p.topic = $1 AND p.source = $2 AND p.shard = s.shard";
    let holder = consumer.context.base.instance.as_str();
    consumer
        .db
        .read("shard_progress", |tx| async move {
            let rows = tx.query(sql, &[&topic, &source, &shards, &holder]).await?;
            rows.iter()
                .map(|row| {
                    let progress = Progress {
                        frontier: Error::column(row, "event_progress", 1)?,
                        ahead: Error::column(row, "event_progress_ahead", 2)?,
                        elsewhere: Error::column(row, "event_consumer_shards", 3)?,
                    };
                    Ok((Error::column(row, "event_progress", 0)?, progress))
                })
                .collect()
        })
        .await
}

/// Moves the frontier over numbers that cannot be had any more.
async fn skip(
    consumer: &Consumer,
    (topic, source, shard): Place,
    (from, to): (i64, i64),
) -> Result<(), Error> {
    let sql = "-- skip_lost\nSELECT event_mark_handled($1, $2, $3, $4, $5)";
    consumer
        .db
        .transaction("skip_lost", |tx| async move {
            tx.query(sql, &[&topic, &source, &shard, &from, &to]).await.map(|_| ())
        })
        .await
}
