//! A client that sends single readings, and what it notices.
//!
//! Invariant: at a pace, a request's time counts from when it was due, not from when there was a connection free to send it.

use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use futures::StreamExt as _;
use petty_chassis::{Shutdown, Tasks};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tokio::time::{Instant, sleep_until};

use crate::bench::Spread;
use crate::bench::gateway::{count, rest};
use crate::bench::http::Connection;
use crate::bench::spread::quantile_ms;
use crate::cli::Neighbour;

/// How long a client waits for an answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// So many connections are opened at once.
const TOGETHER: usize = 64;

/// What one measurement found.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Noticed {
    /// Answered with success before the measurement's end, a second.
    pub(super) per_second: f64,
    /// Answered with success; refused by 429 or 503; anything else.
    succeeded: u64,
    refused: u64,
    failed: u64,
    /// Of those with success.
    pub(super) p50_ms: f64,
    pub(super) p99_ms: f64,
}

impl Noticed {
    /// The part that succeeded.
    pub(super) fn succeeded(&self) -> f64 {
        count(self.succeeded) / count((self.succeeded + self.refused + self.failed).max(1))
    }
}

/// Measures, and says what was noticed as JSON on standard output.
pub(in crate::bench) async fn run(args: &Neighbour) -> anyhow::Result<()> {
    let tasks = Tasks::new(Shutdown::new());
    // Opened before: what is measured is what comes of requests. Who finds the door shut tries again with the first.
    let opening = futures::stream::iter(0..args.connections).map(|_| Connection::open(args.target));
    let opened: Vec<_> = opening.buffered(TOGETHER).collect().await;
    let begin = Instant::now() + Duration::from_millis(50);
    let end = begin + Duration::from_millis(args.measure_ms);
    let every = args.rate.map(|rate| Duration::from_secs_f64(f64::from(args.connections) / rate));
    let mut clients = Vec::new();
    for (nth, opened) in (0..args.connections).zip(opened) {
        let offset = every.map(|every| every * nth / args.connections).unwrap_or_default();
        let request: Arc<[u8]> = rest(1, nth as usize, &args.token).into();
        let client =
            Client { target: args.target, request, connection: opened.ok(), tally: Tally::default() };
        clients.push(tasks.spawn("client", client.send((begin + offset, end), every)));
    }
    let mut tally = Tally::default();
    for client in clients {
        let one = client.await?.context("a client ended early")?;
        tally.took.extend(one.took);
        tally.in_time += one.in_time;
        tally.refused += one.refused;
        tally.failed += one.failed;
    }
    let succeeded = tally.took.len() as u64;
    let noticed = Noticed {
        per_second: count(tally.in_time) / (end - begin).as_secs_f64(),
        succeeded,
        refused: tally.refused,
        failed: tally.failed,
        p50_ms: quantile_ms(&tally.took, 0.5),
        p99_ms: quantile_ms(&tally.took, 0.99),
    };
    writeln!(std::io::stdout(), "{}", serde_json::to_string(&noticed)?)?;
    Ok(())
}

#[derive(Default)]
struct Tally {
    took: Vec<Duration>,
    /// Of these, before the end: what is still on its way then is more the more connections there are.
    in_time: u64,
    refused: u64,
    failed: u64,
}

struct Client {
    target: SocketAddr,
    request: Arc<[u8]>,
    connection: Option<Connection>,
    tally: Tally,
}

impl Client {
    async fn send(mut self, (begin, end): (Instant, Instant), every: Option<Duration>) -> Tally {
        let mut due = begin;
        while due < end {
            sleep_until(due).await;
            match tokio::time::timeout(PATIENCE, self.one()).await {
                Ok(Ok(200..=299)) => {
                    self.tally.took.push(due.elapsed());
                    self.tally.in_time += u64::from(Instant::now() < end);
                }
                Ok(Ok(429 | 503)) => self.tally.refused += 1,
                Ok(Ok(_)) => self.tally.failed += 1,
                Ok(Err(_)) | Err(_) => {
                    self.connection = None;
                    self.tally.failed += 1;
                }
            }
            due = every.map_or_else(Instant::now, |every| due + every);
        }
        self.tally
    }

    async fn one(&mut self) -> anyhow::Result<u16> {
        if self.connection.is_none() {
            self.connection = Some(Connection::open(self.target).await?);
        }
        let connection = self.connection.as_mut().context("there is one now")?;
        Ok(connection.send(&self.request).await?.status)
    }
}

pub(super) fn row(rounds: &[Noticed]) -> Value {
    let median =
        |of: fn(&Noticed) -> f64| Spread::of(rounds.iter().map(of)).map_or(0.0, |spread| spread.median);
    let mut row = Map::new();
    row.insert("succeeded/s".to_owned(), json!(median(|noticed| noticed.per_second).round()));
    row.insert("p50 ms".to_owned(), json!(median(|noticed| noticed.p50_ms)));
    row.insert("p99 ms".to_owned(), json!(median(|noticed| noticed.p99_ms)));
    if let Some(Spread { least, most, .. }) = Spread::of(rounds.iter().map(|noticed| noticed.p99_ms)) {
        row.insert("from".to_owned(), json!(least));
        row.insert("to".to_owned(), json!(most));
    }
    let sum = |of: fn(&Noticed) -> u64| rounds.iter().map(of).sum::<u64>();
    row.insert("refused".to_owned(), json!(sum(|noticed| noticed.refused)));
    row.insert("failed".to_owned(), json!(sum(|noticed| noticed.failed)));
    Value::Object(row)
}
