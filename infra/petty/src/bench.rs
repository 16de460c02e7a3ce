//! `petty bench`: how fast Petty is, measured beside a floor in the same run.
//!
//! Benches start what they measure, on a PostgreSQL and a Redis of their own with the durability settings that Petty runs with: most
//! of them a mesh; behavior's two replicas of it alone, the gateway's and the edge's a gateway in front of services of theirs. They leave
//! nothing behind. A missed goal is reported as missed.

mod auth;
mod behavior;
mod edge;
mod first;
mod floor;
mod gateway;
mod http;
mod ingest;
mod report;
mod spread;
mod stream;
pub(crate) mod token;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use petty_chassis::service::RunningService;
use petty_chassis::{Shutdown, Tasks};
use petty_provision::Stack;

use crate::cli::{Bench, BenchArgs};
use crate::mesh::{Plan, free_address};
use crate::up::start_services;

pub use report::{Check, Report};
pub use spread::Spread;

/// The services must be ready within this time.
const READY_WITHIN: Duration = Duration::from_secs(60);
const GRACE: Duration = Duration::from_secs(5);

/// Runs a bench and tells what it found. The exit code is 1 where a goal was missed.
///
/// # Errors
/// Where the mesh does not start, or the bench cannot be run.
pub async fn run(args: BenchArgs) -> anyhow::Result<ExitCode> {
    let report = match args.bench {
        Bench::Stream { events, rounds } => stream::run(events, rounds).await?,
        Bench::Auth(auth) => auth::run(auth).await?,
        Bench::Ingest(ingest) => ingest::run(ingest).await?,
        Bench::Behavior(behavior) => behavior::run(behavior).await?,
        Bench::Gateway(gateway) => return gateway::run(&gateway, args.json.as_deref()).await,
        Bench::Edge(edge) => edge::run(edge).await?,
        Bench::Part(part) => return gateway::part(&part.part).await,
    };
    report.print()?;
    if let Some(path) = &args.json {
        report.write(path)?;
    }
    Ok(if report.passes() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A mesh for one bench: every service in this process, every hop gRPC, as in `petty up`.
struct Mesh {
    stack: Stack,
    plan: Plan,
    shutdown: Shutdown,
    tasks: Tasks,
    _running: Vec<(&'static str, RunningService)>,
}

impl Mesh {
    async fn start() -> anyhow::Result<Self> {
        Self::start_with(&[]).await
    }

    /// With these set in every service's environment.
    async fn start_with(settings: &[(&str, &str)]) -> anyhow::Result<Self> {
        let stack = Stack::temporary().await.context("start a private PostgreSQL and Redis")?;
        let mut plan = Plan::make(&stack, free_address()?).await?;
        for (name, value) in settings {
            plan.extra.insert((*name).to_owned(), (*value).to_owned());
        }
        let shutdown = Shutdown::new();
        let tasks = Tasks::new(shutdown.clone());
        let running = start_services(&plan, &shutdown, &tasks).await?;
        let all = async {
            for (_, service) in &running {
                service.readiness.ready().await;
            }
        };
        if tokio::time::timeout(READY_WITHIN, all).await.is_err() {
            bail!("the mesh was not ready within {} s", READY_WITHIN.as_secs());
        }
        Ok(Self { stack, plan, shutdown, tasks, _running: running })
    }

    fn gateway(&self) -> String {
        format!("http://{}", self.plan.http)
    }

    async fn stop(self) -> anyhow::Result<()> {
        self.shutdown.begin();
        self.tasks.wait(GRACE).await;
        self.stack.stop().await?;
        Ok(())
    }
}
