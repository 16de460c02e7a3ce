//! What readings cost on their way in and out, beside what PostgreSQL does by itself: the same rows in the same table of the same
//! server, in turns within one run.
//!
//! The whole mesh runs meanwhile, behavior included. Readings a second are of what was acknowledged, until the last was; how long it
//! takes from then on until behavior, timeline and feedback have handled everything and all sums are made is told apart, after
//! each measurement. The senders run on the same cores, in the same process; what memory comes to is measured of replicas that are processes of
//! their own (`overload`).

mod confined;
mod floor;
pub(super) mod herd;
mod overload;
mod profile;
mod send;
mod stream;
mod tables;

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use petty_chassis::config::{BaseConfig, Environment, load};
use petty_chassis::grpc::{Channel, Mesh as Channels};
use petty_chassis::{Context, Shutdown, Tasks};
use petty_proto::ingest::v1::ingest_service_client::IngestServiceClient;
use petty_proto::ingest::v1::relay_service_client::RelayServiceClient;
use secrecy::ExposeSecret as _;
use serde_json::{Map, Value, json};

use super::report::environment;
use super::spread::quantile_ms;
use super::{Check, Mesh, Report, Spread};
use crate::cli::IngestBench;
use crate::mesh::{GATEWAY, RELAY};
use crate::process::rss_mib;
use crate::progress;
use confined::Confined;
use herd::{COLLARS, Herd};
use overload::Replicas;
use send::Batches;
use tables::{Drain, Tables};

/// Of what COPY stores over one connection, what comes in over REST must reach these parts, and by gRPC this one.
const OF_COPY_1000: f64 = 0.60;
const OF_COPY_100: f64 = 0.45;
const OF_COPY_GRPC: f64 = 0.85;
/// Of what pgbench commits by single rows, single readings over REST must reach this part.
const OF_PGBENCH: f64 = 1.0;
/// A single reading is acknowledged within this time at four fifths of the peak, at the 99th percentile.
const SINGLE_MS: f64 = 30.0;
/// A service's memory while ten times as many send as are enough, in MB; and its last third over the second, where it is flat.
const MEMORY_MB: f64 = 150.0;
const MEMORY_GROWS: f64 = 1.1;
/// What is stored makes it at most so much slower, in percent.
const SLOWER_PERCENT: f64 = 8.0;
/// A day is read within this time at the 99th percentile.
const READ_MS: f64 = 25.0;
const READERS: usize = 8;
const READS_EACH: usize = 100;
const READS_BEFORE: usize = 10;

/// Everything in so many rounds.
pub(super) async fn run(args: IngestBench) -> anyhow::Result<Report> {
    ensure!(args.rounds > 0, "there must be a round");
    let mesh = Mesh::start().await?;
    let mut confined = None;
    let outcome = async {
        if let Some(mib) = args.postgres_memory {
            confined = Some(Confined::postgres(&mesh.stack, mib)?);
        }
        measure(&mesh, args, confined.as_ref()).await
    }
    .await;
    mesh.stop().await?;
    // Only now is the group empty.
    drop(confined);
    outcome
}

struct Scene<'a> {
    mesh: &'a Mesh,
    args: IngestBench,
    gateway: SocketAddr,
    url: String,
    confined: Option<&'a Confined>,
    herd: Herd,
    tables: Tables,
    grpc: IngestServiceClient<Channel>,
    relay: RelayServiceClient<Channel>,
    /// The second that comes next, of every collar, and of the floor's.
    next: i64,
    copied: i32,
    drains: Vec<(String, Drain)>,
    checks: Vec<Check>,
    details: Map<String, Value>,
}

async fn measure(mesh: &Mesh, args: IngestBench, confined: Option<&Confined>) -> anyhow::Result<Report> {
    let databases = mesh.plan.databases();
    let url = |service| {
        let database = databases.get(service).with_context(|| format!("no database of {service}"))?;
        anyhow::Ok(database.owner_url.expose_secret().to_owned())
    };
    let herd = Herd::gather(&mesh.gateway()).await?;
    let (behavior, timeline, feedback) = (url("behavior")?, url("timeline")?, url("feedback")?);
    let tables = Tables::open([&url("ingest")?, &behavior, &timeline, &feedback]).await?;
    let channel = as_peer(mesh, GATEWAY)?;
    let mut scene = Scene {
        mesh,
        args,
        gateway: mesh.plan.http,
        url: url("ingest")?,
        confined,
        herd,
        tables,
        grpc: IngestServiceClient::new(channel),
        relay: RelayServiceClient::new(as_peer(mesh, RELAY)?),
        // Duplicates are of seconds that were sent before.
        next: 0,
        copied: 0,
        drains: Vec::new(),
        checks: Vec::new(),
        details: Map::new(),
    };
    let bar = progress::steps(5 + u64::from(args.stored > 0))?;
    // Before anything counts: caches fill, pools connect.
    scene.batches(1_000, 1, 0).await?;
    scene.singles_for(Duration::from_secs(1), None).await?;
    bar.inc(1);
    scene.against_copy().await?;
    bar.inc(1);
    scene.against_pgbench().await?;
    bar.inc(1);
    scene.profiled().await?;
    bar.inc(1);
    scene.overloaded().await?;
    bar.inc(1);
    if args.stored > 0 {
        scene.growing().await?;
        bar.inc(1);
    }
    bar.finish_and_clear();
    scene.report().await
}

/// Speaks to ingest as somebody whom it knows.
fn as_peer(mesh: &Mesh, peer: &'static str) -> anyhow::Result<Channel> {
    let mut environment = Environment::default();
    for (name, value) in mesh.plan.environment(GATEWAY, 0)? {
        environment.set(name, value);
    }
    environment.set("PETTY_SERVICE_KEY", mesh.plan.key(peer)?.expose_secret());
    let base: BaseConfig = load(&environment).map_err(|faults| anyhow::anyhow!("{faults}"))?;
    let shutdown = Shutdown::new();
    let tasks = Tasks::new(shutdown.clone());
    let channels = Channels::new(&Context::new(peer, base, shutdown, &tasks))?;
    Ok(channels.channel("ingest"))
}

impl Scene<'_> {
    /// Every collar's next seconds over REST; readings a second. Counts must be exact.
    async fn batches(&mut self, size: i64, rounds: i64, again: i64) -> anyhow::Result<f64> {
        let batches = Batches::make(&self.herd, self.next, rounds, size, again);
        let new = u64::try_from((size - again) * rounds)? * COLLARS as u64;
        let stored = self.tables.stored().await?;
        let (took, counts) = batches.send(self.gateway, self.args.at_once).await?;
        self.next += (size - again) * rounds;
        ensure!(
            counts.accepted == new && counts.duplicates == batches.readings - new,
            "{counts:?} of {} readings, {new} new",
            batches.readings
        );
        ensure!(self.tables.stored().await? == stored + new, "what is stored is not what was acknowledged");
        self.drain(&format!("REST of {size}, {again} of them again")).await?;
        Ok(per_second(batches.readings, took))
    }

    async fn by_grpc(&mut self, rounds: i64) -> anyhow::Result<f64> {
        let (took, accepted) = send::by_grpc(&self.grpc, &self.herd, self.next, rounds, 1_000).await?;
        self.next += 1_000 * rounds;
        ensure!(accepted == u64::try_from(rounds * 1_000)? * COLLARS as u64, "{accepted} accepted by gRPC");
        self.drain("gRPC calls of 1,000").await?;
        Ok(per_second(accepted, took))
    }

    async fn by_stream(&mut self, rounds: i64) -> anyhow::Result<f64> {
        let (took, accepted) = stream::send(&self.relay, &self.herd, self.next, rounds, 1_000).await?;
        self.next += 1_000 * rounds;
        ensure!(accepted == u64::try_from(rounds * 1_000)? * COLLARS as u64, "{accepted} accepted by stream");
        self.drain("gRPC stream of 1,000").await?;
        Ok(per_second(accepted, took))
    }

    async fn drain(&mut self, after: &str) -> anyhow::Result<()> {
        let drain = self.tables.drained().await?;
        self.drains.push((after.to_owned(), drain));
        Ok(())
    }

    async fn singles_for(
        &mut self,
        span: Duration,
        pace: Option<f64>,
    ) -> anyhow::Result<(f64, Vec<Duration>)> {
        let (count, taken, next) = send::singles(self.gateway, &self.herd, self.next, span, pace).await?;
        self.next = next;
        self.drain("singles").await?;
        Ok((per_second(count, span), taken))
    }

    async fn copies(&mut self, connections: usize) -> anyhow::Result<f64> {
        self.copied += i32::try_from(COLLARS)?;
        let seconds = i64::from(self.args.readings) / i64::try_from(COLLARS)?;
        floor::copies(&self.url, &self.herd, connections, self.copied, 0..seconds.max(1)).await
    }

    async fn against_copy(&mut self) -> anyhow::Result<()> {
        let rounds = |size: i64| (i64::from(self.args.readings) / 256 / size).max(1);
        let (thousands, hundreds) = (rounds(1_000), rounds(100));
        let mut figures: Vec<(&str, Vec<f64>)> = Vec::new();
        let mut note = |name, figure| match figures.iter_mut().find(|(known, _)| *known == name) {
            Some((_, all)) => all.push(figure),
            None => figures.push((name, vec![figure])),
        };
        for _ in 0..self.args.rounds {
            note("floor: COPY BINARY, one connection, rows/s", self.copies(1).await?);
            note("floor: COPY BINARY, two connections, rows/s", self.copies(2).await?);
            note("REST of 1,000, readings/s", self.batches(1_000, thousands, 0).await?);
            note("REST of 100, readings/s", self.batches(100, hundreds, 0).await?);
            note("gRPC of 1,000, readings/s", self.by_grpc(thousands).await?);
            note("gRPC stream of 1,000, readings/s", self.by_stream(thousands).await?);
            note("REST of 1,000, 10 % duplicates, readings/s", self.batches(1_000, thousands, 100).await?);
            note("REST of 1,000, 50 % duplicates, readings/s", self.batches(1_000, thousands, 500).await?);
        }
        let mut medians = Vec::new();
        for (name, all) in figures {
            medians.push(self.tell(name, &all));
        }
        let [copy, _, thousand, hundred, grpc, stream, tenth, half] = medians[..] else {
            anyhow::bail!("a figure is missing");
        };
        self.checks.extend([
            Check::at_least("REST of 1,000 over COPY", thousand / copy, "x", OF_COPY_1000),
            Check::at_least("REST of 100 over COPY", hundred / copy, "x", OF_COPY_100),
            Check::at_least("gRPC stream of 1,000 over COPY", stream / copy, "x", OF_COPY_GRPC),
        ]);
        self.details.insert("gRPC calls of 1,000 over COPY".to_owned(), json!(grpc / copy));
        self.details.insert("10 % duplicates over none".to_owned(), json!(tenth / thousand));
        self.details.insert("50 % duplicates over none".to_owned(), json!(half / thousand));
        Ok(())
    }

    async fn against_pgbench(&mut self) -> anyhow::Result<()> {
        let span = Duration::from_secs(u64::from(self.args.seconds));
        let (mut floors, mut peaks) = (Vec::new(), Vec::new());
        for _ in 0..self.args.rounds {
            floors.push(floor::pgbench(&self.url, span).await?);
            peaks.push(self.singles_for(span, None).await?.0);
        }
        let floor = self.tell("floor: pgbench, 32 clients, transactions/s", &floors);
        let peak = self.tell("POST /v1/ingest from 256 collars, readings/s", &peaks);
        let (rate, taken) = self.singles_for(span, Some(peak * 0.8)).await?;
        self.details.insert("single readings at four fifths of the peak, 1/s".to_owned(), json!(rate));
        let quantiles = [0.5, 0.99, 1.0].map(|quantile| quantile_ms(&taken, quantile));
        self.details.insert(
            "of these, sent to acknowledged, ms".to_owned(),
            json!({"p50": quantiles[0], "p99": quantiles[1], "max": quantiles[2]}),
        );
        self.checks.extend([
            Check::at_least("singles over pgbench", peak / floor, "x", OF_PGBENCH),
            Check::at_most("single at 80 % of peak, p99", quantiles[1], "ms", SINGLE_MS),
        ]);
        Ok(())
    }

    /// What the time goes to, while batches and then singles come in.
    async fn profiled(&mut self) -> anyhow::Result<()> {
        let span = Duration::from_secs(u64::from(self.args.seconds).min(5));
        let batches = Batches::make(&self.herd, self.next, 40, 100, 0);
        let (seen, sent) = futures::join!(
            profile::watch(Duration::from_secs(2)),
            batches.send(self.gateway, self.args.at_once)
        );
        sent?;
        self.next += 4_000;
        self.details.insert("profile: batches of 100".to_owned(), Value::Array(seen));
        self.drain("profile: batches of 100").await?;
        let (seen, sent) = futures::join!(
            profile::watch(span),
            send::singles(self.gateway, &self.herd, self.next, span + Duration::from_secs(1), None)
        );
        self.next = sent?.2;
        self.details.insert("profile: single readings".to_owned(), Value::Array(seen));
        self.drain("profile: single readings").await?;
        Ok(())
    }

    /// What memory comes to where far too much is sent. All of it must be there in the end, once.
    async fn overloaded(&mut self) -> anyhow::Result<()> {
        let rounds = (i64::from(self.args.readings) / 256_000).max(1) * 4;
        let batches = Batches::make(&self.herd, self.next, rounds, 1_000, 0);
        self.next += rounds * 1_000;
        let stored = self.tables.stored().await?;
        let replicas = Replicas::start(&self.mesh.plan).await?;
        let (took, counts, memories) = replicas.overload(&batches).await?;
        // Who was refused after all may have sent again what was stored.
        ensure!(
            counts.accepted + counts.duplicates == batches.readings,
            "{counts:?} of {}",
            batches.readings
        );
        ensure!(
            self.tables.stored().await? == stored + batches.readings,
            "what is stored is not what was sent"
        );
        self.drain("ten times as many as are enough").await?;
        replicas.end().await?;
        self.details.insert(
            "ten times as many as are enough".to_owned(),
            json!({"readings/s": per_second(batches.readings, took), "refused": counts.refused}),
        );
        // Or it was not too much.
        self.checks.push(Check::at_least("refused at 10 x", count(counts.refused), "requests", 1.0));
        for memory in memories {
            let of = memory.service;
            self.checks.extend([
                Check::at_most(&format!("memory of {of} at 10 x"), memory.most, "MB", MEMORY_MB),
                Check::at_most(
                    &format!("memory of {of} at 10 x, last third over second"),
                    memory.grew,
                    "x",
                    MEMORY_GROWS,
                ),
            ]);
            let before = format!("memory of {of} before that, MB");
            self.details.insert(before, json!(memory.before));
        }
        Ok(())
    }

    /// The same beside more and more that is stored, and reads of a day at the end.
    async fn growing(&mut self) -> anyhow::Result<()> {
        // What was measured before is not to be beside it, uncounted.
        self.tables.empty().await?;
        let first = self.next;
        let mut filled = 0;
        let mut base = None;
        let all = u64::from(self.args.stored);
        let steps: Vec<u64> =
            [1_000_000, 10_000_000].into_iter().filter(|step| *step < all).chain([all]).collect();
        for step in steps {
            let seconds = i64::try_from(step / COLLARS as u64)?;
            self.tables.fill(&self.herd, first + filled..first + seconds).await?;
            filled = seconds;
            self.next = first + filled;
            self.drain(&format!("{step} filled in")).await?;
            let mut rates = Vec::new();
            for _ in 0..self.args.rounds {
                let rounds = (i64::from(self.args.readings) / 256 / 1_000).max(1);
                rates.push(self.batches(1_000, rounds, 0).await?);
            }
            // What was sent meanwhile lies within what the next step fills.
            filled = self.next - first;
            let name = format!("REST of 1,000 beside {step} stored, readings/s");
            let rate = self.tell(&name, &rates);
            let base = *base.get_or_insert(rate);
            if step > 1_000_000 {
                let slower = (1.0 - rate / base) * 100.0;
                self.checks.push(Check::at_most(
                    &format!("slower beside {step} than 1 M"),
                    slower,
                    "%",
                    SLOWER_PERCENT,
                ));
            }
        }
        self.told_of_memory().await?;
        self.tables.settle().await?;
        // The first day, or as much of it as there is.
        let start = self.herd.at(first);
        let end = self.herd.at(self.next.min(first + 86_400));
        for (name, resolution) in [("RAW", "RAW"), ("MINUTE", "MINUTE"), ("HOUR", "HOUR"), ("fitting", "")] {
            let query = format!("start_time={start}&end_time={end}&page_size=1000&resolution={resolution}");
            let query = query.trim_end_matches("&resolution=");
            // Before anything counts: each connection that will be read from learns of the partitions.
            send::reads(self.gateway, &self.herd, READERS, READS_BEFORE, query).await?;
            let taken = send::reads(self.gateway, &self.herd, READERS, READS_EACH, query).await?;
            let [p50, p99, most] = [0.5, 0.99, 1.0].map(|quantile| quantile_ms(&taken, quantile));
            self.details.insert(
                format!("a day, a page of at most 1,000, {name}, ms"),
                json!({"p50": p50, "p99": p99, "max": most}),
            );
            self.checks.push(Check::at_most(
                &format!("a day, a page of at most 1,000, {name}, p99"),
                p99,
                "ms",
                READ_MS,
            ));
        }
        Ok(())
    }

    /// Whether what is stored is more than what PostgreSQL may use, where that was asked for.
    async fn told_of_memory(&mut self) -> anyhow::Result<()> {
        let stored = self.tables.megabytes().await?;
        self.details.insert("ingest's database, MB".to_owned(), json!(stored));
        if let Some(confined) = self.confined {
            let limit = confined.limit_mb();
            self.details.insert("memory PostgreSQL may use, MB".to_owned(), json!(limit));
            self.details.insert("the most that it used, MB".to_owned(), json!(confined.most_mb()?));
            self.checks.push(Check::at_least("ingest's database over that memory", stored / limit, "x", 1.0));
        }
        Ok(())
    }

    fn tell(&mut self, name: &str, figures: &[f64]) -> f64 {
        let spread = Spread::of(figures.iter().copied());
        let shown = spread
            .map(|Spread { median, least, most }| json!({"median": median, "least": least, "most": most}));
        self.details.insert(name.to_owned(), json!(shown));
        spread.map_or(0.0, |spread| spread.median)
    }

    async fn report(mut self) -> anyhow::Result<Report> {
        let longest = |of: fn(&Drain) -> Duration| {
            self.drains.iter().map(|(_, drain)| of(drain)).max().unwrap_or_default().as_secs_f64()
        };
        let longest = json!({
            "behavior": longest(|drain| drain.behavior),
            "timeline and feedback": longest(|drain| drain.told),
            "sums": longest(|drain| drain.sums),
        });
        self.details.insert("longest drain after a measurement, s".to_owned(), longest);
        let each = self.drains.iter().map(|(after, drain)| {
            let seconds = [drain.behavior, drain.told, drain.sums].map(|span| span.as_secs_f64());
            json!({"after": after, "behavior": seconds[0], "timeline and feedback": seconds[1], "sums": seconds[2]})
        });
        self.details.insert("drains, s".to_owned(), Value::Array(each.collect()));
        // All services, the bench and its requests.
        let resident = rss_mib(std::process::id())?;
        self.details
            .insert("resident memory of the whole process at the end, MiB".to_owned(), json!(resident));
        self.details.insert("rounds".to_owned(), json!(self.args.rounds));
        self.details.insert("readings of a measurement, about".to_owned(), json!(self.args.readings));
        Ok(Report {
            name: "ingest",
            environment: environment(&self.mesh.stack).await?,
            checks: self.checks,
            details: self.details,
        })
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]
fn count(count: u64) -> f64 {
    count as f64
}

fn per_second(things: u64, span: Duration) -> f64 {
    count(things) / span.as_secs_f64()
}
