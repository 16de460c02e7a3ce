//! Services as separate processes.

use std::collections::BTreeMap;
use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use petty::mesh::{Addresses, GATEWAY, Plan, SERVICES, free_address};
use petty_provision::{Prototype, Stack};
use tokio::sync::{
    OnceCell, OwnedRwLockReadGuard, OwnedRwLockWriteGuard, OwnedSemaphorePermit, RwLock, Semaphore,
};

use crate::eventually;
use crate::rest::Client;

/// A mesh: one process a replica.
#[derive(Debug)]
pub struct Mesh {
    // Fields are dropped in order: processes go before the servers beneath them.
    running: Running,
    /// The servers beneath.
    pub stack: Stack,
    /// Where everything is.
    pub plan: Plan,
    node: PathBuf,
    _machine: Option<Machine>,
}

/// Its processes, which end with it.
#[derive(Debug)]
struct Running {
    processes: BTreeMap<(&'static str, usize), Child>,
    data_dir: PathBuf,
}

/// What a mesh of one replica each was when all were ready for the first time: databases, roles, tables, keys, the first staff account.
/// Others begin there. What is set otherwise from the first moment on begins with nothing.
static PROTOTYPE: OnceCell<Prototype> = OnceCell::const_new();

/// The machine, which meshes share; one that works it as hard as it can has it alone, for the others' patience would not outlast
/// it. A test holds one mesh at a time.
static MACHINE: LazyLock<Arc<RwLock<()>>> = LazyLock::new(Arc::default);
/// And two at once are what two cores bear, however many tests run.
static PLACES: LazyLock<Arc<Semaphore>> = LazyLock::new(|| Arc::new(Semaphore::new(2)));

/// A mesh's part of the machine.
#[derive(Debug)]
enum Machine {
    Shared(#[expect(dead_code, reason = "held")] (OwnedSemaphorePermit, OwnedRwLockReadGuard<()>)),
    Alone(#[expect(dead_code, reason = "held")] OwnedRwLockWriteGuard<()>),
}

impl Machine {
    async fn shared() -> Self {
        let place = PLACES.clone().acquire_owned().await.expect("nobody closes it");
        Self::Shared((place, MACHINE.clone().read_owned().await))
    }

    async fn alone() -> Self {
        Self::Alone(MACHINE.clone().write_owned().await)
    }
}

const SERVERS: &str = "a private Postgres and Redis";

impl Mesh {
    /// Starts everything, one replica each, and waits until all are ready. `node` is `env!("CARGO_BIN_EXE_petty-node")`.
    ///
    /// # Panics
    /// Where anything does not start.
    pub async fn start(node: &str) -> Self {
        Self::start_with(node, &[]).await
    }

    /// As [`Mesh::start`], with so many replicas of some services.
    ///
    /// # Panics
    /// Where anything does not start.
    pub async fn start_with(node: &str, replicas: &[(&'static str, usize)]) -> Self {
        Self::start_set(node, replicas, &[]).await
    }

    /// As [`Mesh::start_with`], with these set in every service's environment.
    ///
    /// # Panics
    /// Where anything does not start.
    pub async fn start_set(
        node: &str,
        replicas: &[(&'static str, usize)],
        settings: &[(&str, &str)],
    ) -> Self {
        let machine = Machine::shared().await;
        let stack =
            if settings.is_empty() { begun(node).await } else { Stack::temporary().await.expect(SERVERS) };
        Self::start_on(Some(machine), stack, node, replicas, settings).await
    }

    /// As [`Mesh::start_set`], once something was done to the servers: the databases are there, and nobody uses them yet.
    ///
    /// # Panics
    /// Where anything does not start.
    pub async fn start_prepared(
        node: &str,
        replicas: &[(&'static str, usize)],
        settings: &[(&str, &str)],
        prepare: impl AsyncFnOnce(&Stack),
    ) -> Self {
        let machine = Machine::shared().await;
        let stack = Stack::temporary().await.expect(SERVERS);
        Self::planned(&stack, &[], &[]).await;
        prepare(&stack).await;
        Self::start_on(Some(machine), stack, node, replicas, settings).await
    }

    /// As [`Mesh::start_with`], on a machine that no other mesh of these tests is on meanwhile.
    ///
    /// # Panics
    /// Where anything does not start.
    pub async fn start_alone(node: &str, replicas: &[(&'static str, usize)]) -> Self {
        let machine = Machine::alone().await;
        let stack = begun(node).await;
        Self::start_on(Some(machine), stack, node, replicas, &[]).await
    }

    async fn start_on(
        machine: Option<Machine>,
        stack: Stack,
        node: &str,
        replicas: &[(&'static str, usize)],
        settings: &[(&str, &str)],
    ) -> Self {
        let plan = Self::planned(&stack, replicas, settings).await;
        let running = Running { processes: BTreeMap::new(), data_dir: stack.data_dir().to_path_buf() };
        let mut mesh = Self { running, stack, plan, node: PathBuf::from(node), _machine: machine };
        for service in SERVICES.into_iter().chain([GATEWAY]) {
            for replica in 0..mesh.plan.replicas[service].len() {
                mesh.spawn(service, replica);
            }
        }
        mesh.ready().await;
        mesh
    }

    /// Databases, keys and addresses.
    async fn planned(stack: &Stack, replicas: &[(&'static str, usize)], settings: &[(&str, &str)]) -> Plan {
        let http = free_address().expect("a free port");
        let mut plan = Plan::make(stack, http).await.expect("databases and keys");
        for (service, count) in replicas {
            while plan.replicas[service].len() < *count {
                let addresses = Addresses::free().expect("free ports");
                plan.replicas.get_mut(service).expect("a known service").push(addresses);
            }
        }
        // Faults are to be got over within a test's patience.
        for (name, value) in [
            // But two cores that run two meshes at once are no fault: what waits is not to be taken for lost.
            ("PETTY_EVENTS_HANDLING_DEADLINE", "3s"),
            ("PETTY_EVENTS_GAP_INTERVAL", "500ms"),
            ("PETTY_EVENTS_GAP_GRACE", "1s"),
            ("PETTY_DATABASE_POOL", "8"),
            ("PETTY_LOG", "info"),
            ("PETTY_BOOTSTRAP_EMAIL", crate::rest::STAFF),
            ("PETTY_BOOTSTRAP_PASSWORD", crate::rest::PASSWORD),
            // Days that come late are told soon.
            ("PETTY_DAY_SETTLE", "1s"),
            ("PETTY_DAY_CHECK", "200ms"),
            // What is due is looked at soon.
            ("PETTY_ALERT_CHECK", "100ms"),
        ]
        .iter()
        .chain(settings)
        {
            plan.extra.insert((*name).to_owned(), (*value).to_owned());
        }
        plan
    }

    /// A client of the gateway.
    #[must_use]
    pub fn client(&self) -> Client {
        let gateway = self.plan.replicas.get(GATEWAY).and_then(|replicas| replicas.first());
        let admin = gateway.expect("a gateway").admin;
        Client::new(format!("http://{}", self.plan.http)).with_staff_at(format!("http://{admin}"))
    }

    /// Where a gateway's replica takes HTTP.
    ///
    /// # Panics
    /// Where there is no such replica.
    #[must_use]
    pub fn http(&self, replica: usize) -> SocketAddr {
        if replica == 0 { self.plan.http } else { self.plan.replicas[GATEWAY][replica].grpc }
    }

    /// Starts a replica's process.
    ///
    /// # Panics
    /// Where the process cannot be started.
    pub fn spawn(&mut self, service: &'static str, replica: usize) {
        let environment = self.plan.environment(service, replica).expect("a planned replica");
        let log =
            File::options().create(true).append(true).open(self.log(service, replica)).expect("a log file");
        let mut command = Command::new(&self.node);
        command
            .arg(service)
            .env_clear()
            .envs(environment)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        die_with_parent(&mut command);
        let child = command.spawn().expect("petty-node starts");
        self.running.processes.insert((service, replica), child);
    }

    /// Where a replica's log is.
    #[must_use]
    pub fn log(&self, service: &str, replica: usize) -> PathBuf {
        self.stack.data_dir().join(format!("{service}-{replica}.log"))
    }

    /// Waits until every running replica says that it is ready.
    ///
    /// # Panics
    /// Where one does not within a minute; its log's end is shown.
    pub async fn ready(&self) {
        let http = reqwest::Client::new();
        for (service, replica) in self.running.processes.keys() {
            let url = format!("http://{}/readyz", self.plan.replicas[service][*replica].admin);
            let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
            loop {
                let answer = http.get(&url).timeout(Duration::from_secs(1)).send().await;
                if answer.is_ok_and(|answer| answer.status().is_success()) {
                    break;
                }
                let late = tokio::time::Instant::now() > deadline;
                assert!(
                    !late,
                    "{service} is not ready within a minute:\n{}",
                    self.log_end(service, *replica)
                );
                tokio::time::sleep(Duration::from_millis(25)).await;
            }
        }
        let client = self.client();
        eventually("the gateway answers", Duration::from_secs(30), || async { client.is_ready().await })
            .await;
    }

    /// The end of a replica's log.
    #[must_use]
    pub fn log_end(&self, service: &str, replica: usize) -> String {
        let log = std::fs::read_to_string(self.log(service, replica)).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }

    /// Kills a replica: SIGKILL, no drain.
    ///
    /// # Panics
    /// Where it does not run.
    pub fn kill(&mut self, service: &'static str, replica: usize) {
        let mut child = self.running.processes.remove(&(service, replica)).expect("it runs");
        child.kill().expect("it can be killed");
        child.wait().expect("it ends");
    }

    /// Stops a replica in good order; its exit code.
    ///
    /// # Panics
    /// Where it does not run.
    pub fn terminate(&mut self, service: &'static str, replica: usize) -> Option<i32> {
        let mut child = self.running.processes.remove(&(service, replica)).expect("it runs");
        let pid = Pid::from_raw(i32::try_from(child.id()).expect("a pid"));
        kill(pid, Signal::SIGTERM).expect("it can be told");
        child.wait().expect("it ends").code()
    }

    /// As [`Mesh::terminate`], while others go on.
    ///
    /// # Panics
    /// Where it does not run.
    pub async fn retire(&mut self, service: &'static str, replica: usize) -> Option<i32> {
        let mut child = self.running.processes.remove(&(service, replica)).expect("it runs");
        let pid = Pid::from_raw(i32::try_from(child.id()).expect("a pid"));
        kill(pid, Signal::SIGTERM).expect("it can be told");
        loop {
            if let Some(status) = child.try_wait().expect("it ends") {
                return status.code();
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Whether a replica's process still runs.
    pub fn is_alive(&mut self, service: &'static str, replica: usize) -> bool {
        self.running
            .processes
            .get_mut(&(service, replica))
            .is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// Starts again what has ended by itself, as whatever watches over processes does: a service that does not find its
    /// database when it starts gives up.
    ///
    /// # Panics
    /// Where a process cannot be started.
    pub fn revive(&mut self) {
        let all: Vec<(&'static str, usize)> = self.running.processes.keys().copied().collect();
        for (service, replica) in all {
            if !self.is_alive(service, replica) {
                self.spawn(service, replica);
            }
        }
    }

    /// Everything that was logged so far, by every service.
    #[must_use]
    pub fn logs(&self) -> String {
        let read = |(service, replica): &(&'static str, usize)| {
            std::fs::read_to_string(self.log(service, *replica)).unwrap_or_default()
        };
        self.running.processes.keys().map(read).collect()
    }
}

/// Servers that begin where the first mesh was ready.
async fn begun(node: &str) -> Stack {
    let make = || async {
        let stack = Stack::temporary().await.expect(SERVERS);
        let mut mesh = Mesh::start_on(None, stack, node, &[], &[]).await;
        let all: Vec<(&'static str, usize)> = mesh.running.processes.keys().copied().collect();
        for (service, replica) in all {
            assert_eq!(mesh.retire(service, replica).await, Some(0), "{service} ends in good order");
        }
        Prototype::of(mesh.stack).await.expect("a prototype")
    };
    PROTOTYPE.get_or_init(make).await.stack().await.expect(SERVERS)
}

impl Drop for Running {
    fn drop(&mut self) {
        for child in self.processes.values_mut() {
            // Ended already, or ends now.
            let _ended = child.kill();
            let _reaped = child.wait();
        }
        if std::thread::panicking() {
            keep_logs(&self.data_dir);
        }
    }
}

/// The logs of a failed test stay behind, below the target directory, for whoever looks into it.
fn keep_logs(data_dir: &Path) {
    let kept = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../target/failed-tests")
        .join(data_dir.file_name().unwrap_or_default());
    if std::fs::create_dir_all(&kept).is_err() {
        return;
    }
    for entry in std::fs::read_dir(data_dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.extension().is_some_and(|extension| extension == "log") {
            let _copied = std::fs::copy(&path, kept.join(entry.file_name()));
        }
    }
}

/// Where nothing may listen: for what must not be reached.
#[must_use]
pub fn nowhere() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 9))
}

#[cfg(target_os = "linux")]
#[expect(
    unsafe_code,
    reason = "prctl between fork and exec is async-signal-safe, and nothing else is done there"
)]
fn die_with_parent(command: &mut Command) {
    unsafe {
        command.pre_exec(|| {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            Ok(())
        });
    }
}

#[cfg(not(target_os = "linux"))]
fn die_with_parent(_command: &mut Command) {}
