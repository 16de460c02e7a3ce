//! Trimming: a stream keeps nothing below every group's oldest pending or undelivered entry.
//!
//! Redis refuses none of it where it is full, but the making of a group. So groups that are to be there are made before anything is sent,
//! whether or not anybody reads. One that a full Redis refuses holds nothing up, or it would stay full: what its consumer misses in
//! the stream it has from the outbox. A group that is nobody's holds trimming up, since nobody here can say that it is not wanted; that is
//! told.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use redis::aio::ConnectionManager;
use redis::streams::{StreamInfoGroup, StreamInfoGroupsReply, StreamPendingReply};
use redis::{RedisError, RedisResult, Value};
use tokio::time::Instant;

use super::names;
use crate::events::Topic;
use crate::events::redis::{each, is_full};

const INTERVAL: Duration = Duration::from_secs(2);
/// How often names of consumers that are gone are looked for.
const NAMES_INTERVAL: Duration = Duration::from_hours(1);

type Id = (u64, u64);

/// What trimming remembers.
pub(super) struct Trimming {
    trimmed: Option<Instant>,
    looked_for_names: Option<Instant>,
    /// Nobody has read under a name for so long: it goes.
    gone_after: Duration,
    /// The streams that had all their groups.
    grouped: BTreeSet<String>,
    /// The groups that are nobody's, by stream, that were told.
    told: BTreeSet<(String, String)>,
}

impl Default for Trimming {
    fn default() -> Self {
        Self {
            trimmed: None,
            looked_for_names: None,
            gone_after: names::GONE_AFTER,
            grouped: BTreeSet::new(),
            told: BTreeSet::new(),
        }
    }
}

/// A stream that may be trimmed, and its groups.
struct Stream {
    key: String,
    groups: Vec<StreamInfoGroup>,
}

impl Trimming {
    /// Trims what these shards' streams need no more, where it is time to.
    pub(super) async fn trim(
        &mut self,
        redis: &mut ConnectionManager,
        topics: &[&'static Topic],
        shards: &[i16],
    ) -> RedisResult<()> {
        if self.trimmed.is_some_and(|at| at.elapsed() < INTERVAL) {
            return Ok(());
        }
        self.trimmed = Some(Instant::now());
        let mut streams: Vec<(&'static Topic, String)> = Vec::with_capacity(topics.len() * shards.len());
        for topic in topics.iter().copied().filter(|topic| !topic.is_broadcast()) {
            streams.extend(shards.iter().map(|shard| (topic, topic.stream(*shard))));
        }
        if self.looked_for_names.is_none_or(|at| at.elapsed() >= NAMES_INTERVAL) {
            self.looked_for_names = Some(Instant::now());
            let gone = names::forget(redis, &streams, self.gone_after).await?;
            if gone > 0 {
                tracing::info!(gone, "names of consumers that are gone were deleted from their groups");
            }
        }
        let mut fault = None;
        let streams = self.complete(redis, streams, &mut fault).await?;
        let oldest = oldest_needed(redis, &streams, &mut fault).await?;
        let mut trims = redis::pipe();
        for (stream, oldest) in streams.iter().zip(oldest) {
            if let Some((time, sequence)) = oldest {
                trims.cmd("XTRIM").arg(&stream.key).arg("MINID").arg(format!("{time}-{sequence}"));
            }
        }
        for trimmed in each::<Value>(redis, &mut trims).await? {
            noted(trimmed, &mut fault);
        }
        fault.map_or(Ok(()), Err)
    }

    /// Those of the streams that have all groups that are to be there, or all that a full Redis lets them have; those missing are made.
    /// Streams that hold nothing are left out once they had all.
    async fn complete(
        &mut self,
        redis: &mut ConnectionManager,
        mut streams: Vec<(&'static Topic, String)>,
        fault: &mut Option<RedisError>,
    ) -> RedisResult<Vec<Stream>> {
        let mut lengths = redis::pipe();
        for (_, key) in &streams {
            lengths.cmd("XLEN").arg(key);
        }
        let mut lengths = each::<usize>(redis, &mut lengths).await?.into_iter();
        streams.retain(|(_, key)| {
            let length = lengths.next().and_then(|length| noted(length, fault));
            length.is_some_and(|length| length > 0 || !self.grouped.contains(key))
        });
        let mut infos = redis::pipe();
        for (_, key) in &streams {
            infos.xinfo_groups(key);
        }
        let infos = each::<StreamInfoGroupsReply>(redis, &mut infos).await?;
        let (mut complete, mut makes) = (Vec::with_capacity(streams.len()), redis::pipe());
        let mut incomplete = Vec::new();
        for ((topic, key), info) in streams.into_iter().zip(infos) {
            // A stream that is not there has none.
            let groups = info.map(|info| info.groups).unwrap_or_default();
            self.tell_of_strangers(topic, &key, &groups);
            let is_missing = |wanted: &&&str| groups.iter().all(|group| group.name != **wanted);
            let missing: Vec<_> = topic.consumers.iter().filter(is_missing).collect();
            for group in &missing {
                makes.cmd("XGROUP").arg("CREATE").arg(&key).arg(group).arg("0").arg("MKSTREAM");
            }
            if missing.is_empty() {
                self.grouped.insert(key.clone());
                complete.push(Stream { key, groups });
            } else {
                incomplete.push((missing.len(), Stream { key, groups }));
            }
        }
        let mut made = each::<Value>(redis, &mut makes).await?.into_iter();
        for (missing, stream) in incomplete {
            let made: Vec<_> = made.by_ref().take(missing).collect();
            // Those made are looked at the next time.
            if made.iter().all(|made| made.as_ref().is_err_and(is_full)) {
                complete.push(stream);
            }
        }
        Ok(complete)
    }

    fn tell_of_strangers(&mut self, topic: &Topic, stream: &str, groups: &[StreamInfoGroup]) {
        for group in groups.iter().filter(|group| !topic.consumers.contains(&group.name.as_str())) {
            if self.told.insert((stream.to_owned(), group.name.clone())) {
                tracing::warn!(
                    stream,
                    group = group.name,
                    pending = group.pending,
                    "a group that is no service's holds up the trimming of its stream; if nobody wants it, end it with XGROUP DESTROY"
                );
            }
        }
    }
}

/// The lowest id that some group still needs, of each stream; `None` where that cannot be said.
async fn oldest_needed(
    redis: &mut ConnectionManager,
    streams: &[Stream],
    fault: &mut Option<RedisError>,
) -> RedisResult<Vec<Option<Id>>> {
    let mut asked = redis::pipe();
    let mut asked_of: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for Stream { key, groups } in streams {
        for group in groups.iter().filter(|group| group.pending > 0) {
            asked_of.insert((key, &group.name), asked.len());
            asked.xpending(key, &group.name);
        }
    }
    let pending = each::<StreamPendingReply>(redis, &mut asked).await?;
    let pending: Vec<Option<StreamPendingReply>> =
        pending.into_iter().map(|pending| noted(pending, fault)).collect();
    let needed = |stream: &Stream, group: &StreamInfoGroup| {
        let Some(asked) = asked_of.get(&(stream.key.as_str(), group.name.as_str())) else {
            return after(&group.last_delivered_id);
        };
        match pending.get(*asked)?.as_ref()? {
            StreamPendingReply::Data(data) => parse(&data.start_id),
            StreamPendingReply::Empty => after(&group.last_delivered_id),
            _ => None,
        }
    };
    let oldest = |stream: &Stream| {
        let needed: Option<Vec<Id>> = stream.groups.iter().map(|group| needed(stream, group)).collect();
        needed?.into_iter().min()
    };
    Ok(streams.iter().map(oldest).collect())
}

/// An answer; what went wrong instead is noted.
fn noted<T>(answer: RedisResult<T>, fault: &mut Option<RedisError>) -> Option<T> {
    answer.map_err(|error| *fault = Some(error)).ok()
}

fn parse(id: &str) -> Option<Id> {
    let (time, sequence) = id.split_once('-')?;
    Some((time.parse().ok()?, sequence.parse().ok()?))
}

fn after(id: &str) -> Option<Id> {
    parse(id).map(|(time, sequence)| (time, sequence + 1))
}

#[cfg(test)]
mod tests;
