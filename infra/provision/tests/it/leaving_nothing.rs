//! What is left when a stack goes: nothing, however it goes.

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};

use petty_provision::{Stack, shared};

use crate::{alive, open_to_the_servers_user, options};

/// Set in the process that `killed_or_ended` starts: what it is to do.
const ROLE: &str = "PETTY_PROVISION_TEST_ROLE";

#[tokio::test]
async fn a_dropped_temporary_stack_takes_processes_and_files_along() {
    let stack = Stack::temporary().await.unwrap();
    let pids = [stack.postgres().pid().unwrap(), stack.redis().pid().unwrap()];
    let dir = stack.data_dir().to_path_buf();
    assert!(pids.into_iter().all(alive) && dir.is_dir());
    drop(stack);
    assert!(!pids.into_iter().any(alive));
    assert!(!dir.exists());
}

#[tokio::test]
async fn a_killed_stack_that_is_dropped_leaves_no_shared_memory() {
    let stack = Stack::temporary().await.unwrap();
    let pid_file = std::fs::read_to_string(stack.data_dir().join("postgres/postmaster.pid")).unwrap();
    let id = pid_file.lines().nth(6).unwrap().split_ascii_whitespace().nth(1).unwrap().to_owned();
    let exists = || {
        let segments = std::fs::read_to_string("/proc/sysvipc/shm").unwrap_or_default();
        segments.lines().any(|line| line.split_ascii_whitespace().nth(1) == Some(&id))
    };
    assert!(exists() || !cfg!(target_os = "linux"));
    stack.postgres().kill();
    drop(stack);
    assert!(!exists());
}

/// Not a test by itself: what the processes below do. Alone it ends at once.
#[tokio::test]
async fn child_process() {
    #[expect(clippy::disallowed_methods, reason = "how the parent test tells its child what to do")]
    let Ok(role) = std::env::var(ROLE) else { return };
    let own;
    let stack = match role.as_str() {
        "shared" | "shared-killed" => shared().await.unwrap(),
        dir => {
            own = Stack::start(options(Path::new(dir))).await.unwrap();
            &own
        }
    };
    println!(
        "READY {} {} {}",
        stack.postgres().pid().unwrap(),
        stack.redis().pid().unwrap(),
        stack.data_dir().display()
    );
    if role != "shared" {
        std::future::pending::<()>().await;
    }
}

struct Child {
    process: std::process::Child,
    pids: [i32; 2],
    dir: PathBuf,
    /// Kept open, so that the child can write its results.
    _output: BufReader<ChildStdout>,
}

/// Starts `child_process` in a process of its own, and waits until its stack is up.
fn child(role: &str) -> Child {
    let mut process = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "leaving_nothing::child_process", "--nocapture"])
        .env(ROLE, role)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(process.stdout.take().unwrap());
    let ready = loop {
        let mut line = String::new();
        assert_ne!(output.read_line(&mut line).unwrap(), 0, "the child has no stack");
        if let Some((_, ready)) = line.trim_end().split_once("READY ") {
            break ready.to_owned();
        }
    };
    let words: Vec<&str> = ready.splitn(3, ' ').collect();
    let pids = [words[0].parse().unwrap(), words[1].parse().unwrap()];
    Child { process, pids, dir: words[2].into(), _output: output }
}

fn wait_gone(pids: [i32; 2]) {
    let deadline = Instant::now() + Duration::from_secs(15);
    while pids.into_iter().any(alive) {
        assert!(Instant::now() < deadline, "still alive: {pids:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[tokio::test]
async fn a_shared_stack_goes_with_its_process() {
    let mut child = child("shared");
    assert!(child.process.wait().unwrap().success());
    assert!(!child.pids.into_iter().any(alive));
    assert!(!child.dir.exists());
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_killed_process_takes_its_servers_along_and_the_next_one_clears_up() {
    let mut child = child("shared-killed");
    child.process.kill().unwrap();
    child.process.wait().unwrap();
    wait_gone(child.pids);
    drop(Stack::temporary().await.unwrap());
    assert!(!child.dir.exists());
}

#[tokio::test]
async fn the_next_start_recovers_from_a_kill() {
    let base = tempfile::tempdir().unwrap();
    open_to_the_servers_user(base.path());
    let dir = base.path().join("data");
    let mut child = child(dir.to_str().unwrap());
    // A paused server cannot die with its parent: it is still there at the next start.
    let paused = nix::unistd::Pid::from_raw(child.pids[0]);
    nix::sys::signal::kill(paused, nix::sys::signal::Signal::SIGSTOP).unwrap();
    child.process.kill().unwrap();
    child.process.wait().unwrap();
    assert!(alive(child.pids[0]));

    let stack = Stack::start(options(&dir)).await.unwrap();
    assert!(!child.pids.into_iter().any(alive));
    assert_ne!(stack.postgres().pid(), Some(child.pids[0]));
}
