//! What clients of the gateway notice of each other: their slowest hundredth beside services that hang or are gone, beside
//! floods and beside somebody greedy; what is still answered when there is far too much; and what idle streams weigh.
//!
//! Invariants: each is a process of its own, and the gateway has cores to itself; whoever makes trouble has the least
//! priority on the others' cores, so that what a client notices is the gateway. A ratio is of two measurements of one round.

mod idle;
mod neighbour;
mod still;
mod trouble;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use clap::ValueEnum as _;
use petty_provision::Stack;
use serde_json::{Map, json};
use tokio::process::Command;

use super::gateway::{Folder, product};
use super::report::machine;
use super::token::Signer;
use super::{Check, Report, Spread};
use crate::cli::{EdgeBench, Trouble};
use crate::mesh::free_address;
use crate::process::{Cores, Process};
use crate::progress;
use idle::Weighed;
use neighbour::Noticed;

pub(super) use idle::run as idle;
pub(super) use neighbour::run as neighbour;
pub(super) use still::run as still;
pub(super) use trouble::run as trouble;

/// A client's slowest hundredth beside a service that hangs, or is gone, over that of quiet times (the bound).
const BESIDE_A_SERVICE: f64 = 1.2;
/// The same beside a flood, and beside somebody greedy.
const BESIDE_A_FLOOD: f64 = 2.0;
/// The part of a client's requests that succeed, whatever is beside it.
const SUCCEED: f64 = 0.99;
/// What is answered when there is far too much, over the most that can be.
const GOODPUT: f64 = 0.9;
/// What ten thousand idle streams may take, in MB: each its part.
const IDLE_MB: f64 = 400.0;
const IDLE_STREAMS: f64 = 10_000.0;
/// A client that goes on as ever sends this part of what one alone gets answered at most.
const PART: f64 = 0.05;
/// Connections of such a client, and of the crowds that ask for too much: of one that is just enough, of ten and forty times that.
const CONNECTIONS: u32 = 32;
const ENOUGH: u32 = 64;
const TOO_MUCH: [u32; 2] = [10, 40];
/// How long trouble goes on before it is measured what others notice of it.
const SETTLED: Duration = Duration::from_millis(700);
/// The priority of trouble: the least.
const NICE: &str = "19";

pub(super) async fn run(args: EdgeBench) -> anyhow::Result<Report> {
    ensure!(args.rounds > 0 && args.seconds > 0, "there must be a round, and a second");
    let stage = Stage::set().await?;
    let found = measure(&stage, args).await;
    let report = found.map(|found| report(args, &found));
    stage.stack.stop().await?;
    report
}

/// What stands around the gateway.
struct Stage {
    cores: Cores,
    stack: Stack,
    signer: Signer,
    backend: SocketAddr,
    still: SocketAddr,
    folder: Folder,
    _services: [Process; 2],
}

/// A gateway, as it runs.
struct Gateway {
    address: SocketAddr,
    process: Process,
}

impl Stage {
    async fn set() -> anyhow::Result<Self> {
        let folder = Folder::make("edge")?;
        let cores = Cores::share_out()?;
        let stack = Stack::temporary().await.context("start a private Redis")?;
        let signer = Signer::make()?;
        let (backend, still) = (free_address()?, free_address()?);
        let (jwk, listen) = (serde_json::to_string(&signer.jwk())?, backend.to_string());
        let mut answers = Process::of_us(["backend", "--listen", &listen, "--jwk", &jwk], [], &cores.rest)?;
        answers.listening(backend).await?;
        let mut silent = Process::of_us(["still", "--listen", &still.to_string()], [], &cores.rest)?;
        silent.listening(still).await?;
        Ok(Self { cores, stack, signer, backend, still, folder, _services: [answers, silent] })
    }

    /// A gateway whose callers may send so many requests a second, or as many as they like.
    async fn gateway(&self, quota: Option<f64>, tls: &[(&str, PathBuf)]) -> anyhow::Result<Gateway> {
        let address = free_address()?;
        let gone = free_address()?;
        let upstream = |service: &str| match service {
            "timeline" | "nutrition" => self.still,
            "behavior" => gone,
            _ => self.backend,
        };
        let mut environment = product(address, upstream, &self.stack)?;
        let mut set = |name: &str, value: String| environment.insert(name.to_owned(), value);
        set("PETTY_HTTP_CONNECTIONS", "30000".to_owned());
        set("PETTY_HTTP_STREAMS", "30000".to_owned());
        if let Some(quota) = quota {
            // Of a second, so that who has ten times as much is over it before it is measured.
            set("PETTY_RATE_INGEST", format!("{quota:.0}/1s"));
        }
        for (name, file) in tls {
            set(name, file.display().to_string());
        }
        let mut process = Process::of_us(["gateway"], environment, &self.cores.gateway)?;
        process.listening(address).await.context("start the gateway")?;
        Ok(Gateway { address, process })
    }

    /// What a client notices that sends at a pace, or as much as is answered.
    async fn neighbour(
        &self,
        gateway: &Gateway,
        (connections, rate): (u32, Option<f64>),
        (token, span): (&str, Duration),
    ) -> anyhow::Result<Noticed> {
        let mut arguments = vec!["neighbour".to_owned()];
        let mut add = |name: &str, value: String| arguments.extend([name.to_owned(), value]);
        add("--target", gateway.address.to_string());
        add("--connections", connections.to_string());
        add("--measure-ms", span.as_millis().to_string());
        add("--token", token.to_owned());
        if let Some(rate) = rate {
            add("--rate", rate.to_string());
        }
        let output = Process::of_us(&arguments, [], &self.cores.rest)?.output().await?;
        serde_json::from_slice(&output).context("what a client noticed")
    }

    fn trouble(&self, gateway: &Gateway, kind: Trouble, rate: f64, token: &str) -> anyhow::Result<Process> {
        let mut command = Command::new("nice");
        command.args(["-n", NICE]).arg(std::env::current_exe()?).args(["bench", "part", "trouble"]);
        command.args(["--target", &gateway.address.to_string(), "--kind", name(kind).as_str()]);
        command.args(["--rate", &rate.to_string(), "--token", token]);
        Process::spawn(command, &self.cores.rest)
    }

    async fn idle(&self, streams: u32) -> anyhow::Result<Weighed> {
        let [cert, key] = ["cert.pem", "key.pem"].map(|name| self.folder.0.join(name));
        idle::certify(&cert, &key)?;
        let tls = [("PETTY_HTTP_TLS_CERT_FILE", cert.clone()), ("PETTY_HTTP_TLS_KEY_FILE", key)];
        let gateway = self.gateway(None, &tls).await?;
        let mut arguments = vec!["idle".to_owned()];
        let mut add = |name: &str, value: String| arguments.extend([name.to_owned(), value]);
        add("--target", gateway.address.to_string());
        add("--ca", cert.display().to_string());
        add("--pid", gateway.process.pid.to_string());
        add("--streams", streams.to_string());
        add("--token", self.signer.token("read", &[])?);
        let output = Process::of_us(&arguments, [], &self.cores.rest)?.output().await?;
        serde_json::from_slice(&output).context("what idle streams weigh")
    }
}

/// How a kind is said on the command line.
fn name(kind: Trouble) -> String {
    kind.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

/// Everything that was measured, a figure a round.
#[derive(Default)]
struct Found {
    /// How many a second one crowd gets answered at most, and larger ones.
    answered: BTreeMap<u32, Vec<Noticed>>,
    rate: f64,
    quiet: Vec<Noticed>,
    beside: BTreeMap<Trouble, Vec<Noticed>>,
    idle: Option<Weighed>,
}

async fn measure(stage: &Stage, args: EdgeBench) -> anyhow::Result<Found> {
    let span = Duration::from_secs(u64::from(args.seconds));
    let (ours, theirs) = (stage.signer.token("read write", &[])?, stage.signer.token("read write", &[])?);
    let (crowds, kinds) = (1 + TOO_MUCH.len() as u64, Trouble::value_variants());
    let rounds = u64::from(args.rounds);
    let bar = progress::steps(rounds * (crowds + 1 + kinds.len() as u64) + 1)?;
    let mut found = Found::default();

    let gateway = stage.gateway(None, &[]).await?;
    let warm = Duration::from_secs(1);
    stage.neighbour(&gateway, (ENOUGH, None), (&ours, warm)).await?;
    for _ in 0..args.rounds {
        for times in [1].into_iter().chain(TOO_MUCH) {
            let noticed = stage.neighbour(&gateway, (ENOUGH * times, None), (&ours, span)).await?;
            found.answered.entry(times).or_default().push(noticed);
            bar.inc(1);
        }
    }
    drop(gateway);

    let peaks = found.answered[&1].iter().map(|noticed| noticed.per_second);
    found.rate = Spread::of(peaks).map_or(0.0, |spread| spread.median) * PART;
    // Of ten times what our client sends, a fifth is let pass; our client has its own quota, and stays below it.
    let gateway = stage.gateway(Some(found.rate * 2.0), &[]).await?;
    let paced = (CONNECTIONS, Some(found.rate));
    stage.neighbour(&gateway, paced, (&ours, warm)).await?;
    for _ in 0..args.rounds {
        found.quiet.push(stage.neighbour(&gateway, paced, (&ours, span)).await?);
        bar.inc(1);
        for &kind in kinds {
            let mut beside = stage.trouble(&gateway, kind, found.rate * 10.0, &theirs)?;
            tokio::time::sleep(SETTLED).await;
            let noticed = stage.neighbour(&gateway, paced, (&ours, span)).await?;
            // What is no trouble any more is none to be measured beside.
            beside.runs().with_context(|| format!("make trouble: {}", name(kind)))?;
            drop(beside);
            found.beside.entry(kind).or_default().push(noticed);
            bar.inc(1);
        }
    }
    drop(gateway);

    if args.idle > 0 {
        found.idle = Some(stage.idle(args.idle).await?);
    }
    bar.finish_and_clear();
    Ok(found)
}

fn report(args: EdgeBench, found: &Found) -> Report {
    let (mut checks, mut details) = (Vec::new(), Map::new());
    let empty = Vec::new();
    let alone = found.answered.get(&1).unwrap_or(&empty);
    for (times, rounds) in &found.answered {
        let connections = ENOUGH * times;
        details.insert(format!("{connections:>4} connections, without a pause"), neighbour::row(rounds));
        if *times > 1 {
            let goodput = over(rounds, alone, |noticed| noticed.per_second);
            let name = format!("answered of {times} x as many connections as are enough, over the most");
            checks.push(Check::at_least(&name, goodput, "x", GOODPUT));
        }
    }
    details.insert("a client at a pace: quiet".to_owned(), neighbour::row(&found.quiet));
    let mut least: f64 = 1.0;
    for (kind, rounds) in &found.beside {
        let name = name(*kind);
        details.insert(format!("a client at a pace: beside {name}"), neighbour::row(rounds));
        let bound = match kind {
            Trouble::Hung | Trouble::Dead => BESIDE_A_SERVICE,
            _ => BESIDE_A_FLOOD,
        };
        let ratio = over(rounds, &found.quiet, |noticed| noticed.p99_ms);
        checks.push(Check::at_most(&format!("p99 beside {name}, over quiet"), ratio, "x", bound));
        least = rounds.iter().map(Noticed::succeeded).fold(least, f64::min);
    }
    checks.push(Check::at_least("requests that succeed, the worst measurement", least, "", SUCCEED));
    if let Some(weighed) = &found.idle {
        let most = IDLE_MB * f64::from(args.idle) / IDLE_STREAMS;
        let name = format!("memory of {} idle streams over TLS", args.idle);
        checks.push(Check::at_most(&name, weighed.after_mb, "MB", most));
        details.insert("idle streams".to_owned(), json!(weighed));
    }
    let mut environment = machine();
    environment["cores"] = "half for the gateway, half for clients and services".into();
    environment["rounds"] = args.rounds.into();
    environment["seconds of each measurement"] = args.seconds.into();
    environment["a client at a pace, requests/s"] = json!(found.rate.round());
    Report { name: "edge", environment, checks, details }
}

/// The median of what one has over what the other has in the same round.
fn over(ones: &[Noticed], others: &[Noticed], of: fn(&Noticed) -> f64) -> f64 {
    let ratios = ones.iter().zip(others).map(|(one, other)| of(one) / of(other));
    Spread::of(ratios).map_or(0.0, |spread| spread.median)
}
