//! The gateway beside Envoy's transcoder: the same descriptors, the same service behind, thousands of requests of every route and
//! shape, each sent to both. What is compared is the status, the message that arrived, and the JSON that was answered.
//!
//! Invariant: a difference that no rule in `rules` explains fails the evaluation; a rule that explains nothing any more, be it of
//! one shape that it names, does too, so that docs/gateway.md, which is written from them, stays true.

mod client;
mod page;
mod requests;
mod routes;
mod rules;
mod samples;
mod service;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use petty_chassis::config::Environment;
use petty_chassis::grpc::identity::generate_key;
use petty_chassis::{Shutdown, Tasks};
use petty_gateway::Gateway;
use secrecy::ExposeSecret as _;
use serde_json::{Map, Value, json};

use crate::bench::token::Signer;
use crate::bench::{Check, Report};
use crate::cli::GatewayEval;
use crate::envoy;
use crate::mesh::{GATEWAY, SERVICES, free_address};
use crate::process::Process;
use client::Reply;
use requests::Case;
use rules::{Difference, Meaning};
use service::Service;

/// The gateway must be ready within this time, and end within that.
const READY_WITHIN: Duration = Duration::from_secs(30);
const GRACE: Duration = Duration::from_secs(5);
/// Every scope and role there is: what is judged is the translation.
const SCOPES: &str = "read write staff";
const ROLES: [&str; 2] = ["admin", "support"];
/// So many requests at least.
const FEWEST: usize = 300;

/// What both made of a request.
struct Pair {
    case: Case,
    petty: Outcome,
    envoy: Outcome,
}

/// What came of a request.
struct Outcome {
    reply: Reply,
    asked: Option<service::Asked>,
}

/// Compares, and tells what it found. The exit code is 1 where a difference has no reason, 69 where Envoy cannot be had.
///
/// # Errors
/// Where either cannot be started or asked.
pub(super) async fn run(args: &GatewayEval, json: Option<&Path>) -> anyhow::Result<ExitCode> {
    let binary = match envoy::find_or_install(args.envoy.as_deref()).await {
        Ok(binary) => binary,
        Err(error) => {
            crate::up::tell(&format!("not measurable: {error:#}; {}", envoy::HOW));
            return Ok(ExitCode::from(envoy::EXIT_UNAVAILABLE));
        }
    };
    let shutdown = Shutdown::new();
    let tasks = Tasks::new(shutdown.clone());
    let pairs = compare(&binary, &shutdown, &tasks).await;
    shutdown.begin();
    tasks.wait(GRACE).await;
    let pairs = pairs?;

    let mut by_rule: BTreeMap<usize, Vec<&Pair>> = BTreeMap::new();
    let mut idle: BTreeSet<Meaning> = rules::meanings().collect();
    let mut unexplained = Vec::new();
    let mut alike = 0_usize;
    for pair in &pairs {
        let differences = rules::differences(pair);
        if differences.is_empty() {
            alike += 1;
        }
        for difference in differences {
            match rules::explain(pair, &difference) {
                Some(meaning) => {
                    idle.remove(&meaning);
                    by_rule.entry(meaning.rule).or_default().push(pair);
                }
                None => unexplained.push((pair, difference)),
            }
        }
    }
    tell(&unexplained)?;
    for meaning in &idle {
        crate::up::tell(&format!("explains nothing: {meaning}"));
    }
    let report = report(&pairs, alike, &by_rule, unexplained.len(), idle.len());
    report.print_as("eval")?;
    if let Some(path) = json {
        report.write(path)?;
    }
    if report.passes() {
        let path = args.page.clone().unwrap_or_else(|| PathBuf::from(page::PLACE));
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let text = page::with_table(&text, &page::table(pairs.len(), &by_rule))?;
        fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
    }
    Ok(if report.passes() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Starts all three, and sends everything to both.
async fn compare(binary: &Path, shutdown: &Shutdown, tasks: &Tasks) -> anyhow::Result<Vec<Pair>> {
    let pool = service::pool()?;
    let signer = Signer::make()?;
    let service = Service::start(pool.clone(), signer.jwk(), shutdown, tasks).await?;
    let token = signer.token(SCOPES, &ROLES)?;
    let petty = start_gateway(service.address, shutdown, tasks).await?;
    let folder = tempfile_folder()?;
    let (envoy, _process) = start_envoy(binary, &folder, service.address, &pool).await?;
    let mut cases = Vec::new();
    for route in routes::all(&pool)? {
        cases.extend(requests::of(&route)?);
    }
    let bar = crate::progress::steps(cases.len() as u64)?;
    let mut pairs = Vec::new();
    for case in cases {
        let mut outcomes = Vec::new();
        for address in [petty, envoy] {
            service.answers(case.answer, &case.route.method);
            let reply = client::send(address, &case, &token).await;
            let reply = reply.with_context(|| format!("{}: {} {}", case.shape, case.verb, case.target))?;
            outcomes.push(Outcome { reply, asked: service.asked() });
        }
        let Ok([petty, envoy]) = <[Outcome; 2]>::try_from(outcomes) else { bail!("two were asked") };
        pairs.push(Pair { case, petty, envoy });
        bar.inc(1);
    }
    bar.finish_and_clear();
    fs::remove_dir_all(&folder)?;
    Ok(pairs)
}

fn tempfile_folder() -> anyhow::Result<PathBuf> {
    let folder = std::env::temp_dir().join(format!("petty-eval-gateway-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

async fn start_gateway(
    upstream: SocketAddr,
    shutdown: &Shutdown,
    tasks: &Tasks,
) -> anyhow::Result<SocketAddr> {
    let (key, public) = generate_key()?;
    let address = free_address()?;
    let mut environment = Environment::default()
        .with("PETTY_HTTP_LISTEN", address.to_string())
        .with("PETTY_HTTP_DRAIN_PAUSE", "0s")
        .with("PETTY_GRPC_LISTEN", free_address()?.to_string())
        .with("PETTY_ADMIN_LISTEN", free_address()?.to_string())
        .with("PETTY_SERVICE_KEY", key.expose_secret())
        .with("PETTY_SERVICE_KEYS", json!({ GATEWAY: public }).to_string());
    for class in ["CREDENTIALS", "INGEST", "READ", "WRITE", "SOURCE"] {
        environment.set(format!("PETTY_RATE_{class}"), "off");
    }
    for service in SERVICES {
        environment.set(format!("PETTY_ENDPOINT_{}", service.to_uppercase()), format!("http://{upstream}"));
    }
    let running = petty_chassis::embed::<Gateway>(environment, shutdown.clone(), tasks.clone()).await?;
    if tokio::time::timeout(READY_WITHIN, running.readiness.ready()).await.is_err() {
        bail!("the gateway was not ready within {} s", READY_WITHIN.as_secs());
    }
    Ok(address)
}

async fn start_envoy(
    binary: &Path,
    folder: &Path,
    upstream: SocketAddr,
    pool: &prost_reflect::DescriptorPool,
) -> anyhow::Result<(SocketAddr, Process)> {
    let address = free_address()?;
    let services: Vec<String> = pool
        .services()
        .map(|service| service.full_name().to_owned())
        .filter(|name| name.starts_with("petty."))
        .collect();
    let cores = crate::process::Cores::share_out()?;
    let process = envoy::start(binary, folder, address, upstream, &services, &cores.rest).await?;
    Ok((address, process))
}

/// Shows differences without a reason: of each kind one, with how many there are.
fn tell(unexplained: &[(&Pair, Difference)]) -> anyhow::Result<()> {
    let mut kinds: BTreeMap<(&str, Difference, u16, u16), Vec<&Pair>> = BTreeMap::new();
    for (pair, difference) in unexplained {
        let statuses = [&pair.petty, &pair.envoy].map(|outcome| outcome.reply.status);
        kinds.entry((&pair.case.shape, *difference, statuses[0], statuses[1])).or_default().push(pair);
    }
    let mut out = std::io::stderr().lock();
    for ((shape, difference, ..), pairs) in kinds {
        let Some(Pair { case, petty, envoy }) = pairs.first() else { continue };
        writeln!(
            out,
            "{shape}: {difference:?}, {} times: {} {} {}",
            pairs.len(),
            case.verb,
            case.target,
            short(&case.body)
        )?;
        for (name, outcome) in [("Petty", petty), ("Envoy", envoy)] {
            let asked = outcome.asked.as_ref();
            let asked = asked.map_or_else(|| "nothing".to_owned(), |asked| asked.message.to_string());
            let reply = &outcome.reply;
            writeln!(
                out,
                "  {name}: {} {}; arrived: {}",
                reply.status,
                short(&reply.body),
                short(asked.as_bytes())
            )?;
        }
    }
    Ok(())
}

fn short(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).chars().take(300).collect()
}

fn report(
    pairs: &[Pair],
    alike: usize,
    by_rule: &BTreeMap<usize, Vec<&Pair>>,
    unexplained: usize,
    idle: usize,
) -> Report {
    let figure = |count: usize| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    let mut details = Map::new();
    details.insert("requests that both treat alike".to_owned(), json!(alike));
    for (rule, pairs) in by_rule {
        details.insert(rules::RULES[*rule].subject.to_owned(), json!(pairs.len()));
    }
    let fewest = u32::try_from(FEWEST).unwrap_or(u32::MAX);
    Report {
        name: "gateway",
        environment: json!({"Envoy": envoy::RELEASE}),
        checks: vec![
            Check::at_least("requests sent to both", figure(pairs.len()), "", f64::from(fewest)),
            Check::at_most("differences that no rule explains", figure(unexplained), "", 0.0),
            Check::at_most("rules, or shapes of theirs, that explain nothing", figure(idle), "", 0.0),
        ],
        details: details.into_iter().collect::<Map<String, Value>>(),
    }
}

#[cfg(test)]
mod tests;
