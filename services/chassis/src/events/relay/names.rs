//! The names of consumers that are gone: each instance has one of its own in its group, and Redis keeps them until they are deleted.
//!
//! Invariant: a name that has entries pending stays, for these would be lost with it. They are claimed from it, and it goes later.

use std::time::Duration;

use redis::RedisResult;
use redis::aio::ConnectionManager;

use crate::events::Topic;
use crate::events::redis::each;

/// Whoever reads asks every second; a day without a word, and it is gone.
pub(super) const GONE_AFTER: Duration = Duration::from_hours(24);

/// In one step, so that nothing is read under a name between the look at it and its end.
/// In: the stream, the group, and for how many milliseconds. Out: how many names went.
const FORGET: &str = "
local gone = 0
for _, consumer in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
    local found = {}
    for i = 1, #consumer, 2 do found[consumer[i]] = consumer[i + 1] end
    if found.pending == 0 and found.idle >= tonumber(ARGV[2]) then
        redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], found.name)
        gone = gone + 1
    end
end
return gone";

/// Deletes the names, of the groups of streams, that nobody has read under for so long and that have nothing pending; how many.
pub(super) async fn forget(
    redis: &mut ConnectionManager,
    streams: &[(&'static Topic, String)],
    idle: Duration,
) -> RedisResult<usize> {
    let idle = u64::try_from(idle.as_millis()).unwrap_or(u64::MAX);
    let mut pipeline = redis::pipe();
    for (topic, stream) in streams {
        for group in topic.consumers {
            pipeline.cmd("EVAL").arg(FORGET).arg(1).arg(stream).arg(group).arg(idle);
        }
    }
    let answers = each::<usize>(redis, &mut pipeline).await?;
    // A group or a stream that is not there has no names.
    Ok(answers.into_iter().flatten().sum())
}
