//! The private Redis: every write on disk before it is acknowledged, nothing ever evicted, loopback only, password
//! required. It serves events and, on one machine, the cache too.

use std::{
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use nix::sys::signal::Signal;
use secrecy::{ExposeSecret, SecretString};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    time::timeout,
};

use crate::{
    Error, Result,
    locate::Found,
    place::{Place, RunAs},
    process::{self, Trace},
    running::{Kind, Running},
    spawn,
    state::{self, State},
};

const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// A running private Redis.
#[derive(Debug)]
pub struct Redis {
    running: Running<Spec>,
}

#[derive(Debug)]
struct Spec {
    program: PathBuf,
    dir: PathBuf,
    run_as: Option<RunAs>,
    password: SecretString,
}

impl Redis {
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

    /// With the password.
    #[must_use]
    pub fn url(&self) -> SecretString {
        let password = self.running.kind.password.expose_secret();
        format!("redis://:{password}@{}:{}/0", self.host(), self.port()).into()
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

    /// Kills the server (SIGKILL), and waits until it is gone. For fault tests.
    pub fn kill(&self) {
        self.running.kill();
    }

    /// Stops the server in its tracks (SIGSTOP): connections hang. For fault tests.
    pub fn pause(&self) {
        self.running.pause();
    }

    /// Lets it go on.
    pub fn resume(&self) {
        self.running.resume();
    }

    /// Stops it if it runs, and starts it again on the same port; answers when it takes commands.
    ///
    /// # Errors
    ///
    /// [`Error::Start`] if it does not come up.
    pub async fn restart(&self) -> Result<()> {
        self.running.restart().await
    }

    /// Empties it, as an operator might at the worst moment. For fault tests.
    ///
    /// # Errors
    ///
    /// [`Error::Redis`] if it refuses or is away.
    pub async fn flushall(&self) -> Result<()> {
        self.running
            .kind
            .ask(self.port(), "FLUSHALL")
            .await
            .map(drop)
            .map_err(|why| Error::Redis { doing: "FLUSHALL".into(), why })
    }

    /// Stops what is left of an earlier run, and makes the directory if there is none. Blocking.
    pub(crate) fn prepare(place: &Place, state: &State) -> Result<()> {
        let dir = redis_dir(place);
        stop_leftovers(&dir, state)?;
        if !dir.exists() {
            place.make("redis")?;
        }
        let config = dir.join("redis.conf");
        let text = configuration(&dir, &state.password(Spec::KEY)?);
        state::write_private(&config, text.as_bytes()).map_err(Error::io("write", &config))?;
        place.give(&config)
    }

    pub(crate) async fn start(found: &Found, place: &Place, state: &State) -> Result<Self> {
        let spec = Spec {
            program: found.program.clone(),
            dir: redis_dir(place),
            run_as: place.run_as,
            password: state.password(Spec::KEY)?.into(),
        };
        Ok(Self { running: Running::start(spec, state, place.data_dir.join("redis.log")).await? })
    }

    pub(crate) fn running(&self) -> &Running<impl Kind> {
        &self.running
    }
}

/// Stops a server of this directory that outlived its owner.
pub(crate) fn stop_leftovers(dir: &Path, state: &State) -> Result<bool> {
    let address = format!("127.0.0.1:{}", state.port(Spec::KEY).unwrap_or(0));
    process::stop_leftovers(Trace {
        server: Spec::NAME,
        program: "redis-server",
        directory: dir,
        marker: &address,
        signal: Signal::SIGTERM,
    })
}

fn redis_dir(place: &Place) -> PathBuf {
    place.servers_dir.join("redis")
}

fn configuration(dir: &Path, password: &str) -> String {
    let dir = dir.to_string_lossy().replace('\\', "\\\\").replace('"', "\\\"");
    format!(
        "# Written by petty at every start.\n\
         bind 127.0.0.1\n\
         protected-mode yes\n\
         requirepass {password}\n\
         dir \"{dir}\"\n\
         daemonize no\n\
         # To stdout, which is the log in the data directory.\n\
         logfile \"\"\n\
         # An acknowledged event survives power loss; everysec lost some when it was measured.\n\
         appendonly yes\n\
         appendfsync always\n\
         save \"\"\n\
         maxmemory-policy noeviction\n"
    )
}

impl Kind for Spec {
    const NAME: &'static str = "Redis";
    const KEY: &'static str = "redis";
    const ON_DEATH: Signal = Signal::SIGTERM;
    const STOP: Signal = Signal::SIGTERM;

    fn command(&self, port: u16) -> Result<Command> {
        let mut command = spawn::command(&self.program, self.run_as, &self.dir);
        command.arg(self.dir.join("redis.conf")).arg("--port").arg(port.to_string());
        Ok(command)
    }

    async fn ready(&self, port: u16) -> Result<(), String> {
        self.ask(port, "PING").await.map(drop)
    }
}

impl Spec {
    /// One command without arguments, after AUTH; its answer must be a simple string.
    async fn ask(&self, port: u16, command: &str) -> Result<String, String> {
        let talk = async {
            let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
            let (read, mut write) = stream.split();
            let request = format!("AUTH {}\r\n{command}\r\n", self.password.expose_secret());
            write.write_all(request.as_bytes()).await?;
            let mut lines = BufReader::new(read).lines();
            let auth = lines.next_line().await?.unwrap_or_default();
            let answer = lines.next_line().await?.unwrap_or_default();
            std::io::Result::Ok((auth, answer))
        };
        match timeout(ANSWER_TIMEOUT, talk).await {
            Err(_) => Err("no answer within 5 s".into()),
            Ok(Err(error)) => Err(error.to_string()),
            Ok(Ok((auth, _))) if auth != "+OK" => Err(auth),
            Ok(Ok((_, answer))) => match answer.strip_prefix('+') {
                Some(text) => Ok(text.to_owned()),
                None => Err(answer),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_loses_nothing_and_survives_odd_paths() {
        let text = configuration(Path::new("/data/a \"b\" \\c"), "f00");
        for line in [
            "bind 127.0.0.1",
            "requirepass f00",
            "appendonly yes",
            "appendfsync always",
            "maxmemory-policy noeviction",
            r#"dir "/data/a \"b\" \\c""#,
        ] {
            assert!(text.lines().any(|one| one == line), "{line} not in\n{text}");
        }
    }
}
