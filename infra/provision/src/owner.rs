//! Who owns a data directory, seen from another process; and stopping them.
//!
//! Invariant: only a process that holds the directory's lock is ever signalled. The kernel gives the lock up with its
//! process, so a lock that is held says that its owner lives; that the process named in the file is that owner is checked
//! beyond what is written there.

use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::{Result, lock, place, process};

/// The process that holds a data directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// Its process id; 0 where it has not written it yet.
    pub pid: u32,
    /// Its command line.
    pub command: String,
    /// When it took the directory, RFC 3339.
    pub started: String,
    lock: PathBuf,
}

impl Owner {
    /// The owner of a data directory; `None` where nobody holds it, or it is not there.
    ///
    /// # Errors
    ///
    /// Where the lock cannot be read.
    pub fn of(data_dir: &Path) -> Result<Option<Self>> {
        let holder = lock::holder(data_dir)?;
        Ok(holder.map(|lock::Holder { pid, command, started }| Self {
            pid,
            command,
            started,
            lock: lock::path(data_dir),
        }))
    }

    /// Whether the process named really is the one that holds the lock, as far as this system tells.
    #[must_use]
    pub fn is_certain(&self) -> bool {
        self.id().is_some_and(|pid| process::has_open(pid, &self.lock))
    }

    /// The servers it started that are alive.
    #[must_use]
    pub fn servers(&self) -> Vec<i32> {
        self.id().map(process::children).unwrap_or_default()
    }

    /// Asks it to stop in good order; false, and nothing is done, where it is not certain.
    #[must_use]
    pub fn terminate(&self) -> bool {
        match self.id() {
            Some(pid) if self.is_certain() => {
                process::signal(pid, Signal::SIGTERM);
                true
            }
            _ => false,
        }
    }

    fn id(&self) -> Option<i32> {
        i32::try_from(self.pid).ok().filter(|pid| *pid > 0)
    }
}

/// One of these processes that is still alive.
#[must_use]
pub fn alive(pids: &[i32]) -> Option<i32> {
    process::wait_gone(pids, Duration::ZERO)
}

/// Where a data directory's files are: there, and where the servers keep theirs, if that is elsewhere.
///
/// # Errors
///
/// Where what the directory says of it cannot be read.
pub fn directories(data_dir: &Path) -> Result<Vec<PathBuf>> {
    let mut all = vec![data_dir.to_path_buf()];
    all.extend(place::recorded(data_dir)?);
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock::Lock;

    #[test]
    fn the_owner_is_known_while_it_holds_the_lock_and_only_then() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Owner::of(&dir.path().join("absent")).unwrap(), None);
        assert_eq!(Owner::of(dir.path()).unwrap(), None);
        let lock = Lock::take(dir.path()).unwrap();
        let owner = Owner::of(dir.path()).unwrap().unwrap();
        assert_eq!(owner.pid, std::process::id());
        assert!(owner.is_certain());
        drop(lock);
        // Another test may be starting a process just now: between fork and exec that holds a copy of the lock.
        let deadline = std::time::Instant::now() + Duration::from_secs(10);
        while Owner::of(dir.path()).unwrap().is_some() {
            assert!(std::time::Instant::now() < deadline, "what the file says counts for nothing then");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_process_that_does_not_hold_the_lock_is_never_signalled() {
        let dir = tempfile::tempdir().unwrap();
        let _lock = Lock::take(dir.path()).unwrap();
        let mut innocent = std::process::Command::new("sleep").arg("600").spawn().unwrap();
        let forged = serde_json::json!({"pid": innocent.id(), "command": "petty up", "started": "now"});
        std::fs::write(lock::path(dir.path()), forged.to_string()).unwrap();
        let owner = Owner::of(dir.path()).unwrap().unwrap();
        assert_eq!(owner.pid, innocent.id());
        assert!(!owner.is_certain() && !owner.terminate());
        assert!(innocent.try_wait().unwrap().is_none(), "alive");
        innocent.kill().unwrap();
        innocent.wait().unwrap();
    }
}
