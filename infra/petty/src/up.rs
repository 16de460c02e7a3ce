//! `petty up`: the whole mesh in one process, on a private PostgreSQL and Redis. Every hop is still gRPC, with both
//! identities.

mod demo;
mod ready;

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use petty_chassis::config::Environment;
use petty_chassis::service::RunningService;
use petty_chassis::{Service, Shutdown, Tasks, shutdown, telemetry};
use petty_provision::{Install, Options, Stack};

use crate::cli::UpArgs;
use crate::mesh::{Keys, Plan};

/// The services must be ready within this time; a machine that is slower than that has another problem.
const READY_WITHIN: Duration = Duration::from_secs(60);
const GRACE: Duration = Duration::from_secs(10);

/// Starts everything and runs until told to stop.
///
/// # Errors
/// Where a server cannot be had, a service does not become ready, or one fails later.
pub async fn run(args: UpArgs) -> anyhow::Result<ExitCode> {
    let began = Instant::now();
    let http = http_address(args.port)?;
    let shutdown = Shutdown::new();
    shutdown::listen_for_signals(&shutdown)?;
    let set = args.set.iter().map(|setting| setting.look_up(&Environment::from_process()));
    let set = set.collect::<anyhow::Result<Vec<_>>>()?;
    let stack = tokio::select! {
        stack = start_stack(&args) => stack?,
        () = shutdown.draining() => {
            // The process does not end before it: half a package is nobody's wish.
            tell("stopping, once what is being installed or made has come to its end");
            return Ok(ExitCode::SUCCESS);
        }
    };
    let logs = stack.data_dir().join("petty.log");
    let mut plan = Plan::make(&stack, http).await?;
    let keys = Keys::load_or_make(&stack.data_dir().join("keys.json"))?;
    plan.extra.insert("PETTY_BOOTSTRAP_EMAIL".to_owned(), ready::STAFF_EMAIL.to_owned());
    plan.extra.insert("PETTY_BOOTSTRAP_PASSWORD".to_owned(), keys.demo_password().to_owned());
    // All services share a few cores here: small pools are enough, and memory stays small.
    plan.extra.insert("PETTY_DATABASE_POOL".to_owned(), "12".to_owned());
    // The demo's past days come all at once: nobody who looks around should wait a quarter of an hour for their totals.
    plan.extra.insert("PETTY_DAY_SETTLE".to_owned(), "20s".to_owned());
    plan.extra.insert("PETTY_DAY_CHECK".to_owned(), "5s".to_owned());
    plan.extra.extend(set);
    keep_log(&logs);
    let guard = telemetry::init_to_file("petty", &Environment::from_process(), &logs)?;
    let tasks = Tasks::new(shutdown.clone());
    let running = start_services(&plan, &shutdown, &tasks).await;
    let outcome = match running {
        Ok(running) => serve(&args, &stack, &plan, &keys, &running, &shutdown, &tasks, began).await,
        Err(error) => Err(error),
    };
    shutdown.begin();
    tasks.wait(GRACE).await;
    let _removed = std::fs::remove_file(args.ready_file());
    tokio::task::spawn_blocking(move || guard.shutdown()).await?;
    stack.stop().await?;
    outcome?;
    match shutdown.failure() {
        None => Ok(ExitCode::SUCCESS),
        Some(failure) => bail!("{failure}; the log is {}", logs.display()),
    }
}

/// The log of the run before is kept beside the new one: it may say why that run ended.
fn keep_log(log: &Path) {
    // There is none at the first start; and one that cannot be kept is no reason not to start.
    let _none = std::fs::rename(log, log.with_extension("previous.log"));
}

#[expect(clippy::too_many_arguments, reason = "everything that was started is needed once, here")]
async fn serve(
    args: &UpArgs,
    stack: &Stack,
    plan: &Plan,
    keys: &Keys,
    running: &[(&'static str, RunningService)],
    shutdown: &Shutdown,
    tasks: &Tasks,
    began: Instant,
) -> anyhow::Result<()> {
    let all_ready = async {
        for (_, service) in running {
            service.readiness.ready().await;
        }
    };
    tokio::select! {
        () = all_ready => {}
        () = shutdown.draining() => return Ok(()),
        () = tokio::time::sleep(READY_WITHIN) => {
            let waiting = running.iter().filter(|(_, service)| !service.readiness.is_ready());
            let reports: Vec<String> = waiting.map(|(name, service)| format!("{name}: {:?}", service.readiness.report())).collect();
            bail!("not ready within {} s: {}", READY_WITHIN.as_secs(), reports.join("; "));
        }
    }
    let demo = if args.wants_demo() {
        tokio::select! {
            demo = demo::set_up(plan.http, keys.demo_password(), shutdown) => Some(demo.context("set up the demo")?),
            () = shutdown.draining() => return Ok(()),
        }
    } else {
        None
    };
    if shutdown.is_draining() {
        return Ok(());
    }
    ready::write(&args.ready_file(), stack, plan, keys)?;
    ready::greet(plan, keys, demo.as_ref(), began.elapsed());
    if let Some(demo) = demo {
        tasks.spawn("demo-household", demo.live(shutdown.clone()));
    }
    shutdown.draining().await;
    tell("stopping");
    Ok(())
}

/// The gateway's address; taken early, so that a port in use is said before anything is started.
fn http_address(port: u16) -> anyhow::Result<SocketAddr> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let listener = TcpListener::bind(address).with_context(|| {
        format!("port {port} is taken on 127.0.0.1; choose another with --port, or --port 0 for a free one")
    })?;
    Ok(listener.local_addr()?)
}

async fn start_stack(args: &UpArgs) -> anyhow::Result<Stack> {
    let mut options = Options::new(&args.data_dir);
    options.install = if args.no_install { Install::Never } else { Install::Auto };
    options.progress = Arc::new(tell);
    Ok(Stack::start(options).await?)
}

pub(crate) async fn start_services(
    plan: &Plan,
    shutdown: &Shutdown,
    tasks: &Tasks,
) -> anyhow::Result<Vec<(&'static str, RunningService)>> {
    Ok(vec![
        start::<petty_auth::Auth>(plan, shutdown, tasks).await?,
        start::<petty_ingest::Ingest>(plan, shutdown, tasks).await?,
        start::<petty_behavior::Behavior>(plan, shutdown, tasks).await?,
        start::<petty_nutrition::Nutrition>(plan, shutdown, tasks).await?,
        start::<petty_timeline::Timeline>(plan, shutdown, tasks).await?,
        start::<petty_feedback::Feedback>(plan, shutdown, tasks).await?,
        start::<petty_gateway::Gateway>(plan, shutdown, tasks).await?,
    ])
}

async fn start<S: Service + 'static>(
    plan: &Plan,
    shutdown: &Shutdown,
    tasks: &Tasks,
) -> anyhow::Result<(&'static str, RunningService)> {
    Ok((S::NAME, start_one::<S>(plan, 0, shutdown, tasks).await?))
}

/// A replica of a service, in this process.
pub(crate) async fn start_one<S: Service + 'static>(
    plan: &Plan,
    replica: usize,
    shutdown: &Shutdown,
    tasks: &Tasks,
) -> anyhow::Result<RunningService> {
    let environment: Environment = plan.environment(S::NAME, replica)?.into_iter().collect();
    let running = petty_chassis::embed::<S>(environment, shutdown.clone(), tasks.clone()).await;
    running.with_context(|| format!("start {}", S::NAME))
}

/// Says something to whoever started it.
pub(crate) fn tell(text: &str) {
    // With nobody to read it, there is nothing to do about that.
    let _unread = writeln!(std::io::stderr(), "{text}");
}
