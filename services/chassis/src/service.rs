//! What a service is, and how it is run: alone by [`main`], or beside others in one process by [`embed`].

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::task::JoinHandle;

use crate::admin::{AdminServer, Readiness, Surface};
use crate::config::{self, BaseConfig, Environment, Section};
use crate::memory;
use crate::shutdown::{self, Shutdown};
use crate::tasks::Tasks;
use crate::telemetry;
use crate::types::{Clock, Entropy};

/// The exit code of a bad configuration (`EX_CONFIG` of sysexits).
const EXIT_CONFIG: u8 = 78;
/// How long threads that block get to end after everything else has.
const BLOCKING_GRACE: Duration = Duration::from_secs(1);
/// The most threads for work that blocks: hashing and files, not connections.
const BLOCKING_THREADS: usize = 32;

/// What every part of a service is given.
#[derive(Clone, Debug)]
pub struct Context {
    /// The service's name.
    pub service: &'static str,
    /// What every service reads.
    pub base: Arc<BaseConfig>,
    /// Tells the time.
    pub clock: Clock,
    /// Random numbers.
    pub entropy: Entropy,
    /// Runs what runs beside requests.
    pub tasks: Tasks,
    /// Says when to finish.
    pub shutdown: Shutdown,
    /// What must work for the service to be ready.
    pub readiness: Readiness,
    /// What the service answers on the admin port besides what every process does.
    pub admin: Surface,
}

impl Context {
    /// A context with the system's clock, not ready yet.
    #[must_use]
    pub fn new(service: &'static str, base: BaseConfig, shutdown: Shutdown, tasks: &Tasks) -> Self {
        install_crypto();
        Self {
            service,
            clock: Clock::system(),
            entropy: Entropy,
            tasks: tasks.of_service(service, &base.instance),
            readiness: Readiness::new(shutdown.clone()).of(service),
            shutdown,
            base: Arc::new(base),
            admin: Surface::default(),
        }
    }
}

/// Makes aws-lc the one provider of TLS in this process. Two of them in one binary panic at run time.
pub fn install_crypto() {
    // Fails where it was done before, which is as good.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

/// A service as it runs. Boxed, so that all it does is compiled with its own crate, once: what an `async fn` does is compiled
/// where it is awaited, which is in each program and each test otherwise.
pub type Running = BoxFuture<'static, anyhow::Result<()>>;

/// A service.
pub trait Service: 'static {
    /// Its name: `auth`.
    const NAME: &'static str;
    /// What it reads besides [`BaseConfig`].
    type Config: Section + Send + 'static;

    /// Runs until drained. Everything it needs comes from `context` and `config`.
    fn run(context: Context, config: Self::Config) -> Running;
}

/// A service that has its configuration. What follows is compiled once as well, and not for each service.
struct Configured {
    name: &'static str,
    base: BaseConfig,
    run: Box<dyn FnOnce(Context) -> Running + Send>,
}

impl Configured {
    /// With the configuration that `environment` says, or all of its faults.
    fn of<S: Service>(environment: &Environment) -> Result<Self, config::Faults> {
        let (base, config) = config::load::<(BaseConfig, S::Config)>(environment)?;
        Ok(Self { name: S::NAME, base, run: Box::new(|context| S::run(context, config)) })
    }
}

/// Runs a service as a process of its own, until it is drained: 0, 1 where it failed, 78 where its configuration is bad.
#[must_use]
pub fn main<S: Service>() -> ExitCode {
    memory::take_small_pages();
    match Configured::of::<S>(&Environment::from_process()) {
        Ok(service) => service.alone(),
        Err(faults) => {
            for fault in faults.iter() {
                complain(S::NAME, fault);
            }
            ExitCode::from(EXIT_CONFIG)
        }
    }
}

/// A service that runs in this process.
#[derive(Debug)]
pub struct RunningService {
    /// Whether it is ready.
    pub readiness: Readiness,
    /// Where its admin port listens.
    pub admin: SocketAddr,
    /// Resolves when the service has ended. What it failed with is the shutdown's failure.
    pub join: JoinHandle<()>,
}

/// Runs a service beside others. Whoever calls owns signals, telemetry, and the waiting for `tasks`.
///
/// # Errors
///
/// Every fault of the configuration, or the admin port that cannot be bound.
pub fn embed<S: Service>(
    environment: Environment,
    shutdown: Shutdown,
    tasks: Tasks,
) -> BoxFuture<'static, anyhow::Result<RunningService>> {
    beside(S::NAME, Configured::of::<S>(&environment), shutdown, tasks)
}

fn beside(
    name: &'static str,
    service: Result<Configured, config::Faults>,
    shutdown: Shutdown,
    tasks: Tasks,
) -> BoxFuture<'static, anyhow::Result<RunningService>> {
    async move {
        let service = service.with_context(|| format!("{name}: bad configuration"))?;
        service.start(shutdown, &tasks).await
    }
    .boxed()
}

impl Configured {
    /// As a process of its own.
    fn alone(self) -> ExitCode {
        let name = self.name;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .thread_name(name)
            .max_blocking_threads(BLOCKING_THREADS)
            .build();
        let runtime = match runtime {
            Ok(runtime) => runtime,
            Err(error) => {
                complain(name, &format!("the runtime cannot be started: {error}"));
                return ExitCode::FAILURE;
            }
        };
        let ended = runtime.block_on(self.until_drained());
        runtime.shutdown_timeout(BLOCKING_GRACE);
        match ended {
            Ok(()) => ExitCode::SUCCESS,
            Err(Failed::Logged) => ExitCode::FAILURE,
            Err(Failed::Unlogged(problem)) => {
                complain(name, &problem);
                ExitCode::FAILURE
            }
        }
    }

    async fn start(self, shutdown: Shutdown, tasks: &Tasks) -> anyhow::Result<RunningService> {
        let Self { name, base, run } = self;
        let context = Context::new(name, base, shutdown, tasks);
        let readiness = context.readiness.clone();
        let admin = AdminServer::bind(context.base.admin_listen, readiness.clone()).await?;
        let admin = admin.with(context.admin.clone());
        let address = admin.address();
        // The admin port answers for as long as anything runs, so that a drain can be watched.
        let end = context.shutdown.cancelled();
        context.tasks.spawn_background("admin", async move {
            if let Err(error) = admin.serve(end).await {
                tracing::error!(%error, "the admin port failed");
            }
        });
        let tasks = context.tasks.clone();
        tracing::info!(
            service = name,
            instance = context.base.instance,
            version = env!("CARGO_PKG_VERSION"),
            admin = %address,
            "starting"
        );
        let join = tasks.spawn_critical(name, run(context));
        Ok(RunningService { readiness, admin: address, join })
    }

    async fn until_drained(self) -> Result<(), Failed> {
        install_crypto();
        let grace = self.base.grace_period;
        let guard = telemetry::init(self.name, &self.base)
            .map_err(|error| Failed::Unlogged(format!("telemetry cannot be started: {error}")))?;
        let shutdown = Shutdown::new();
        let tasks = Tasks::new(shutdown.clone());
        let listening = shutdown::listen_for_signals(&shutdown).map_err(anyhow::Error::from);
        let started = match listening {
            Ok(()) => self.start(shutdown.clone(), &tasks).await.map(drop),
            Err(error) => Err(error.context("signals cannot be listened to")),
        };
        match started {
            Ok(()) => shutdown.draining().await,
            Err(error) => shutdown.fail(crate::error::chain(error.as_ref())),
        }
        let whole = tasks.wait(grace).await;
        tracing::info!(whole, "stopped");
        // Flushing blocks; a collector that is away must not keep the signal handler from being run.
        let flushed = tokio::task::spawn_blocking(move || guard.shutdown());
        if flushed.await.is_err() {
            return Err(Failed::Unlogged("telemetry was not flushed".to_owned()));
        }
        if shutdown.failure().is_some() { Err(Failed::Logged) } else { Ok(()) }
    }
}

/// Why a process ends with 1.
enum Failed {
    /// The log says it.
    Logged,
    /// Nobody has said it yet.
    Unlogged(String),
}

/// Says what keeps a service from starting, where nothing can be logged yet.
#[expect(clippy::print_stderr, reason = "there is no log yet")]
fn complain(service: &str, problem: &str) {
    eprintln!("petty-{service}: {problem}");
}
