//! A server that was started and can be stopped, killed, paused and started again: what PostgreSQL and Redis have in
//! common. The port is settled at the first start and stays, so that whoever holds a URL can come back.

use std::{
    fmt,
    path::{Path, PathBuf},
    process::Command,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;

use crate::{Error, Result, port, spawn, spawn::Server, state::State};

/// How long a start may take; recovery after a crash is part of it.
const START_TIMEOUT: Duration = Duration::from_secs(90);
/// How long a killed server's port may be in somebody else's way.
const PORT_TIMEOUT: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(15);

/// What differs between the servers.
pub(crate) trait Kind: fmt::Debug + Send + Sync {
    /// For people.
    const NAME: &'static str;
    /// For the state file.
    const KEY: &'static str;
    /// Sent when we die: stop at once, acknowledged writes kept.
    const ON_DEATH: Signal;
    /// Sent to stop in good order.
    const STOP: Signal;

    /// The command that serves on `port` until it is told to stop.
    fn command(&self, port: u16) -> Result<Command>;

    /// Ok once the server on `port` is ours and answers; else why not.
    fn ready(&self, port: u16) -> impl Future<Output = Result<(), String>> + Send;
}

#[derive(Debug)]
pub(crate) struct Running<K> {
    pub(crate) kind: K,
    pub(crate) port: u16,
    log: PathBuf,
    server: Mutex<Option<Server>>,
}

/// Why a start failed.
enum Refused {
    PortTaken,
    Other(Error),
}

impl<K: Kind> Running<K> {
    /// Starts it on the port it had before, or on another if that is taken.
    pub(crate) async fn start(kind: K, state: &State, log: PathBuf) -> Result<Self> {
        let mut this = Self { kind, port: 0, log, server: Mutex::new(None) };
        let deadline = Instant::now() + START_TIMEOUT;
        let mut port =
            state.port(K::KEY).filter(|port| port::is_free(*port)).map_or_else(port::choose, Ok)?;
        loop {
            this.port = port;
            match this.launch(deadline).await {
                Ok(()) => break,
                Err(Refused::PortTaken) if Instant::now() < deadline => port = port::choose()?,
                Err(refused) => return Err(this.error(refused)),
            }
        }
        if state.port(K::KEY) != Some(port) {
            state.set_port(K::KEY, port)?;
        }
        Ok(this)
    }

    /// Stops it if it runs, and starts it again on its port.
    pub(crate) async fn restart(&self) -> Result<()> {
        self.stop(Duration::from_secs(20));
        let deadline = Instant::now() + START_TIMEOUT;
        let port_deadline = Instant::now() + PORT_TIMEOUT;
        loop {
            match self.launch(deadline).await {
                Ok(()) => return Ok(()),
                Err(Refused::PortTaken) if Instant::now() < port_deadline => tokio::time::sleep(POLL).await,
                Err(refused) => return Err(self.error(refused)),
            }
        }
    }

    pub(crate) fn is_running(&self) -> bool {
        self.server().as_mut().is_some_and(|server| server.exited().is_none())
    }

    pub(crate) fn pid(&self) -> Option<i32> {
        let mut server = self.server();
        let server = server.as_mut()?;
        server.exited().is_none().then(|| server.pid())
    }

    pub(crate) fn kill(&self) {
        if let Some(server) = self.server().as_mut() {
            server.kill();
        }
    }

    pub(crate) fn pause(&self) {
        if let Some(server) = self.server().as_mut() {
            server.pause();
        }
    }

    pub(crate) fn resume(&self) {
        if let Some(server) = self.server().as_mut() {
            server.resume();
        }
    }

    /// Asks it to stop, without waiting.
    pub(crate) fn begin_stop(&self, signal: Signal) {
        if let Some(server) = self.server().as_mut() {
            server.signal(signal);
            // Paused, it would not hear.
            server.resume();
        }
    }

    /// Stops it: in good order within `grace`, else at once, else by killing it.
    pub(crate) fn stop(&self, grace: Duration) {
        self.begin_stop(K::STOP);
        let Some(mut server) = self.server().take() else { return };
        if !server.wait_end(grace) {
            server.signal(K::ON_DEATH);
            if !server.wait_end(Duration::from_secs(6)) {
                server.kill();
            }
        }
    }

    fn server(&self) -> MutexGuard<'_, Option<Server>> {
        // A panic while signalling leaves nothing half done.
        self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn launch(&self, deadline: Instant) -> Result<(), Refused> {
        let log_start = std::fs::metadata(&self.log).map_or(0, |meta| meta.len());
        let command = self.kind.command(self.port).map_err(Refused::Other)?;
        let started = Server::start(command, &self.log, K::ON_DEATH).map_err(Refused::Other)?;
        *self.server() = Some(started);
        loop {
            let not_ready = match self.kind.ready(self.port).await {
                // An answer counts only while the one we started lives: another may have the port.
                Ok(()) if self.is_running() => return Ok(()),
                Ok(()) => "another server answered".to_owned(),
                Err(why) => why,
            };
            let ended = self.server().as_mut().and_then(Server::exited);
            if let Some(why) = ended {
                if port_taken(&self.log, log_start) {
                    return Err(Refused::PortTaken);
                }
                return Err(Refused::Other(self.failure(why)));
            }
            if Instant::now() >= deadline {
                self.kill();
                return Err(Refused::Other(self.failure(format!("it is not ready: {not_ready}"))));
            }
            tokio::time::sleep(POLL).await;
        }
    }

    fn error(&self, refused: Refused) -> Error {
        match refused {
            Refused::PortTaken => self.failure(format!("port {} is taken by another program", self.port)),
            Refused::Other(error) => error,
        }
    }

    fn failure(&self, why: String) -> Error {
        Error::Start { server: K::NAME, why, log: self.log.clone(), tail: spawn::tail(&self.log) }
    }
}

/// Whether the log says so since `start`; both servers use the system's words.
fn port_taken(log: &Path, start: u64) -> bool {
    let bytes = std::fs::read(log).unwrap_or_default();
    // A log put aside meanwhile begins anew.
    let start = usize::try_from(start).ok().filter(|start| *start <= bytes.len()).unwrap_or(0);
    String::from_utf8_lossy(&bytes[start..]).contains("Address already in use")
}
