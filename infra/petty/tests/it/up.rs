//! Starting, a second start, a kill, a stop: and nothing left behind.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

/// A debug build on a busy machine is slow; the point here is that it happens at all.
const PATIENCE: Duration = Duration::from_secs(180);

struct Up {
    child: Child,
    ready_file: PathBuf,
}

impl Up {
    fn start(data_dir: &Path, more: &[&str]) -> Self {
        let ready_file = data_dir.join("ready.json");
        let mut command = Command::new(env!("CARGO_BIN_EXE_petty"));
        command.arg("up").arg("--data-dir").arg(data_dir).args(["--port", "0"]).args(more);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        Self { child, ready_file }
    }

    fn ready(&mut self) -> Value {
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

    fn stderr(&mut self) -> String {
        let mut text = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
        text
    }

    fn greeting(&mut self) -> Vec<String> {
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

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), signal).unwrap();
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// The servers' pids, by their own files.
fn servers(ready: &Value) -> Vec<i32> {
    let port = |path: &str| ready.pointer(path).and_then(Value::as_u64).unwrap();
    let listening = [port("/postgres/port"), port("/redis/port")];
    listening.iter().map(|port| pid_listening(*port)).collect()
}

/// Who listens on a port, from /proc.
fn pid_listening(port: u64) -> i32 {
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

fn gone(pids: &[i32]) {
    let begin = Instant::now();
    while pids.iter().any(|pid| Path::new(&format!("/proc/{pid}")).exists()) {
        assert!(begin.elapsed() < Duration::from_secs(30), "still there: {pids:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[cfg(target_os = "linux")]
#[test]
fn it_starts_says_who_holds_the_directory_recovers_from_a_kill_and_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    // As root the servers run as somebody else, who must be able to get there.
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let data_dir = dir.path().join("petty");

    let mut first = Up::start(&data_dir, &[]);
    let ready = first.ready();
    let mode = fs::metadata(&first.ready_file).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600, "the ready file holds credentials");
    for field in [
        "/gateway",
        "/services/auth/grpc",
        "/services/gateway/admin",
        "/postgres/admin_url",
        "/redis/url",
        "/staff/email",
    ] {
        assert!(ready.pointer(field).is_some_and(Value::is_string), "{field}: {ready}");
    }
    let greeting = first.greeting();
    pasted_lines_work(&greeting);
    let pids = servers(&ready);

    let mut second = Up::start(&data_dir, &["--no-demo"]);
    let status = second.child.wait().unwrap();
    let said = second.stderr();
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains(&format!("process {}", first.child.id())), "it says by whom: {said}");
    drop(second);

    first.signal(Signal::SIGKILL);
    first.child.wait().unwrap();
    gone(&pids);
    let mut third = Up::start(&data_dir, &[]);
    let ready = third.ready();
    pasted_lines_work(&third.greeting());
    let pids = servers(&ready);

    third.signal(Signal::SIGTERM);
    let status = third.child.wait().unwrap();
    assert_eq!(status.code(), Some(0), "{}", third.stderr());
    gone(&pids);
    assert!(!third.ready_file.exists(), "a ready file is of a mesh that runs");
}

/// Runs the three lines as a person would, in one shell.
fn pasted_lines_work(greeting: &[String]) {
    let lines: Vec<&str> =
        greeting.iter().map(String::as_str).filter(|line| line.contains("curl ")).collect();
    assert_eq!(lines.len(), 3, "{greeting:?}");
    let begin = Instant::now();
    loop {
        let output = Command::new("bash").arg("-c").arg(lines.join("\necho\n")).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(text.contains("\"name\":\"Biscuit (simulated)\""), "{text}");
        if text.contains("\"behavior\":\"Deep Sleep\"") {
            return;
        }
        assert!(begin.elapsed() < Duration::from_secs(60), "no behaviour yet: {text}");
        std::thread::sleep(Duration::from_millis(200));
    }
}
