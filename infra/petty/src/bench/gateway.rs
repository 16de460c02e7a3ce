//! What translating costs: the same requests to the same service by Petty's gateway with everything on, by its translation
//! alone, by Envoy's transcoder, by a handler written for these two routes, and by gRPC directly.
//!
//! Invariant: each is a process of its own; the gateway under test has cores to itself, and the others are idle meanwhile.

mod load;
mod part;

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use petty_chassis::grpc::identity::generate_key;
use petty_provision::Stack;
use secrecy::ExposeSecret as _;
use serde_json::{Map, Value, json};

use super::report::machine;
use super::token::Signer;
use super::{Check, Report, Spread};
use crate::cli::{GatewayBench, Part};
use crate::envoy;
use crate::mesh::{GATEWAY, SERVICES, free_address};
use crate::process::{Cores, Process};
use crate::progress;
use load::Measured;
pub(super) use load::rest;

/// Readings a request.
const READINGS: [usize; 2] = [1, 100];
/// Connections at once.
const CONNECTIONS: [usize; 2] = [16, 64];
/// Against Envoy's throughput, at as many readings as [`READINGS`].
const OF_ENVOY: [f64; 2] = [1.6, 2.0];
/// Against the handler's processor time.
const OF_BY_HAND: [f64; 2] = [1.4, 1.1];
/// How long each is warmed up before the first round, and before each measurement.
const FIRST_WARM_UP_MS: u64 = 1_500;
const WARM_UP_MS: u64 = 300;

/// A way from a request to the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    Petty,
    Bare,
    Envoy,
    ByHand,
    Direct,
}

impl Way {
    fn name(self) -> &'static str {
        match self {
            Self::Petty => "Petty, everything on",
            Self::Bare => "Petty, translation alone",
            Self::Envoy => "Envoy",
            Self::ByHand => "axum by hand",
            Self::Direct => "gRPC directly",
        }
    }
}

/// Is one of the bench's processes.
pub(super) async fn part(part: &Part) -> anyhow::Result<ExitCode> {
    part::run(part).await
}

/// Measures all ways in turns. The exit code is 1 where a goal was missed, 69 where Envoy cannot be had.
pub(super) async fn run(args: &GatewayBench, json: Option<&Path>) -> anyhow::Result<ExitCode> {
    let envoy = envoy::find_or_install(args.envoy.as_deref()).await;
    let stage = Stage::set(envoy.as_deref().ok()).await?;
    let found = measure(&stage, args).await;
    stage.strike().await?;
    let report = report(args, envoy.is_ok(), &found?)?;
    report.print()?;
    if let Some(path) = json {
        report.write(path)?;
    }
    if !report.passes() {
        return Ok(ExitCode::FAILURE);
    }
    match envoy {
        Ok(_) => Ok(ExitCode::SUCCESS),
        Err(error) => {
            crate::up::tell(&format!("not measurable against Envoy: {error:#}; {}", envoy::HOW));
            Ok(ExitCode::from(envoy::EXIT_UNAVAILABLE))
        }
    }
}

/// All processes, and what they are reached by.
struct Stage {
    ways: Vec<(Way, SocketAddr, Process)>,
    cores: Cores,
    token: String,
    /// For the Redis in which gateways share quotas.
    stack: Stack,
    _folder: Folder,
}

/// Files for the run of a bench.
pub(super) struct Folder(pub(super) PathBuf);

impl Folder {
    pub(super) fn make(bench: &str) -> anyhow::Result<Self> {
        let folder = std::env::temp_dir().join(format!("petty-bench-{bench}-{}", std::process::id()));
        fs::create_dir_all(&folder)?;
        Ok(Self(folder))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left is in the machine's folder for such things.
        let _left = fs::remove_dir_all(&self.0);
    }
}

impl Stage {
    async fn set(envoy: Option<&Path>) -> anyhow::Result<Self> {
        let folder = Folder::make("gateway")?;
        let cores = Cores::share_out()?;
        let stack = Stack::temporary().await.context("start a private Redis")?;
        let signer = Signer::make()?;
        let mut ways = Vec::new();

        let backend = free_address()?;
        let jwk = serde_json::to_string(&signer.jwk())?;
        let listen = backend.to_string();
        let mut process = Process::of_us(["backend", "--listen", &listen, "--jwk", &jwk], [], &cores.rest)?;
        process.listening(backend).await?;
        ways.push((Way::Direct, backend, process));

        let upstream = format!("http://{backend}");
        for (way, name) in [(Way::Petty, "gateway"), (Way::Bare, "bare"), (Way::ByHand, "by-hand")] {
            let address = free_address()?;
            let listen = address.to_string();
            let (arguments, environment) = if way == Way::Petty {
                (vec![name], product(address, |_| backend, &stack)?)
            } else {
                (vec![name, "--listen", &listen, "--upstream", &upstream], BTreeMap::new())
            };
            let mut process = Process::of_us(arguments, environment, &cores.gateway)?;
            process.listening(address).await.with_context(|| format!("start {}", way.name()))?;
            ways.push((way, address, process));
        }
        if let Some(binary) = envoy {
            let address = free_address()?;
            let services = ["petty.ingest.v1.IngestService".to_owned()];
            let process =
                envoy::start(binary, &folder.0, address, backend, &services, &cores.gateway).await?;
            ways.push((Way::Envoy, address, process));
        }
        ways.sort_by_key(|(way, ..)| *way);
        Ok(Self { ways, cores, token: signer.token("read write", &[])?, stack, _folder: folder })
    }

    async fn strike(self) -> anyhow::Result<()> {
        drop(self.ways);
        Ok(self.stack.stop().await?)
    }

    /// One measurement, by a client that is a process of its own.
    async fn measure(
        &self,
        (way, address, process): &(Way, SocketAddr, Process),
        [readings, connections]: [usize; 2],
        [warm_up, span]: [u64; 2],
    ) -> anyhow::Result<Measured> {
        let mut arguments = vec!["load".to_owned()];
        let (target, pid) = (address.to_string(), process.pid.to_string());
        let [readings, connections, warm_up, span] =
            [readings as u64, connections as u64, warm_up, span].map(|number| number.to_string());
        for (name, value) in [
            ("--target", &target),
            ("--pid", &pid),
            ("--readings", &readings),
            ("--connections", &connections),
            ("--warm-up-ms", &warm_up),
            ("--measure-ms", &span),
            ("--token", &self.token),
        ] {
            arguments.extend([name.to_owned(), value.clone()]);
        }
        if *way == Way::Direct {
            arguments.push("--grpc".to_owned());
        }
        let client = Process::of_us(&arguments, [], &self.cores.rest)?;
        let output = client.output().await.with_context(|| way.name())?;
        serde_json::from_slice(&output).context("what a client measured")
    }
}

/// The environment of the gateway as it runs, before these services: the defaults, what it cannot do without, and quotas that are
/// counted but not reached.
pub(super) fn product(
    listen: SocketAddr,
    upstream: impl Fn(&str) -> SocketAddr,
    stack: &Stack,
) -> anyhow::Result<BTreeMap<String, String>> {
    let (key, public) = generate_key()?;
    let mut environment = BTreeMap::new();
    let mut set = |name: &str, value: String| environment.insert(name.to_owned(), value);
    set("PETTY_HTTP_LISTEN", listen.to_string());
    set("PETTY_GRPC_LISTEN", free_address()?.to_string());
    set("PETTY_ADMIN_LISTEN", free_address()?.to_string());
    set("PETTY_SERVICE_KEY", key.expose_secret().to_owned());
    set("PETTY_SERVICE_KEYS", json!({ GATEWAY: public }).to_string());
    set("PETTY_CACHE_REDIS_URL", stack.redis().url().expose_secret().to_owned());
    for class in ["INGEST", "READ", "SOURCE"] {
        set(&format!("PETTY_RATE_{class}"), "4000000000/1m".to_owned());
    }
    for service in SERVICES {
        set(&format!("PETTY_ENDPOINT_{}", service.to_uppercase()), format!("http://{}", upstream(service)));
    }
    Ok(environment)
}

/// What was measured, by way, readings and connections: one figure a round.
type Found = BTreeMap<(Way, usize, usize), Vec<Measured>>;

async fn measure(stage: &Stage, args: &GatewayBench) -> anyhow::Result<Found> {
    let combinations =
        READINGS.iter().flat_map(|&readings| CONNECTIONS.map(|connections| [readings, connections]));
    let combinations: Vec<[usize; 2]> = combinations.collect();
    let steps = (args.rounds as usize * combinations.len() + 1) * stage.ways.len();
    let bar = progress::steps(steps as u64)?;
    for way in &stage.ways {
        stage.measure(way, [READINGS[1], CONNECTIONS[0]], [0, FIRST_WARM_UP_MS]).await?;
        bar.inc(1);
    }
    let span = u64::from(args.seconds) * 1_000;
    let mut found = Found::new();
    for _ in 0..args.rounds {
        for &combination in &combinations {
            for way in &stage.ways {
                let measured = stage.measure(way, combination, [WARM_UP_MS, span]).await?;
                let [readings, connections] = combination;
                found.entry((way.0, readings, connections)).or_default().push(measured);
                bar.inc(1);
            }
        }
    }
    bar.finish_and_clear();
    Ok(found)
}

fn report(args: &GatewayBench, with_envoy: bool, found: &Found) -> anyhow::Result<Report> {
    let (mut details, mut checks) = (Map::new(), Vec::new());
    for (nth, readings) in READINGS.into_iter().enumerate() {
        for connections in CONNECTIONS {
            let at = |way| found.get(&(way, readings, connections));
            for way in [Way::Petty, Way::Bare, Way::Envoy, Way::ByHand, Way::Direct] {
                let Some(rounds) = at(way) else { continue };
                details.insert(format!("{readings:>3} x {connections}: {}", way.name()), row(way, rounds));
            }
            let Some(petty) = at(Way::Petty) else { continue };
            if let Some(envoy) = at(Way::Envoy) {
                let name = format!("requests/s over Envoy's, {readings} x {connections}");
                let value = over(petty, envoy, |measured| measured.per_second);
                checks.push(Check::at_least(&name, value, "x", OF_ENVOY[nth]));
            }
            if let Some(by_hand) = at(Way::ByHand) {
                let name = format!("CPU over axum by hand, {readings} x {connections}");
                let value = over(petty, by_hand, |measured| measured.cpu_us);
                checks.push(Check::at_most(&name, value, "x", OF_BY_HAND[nth]));
            }
        }
    }
    details.insert("rounds".to_owned(), json!(args.rounds));
    details.insert("seconds of each measurement".to_owned(), json!(args.seconds));
    let mut environment = machine();
    environment["a row"] =
        "readings a request x connections; medians of the rounds, and requests/s of the worst and best"
            .into();
    environment["cores"] = "half for the gateway under test, half for client and service".into();
    environment["Envoy"] = if with_envoy { envoy::RELEASE } else { "none" }.into();
    Ok(Report { name: "gateway", environment, checks, details })
}

fn row(way: Way, rounds: &[Measured]) -> Value {
    let spread = |of: fn(&Measured) -> f64| Spread::of(rounds.iter().map(of));
    let median = |of: fn(&Measured) -> f64| spread(of).map_or(0.0, |spread| spread.median);
    let rates = spread(|measured| measured.per_second);
    let mut row = Map::new();
    let mut tell = |name: &str, value: f64| row.insert(name.to_owned(), json!(value));
    if let Some(Spread { median, least, most }) = rates {
        tell("requests/s", median.round());
        tell("from", least.round());
        tell("to", most.round());
    }
    tell("p50 ms", median(|measured| measured.p50_ms));
    tell("p99 ms", median(|measured| measured.p99_ms));
    // Directly, that of the service itself.
    tell(
        if way == Way::Direct { "CPU us of the service" } else { "CPU us" },
        median(|measured| measured.cpu_us),
    );
    tell("RSS MiB", median(|measured| measured.rss_mib));
    Value::Object(row)
}

/// The median of what one has over what the other has in the same round.
fn over(ones: &[Measured], others: &[Measured], of: fn(&Measured) -> f64) -> f64 {
    let ratios = ones.iter().zip(others).map(|(one, other)| of(one) / of(other));
    Spread::of(ratios).map_or(0.0, |spread| spread.median)
}

#[expect(clippy::cast_precision_loss, reason = "counts of a few seconds")]
pub(super) fn count(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests;
