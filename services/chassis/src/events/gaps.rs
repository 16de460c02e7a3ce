//! Gap repair: what a stream lost is fetched again, by number, from the producer's outbox.
//!
//! Each producer says how far each shard of a topic has come; a consumer whose own frontier stands still below that, though
//! nothing waits for it in the stream, asks for what is missing and handles it as if it had been read. What was handled
//! meanwhile is known by the inbox, so a repair too many is harmless.

use std::collections::HashMap;
use std::sync::Arc;

use petty_proto::events::v1 as wire;
use petty_proto::events::v1::outbox_service_client::OutboxServiceClient;
use redis::streams::{StreamInfoGroupsReply, StreamRangeReply};
use redis::{AsyncCommands as _, RedisResult};
use tokio::time::Instant;

use super::consumer::Consumer;
use super::{Event, topics};
use crate::error::ApiError;
use crate::grpc::client::{Channel, Mesh};
use crate::postgres::Error;

/// So many events are fetched at once.
const LIMIT: i32 = 200;

type Place = (&'static str, &'static str, i16);

struct Standing {
    frontier: i64,
    since: Instant,
}

pub(super) fn start(consumer: &Arc<Consumer>, mesh: &Mesh) {
    let consumer = consumer.clone();
    let mesh = mesh.clone();
    let tasks = consumer.context.tasks.clone();
    tasks.spawn("event-gaps", async move {
        let shutdown = consumer.context.shutdown.clone();
        let mut standing = HashMap::new();
        loop {
            tokio::select! {
                () = shutdown.draining() => return,
                () = tokio::time::sleep(consumer.config.gap_interval) => {}
            }
            // A repair that is cut off is found handled, or not, by the next one.
            tokio::select! {
                () = shutdown.draining() => return,
                () = look(&consumer, &mesh, &mut standing) => {}
            }
        }
    });
}

async fn look(consumer: &Consumer, mesh: &Mesh, standing: &mut HashMap<Place, Standing>) {
    for topic in topics::consumed_by(consumer.context.service) {
        for producer in topic.producers {
            let mut client = OutboxServiceClient::new(mesh.channel(producer));
            if let Err(error) = repair(consumer, &mut client, topic.name, producer, standing).await {
                tracing::debug!(
                    topic = topic.name,
                    producer,
                    error = crate::error::chain(&error),
                    "gaps cannot be looked for just now"
                );
            }
        }
    }
}

async fn repair(
    consumer: &Consumer,
    client: &mut OutboxServiceClient<Channel>,
    topic: &'static str,
    producer: &'static str,
    standing: &mut HashMap<Place, Standing>,
) -> Result<(), ApiError> {
    let heads = client.list_heads(wire::ListHeadsRequest { topic: topic.to_owned() }).await;
    let heads =
        heads.map_err(|status| ApiError::unavailable("UPSTREAM_UNAVAILABLE", status))?.into_inner().heads;
    let frontiers = frontiers(consumer, topic, producer).await?;
    for head in heads {
        let Ok(shard) = i16::try_from(head.shard) else { continue };
        let frontier = frontiers.get(&shard).copied().unwrap_or(0);
        let place = (topic, producer, shard);
        if frontier >= head.last_number {
            standing.remove(&place);
            continue;
        }
        let known = standing.entry(place).or_insert(Standing { frontier, since: Instant::now() });
        if known.frontier != frontier {
            *known = Standing { frontier, since: Instant::now() };
        }
        if known.since.elapsed() < consumer.config.gap_grace {
            continue;
        }
        fetch(consumer, client, place, frontier, head.last_number).await?;
    }
    Ok(())
}

/// Fetches and handles what follows the frontier.
async fn fetch(
    consumer: &Consumer,
    client: &mut OutboxServiceClient<Channel>,
    (topic, producer, shard): Place,
    frontier: i64,
    head: i64,
) -> Result<(), ApiError> {
    let last = match first_ahead(consumer, topic, producer, shard).await? {
        // Only up to what was handled already: what lies beyond is not missing.
        Some(ahead) => ahead - 1,
        // What waits in the stream is late, not lost: once it is handled, what is missing before it shows.
        None if waits(consumer, topic, shard).await => return Ok(()),
        None => head,
    };
    let request = wire::FetchEventsRequest {
        topic: topic.to_owned(),
        shard: i32::from(shard),
        first_number: frontier + 1,
        last_number: last,
        limit: LIMIT,
    };
    let answer = client
        .fetch_events(request)
        .await
        .map_err(|status| ApiError::unavailable("UPSTREAM_UNAVAILABLE", status))?;
    let events = answer.into_inner().events;
    let first = events.first().map_or(last + 1, |event| event.number);
    if first > frontier + 1 {
        // Older than the outbox keeps. It must be seen, and it must not hold up what follows.
        tracing::error!(
            topic,
            producer,
            shard,
            from = frontier + 1,
            to = first - 1,
            "events are lost: the outbox keeps them no longer"
        );
        skip(consumer, topic, producer, shard, first - 1).await?;
    }
    if !events.is_empty() {
        tracing::info!(
            topic,
            producer,
            shard,
            count = events.len(),
            "events that the stream lost are fetched again"
        );
    }
    for envelope in events {
        match Event::try_from(envelope) {
            Ok(event) => consumer.handle(&event).await,
            Err(error) => return Err(ApiError::internal(error)),
        }
    }
    Ok(())
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

async fn frontiers(consumer: &Consumer, topic: &str, source: &str) -> Result<HashMap<i16, i64>, Error> {
    let sql = "-- frontiers\nSELECT shard, frontier FROM event_progress WHERE topic = $1 AND source = $2";
    consumer
        .db
        .read("frontiers", |tx| async move {
            let rows = tx.query(sql, &[&topic, &source]).await?;
            rows.iter()
                .map(|row| {
                    Ok((Error::column(row, "event_progress", 0)?, Error::column(row, "event_progress", 1)?))
                })
                .collect()
        })
        .await
}

async fn first_ahead(
    consumer: &Consumer,
    topic: &str,
    source: &str,
    shard: i16,
) -> Result<Option<i64>, Error> {
    let sql = "-- first_ahead\nSELECT min(number) FROM event_progress_ahead WHERE topic = $1 AND source = $2 AND shard = $3";
    consumer
        .db
        .read("first_ahead", |tx| async move {
            let row = tx.query_one(sql, &[&topic, &source, &shard]).await?;
            Error::column(&row, "event_progress_ahead", 0)
        })
        .await
}

/// Moves the frontier over numbers that cannot be had any more.
async fn skip(consumer: &Consumer, topic: &str, source: &str, shard: i16, to: i64) -> Result<(), Error> {
    consumer
        .db
        .transaction("skip_lost", |tx| async move {
            let sql = "-- skip_lost\nINSERT INTO event_progress (topic, source, shard, frontier) VALUES ($1, $2, $3, $4)
                       ON CONFLICT (topic, source, shard) DO UPDATE SET frontier = greatest(event_progress.frontier, EXCLUDED.frontier)";
            tx.execute(sql, &[&topic, &source, &shard, &to]).await?;
            // What was handled just beyond joins the frontier.
            let sql = "-- join_ahead\nSELECT event_mark_handled($1, $2, $3, a.number) FROM event_progress_ahead a
                       WHERE a.topic = $1 AND a.source = $2 AND a.shard = $3 ORDER BY a.number LIMIT 1";
            tx.query(sql, &[&topic, &source, &shard]).await.map(|_| ())
        })
        .await
}
