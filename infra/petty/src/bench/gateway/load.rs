//! The client: connections that each send the next request when the last is answered, for so long.

use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use jiff::{SignedDuration, Timestamp};
use petty_chassis::{Shutdown, Tasks};
use petty_proto::ingest::v1 as wire;
use petty_proto::ingest::v1::ingest_service_client::IngestServiceClient;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use tonic::metadata::MetadataValue;
use tonic::transport::{Channel, Endpoint};

use crate::bench::http::{self, Connection};
use crate::bench::ingest::herd;
use crate::bench::spread::quantile_ms;
use crate::cli::Load;
use crate::process;

/// What one measurement found.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Measured {
    pub(super) per_second: f64,
    pub(super) p50_ms: f64,
    pub(super) p99_ms: f64,
    /// Processor time of the process in between, per request, microseconds.
    pub(super) cpu_us: f64,
    /// Its memory at the end, MiB.
    pub(super) rss_mib: f64,
}

/// Measures, and says what it found as JSON on standard output.
pub(super) async fn run(load: &Load) -> anyhow::Result<()> {
    let tasks = Tasks::new(Shutdown::new());
    let begin = Instant::now() + Duration::from_millis(load.warm_up_ms);
    let end = begin + Duration::from_millis(load.measure_ms);
    let answered = Arc::new(AtomicU64::new(0));
    let mut clients = Vec::new();
    for nth in 0..load.connections {
        let client = Client::open(load, nth).await?;
        let (answered, span) = (Arc::clone(&answered), (begin, end));
        clients.push(tasks.spawn("client", client.send_for(span, answered)));
    }
    tokio::time::sleep_until(begin).await;
    let (cpu, count) = (process::cpu(load.pid)?, answered.load(Ordering::Relaxed));
    tokio::time::sleep_until(end).await;
    let (cpu, count) = (process::cpu(load.pid)? - cpu, answered.load(Ordering::Relaxed) - count);
    let rss_mib = process::rss_mib(load.pid)?;
    let mut took: Vec<Duration> = Vec::new();
    for client in clients {
        took.extend(client.await?.context("a client ended early")??);
    }
    ensure!(count > 0, "nothing was answered");
    let count = super::count(count);
    let measured = Measured {
        per_second: count / (end - begin).as_secs_f64(),
        p50_ms: quantile_ms(&took, 0.5),
        p99_ms: quantile_ms(&took, 0.99),
        cpu_us: cpu.as_secs_f64() * 1e6 / count,
        rss_mib,
    };
    writeln!(std::io::stdout(), "{}", serde_json::to_string(&measured)?)?;
    Ok(())
}

enum Client {
    Rest {
        connection: Connection,
        request: Vec<u8>,
    },
    One {
        client: IngestServiceClient<Channel>,
        token: MetadataValue<tonic::metadata::Ascii>,
        reading: wire::IngestReadingRequest,
    },
    Many {
        client: IngestServiceClient<Channel>,
        token: MetadataValue<tonic::metadata::Ascii>,
        readings: wire::IngestReadingsRequest,
    },
}

impl Client {
    async fn open(load: &Load, nth: usize) -> anyhow::Result<Self> {
        if !load.grpc {
            let connection = Connection::open(load.target).await?;
            return Ok(Self::Rest { connection, request: rest(load.readings, nth, &load.token) });
        }
        let client = IngestServiceClient::new(channel(load.target).await?);
        let token = format!("Bearer {}", load.token).parse()?;
        let mut readings = readings(load.readings, nth);
        Ok(match readings.pop() {
            Some(only) if readings.is_empty() => Self::One { client, token, reading: flat(only) },
            last => {
                readings.extend(last);
                Self::Many { client, token, readings: wire::IngestReadingsRequest { readings } }
            }
        })
    }

    /// How long each took that was sent in the span.
    async fn send_for(
        mut self,
        (begin, end): (Instant, Instant),
        answered: Arc<AtomicU64>,
    ) -> anyhow::Result<Vec<Duration>> {
        let mut took = Vec::with_capacity(1 << 16);
        loop {
            let since = Instant::now();
            if since >= end {
                return Ok(took);
            }
            self.send().await?;
            answered.fetch_add(1, Ordering::Relaxed);
            if since >= begin {
                took.push(since.elapsed());
            }
        }
    }

    async fn send(&mut self) -> anyhow::Result<()> {
        match self {
            Self::Rest { connection, request } => {
                let answer = connection.send(request).await?;
                let text = || String::from_utf8_lossy(&answer.body).into_owned();
                ensure!((200..300).contains(&answer.status), "answered {}: {}", answer.status, text());
            }
            Self::One { client, token, reading } => {
                let mut request = tonic::Request::new(reading.clone());
                request.metadata_mut().insert("authorization", token.clone());
                client.ingest_reading(request).await?;
            }
            Self::Many { client, token, readings } => {
                let mut request = tonic::Request::new(readings.clone());
                request.metadata_mut().insert("authorization", token.clone());
                client.ingest_readings(request).await?;
            }
        }
        Ok(())
    }
}

async fn channel(target: SocketAddr) -> anyhow::Result<Channel> {
    Ok(Endpoint::from_shared(format!("http://{target}"))?.tcp_nodelay(true).connect().await?)
}

/// When each reading is of: any time will do, nobody stores it.
fn at(second: i64) -> Timestamp {
    // Within what there is of time.
    Timestamp::UNIX_EPOCH
        .saturating_add(SignedDuration::from_secs(1_795_000_000 + second))
        .unwrap_or_default()
}

/// A request's bytes: one reading, or a batch.
pub(in crate::bench) fn rest(readings: usize, nth: usize, token: &str) -> Vec<u8> {
    let id = format!("bench-{nth:04}");
    let mut body = String::new();
    if readings == 1 {
        herd::json(&mut body, &id, nth, 7, at(7));
        return http::post("/v1/ingest", token, &body);
    }
    body.push_str(r#"{"readings":["#);
    for (index, second) in (0..).take(readings).enumerate() {
        if index > 0 {
            body.push(',');
        }
        herd::json(&mut body, &id, nth, second, at(second));
    }
    body.push_str("]}");
    http::post("/v1/ingest:batch", token, &body)
}

/// The same as messages.
fn readings(readings: usize, nth: usize) -> Vec<wire::Reading> {
    let of = |second| {
        let (beats, activity, longitude, latitude) = herd::signals(nth, second);
        wire::Reading {
            collar_id: format!("bench-{nth:04}"),
            timestamp: Some(at(second).into()),
            heart_rate: Some(beats),
            activity_level: Some(i32::from(activity)),
            location: Some(wire::Location {
                r#type: "Point".to_owned(),
                coordinates: vec![f64::from(longitude) / 1e6, f64::from(latitude) / 1e6],
                accuracy: None,
            }),
            ..wire::Reading::default()
        }
    };
    (0..).take(readings).map(of).collect()
}

fn flat(reading: wire::Reading) -> wire::IngestReadingRequest {
    wire::IngestReadingRequest {
        collar_id: reading.collar_id,
        timestamp: reading.timestamp,
        heart_rate: reading.heart_rate,
        activity_level: reading.activity_level,
        location: reading.location,
        ..wire::IngestReadingRequest::default()
    }
}
