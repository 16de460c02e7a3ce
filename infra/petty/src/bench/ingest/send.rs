//! Readings sent as clients send them, and what was answered: counts must be exact.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use futures::future::try_join_all;
use petty_proto::ingest::v1 as wire;
use petty_proto::ingest::v1::ingest_service_client::IngestServiceClient;
use serde_json::Value;

use super::herd::{self, COLLARS, Herd};
use crate::bench::http::{self, Connection};

/// Calls that are on their way at once, by gRPC.
pub(super) const CONNECTIONS: usize = 8;

/// What was answered in all.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) accepted: u64,
    pub(super) duplicates: u64,
    /// Requests that had to be sent again.
    pub(super) refused: u64,
}

/// Requests made beforehand: of a collar each, of so many readings.
pub(super) struct Batches {
    requests: Vec<Vec<u8>>,
    /// Readings in each.
    size: usize,
    pub(super) readings: u64,
}

/// Which seconds a request is of: new ones, and at its end some that were sent before.
pub(super) fn seconds(first: i64, of: i64, again: i64) -> impl Iterator<Item = i64> {
    (first..first + of - again).chain(first - again..first)
}

impl Batches {
    /// Every collar's seconds from `first` on, `size` a request of which `again` are of before.
    pub(super) fn make(herd: &Herd, first: i64, rounds: i64, size: i64, again: i64) -> Self {
        let mut requests = Vec::new();
        for round in 0..rounds {
            for (nth, collar) in herd.collars.iter().enumerate() {
                let mut body = r#"{"readings":["#.to_owned();
                for (index, second) in seconds(first + round * (size - again), size, again).enumerate() {
                    if index > 0 {
                        body.push(',');
                    }
                    herd::json(&mut body, &collar.id, nth, second, herd.at(second));
                }
                body.push_str("]}");
                requests.push(http::post("/v1/ingest:batch", &collar.token, &body));
            }
        }
        let size = usize::try_from(size).unwrap_or(1).max(1);
        let readings = requests.len() as u64 * size as u64;
        Self { requests, size, readings }
    }

    /// Sends all of them, so many readings at once; how long until the last was answered.
    pub(super) async fn send(&self, gateway: SocketAddr, at_once: u32) -> anyhow::Result<(Duration, Counts)> {
        let connections = (usize::try_from(at_once)? / self.size).max(1);
        let (took, counts) = self.send_over(gateway, connections).await?;
        ensure!(counts.refused == 0, "{} batches were refused", counts.refused);
        Ok((took, counts))
    }

    /// The same over so many connections; what is refused is sent again at once.
    pub(super) async fn send_over(
        &self,
        gateway: SocketAddr,
        connections: usize,
    ) -> anyhow::Result<(Duration, Counts)> {
        let next = AtomicUsize::new(0);
        let opened = try_join_all((0..connections).map(|_| Connection::open(gateway))).await?;
        let since = Instant::now();
        let sent = try_join_all(opened.into_iter().map(|mut connection| {
            let next = &next;
            async move {
                let mut counts = Counts::default();
                while let Some(request) = self.requests.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let answer = loop {
                        let answer = connection.send(request).await?;
                        if !matches!(answer.status, 429 | 503) {
                            break answer;
                        }
                        counts.refused += 1;
                    };
                    ensure!(answer.status == 200, "a batch was answered {}", answer.status);
                    let answer: Value = serde_json::from_slice(&answer.body)?;
                    ensure!(answer["rejected"].as_array().is_none_or(Vec::is_empty), "refused: {answer}");
                    counts.accepted += answer["accepted"].as_u64().context("no count")?;
                    counts.duplicates += answer["duplicates"].as_u64().context("no count")?;
                }
                anyhow::Ok(counts)
            }
        }))
        .await?;
        Ok((
            since.elapsed(),
            sent.iter().fold(Counts::default(), |sum, one| Counts {
                accepted: sum.accepted + one.accepted,
                duplicates: sum.duplicates + one.duplicates,
                refused: sum.refused + one.refused,
            }),
        ))
    }
}

/// A collar's seconds.
pub(super) fn readings(herd: &Herd, nth: usize, first: i64, size: i64) -> Vec<wire::Reading> {
    let reading = |second| {
        let (beats, activity, longitude, latitude) = herd::signals(nth, second);
        wire::Reading {
            collar_id: herd.collars[nth].id.clone(),
            timestamp: Some(herd.at(second).into()),
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
    seconds(first, size, 0).map(reading).collect()
}

/// Every collar's seconds by gRPC, straight to ingest, `size` a request.
pub(super) async fn by_grpc(
    client: &IngestServiceClient<petty_chassis::grpc::Channel>,
    herd: &Herd,
    first: i64,
    rounds: i64,
    size: i64,
) -> anyhow::Result<(Duration, u64)> {
    let mut requests = Vec::new();
    for round in 0..rounds {
        for (nth, collar) in herd.collars.iter().enumerate() {
            let readings = readings(herd, nth, first + round * size, size);
            let mut request = tonic::Request::new(wire::IngestReadingsRequest { readings });
            request.metadata_mut().insert("authorization", format!("Bearer {}", collar.token).parse()?);
            requests.push(request);
        }
    }
    let requests = std::sync::Mutex::new(requests);
    let take = || requests.lock().unwrap_or_else(std::sync::PoisonError::into_inner).pop();
    let since = Instant::now();
    let sent = try_join_all((0..CONNECTIONS).map(|_| {
        let mut client = client.clone();
        async move {
            let mut accepted = 0;
            while let Some(request) = take() {
                let answer = client.ingest_readings(request).await?.into_inner();
                accepted += u64::try_from(answer.accepted)?;
            }
            anyhow::Ok(accepted)
        }
    }))
    .await?;
    Ok((since.elapsed(), sent.iter().sum()))
}

/// Single readings of every collar, over a connection each, for so long; `pace`: so many a second in all, timed from when each
/// was due. How many were acknowledged, how long each took, and the second that comes next.
pub(super) async fn singles(
    gateway: SocketAddr,
    herd: &Herd,
    first: i64,
    span: Duration,
    pace: Option<f64>,
) -> anyhow::Result<(u64, Vec<Duration>, i64)> {
    let mut connections = Vec::new();
    for _ in 0..COLLARS {
        connections.push(Connection::open(gateway).await?);
    }
    let every = pace.map(|pace| Duration::from_secs_f64(super::count(COLLARS as u64) / pace));
    let since = Instant::now();
    let sent = try_join_all(connections.into_iter().enumerate().map(|(nth, mut connection)| async move {
        let collar = &herd.collars[nth];
        let mut taken = Vec::new();
        let mut second = first;
        // Not all at the same moment.
        let offset =
            every.unwrap_or_default().mul_f64(super::count(nth as u64) / super::count(COLLARS as u64));
        let mut body = String::new();
        loop {
            let mut due = Instant::now();
            if let Some(every) = every {
                due = since + offset + every * u32::try_from(second - first)?;
                tokio::time::sleep_until(due.into()).await;
            }
            if since.elapsed() >= span {
                return anyhow::Ok((taken, second));
            }
            body.clear();
            herd::json(&mut body, &collar.id, nth, second, herd.at(second));
            let answer = connection.send(&http::post("/v1/ingest", &collar.token, &body)).await?;
            ensure!(answer.status == 201, "a reading was answered {}", answer.status);
            taken.push(due.elapsed());
            second += 1;
        }
    }))
    .await?;
    let next = sent.iter().map(|(_, second)| *second).max().unwrap_or(first);
    let taken: Vec<Duration> = sent.into_iter().flat_map(|(taken, _)| taken).collect();
    Ok((taken.len() as u64, taken, next))
}

/// A path asked for again and again by so many clients at once; how long each took.
pub(super) async fn reads(
    gateway: SocketAddr,
    herd: &Herd,
    clients: usize,
    each: usize,
    query: &str,
) -> anyhow::Result<Vec<Duration>> {
    let taken = try_join_all((0..clients).map(|client| async move {
        let mut connection = Connection::open(gateway).await?;
        let mut taken = Vec::new();
        for nth in 0..each {
            let collar = &herd.collars[(client * each + nth) * 7 % COLLARS];
            let path = format!("/v1/pets/{}/readings?{query}", collar.pet);
            let request = http::get(&path, &collar.owner);
            let since = Instant::now();
            let answer = connection.send(&request).await?;
            taken.push(since.elapsed());
            ensure!(answer.status == 200, "a read was answered {}", answer.status);
            // Counted, not read: a client's work is not to take the services' processors.
            let points = std::str::from_utf8(&answer.body)?.matches("\"timestamp\":").count();
            ensure!((1..=1_000).contains(&points), "{points} points of {query}");
        }
        anyhow::Ok(taken)
    }))
    .await?;
    Ok(taken.into_iter().flatten().collect())
}
