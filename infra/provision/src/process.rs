//! What runs on this machine, as far as stopping our own servers needs it: a process's children, whether it still
//! lives, and which servers of an earlier run are left in a directory.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{Error, Result};

/// One process. Dead ones that nobody has reaped yet are not listed.
#[derive(Debug)]
struct Process {
    pid: i32,
    parent: i32,
    /// Command line, blanks between the words.
    command: String,
    /// Unknown where the system does not say (not Linux, or another user's process).
    directory: Option<PathBuf>,
}

/// A server that may have been left by an earlier run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Trace<'a> {
    /// Its name for people.
    pub(crate) server: &'static str,
    /// What its command line must contain to be such a server at all.
    pub(crate) program: &'static str,
    /// The directory it works in.
    pub(crate) directory: &'a Path,
    /// Where directories are not to be seen: what its command line must contain to be ours.
    pub(crate) marker: &'a str,
    /// The signal that makes it stop at once without losing what it acknowledged.
    pub(crate) signal: Signal,
}

/// The living children of `pid`.
pub(crate) fn children(pid: i32) -> Vec<i32> {
    all().into_iter().filter(|process| process.parent == pid).map(|process| process.pid).collect()
}

/// Whether a process has a file open. Where the system does not tell (not Linux), whether it lives.
pub(crate) fn has_open(pid: i32, file: &Path) -> bool {
    #[cfg(target_os = "linux")]
    {
        let Ok(file) = file.canonicalize() else { return false };
        let open = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        open.filter_map(|entry| std::fs::read_link(entry.path()).ok()).any(|target| target == file)
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = file;
        is_alive(pid)
    }
}

/// Sends a signal; that the process is gone already is no error.
pub(crate) fn signal(pid: i32, signal: Signal) {
    let _gone = kill(Pid::from_raw(pid), signal);
}

/// Waits until none of `pids` lives; answers one that still does after `timeout`.
pub(crate) fn wait_gone(pids: &[i32], timeout: Duration) -> Option<i32> {
    let deadline = Instant::now() + timeout;
    loop {
        let survivor = pids.iter().copied().find(|pid| is_alive(*pid))?;
        if Instant::now() >= deadline {
            return Some(survivor);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Stops what an earlier run left behind. A server is ours only if its command line and its directory say so.
pub(crate) fn stop_leftovers(trace: Trace<'_>) -> Result<bool> {
    let left: Vec<i32> = all()
        .into_iter()
        .filter(|process| process.command.contains(trace.program) && process.pid != own_pid())
        .filter(|process| match &process.directory {
            Some(directory) => directory == trace.directory,
            None => process.command.contains(trace.marker),
        })
        .map(|process| process.pid)
        .collect();
    if left.is_empty() {
        return Ok(false);
    }
    for pid in &left {
        signal(*pid, trace.signal);
        // A stopped process handles nothing until it is continued.
        signal(*pid, Signal::SIGCONT);
    }
    if wait_gone(&left, Duration::from_secs(5)).is_some() {
        left.iter().for_each(|pid| signal(*pid, Signal::SIGKILL));
    }
    match wait_gone(&left, Duration::from_secs(5)) {
        None => Ok(true),
        Some(pid) => Err(Error::Leftover { server: trace.server, pid }),
    }
}

fn own_pid() -> i32 {
    Pid::this().as_raw()
}

#[cfg(target_os = "linux")]
fn is_alive(pid: i32) -> bool {
    stat(pid).is_some()
}

#[cfg(not(target_os = "linux"))]
fn is_alive(pid: i32) -> bool {
    all().iter().any(|process| process.pid == pid)
}

#[cfg(target_os = "linux")]
fn all() -> Vec<Process> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(|pid: i32| {
            let parent = stat(pid)?;
            let command = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
            let command = String::from_utf8_lossy(&command).replace('\0', " ");
            let directory = std::fs::read_link(format!("/proc/{pid}/cwd")).ok();
            Some(Process { pid, parent, command, directory })
        })
        .collect()
}

/// The parent of a living process; `None` for one that is gone or only waits to be reaped.
#[cfg(target_os = "linux")]
fn stat(pid: i32) -> Option<i32> {
    parse_stat(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// `pid (name) state parent …`; the name may hold blanks and parentheses.
#[cfg(target_os = "linux")]
fn parse_stat(line: &str) -> Option<i32> {
    let mut fields = line.get(line.rfind(')')? + 1..)?.split_ascii_whitespace();
    match fields.next()? {
        "Z" | "X" => None,
        _ => fields.next()?.parse().ok(),
    }
}

#[cfg(not(target_os = "linux"))]
fn all() -> Vec<Process> {
    let Ok(output) =
        std::process::Command::new("ps").args(["-A", "-o", "pid=,ppid=,state=,command="]).output()
    else {
        return Vec::new();
    };
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| {
            let mut fields = line.split_ascii_whitespace();
            let (pid, parent) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
            if fields.next()?.starts_with('Z') {
                return None;
            }
            Some(Process { pid, parent, command: fields.collect::<Vec<_>>().join(" "), directory: None })
        })
        .collect()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn stat_lines_give_the_parent_of_the_living() {
        for (line, want) in [
            ("12 (postgres) S 7 12 12 0", Some(7)),
            ("12 (a) b (c) R 9 1 1", Some(9)),
            ("12 (postgres) Z 7 12 12 0", None),
            ("12 (postgres) X 7 12 12 0", None),
            ("12 (postgres", None),
            ("", None),
        ] {
            assert_eq!(parse_stat(line), want, "{line:?}");
        }
    }

    #[test]
    fn a_process_that_has_ended_is_gone_even_before_it_is_reaped() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        assert_eq!(wait_gone(&[pid], Duration::from_secs(10)), None);
        child.wait().unwrap();
        assert_eq!(wait_gone(&[own_pid()], Duration::ZERO), Some(own_pid()));
    }

    #[test]
    fn only_a_server_in_its_own_directory_is_a_leftover() {
        let (ours, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut child =
            std::process::Command::new("sleep").arg("600").current_dir(ours.path()).spawn().unwrap();
        let ours_path = ours.path().canonicalize().unwrap();
        let trace = |program, directory| Trace {
            server: "sleep",
            program,
            directory,
            marker: "never",
            signal: Signal::SIGTERM,
        };
        assert!(!stop_leftovers(trace("sleep", other.path())).unwrap());
        assert!(!stop_leftovers(trace("postgres", &ours_path)).unwrap());
        assert!(child.try_wait().unwrap().is_none(), "left alone so far");
        assert!(stop_leftovers(trace("sleep", &ours_path)).unwrap());
        assert!(!child.wait().unwrap().success());
    }
}
