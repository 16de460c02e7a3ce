//! The private PostgreSQL: made by `initdb` once, durable (fsync, synchronous_commit, full_page_writes on), loopback
//! only, every log-in by scram-sha-256.

mod databases;

use std::{
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

use nix::sys::signal::Signal;
use secrecy::{ExposeSecret, SecretString};

pub use databases::ServiceDatabase;

use crate::{
    Error, Result,
    error::root,
    locate::Found,
    place::{Place, RunAs},
    process::{self, Trace},
    running::{Kind, Running},
    spawn,
    state::State,
};

/// The superuser's name.
const ADMIN: &str = "postgres";
/// The directory of the cluster, below the servers'.
const CLUSTER: &str = "postgres";
const HBA: &str =
    "# Written by petty: loopback only, passwords only.\nhost all all 127.0.0.1/32 scram-sha-256\n";

/// A running private PostgreSQL.
#[derive(Debug)]
pub struct Postgres {
    running: Running<Spec>,
    state: Arc<State>,
    /// Two at a time would create the same role twice.
    ensuring: tokio::sync::Mutex<()>,
}

/// What may differ between stacks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings {
    pub(crate) shared_buffers_mb: u32,
    /// Its files will be removed: leave nothing outside them.
    pub(crate) disposable: bool,
}

#[derive(Debug)]
struct Spec {
    program: PathBuf,
    cluster: PathBuf,
    run_as: Option<RunAs>,
    password: SecretString,
    settings: Settings,
}

impl Postgres {
    /// Always loopback.
    #[must_use]
    pub fn host(&self) -> &'static str {
        "127.0.0.1"
    }

    /// Its own, kept across restarts while nobody else takes it.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.running.port
    }

    /// The superuser's URL, of the database `postgres`.
    #[must_use]
    pub fn admin_url(&self) -> SecretString {
        self.url(ADMIN, self.running.kind.password.expose_secret(), "postgres")
    }

    /// The server's process; `None` while it does not run.
    #[must_use]
    pub fn pid(&self) -> Option<i32> {
        self.running.pid()
    }

    /// Whether the server's process lives. It may still be paused or starting.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.running.is_running()
    }

    /// Kills the server and all its children (SIGKILL), and waits until they are gone. For fault tests.
    pub fn kill(&self) {
        self.running.kill();
    }

    /// Stops the server and its children in their tracks (SIGSTOP): connections hang. For fault tests.
    pub fn pause(&self) {
        self.running.pause();
    }

    /// Lets them go on.
    pub fn resume(&self) {
        self.running.resume();
    }

    /// Stops it if it runs, and starts it again on the same port; answers when it takes queries.
    ///
    /// # Errors
    ///
    /// [`Error::Start`] if it does not come up.
    pub async fn restart(&self) -> Result<()> {
        self.running.restart().await
    }

    /// Stops what is left of an earlier run, and makes the cluster if there is none. Blocking.
    pub(crate) fn prepare(found: &Found, place: &Place, state: &State, settings: Settings) -> Result<()> {
        let cluster = cluster_dir(place);
        stop_leftovers(&cluster)?;
        if !cluster.exists() {
            init(found, place, &state.password(ADMIN)?, settings)?;
        }
        Ok(())
    }

    pub(crate) async fn start(
        found: &Found,
        place: &Place,
        state: Arc<State>,
        settings: Settings,
    ) -> Result<Self> {
        let spec = Spec {
            program: found.program.clone(),
            cluster: cluster_dir(place),
            run_as: place.run_as,
            password: state.password(ADMIN)?.into(),
            settings,
        };
        let running = Running::start(spec, &state, place.data_dir.join("postgres.log")).await?;
        Ok(Self { running, state, ensuring: tokio::sync::Mutex::new(()) })
    }

    pub(crate) fn running(&self) -> &Running<impl Kind> {
        &self.running
    }

    fn url(&self, role: &str, password: &str, database: &str) -> SecretString {
        format!("postgres://{role}:{password}@{}:{}/{database}", self.host(), self.port()).into()
    }
}

/// The major version that made the cluster at this place, and where that is.
pub(crate) fn cluster_version(place: &Place) -> Option<(u32, PathBuf)> {
    let cluster = cluster_dir(place);
    let version = std::fs::read_to_string(cluster.join("PG_VERSION")).ok()?;
    Some((version.trim().parse().ok()?, cluster))
}

/// Stops servers of this cluster that outlived their owner.
pub(crate) fn stop_leftovers(cluster: &Path) -> Result<bool> {
    process::stop_leftovers(Trace {
        server: Spec::NAME,
        program: "postgres",
        directory: cluster,
        marker: &cluster.to_string_lossy(),
        signal: Signal::SIGQUIT,
    })
}

pub(crate) fn cluster_dir(place: &Place) -> PathBuf {
    place.servers_dir.join(CLUSTER)
}

impl Kind for Spec {
    const NAME: &'static str = "PostgreSQL";
    const KEY: &'static str = "postgres";
    /// Immediate shutdown: no checkpoint, recovery at the next start.
    const ON_DEATH: Signal = Signal::SIGQUIT;
    /// Fast shutdown: sessions are ended, then a checkpoint.
    const STOP: Signal = Signal::SIGINT;

    fn command(&self, port: u16) -> Result<Command> {
        let mut command = spawn::command(&self.program, self.run_as, &self.cluster);
        command.arg("-D").arg(&self.cluster);
        let mut set = |setting: String| {
            command.arg("-c").arg(setting);
        };
        set(format!("port={port}"));
        set(format!("shared_buffers={}MB", self.settings.shared_buffers_mb));
        for setting in [
            "listen_addresses=127.0.0.1",
            // Loopback with a password is the only way in; a socket's path could be too long here.
            "unix_socket_directories=",
            "max_connections=200",
            "password_encryption=scram-sha-256",
            "fsync=on",
            "synchronous_commit=on",
            "full_page_writes=on",
            "max_wal_size=1GB",
            "timezone=UTC",
            "log_timezone=UTC",
            "logging_collector=off",
            // Neither rows nor parameters in the log: DETAIL and STATEMENT would quote them.
            "log_error_verbosity=terse",
            "log_min_error_statement=panic",
        ] {
            set(setting.to_owned());
        }
        // Of what is gone in a minute the log need not be small.
        set(format!("wal_compression={}", if self.settings.disposable { "off" } else { "on" }));
        if self.settings.disposable {
            // In the cluster, not in /dev/shm, where a kill would leave it.
            set("dynamic_shared_memory_type=mmap".to_owned());
        }
        Ok(command)
    }

    async fn ready(&self, port: u16) -> Result<(), String> {
        let mut session = databases::Session::open(port, ADMIN, self.password.expose_secret(), "postgres")
            .await
            .map_err(|error| root(&error))?;
        session.run("SELECT 1").await.map(drop).map_err(|error| root(&error))
    }
}

/// Makes the cluster under another name and renames it when it is whole: one that was cut short is never started.
fn init(found: &Found, place: &Place, password: &str, settings: Settings) -> Result<()> {
    let unfinished = place.servers_dir.join("postgres.new");
    if unfinished.exists() {
        std::fs::remove_dir_all(&unfinished).map_err(Error::io("remove", &unfinished))?;
    }
    let dir = place.make("postgres.new")?;
    // initdb wants an empty directory, so the password's file stands beside it.
    let password_file = place.servers_dir.join("initdb-password");
    crate::state::write_private(&password_file, password.as_bytes())
        .map_err(Error::io("write", &password_file))?;
    place.give(&password_file)?;
    let program = found.program.with_file_name("initdb");
    let mut command = spawn::command(&program, place.run_as, &dir);
    command.arg("-D").arg(&dir).arg("--pwfile").arg(&password_file);
    command.args(["--username", ADMIN, "--auth", "scram-sha-256", "-E", "UTF8"]);
    // macOS has no C.UTF-8.
    command.arg(if cfg!(target_os = "linux") { "--locale=C.UTF-8" } else { "--locale=C" });
    if settings.disposable {
        command.arg("--no-sync");
    }
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let output = command.output().map_err(Error::io("start", &program));
    std::fs::remove_file(&password_file).map_err(Error::io("remove", &password_file))?;
    let output = output?;
    if !output.status.success() {
        let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.push_str(&String::from_utf8_lossy(&output.stderr));
        return Err(Error::InitDb { dir, output: text.trim_end().to_owned() });
    }
    let hba = dir.join("pg_hba.conf");
    std::fs::write(&hba, HBA).map_err(Error::io("write", &hba))?;
    let cluster = cluster_dir(place);
    std::fs::rename(&dir, &cluster).map_err(Error::io("rename", &dir))
}

/// Connection settings; the address is always loopback.
fn config(port: u16, role: &str, password: &str, database: &str) -> tokio_postgres::Config {
    let mut config = tokio_postgres::Config::new();
    config.hostaddr(Ipv4Addr::LOCALHOST.into()).port(port).user(role).password(password).dbname(database);
    config.connect_timeout(Duration::from_secs(5)).application_name("petty-provision");
    config
}
