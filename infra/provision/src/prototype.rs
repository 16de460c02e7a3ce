//! A stack that was stopped in good order, for others to begin where it ended: what it takes to make and fill databases is done
//! once.
//!
//! Invariant: no server ever runs on a prototype's files. A stack begun from them has its passwords and databases, and directories and
//! ports of its own.

use std::path::{Path, PathBuf};

use crate::{Error, Result, Stack, place::Place, state};

/// What the servers write, below the directory that is theirs.
const OF_SERVERS: [&str; 2] = ["postgres", "redis"];
/// In the data directory, and of this one stack alone.
const ITS_OWN: [&str; 3] = ["lock", "place.json", state::FILE];
/// Of a server that runs.
const WHILE_RUNNING: [&str; 2] = ["postmaster.pid", "postmaster.opts"];

/// A stack that was stopped, and holds its data directory so that nobody else starts it or clears it away. What becomes of its files is
/// what becomes of the stack's.
#[derive(Debug)]
pub struct Prototype {
    stopped: Stack,
}

impl Prototype {
    /// Stops a stack in good order, and keeps what it was.
    ///
    /// # Errors
    ///
    /// Only if the runtime is shutting down.
    pub async fn of(stack: Stack) -> Result<Self> {
        let data_dir = stack.data_dir().to_path_buf();
        let stopping = tokio::task::spawn_blocking(move || {
            stack.halt();
            stack
        });
        let stopped = stopping.await.map_err(std::io::Error::other);
        Ok(Self { stopped: stopped.map_err(Error::io("stop the servers of", data_dir))? })
    }

    /// A temporary stack that begins where the prototype ended.
    ///
    /// # Errors
    ///
    /// As [`Stack::start`].
    pub async fn stack(&self) -> Result<Stack> {
        let (data_dir, servers_dir) = (self.stopped.data_dir(), self.stopped.servers_dir());
        Stack::temporary_from(Some((data_dir.to_path_buf(), servers_dir.to_path_buf()))).await
    }
}

/// Copies what a stopped stack left to a new one's place. Logs are not copied: they tell of another.
pub(crate) fn copy((data_dir, servers_dir): &(PathBuf, PathBuf), to: &Place) -> Result<()> {
    for entry in std::fs::read_dir(data_dir).map_err(Error::io("read", data_dir))? {
        let path = entry.map_err(Error::io("read", data_dir))?.path();
        let name = path.file_name().unwrap_or_default();
        let is_log = path.extension().is_some_and(|extension| extension == "log");
        if path.is_file() && !is_log && !ITS_OWN.iter().any(|own| name == *own) {
            std::fs::copy(&path, to.data_dir.join(name)).map_err(Error::io("copy", &path))?;
        }
    }
    state::hand_on(data_dir, &to.data_dir)?;
    for name in OF_SERVERS {
        copy_all(&servers_dir.join(name), &to.servers_dir.join(name), to)?;
    }
    Ok(())
}

fn copy_all(from: &Path, to: &Path, place: &Place) -> Result<()> {
    let meta = std::fs::metadata(from).map_err(Error::io("read", from))?;
    std::fs::create_dir(to)
        .and_then(|()| std::fs::set_permissions(to, meta.permissions()))
        .map_err(Error::io("make", to))?;
    place.give(to)?;
    for entry in std::fs::read_dir(from).map_err(Error::io("read", from))? {
        let entry = entry.map_err(Error::io("read", from))?;
        let (path, name) = (entry.path(), entry.file_name());
        let kind = entry.file_type().map_err(Error::io("read", &path))?;
        if kind.is_dir() {
            copy_all(&path, &to.join(&name), place)?;
        } else if !kind.is_file() {
            // A tablespace, which two servers would share.
            return Err(Error::io("copy, which is neither file nor directory:", path)(
                std::io::ErrorKind::Unsupported.into(),
            ));
        } else if !WHILE_RUNNING.iter().any(|gone| name == *gone) {
            let copied = to.join(&name);
            std::fs::copy(&path, &copied).map_err(Error::io("copy", &path))?;
            place.give(&copied)?;
        }
    }
    Ok(())
}
