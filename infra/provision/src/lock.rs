//! The data directory's lock: one owner at a time. The kernel gives it up with the process, however that ends, so a
//! lock file alone means nothing and nothing has to be cleaned up after `kill -9`.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{Read, Seek, SeekFrom, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Name of the lock file in the directory it protects.
const NAME: &str = "lock";
/// The directory may be the servers' user's: where that one has put a link, or a pipe that would be waited for, there is no lock.
const OF_NO_OTHER: libc::c_int = libc::O_NOFOLLOW | libc::O_NONBLOCK;

/// Held as long as this lives. The descriptor is close-on-exec: no server inherits the lock.
#[derive(Debug)]
pub(crate) struct Lock {
    file: File,
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Not left to closing it: a process that is just being started has the descriptor too, until it runs its program.
        let _closed_soon = self.file.unlock();
    }
}

/// Who holds it, as written into the file.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Holder {
    pub(crate) pid: u32,
    pub(crate) command: String,
    pub(crate) started: String,
}

impl Lock {
    /// Takes the lock of `dir`, or says who has it.
    pub(crate) fn take(dir: &Path) -> Result<Self> {
        let path = path(dir);
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .mode(0o600)
            .custom_flags(OF_NO_OTHER)
            .open(&path)
            .map_err(Error::io("open", &path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(in_use(dir, &mut file)),
            Err(TryLockError::Error(source)) => return Err(Error::io("lock", &path)(source)),
        }
        let holder = Holder { pid: std::process::id(), command: command_line(), started: now() };
        let json =
            serde_json::to_vec(&holder).map_err(|cause| Error::Damaged { path: path.clone(), cause })?;
        file.set_len(0)
            .and_then(|()| file.seek(SeekFrom::Start(0)))
            .and_then(|_| file.write_all(&json))
            .map_err(Error::io("write", &path))?;
        Ok(Self { file })
    }

    /// The lock of a directory whose owner has died; `None` while it lives, or has not yet come to hold it.
    pub(crate) fn take_abandoned(dir: &Path) -> Option<Self> {
        let mut file =
            OpenOptions::new().read(true).write(true).custom_flags(OF_NO_OTHER).open(dir.join(NAME)).ok()?;
        // An owner writes only once it holds the lock, so an empty file is one about to be locked.
        let mut written = String::new();
        file.read_to_string(&mut written).ok()?;
        if written.is_empty() {
            return None;
        }
        file.try_lock().ok()?;
        Some(Self { file })
    }
}

/// The lock's file.
pub(crate) fn path(dir: &Path) -> PathBuf {
    dir.join(NAME)
}

/// Who holds the lock of a directory; `None` where nobody does.
pub(crate) fn holder(dir: &Path) -> Result<Option<Holder>> {
    let path = path(dir);
    let mut file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io("open", path)(error)),
    };
    // Shared, and given back at once: an owner about to come hardly ever meets it.
    match file.try_lock_shared() {
        Ok(()) => Ok(None),
        Err(TryLockError::WouldBlock) => Ok(Some(written(&mut file))),
        Err(TryLockError::Error(cause)) => Err(Error::io("lock", path)(cause)),
    }
}

fn written(file: &mut File) -> Holder {
    let mut text = String::new();
    let holder = file.read_to_string(&mut text).ok().and_then(|_| serde_json::from_str(&text).ok());
    holder.unwrap_or(Holder { pid: 0, command: "unknown".into(), started: "just now".into() })
}

fn in_use(dir: &Path, file: &mut File) -> Error {
    let holder = written(file);
    Error::DataDirInUse {
        dir: dir.to_path_buf(),
        pid: holder.pid,
        command: holder.command,
        started: holder.started,
    }
}

fn command_line() -> String {
    let words: Vec<_> =
        std::env::args_os().map(|word| without_value(word.to_string_lossy().into_owned())).collect();
    words.join(" ")
}

/// A word of the command line, without the value that it gives a variable of ours: that may be secret, and the line is shown to
/// whoever asks who holds the directory.
fn without_value(word: String) -> String {
    let setting = word.strip_prefix("--set=").unwrap_or(&word);
    match word.split_at(word.len() - setting.len()) {
        (option, setting) if setting.starts_with("PETTY_") => match setting.split_once('=') {
            Some((name, _)) => format!("{option}{name}=…"),
            None => word,
        },
        _ => word,
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "below the chassis and its clock; the time is only shown to a person, nothing is decided by it"
)]
fn now() -> String {
    format!("{:.0}", jiff::Timestamp::now())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_owner_learns_who_the_first_is() {
        let dir = tempfile::tempdir().unwrap();
        let first = Lock::take(dir.path()).unwrap();
        let message = Lock::take(dir.path()).unwrap_err().to_string();
        assert!(message.contains(&format!("process {}", std::process::id())), "{message}");
        assert!(message.contains("--data-dir"), "{message}");
        drop(first);
        Lock::take(dir.path()).unwrap();
    }

    #[test]
    fn what_variables_are_set_to_is_not_told() {
        for (word, told) in [
            ("PETTY_CACHE_REDIS_URL=s3cret=", "PETTY_CACHE_REDIS_URL=…"),
            ("--set=PETTY_CACHE_REDIS_URL=s3cret", "--set=PETTY_CACHE_REDIS_URL=…"),
            ("PETTY_CACHE_REDIS_URL", "PETTY_CACHE_REDIS_URL"),
            ("--data-dir=/tmp/a=b", "--data-dir=/tmp/a=b"),
            ("--set", "--set"),
            ("", ""),
        ] {
            assert_eq!(without_value(word.to_owned()), told);
        }
    }

    #[test]
    fn a_lock_that_is_a_link_is_neither_taken_nor_written_through() {
        let dir = tempfile::tempdir().unwrap();
        let elsewhere = dir.path().join("elsewhere");
        std::fs::write(&elsewhere, "precious").unwrap();
        std::os::unix::fs::symlink(&elsewhere, dir.path().join(NAME)).unwrap();
        assert!(Lock::take(dir.path()).is_err() && Lock::take_abandoned(dir.path()).is_none());
        assert_eq!(std::fs::read_to_string(&elsewhere).unwrap(), "precious");
    }

    #[test]
    fn only_a_dead_owners_lock_counts_as_abandoned() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Lock::take_abandoned(dir.path()).is_none(), "no lock yet");
        std::fs::write(dir.path().join(NAME), "").unwrap();
        assert!(Lock::take_abandoned(dir.path()).is_none(), "about to be locked");
        let held = Lock::take(dir.path()).unwrap();
        assert!(Lock::take_abandoned(dir.path()).is_none(), "alive");
        drop(held);
        assert!(Lock::take_abandoned(dir.path()).is_some());
    }
}
