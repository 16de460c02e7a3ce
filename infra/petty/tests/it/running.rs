//! `petty up` in a process of its own, and what it started.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

/// A debug build on a busy machine is slow; the point here is that it happens at all.
pub(crate) const PATIENCE: Duration = Duration::from_secs(180);

/// `petty up`, running.
pub(crate) struct Up {
    pub(crate) child: Child,
    pub(crate) ready_file: PathBuf,
}

impl Up {
    pub(crate) fn start(data_dir: &Path, more: &[&str]) -> Self {
        Self::start_with(data_dir, more, &[])
    }

    pub(crate) fn start_with(data_dir: &Path, more: &[&str], environment: &[(&str, &str)]) -> Self {
        let ready_file = data_dir.join("ready.json");
        let mut command = Command::new(env!("CARGO_BIN_EXE_petty"));
        command.arg("up").arg("--data-dir").arg(data_dir).args(["--port", "0"]).args(more);
        command.envs(environment.iter().copied());
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        Self { child, ready_file }
    }

    pub(crate) fn ready(&mut self) -> Value {
        let begin = Instant::now();
        loop {
            let pid = i64::from(self.child.id());
            let file = fs::read(&self.ready_file)
                .ok()
                .and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
            if let Some(ready) = file.filter(|ready| ready["pid"] == pid) {
                return ready;
            }
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("it ended: {status}: {}", self.stderr());
            }
            assert!(begin.elapsed() < PATIENCE, "not ready");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    pub(crate) fn stderr(&mut self) -> String {
        let mut text = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
        text
    }

    pub(crate) fn greeting(&mut self) -> Vec<String> {
        let lines = BufReader::new(self.child.stdout.take().unwrap()).lines();
        let lines = lines.map(Result::unwrap);
        let mut greeting = Vec::new();
        for line in lines {
            let last = line.contains("Ctrl-C");
            greeting.push(line);
            if last {
                break;
            }
        }
        greeting
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), signal).unwrap();
    }
}

/// A directory that the servers' user can get to: as root they run as somebody else.
pub(crate) fn open_dir() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    dir
}

/// Another command, until it ends.
pub(crate) fn petty(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_petty")).args(arguments).output().unwrap()
}

impl Drop for Up {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// The servers' pids, by their own files.
pub(crate) fn servers(ready: &Value) -> Vec<i32> {
    let port = |path: &str| ready.pointer(path).and_then(Value::as_u64).unwrap();
    let listening = [port("/postgres/port"), port("/redis/port")];
    listening.iter().map(|port| pid_listening(*port)).collect()
}

/// Who listens on a port, from /proc.
pub(crate) fn pid_listening(port: u64) -> i32 {
    let wanted = format!("0100007F:{port:04X}");
    let table = fs::read_to_string("/proc/net/tcp").unwrap();
    let inode = table
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .find(|columns| columns.get(1) == Some(&wanted.as_str()) && columns.get(3) == Some(&"0A"))
        .map(|columns| format!("socket:[{}]", columns[9]))
        .unwrap();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<i32>() else { continue };
        let descriptors = fs::read_dir(entry.path().join("fd")).into_iter().flatten().flatten();
        for descriptor in descriptors {
            if fs::read_link(descriptor.path()).is_ok_and(|target| target.to_string_lossy() == inode) {
                return pid;
            }
        }
    }
    panic!("nobody listens on {port}")
}

pub(crate) fn gone(pids: &[i32]) {
    let begin = Instant::now();
    while pids.iter().any(|pid| Path::new(&format!("/proc/{pid}")).exists()) {
        assert!(begin.elapsed() < Duration::from_secs(30), "still there: {pids:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}
