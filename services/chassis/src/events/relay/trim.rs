//! Trimming: a stream keeps nothing below every group's oldest pending or undelivered entry.

use redis::aio::ConnectionManager;
use redis::streams::{StreamInfoGroupsReply, StreamPendingReply};
use redis::{AsyncCommands as _, RedisResult};

use crate::events::Topic;

pub(super) async fn trim(
    redis: &mut ConnectionManager,
    topics: &[&'static Topic],
    shards: &[i16],
) -> RedisResult<()> {
    for topic in topics.iter().filter(|topic| !topic.is_broadcast()) {
        for shard in shards {
            let key = topic.stream(*shard);
            let length: usize = redis.xlen(&key).await?;
            if length > 0
                && let Some(oldest) = oldest_needed(redis, topic, &key).await?
            {
                redis::cmd("XTRIM").arg(&key).arg("MINID").arg(oldest).query_async::<()>(redis).await?;
            }
        }
    }
    Ok(())
}

/// The lowest id that some group still needs; `None` while a group that is to be there is not.
async fn oldest_needed(
    redis: &mut ConnectionManager,
    topic: &Topic,
    key: &str,
) -> RedisResult<Option<String>> {
    let found: StreamInfoGroupsReply = redis.xinfo_groups(key).await?;
    if topic.consumers.iter().any(|wanted| !found.groups.iter().any(|group| group.name == *wanted)) {
        return Ok(None);
    }
    let mut oldest: Option<(u64, u64)> = None;
    for group in &found.groups {
        let needed = if group.pending > 0 {
            let pending: StreamPendingReply = redis.xpending(key, &group.name).await?;
            match pending {
                StreamPendingReply::Data(data) => parse(&data.start_id),
                StreamPendingReply::Empty => after(&group.last_delivered_id),
                _ => return Ok(None),
            }
        } else {
            after(&group.last_delivered_id)
        };
        let Some(needed) = needed else { return Ok(None) };
        oldest = Some(oldest.map_or(needed, |known| known.min(needed)));
    }
    Ok(oldest.map(|(time, sequence)| format!("{time}-{sequence}")))
}

fn parse(id: &str) -> Option<(u64, u64)> {
    let (time, sequence) = id.split_once('-')?;
    Some((time.parse().ok()?, sequence.parse().ok()?))
}

fn after(id: &str) -> Option<(u64, u64)> {
    parse(id).map(|(time, sequence)| (time, sequence + 1))
}
