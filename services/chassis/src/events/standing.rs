//! Measures what does not go on: entries of streams that nobody has handled, and gaps whose repair gets nowhere.
//!
//! Streams are asked, not workers: so what a replica died with counts as well, and what no replica reads. Each replica looks at all shards, and
//! of the streams they all say the same; of gaps, each what it repairs itself.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use opentelemetry::KeyValue;
use opentelemetry::metrics::Gauge;
use redis::streams::{StreamInfoGroupsReply, StreamPendingCountReply, StreamRangeReply};
use redis::{AsyncCommands as _, RedisResult};
use tokio::time::Instant;

use super::consumer::Consumer;
use super::gaps::Place;
use super::redis::each;
use super::{Topic, topics};
use crate::periodic;
use crate::telemetry::meter;

/// As often as gaps are looked for this many times: every ten seconds, unless it is set otherwise.
const LOOKS: u32 = 5;

/// Gaps that are being repaired: where each begins, and since when it has begun there. Clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct Unmoved(Arc<Mutex<HashMap<Place, (i64, Instant)>>>);

impl Unmoved {
    /// A gap behind that number is repaired.
    pub(super) fn repaired(&self, place: Place, frontier: i64) {
        self.seen(place, frontier);
        let mut gaps = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        gaps.entry(place).or_insert_with(|| (frontier, Instant::now()));
    }

    /// All up to that number is handled: where that is more than it was, something moves.
    pub(super) fn seen(&self, place: Place, frontier: i64) {
        let mut gaps = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if gaps.get(&place).is_some_and(|(before, _)| *before != frontier) {
            gaps.remove(&place);
        }
    }

    /// For how many seconds the one of a topic that has stood still the longest has.
    fn longest(&self, topic: &str) -> f64 {
        let gaps = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of_topic = gaps.iter().filter(|(place, _)| place.0 == topic);
        of_topic.map(|(_, (_, since))| since.elapsed().as_secs_f64()).fold(0.0, f64::max)
    }
}

struct Standing {
    consumer: Arc<Consumer>,
    gaps: Unmoved,
    unhandled: Gauge<f64>,
    unmoved: Gauge<f64>,
}

pub(super) fn start(consumer: &Arc<Consumer>, gaps: Unmoved) {
    let age = |name, what| meter().f64_gauge(name).with_unit("s").with_description(what).build();
    let standing = Arc::new(Standing {
        consumer: consumer.clone(),
        gaps,
        unhandled: age(
            "petty_events_oldest_unhandled",
            "How long the oldest entry has been in its stream that no replica of the service has handled",
        ),
        unmoved: age(
            "petty_events_gap_unmoved",
            "How long a gap has not become smaller though this replica repairs it",
        ),
    });
    periodic::every(&consumer.context, "events-standing", consumer.config.gap_interval * LOOKS, move || {
        let standing = standing.clone();
        async move { standing.take().await }
    });
}

impl Standing {
    async fn take(&self) -> RedisResult<()> {
        let Consumer { context, .. } = &*self.consumer;
        let mut asked = Ok(());
        // None is told as well: a gauge that is not told keeps its last value.
        for topic in topics::consumed_by(context.service) {
            let labels = [KeyValue::new("service", context.service), KeyValue::new("topic", topic.name)];
            self.unmoved.record(self.gaps.longest(topic.name), &labels);
            match self.oldest(topic).await {
                Ok(came) => {
                    let age =
                        came.map_or(0, |came| context.clock.now().as_millisecond().saturating_sub(came));
                    let age = std::time::Duration::from_millis(u64::try_from(age).unwrap_or_default());
                    self.unhandled.record(age.as_secs_f64(), &labels);
                }
                Err(error) => asked = Err(error),
            }
        }
        asked
    }

    /// When the oldest entry of a topic that is not handled came into its stream, in milliseconds since 1970.
    async fn oldest(&self, topic: &Topic) -> RedisResult<Option<i64>> {
        let mut redis = self.consumer.redis.shared();
        let streams: Vec<String> =
            (0..self.consumer.config.shards).map(|shard| topic.stream(shard)).collect();
        let mut infos = redis::pipe();
        for stream in &streams {
            infos.xinfo_groups(stream);
        }
        let infos = each::<StreamInfoGroupsReply>(&mut redis, &mut infos).await?;
        let mut oldest = None;
        for (stream, info) in streams.iter().zip(infos) {
            // In a stream that is not there nothing waits.
            let Ok(info) = info else { continue };
            let group = info.groups.into_iter().find(|group| group.name == self.consumer.context.service);
            let id = match group {
                Some(group) if group.pending > 0 => {
                    let pending: StreamPendingCountReply =
                        redis.xpending_count(stream, group.name, "-", "+", 1).await?;
                    pending.ids.into_iter().next().map(|entry| entry.id)
                }
                Some(group) if group.lag == Some(0) => None,
                group => {
                    let first = group.map_or("-".to_owned(), |group| format!("({}", group.last_delivered_id));
                    let unread: StreamRangeReply = redis.xrange_count(stream, first, "+", 1).await?;
                    unread.ids.into_iter().next().map(|entry| entry.id)
                }
            };
            let came = id.and_then(|id| id.split('-').next()?.parse::<i64>().ok());
            oldest = oldest.into_iter().chain(came).min();
        }
        Ok(oldest)
    }
}
