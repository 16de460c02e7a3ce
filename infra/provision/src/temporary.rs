//! Stacks for tests: below the temporary directory, and gone afterwards.
//!
//! Three ways lead there. Dropping the stack removes it. A stack in a `static` is never dropped, so what is left when
//! the process exits is removed then. And what a killed process left, whose servers died with it, is removed by the
//! next one: its lock tells that its owner is dead.

use std::{
    path::{Path, PathBuf},
    sync::{Mutex, Once, PoisonError},
};

use crate::{Error, Result, Stack, lock::Lock, place, postgres, redis, secret::random_hex, state::State};

const PREFIX: &str = "petty-temporary-";

/// What is to be removed when the process exits.
static LEFT: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// The one temporary stack of this process, started by whoever asks first: tests of one binary share it, each with
/// databases of its own.
///
/// # Errors
///
/// As [`Stack::start`]; the next call tries again.
pub async fn shared() -> Result<&'static Stack> {
    static SHARED: tokio::sync::OnceCell<Stack> = tokio::sync::OnceCell::const_new();
    SHARED.get_or_try_init(Stack::temporary).await
}

/// A data directory that is removed when dropped. Its servers must have been stopped by then.
#[derive(Debug)]
pub(crate) struct TemporaryDir {
    path: PathBuf,
}

impl TemporaryDir {
    pub(crate) fn make() -> Result<Self> {
        let base = std::env::temp_dir().canonicalize().unwrap_or_else(|_| std::env::temp_dir());
        sweep(&base);
        remove_at_exit();
        let path = place::make_data_dir(&base.join(format!("{PREFIX}{}", random_hex(8)?)))?;
        left().push(path.clone());
        Ok(Self { path })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for TemporaryDir {
    fn drop(&mut self) {
        left().retain(|path| *path != self.path);
        // Nobody is there to hear of a failure; the next process tries again.
        let _remains = erase(&self.path);
    }
}

fn left() -> std::sync::MutexGuard<'static, Vec<PathBuf>> {
    LEFT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Removes what processes that are dead left behind.
fn sweep(base: &Path) {
    let Ok(entries) = std::fs::read_dir(base) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        // Not through links, which anybody can put into a temporary directory.
        if name.to_string_lossy().starts_with(PREFIX)
            && entry.file_type().is_ok_and(|kind| kind.is_dir())
            && let Some(_lock) = Lock::take_abandoned(&entry.path())
        {
            let _remains = erase(&entry.path());
        }
    }
}

/// Stops what still runs in a temporary data directory, and removes it.
fn erase(dir: &Path) -> Result<()> {
    let elsewhere = place::recorded(dir)?;
    let servers = elsewhere.clone().unwrap_or_else(|| dir.to_path_buf());
    let cluster = servers.join("postgres");
    postgres::stop_leftovers(&cluster)?;
    redis::stop_leftovers(&servers.join("redis"), &State::open(dir)?)?;
    release_shared_memory(&cluster);
    if let Some(elsewhere) = elsewhere {
        remove(&elsewhere)?;
    }
    remove(dir)
}

fn remove(dir: &Path) -> Result<()> {
    match std::fs::remove_dir_all(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::io("remove", dir)(error)),
        _ => Ok(()),
    }
}

/// A PostgreSQL that was killed leaves a small System V segment, which its next start would have removed. The last
/// line but one of its pid file names it: key and id.
#[expect(unsafe_code, reason = "shmctl has no safe wrapper; it is given a whole, zeroed structure to fill")]
fn release_shared_memory(cluster: &Path) {
    let Ok(pid_file) = std::fs::read_to_string(cluster.join("postmaster.pid")) else { return };
    let Some(id) = pid_file.lines().nth(6).and_then(|line| line.split_ascii_whitespace().nth(1)) else {
        return;
    };
    if let Ok(id) = id.parse::<libc::c_int>() {
        unsafe {
            let mut status: libc::shmid_ds = std::mem::zeroed();
            // In use, it is another's by now.
            if libc::shmctl(id, libc::IPC_STAT, &raw mut status) == 0 && status.shm_nattch == 0 {
                libc::shmctl(id, libc::IPC_RMID, std::ptr::null_mut());
            }
        }
    }
}

#[expect(
    unsafe_code,
    reason = "atexit takes a plain function without captures, and ours unwinds into nobody"
)]
fn remove_at_exit() {
    static ONCE: Once = Once::new();
    extern "C" fn remove_left() {
        let paths = std::mem::take(&mut *left());
        for path in paths {
            let _remains = erase(&path);
        }
    }
    ONCE.call_once(|| unsafe {
        libc::atexit(remove_left);
    });
}
