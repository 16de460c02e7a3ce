//! Stacks for tests: below the temporary directory, and gone afterwards.
//!
//! Three ways lead there. Dropping the stack removes it. A stack in a `static` is never dropped, so what is left when
//! the process exits is removed then. And what a killed process left, whose servers died with it, is removed by the
//! next one: its lock tells that its owner is dead.
//!
//! Invariant: only what this user's processes made is removed, and only servers that run on that are stopped, whatever others put into
//! the temporary directory.

use std::{
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Mutex, Once, PoisonError},
};

use nix::unistd::Uid;

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
        sweep(&base, &place::bases());
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
        let _remains = erase_own(&self.path);
    }
}

fn left() -> std::sync::MutexGuard<'static, Vec<PathBuf>> {
    LEFT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Removes what processes that are dead left behind.
fn sweep(base: &Path, bases: &[PathBuf]) {
    let Ok(entries) = std::fs::read_dir(base) else { return };
    let me = Uid::effective().as_raw();
    for entry in entries.flatten() {
        // Anybody can put something of that name into a temporary directory, with links to anywhere and files that say anything: only
        // what we made ourselves is looked into.
        if entry.file_name().to_string_lossy().starts_with(PREFIX)
            && entry.metadata().is_ok_and(|meta| meta.is_dir() && meta.uid() == me)
            && let Some(_lock) = Lock::take_abandoned(&entry.path())
        {
            let _remains = erase_abandoned(&entry.path(), bases);
        }
    }
}

/// Removes a temporary data directory of a process that is dead, unless its servers' files are somebody's.
fn erase_abandoned(dir: &Path, bases: &[PathBuf]) -> Result<()> {
    let elsewhere = place::made_for(dir, bases)?;
    let lock = elsewhere.as_deref().map(Lock::take_abandoned);
    if let (Some(elsewhere), Some(None)) = (&elsewhere, &lock) {
        return Err(Error::io("lock", elsewhere)(std::io::ErrorKind::WouldBlock.into()));
    }
    erase(dir, elsewhere)
}

/// Removes one of our own, whose locks we hold.
fn erase_own(dir: &Path) -> Result<()> {
    erase(dir, place::made_for(dir, &place::bases())?)
}

/// Stops what still runs in a temporary data directory, and removes it with what is elsewhere.
fn erase(dir: &Path, elsewhere: Option<PathBuf>) -> Result<()> {
    let servers = elsewhere.as_deref().unwrap_or(dir);
    let cluster = servers.join("postgres");
    postgres::stop_leftovers(&cluster)?;
    redis::stop_leftovers(&servers.join("redis"), &State::open(dir)?)?;
    release_shared_memory(&cluster);
    if let Some(elsewhere) = &elsewhere {
        remove(elsewhere)?;
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
    let Ok(owner) = std::fs::metadata(cluster).map(|meta| meta.uid()) else { return };
    let Some(id) = pid_file.lines().nth(6).and_then(|line| line.split_ascii_whitespace().nth(1)) else {
        return;
    };
    if let Ok(id) = id.parse::<libc::c_int>() {
        unsafe {
            let mut status: libc::shmid_ds = std::mem::zeroed();
            // In use, or another user's, it is another's by now.
            if libc::shmctl(id, libc::IPC_STAT, &raw mut status) == 0
                && status.shm_nattch == 0
                && status.shm_perm.uid == owner
            {
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
            let _remains = erase_own(&path);
        }
    }
    ONCE.call_once(|| unsafe {
        libc::atexit(remove_left);
    });
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// A temporary data directory of a process that has died, which says that its servers' files are there.
    fn abandoned(base: &Path, name: &str, says: Option<&Path>) -> PathBuf {
        let dir = base.join(format!("{PREFIX}{name}"));
        fs::create_dir(&dir).unwrap();
        fs::write(dir.join("lock"), "{}").unwrap();
        if let Some(says) = says {
            fs::write(dir.join("place.json"), serde_json::json!({"servers_dir": says}).to_string()).unwrap();
        }
        dir
    }

    fn precious(base: &Path, name: &str) -> PathBuf {
        let dir = base.join(name);
        fs::create_dir(&dir).unwrap();
        fs::write(dir.join("lock"), "{}").unwrap();
        dir
    }

    #[test]
    fn what_is_abandoned_goes_and_takes_along_only_what_was_made_for_it() {
        let dir = tempfile::tempdir().unwrap();
        let base = dir.path().canonicalize().unwrap();
        let bases = [base.join("servers")];
        fs::create_dir(&bases[0]).unwrap();
        let plain = abandoned(&base, "plain", None);
        let home = precious(&base, "home");
        let lying = abandoned(&base, "lying", Some(&home));
        // In the right place and of the right name, but not the servers' user's.
        let alike = base.join(format!("{PREFIX}alike"));
        let name = place::tests::name_elsewhere(&alike);
        let alike_elsewhere = precious(&bases[0], &name);
        abandoned(&base, "alike", Some(&alike_elsewhere));

        sweep(&base, &bases);
        assert!(!plain.exists());
        assert!(home.join("lock").exists() && lying.exists(), "another's directory is left alone");
        assert!(alike_elsewhere.exists(), "it is not the servers' user's");
    }

    #[test]
    fn servers_files_elsewhere_go_along_once_nobody_holds_them_and_what_others_left_stays() {
        if !Uid::effective().is_root() {
            eprintln!("skipped: only root keeps servers' files elsewhere, and can make other users'");
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let base = dir.path().canonicalize().unwrap();
        let bases = [base.join("servers")];
        fs::create_dir(&bases[0]).unwrap();
        let user = place::tests::servers_user();
        let made = |name: &str| {
            let data_dir = base.join(format!("{PREFIX}{name}"));
            let elsewhere = precious(&bases[0], &place::tests::name_elsewhere(&data_dir));
            std::os::unix::fs::chown(&elsewhere, Some(user), None).unwrap();
            (abandoned(&base, name, Some(&elsewhere)), elsewhere)
        };
        let (dead, dead_elsewhere) = made("dead");
        let (held, held_elsewhere) = made("held");
        let (strange, strange_elsewhere) = made("strange");
        std::os::unix::fs::chown(&strange, Some(user), None).unwrap();
        let lock = Lock::take(&held_elsewhere).unwrap();

        sweep(&base, &bases);
        assert!(!dead.exists() && !dead_elsewhere.exists());
        assert!(held.exists() && held_elsewhere.exists(), "somebody holds it");
        assert!(strange.exists() && strange_elsewhere.exists(), "somebody else put it there");
        drop(lock);
        sweep(&base, &bases);
        assert!(!held.exists() && !held_elsewhere.exists());
    }
}
