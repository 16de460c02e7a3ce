//! What a data directory remembers between starts: ports and passwords, in one file only its owner can read.

use std::{
    collections::BTreeMap,
    fs::{File, OpenOptions},
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use serde::{Deserialize, Serialize};

use crate::{Error, Result, secret::random_hex};

/// Its name in the data directory.
pub(crate) const FILE: &str = "servers.json";

/// The file, and what it holds. Every change is on disk before the call returns.
#[derive(Debug)]
pub(crate) struct State {
    path: PathBuf,
    content: Mutex<Content>,
}

#[derive(Clone, Default, Serialize, Deserialize)]
struct Content {
    #[serde(default)]
    ports: BTreeMap<String, u16>,
    /// By role or server.
    #[serde(default)]
    passwords: BTreeMap<String, String>,
}

impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Content").field("ports", &self.ports).finish_non_exhaustive()
    }
}

impl State {
    pub(crate) fn open(data_dir: &Path) -> Result<Self> {
        let path = data_dir.join(FILE);
        let content = match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map_err(|cause| Error::Damaged { path: path.clone(), cause })?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Content::default(),
            Err(error) => return Err(Error::io("read", &path)(error)),
        };
        Ok(Self { path, content: Mutex::new(content) })
    }

    pub(crate) fn port(&self, server: &str) -> Option<u16> {
        self.content().ports.get(server).copied()
    }

    pub(crate) fn set_port(&self, server: &str, port: u16) -> Result<()> {
        self.change(|content| content.ports.insert(server.to_owned(), port)).map(|_before| ())
    }

    /// The password of a role or server, made on first use.
    pub(crate) fn password(&self, of: &str) -> Result<String> {
        if let Some(known) = self.content().passwords.get(of) {
            return Ok(known.clone());
        }
        let fresh = random_hex(24)?;
        self.change(|content| content.passwords.entry(of.to_owned()).or_insert(fresh).clone())
    }

    fn content(&self) -> MutexGuard<'_, Content> {
        // Nothing can panic halfway through a change.
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change<T>(&self, change: impl FnOnce(&mut Content) -> T) -> Result<T> {
        let mut content = self.content();
        let mut changed = content.clone();
        let result = change(&mut changed);
        let json = serde_json::to_vec_pretty(&changed)
            .map_err(|cause| Error::Damaged { path: self.path.clone(), cause })?;
        write_private(&self.path, &json).map_err(Error::io("write", &self.path))?;
        *content = changed;
        Ok(result)
    }
}

/// Gives another data directory the passwords of this one; its ports are its own.
pub(crate) fn hand_on(from: &Path, to: &Path) -> Result<()> {
    let passwords = State::open(from)?.content().passwords.clone();
    State::open(to)?.change(|content| content.passwords = passwords)
}

/// Replaces a file at once, readable by its owner only, and on disk when this returns.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let fresh = path.with_extension("new");
    // A half-written one of an earlier run may be there, with other permissions.
    match std::fs::remove_file(&fresh) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&fresh, path)?;
    match path.parent() {
        Some(parent) => File::open(parent)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn ports_and_passwords_survive_in_a_private_file() {
        let dir = tempfile::tempdir().unwrap();
        let state = State::open(dir.path()).unwrap();
        let password = state.password("petty_auth_owner").unwrap();
        assert_ne!(password, state.password("petty_auth_runtime").unwrap());
        state.set_port("postgres", 20_123).unwrap();
        assert!(!format!("{state:?}").contains(&password));

        let again = State::open(dir.path()).unwrap();
        assert_eq!(again.password("petty_auth_owner").unwrap(), password);
        assert_eq!((again.port("postgres"), again.port("redis")), (Some(20_123), None));
        let mode = std::fs::metadata(dir.path().join("servers.json")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_damaged_file_is_named() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("servers.json"), "{").unwrap();
        let message = State::open(dir.path()).unwrap_err().to_string();
        assert!(message.contains("servers.json is damaged"), "{message}");
    }
}
