//! `petty outbox`.

use std::time::Duration;

use clap::{Args, Subcommand};
use jiff::Timestamp;
use petty_chassis::events::topics;

use super::{OperatorArgs, dlq};

/// `petty outbox`.
#[derive(Debug, Clone, Args)]
pub struct OutboxArgs {
    /// What to do with it.
    #[command(subcommand)]
    pub command: OutboxCommand,
    /// Of which mesh.
    #[command(flatten)]
    pub operator: OperatorArgs,
}

/// What may be done with outboxes.
#[derive(Debug, Clone, Subcommand)]
pub enum OutboxCommand {
    /// Send again what was sent since a time, for a Redis that lost it.
    Replay {
        /// A time, such as 2026-11-28T03:00:00Z, or how long ago: 90m, 36h, 7d.
        #[arg(long, value_name = "TIME", value_parser = since)]
        since: Since,
        /// Only what this service produces.
        #[arg(long, value_name = "NAME", value_parser = dlq::service)]
        service: Option<String>,
        /// Only this topic.
        #[arg(long, value_name = "TOPIC", value_parser = topic)]
        topic: Option<String>,
    },
}

/// Since when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Since {
    /// A time.
    At(Timestamp),
    /// That long ago.
    Ago(Duration),
}

impl Since {
    /// As a time.
    #[must_use]
    pub fn before(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(time) => time,
            Self::Ago(ago) => now.checked_sub(ago).unwrap_or(Timestamp::MIN),
        }
    }
}

/// A topic whose events may go out again.
fn topic(name: &str) -> Result<String, String> {
    match topics::named(name) {
        Some(topic) if topic.is_broadcast() => {
            Err("is a broadcast: who missed it has forgotten all that it could have been about".to_owned())
        }
        Some(_) => Ok(name.to_owned()),
        None => {
            let known = topics::ALL.iter().filter(|topic| !topic.is_broadcast()).map(|topic| topic.name);
            Err(format!("must be one of {}", known.collect::<Vec<_>>().join(", ")))
        }
    }
}

fn since(text: &str) -> Result<Since, String> {
    if let Ok(time) = text.parse() {
        return Ok(Since::At(time));
    }
    let (count, unit) = text.split_at(text.len() - text.chars().last().map_or(0, char::len_utf8));
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => 0,
    };
    let count: Option<u64> = count.parse().ok().filter(|count| *count > 0 && seconds > 0);
    let seconds = count.and_then(|count| count.checked_mul(seconds));
    let ago = seconds.filter(|seconds| *seconds <= 7 * 86_400).map(Duration::from_secs);
    ago.map(Since::Ago).ok_or_else(|| {
        "must be a time with an offset, or how long ago, at most 7d: 2026-11-28T03:00:00Z, 90m".to_owned()
    })
}
