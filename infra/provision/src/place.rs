//! Where the servers keep their files, and as whom they run.
//!
//! Not root: in the data directory, as us. Root: as the unprivileged user `postgres` (or `nobody`), in the data
//! directory if that user can get there; else in a directory it can reach, whose place the data directory remembers.
//! No directory that was there before is opened up for it.
//!
//! Invariant: servers' files are removed only where somebody says so, and only where they are what was made here: by
//! name, place and owner. What a file says of a directory is not enough.

use std::{
    fs::{DirBuilder, DirEntry},
    os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

use nix::unistd::{Gid, Uid, User, chown};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{Error, Progress, Result, lock::Lock, secret::random_hex, spawn, state};

/// The user servers run as when we are root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RunAs {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// Directories and user of one stack.
#[derive(Debug)]
pub(crate) struct Place {
    /// What the user named: lock, passwords, logs.
    pub(crate) data_dir: PathBuf,
    /// What the servers write.
    pub(crate) servers_dir: PathBuf,
    pub(crate) run_as: Option<RunAs>,
    /// The second lock, where the servers' files lie elsewhere.
    _servers_lock: Option<Lock>,
}

/// Remembered in the data directory when the servers' files lie elsewhere.
#[derive(Serialize, Deserialize)]
struct Elsewhere {
    servers_dir: PathBuf,
}

/// Makes the data directory if it is not there, and answers its absolute path.
pub(crate) fn make_data_dir(dir: &Path) -> Result<PathBuf> {
    if !dir.exists() {
        if let Some(parent) = dir.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            std::fs::create_dir_all(parent).map_err(Error::io("make", parent))?;
        }
        // The servers' user must pass through; what is secret inside is protected by its own mode.
        let mode = if is_root() { 0o711 } else { 0o700 };
        make_dir(dir, mode)?;
    }
    dir.canonicalize().map_err(Error::io("open", dir))
}

impl Place {
    /// Decides it for a data directory that is locked by us.
    pub(crate) fn find(data_dir: &Path, progress: &Progress) -> Result<Self> {
        Self::find_for(data_dir, is_root(), &bases(), progress)
    }

    fn find_for(data_dir: &Path, root: bool, fallbacks: &[PathBuf], progress: &Progress) -> Result<Self> {
        let here = |run_as| Self {
            data_dir: data_dir.to_path_buf(),
            servers_dir: data_dir.to_path_buf(),
            run_as,
            _servers_lock: None,
        };
        let recorded = recorded(data_dir)?;
        let known = recorded.clone().unwrap_or_else(|| data_dir.to_path_buf());
        let owner = std::fs::metadata(known.join("postgres")).ok().map(|meta| (meta.uid(), meta.gid()));
        if !root {
            let me = Uid::effective().as_raw();
            return match (recorded, owner) {
                (_, Some((uid, _))) if uid != me => Err(Error::WrongOwner { dir: known, owner: uid }),
                (Some(dir), None) => Err(Error::WrongOwner { dir, owner: 0 }),
                _ => Ok(here(None)),
            };
        }
        let user = match owner {
            // What a user made stays that user's, also when root comes by.
            Some((uid, gid)) if uid != 0 => RunAs { uid, gid },
            _ => unprivileged()?,
        };
        if let Some(dir) = recorded {
            // Not with empty ones instead: then those that are there again later would be nobody's.
            if !dir.is_dir() {
                let (data_dir, record) = (data_dir.to_path_buf(), record_path(data_dir));
                return Err(Error::Gone { data_dir, dir, record });
            }
            reach(&dir, user)?;
            return Self::elsewhere(data_dir, dir, user);
        } else if owner.is_some() {
            reach(data_dir, user)?;
            return Ok(here(Some(user)));
        } else if reach(data_dir, user).is_ok() {
            return Ok(here(Some(user)));
        }
        let dir = make_elsewhere(data_dir, fallbacks, user, progress)?;
        progress(&format!(
            "Servers do not run as root, and their user cannot reach {}: their files go to {}.",
            data_dir.display(),
            dir.display()
        ));
        Self::elsewhere(data_dir, dir, user)
    }

    fn elsewhere(data_dir: &Path, servers_dir: PathBuf, user: RunAs) -> Result<Self> {
        let lock = Lock::take(&servers_dir)?;
        Ok(Self {
            data_dir: data_dir.to_path_buf(),
            servers_dir,
            run_as: Some(user),
            _servers_lock: Some(lock),
        })
    }

    /// An empty directory of the servers' user, mode 0700.
    pub(crate) fn make(&self, name: &str) -> Result<PathBuf> {
        let dir = self.servers_dir.join(name);
        make_dir(&dir, 0o700)?;
        self.give(&dir)?;
        Ok(dir)
    }

    /// Hands a file or directory of ours to the servers' user.
    pub(crate) fn give(&self, path: &Path) -> Result<()> {
        match self.run_as {
            Some(user) => give(path, user),
            None => Ok(()),
        }
    }
}

fn is_root() -> bool {
    Uid::effective().is_root()
}

/// Where servers' files may lie when their user cannot reach the data directory; the first that will do.
pub(crate) fn bases() -> [PathBuf; 2] {
    [PathBuf::from("/var/lib/petty"), std::env::temp_dir()]
}

/// How directories elsewhere are called that are of this data directory.
fn prefix(data_dir: &Path) -> String {
    let hash = hex::encode(Sha256::digest(data_dir.as_os_str().as_encoded_bytes()));
    format!("petty-{}-", hash.get(..12).unwrap_or(&hash))
}

fn make_dir(dir: &Path, mode: u32) -> Result<()> {
    DirBuilder::new().mode(mode).create(dir).map_err(Error::io("make", dir))?;
    // Whatever the umask: it is ours and new.
    std::fs::set_permissions(dir, std::fs::Permissions::from_mode(mode)).map_err(Error::io("make", dir))
}

fn give(path: &Path, user: RunAs) -> Result<()> {
    chown(path, Some(Uid::from_raw(user.uid)), Some(Gid::from_raw(user.gid)))
        .map_err(|errno| Error::io("hand over", path)(errno.into()))
}

fn unprivileged() -> Result<RunAs> {
    let user = servers_users()?.into_iter().next();
    user.ok_or_else(|| {
        Error::io("look up the user postgres or nobody in", "/etc/passwd")(
            std::io::ErrorKind::NotFound.into(),
        )
    })
}

/// Those who may be it, the best first. The second one was it where PostgreSQL was installed later.
fn servers_users() -> Result<Vec<RunAs>> {
    let mut users = Vec::new();
    for name in ["postgres", "nobody"] {
        let user = User::from_name(name)
            .map_err(|errno| Error::io("look up a user in", "/etc/passwd")(errno.into()))?;
        let user = user.filter(|user| !user.uid.is_root());
        users.extend(user.map(|user| RunAs { uid: user.uid.as_raw(), gid: user.gid.as_raw() }));
    }
    Ok(users)
}

/// Whether the user can get to `dir`: tried, because only the kernel knows modes, ACLs and mounts.
fn reach(dir: &Path, user: RunAs) -> Result<()> {
    let refused = |why| Error::Unreachable { uid: user.uid, dir: dir.to_path_buf(), why };
    match spawn::command(Path::new("/bin/sh"), Some(user), dir).args(["-c", ":"]).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(refused(status.to_string())),
        Err(error) => Err(refused(error.to_string())),
    }
}

fn record_path(data_dir: &Path) -> PathBuf {
    data_dir.join("place.json")
}

pub(crate) fn recorded(data_dir: &Path) -> Result<Option<PathBuf>> {
    let path = record_path(data_dir);
    match std::fs::read(&path) {
        Ok(bytes) => match serde_json::from_slice::<Elsewhere>(&bytes) {
            Ok(elsewhere) => Ok(Some(elsewhere.servers_dir)),
            Err(cause) => Err(Error::Damaged { path, cause }),
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io("read", path)(error)),
    }
}

/// The servers' files that go with a data directory: what it remembers, where that is what [`make_elsewhere`] made for it; `None`
/// where it remembers nothing, or nothing is left.
pub(crate) fn made_for(data_dir: &Path, bases: &[PathBuf]) -> Result<Option<PathBuf>> {
    let Some(dir) = recorded(data_dir)? else { return Ok(None) };
    // Of a link itself: what it leads to is not looked at.
    let meta = match std::fs::symlink_metadata(&dir) {
        Ok(meta) => meta,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io("read", dir)(error)),
    };
    let prefix = prefix(data_dir);
    let is_named_so = dir
        .file_name()
        .and_then(|name| name.to_str()?.strip_prefix(&prefix))
        .is_some_and(|random| !random.is_empty());
    let is_there = dir.parent().is_some_and(|parent| bases.iter().any(|base| base == parent));
    let is_theirs = servers_users()?.iter().any(|user| user.uid == meta.uid());
    if is_named_so && is_there && is_theirs && meta.is_dir() {
        return Ok(Some(dir));
    }
    Err(Error::io("remove what was not made here:", dir)(std::io::ErrorKind::PermissionDenied.into()))
}

/// A directory below one of `bases` that the user can work in, recorded in the data directory.
fn make_elsewhere(data_dir: &Path, bases: &[PathBuf], user: RunAs, progress: &Progress) -> Result<PathBuf> {
    let prefix = prefix(data_dir);
    let mut refusal =
        Error::Unreachable { uid: user.uid, dir: data_dir.to_path_buf(), why: "no access".into() };
    for base in bases {
        for forgotten in forgotten(base, &prefix, user) {
            progress(&format!(
                "{0} holds servers' files of a data directory that was {1} before. Is its disk mounted? If it was deleted, nobody \
                 needs them: rm -r {0}",
                forgotten.display(),
                data_dir.display()
            ));
        }
        // Random, because a base may be writable by everybody.
        let dir = base.join(format!("{prefix}{}", random_hex(4)?));
        let made = base_dir(base).and_then(|()| make_dir(&dir, 0o700)).and_then(|()| give(&dir, user));
        match made.and_then(|()| reach(&dir, user)) {
            Ok(()) => {
                let record = record_path(data_dir);
                let json = serde_json::to_vec(&Elsewhere { servers_dir: dir.clone() })
                    .map_err(|cause| Error::Damaged { path: record.clone(), cause })?;
                state::write_private(&record, &json).map_err(Error::io("write", &record))?;
                return Ok(dir);
            }
            Err(error) => {
                // Ours, new and empty, or not there at all.
                let _absent = std::fs::remove_dir(&dir);
                refusal = error;
            }
        }
    }
    Err(refusal)
}

/// Servers' files of a data directory that was at the same place before. It may have been deleted, and its passwords with it; or its
/// disk may not be mounted just now, which looks the same: they are told of, and stay.
fn forgotten(base: &Path, prefix: &str, user: RunAs) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(base) else { return Vec::new() };
    let is_forgotten = |entry: &DirEntry| {
        entry.file_name().to_string_lossy().starts_with(prefix)
            && entry.metadata().is_ok_and(|meta| meta.is_dir() && meta.uid() == user.uid)
            && Lock::take_abandoned(&entry.path()).is_some()
    };
    entries.flatten().filter(is_forgotten).map(|entry| entry.path()).collect()
}

fn base_dir(base: &Path) -> Result<()> {
    if base.is_dir() { Ok(()) } else { make_dir(base, 0o755) }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    fn silent() -> Progress {
        Arc::new(|_| {})
    }

    /// What may be made elsewhere for a data directory.
    pub(crate) fn name_elsewhere(data_dir: &Path) -> String {
        format!("{}0123abcd", prefix(data_dir))
    }

    /// Whose it would be.
    pub(crate) fn servers_user() -> u32 {
        unprivileged().unwrap().uid
    }

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn an_ordinary_user_keeps_everything_in_the_data_directory() {
        let dir = tempfile::tempdir().unwrap();
        let place = Place::find_for(dir.path(), false, &[], &silent()).unwrap();
        assert_eq!((place.servers_dir.as_path(), place.run_as), (dir.path(), None));
    }

    #[test]
    fn root_gives_the_servers_a_place_their_user_can_reach_and_opens_nothing_up() {
        if !is_root() {
            eprintln!("skipped: only root can become another user");
            return;
        }
        let (closed, base) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let set =
            |dir: &Path, mode| std::fs::set_permissions(dir, std::fs::Permissions::from_mode(mode)).unwrap();
        set(closed.path(), 0o700);
        set(base.path(), 0o711);
        let data_dir = make_data_dir(&closed.path().join("data")).unwrap();
        let unreachable = closed.path().join("base");
        let bases = [unreachable, base.path().join("petty")];

        let place = Place::find_for(&data_dir, true, &bases, &silent()).unwrap();
        let user = place.run_as.unwrap();
        assert_ne!(user.uid, 0);
        assert!(place.servers_dir.starts_with(&bases[1]), "{place:?}");
        let meta = std::fs::metadata(&place.servers_dir).unwrap();
        assert_eq!((meta.uid(), mode(&place.servers_dir)), (user.uid, 0o700));
        assert_eq!(mode(closed.path()), 0o700, "the parent stays closed");
        assert!(reach(closed.path(), user).is_err());

        let first = place.servers_dir.clone();
        drop(place);
        let again = Place::find_for(&data_dir, true, &bases, &silent()).unwrap();
        assert_eq!(again.servers_dir, first, "the place is remembered");

        drop(again);
        std::fs::remove_file(record_path(&data_dir)).unwrap();
        let told = Arc::new(Mutex::new(Vec::new()));
        let telling: Progress = Arc::new({
            let told = told.clone();
            move |line: &str| told.lock().unwrap().push(line.to_owned())
        });
        let afresh = Place::find_for(&data_dir, true, &bases, &telling).unwrap();
        assert!(afresh.servers_dir != first && first.exists(), "its disk may not be mounted");
        let what_to_do = format!("rm -r {}", first.display());
        assert!(told.lock().unwrap().iter().any(|line| line.ends_with(&what_to_do)), "{told:?}");

        let second = afresh.servers_dir.clone();
        drop(afresh);
        std::fs::write(data_dir.join(state::FILE), "{}").unwrap();
        let away = base.path().join("unmounted");
        std::fs::rename(&bases[1], &away).unwrap();
        let refused = Place::find_for(&data_dir, true, &bases, &silent()).unwrap_err().to_string();
        assert!(refused.contains("mount it") && refused.contains("place.json"), "{refused}");
        assert!(!bases[1].exists(), "nothing is made instead");
        std::fs::rename(&away, &bases[1]).unwrap();
        let back = Place::find_for(&data_dir, true, &bases, &silent()).unwrap();
        assert_eq!(back.servers_dir, second, "nothing was lost");

        drop(back);
        std::fs::remove_file(record_path(&data_dir)).unwrap();
        let third = Place::find_for(&data_dir, true, &bases, &silent()).unwrap();
        assert!(third.servers_dir != second && second.exists(), "its passwords are here");
    }

    #[test]
    fn root_stays_in_a_data_directory_the_servers_user_can_reach() {
        if !is_root() {
            eprintln!("skipped: only root can become another user");
            return;
        }
        let open = tempfile::tempdir().unwrap();
        std::fs::set_permissions(open.path(), std::fs::Permissions::from_mode(0o711)).unwrap();
        let data_dir = make_data_dir(&open.path().join("data")).unwrap();
        let place = Place::find_for(&data_dir, true, &[], &silent()).unwrap();
        assert_eq!(place.servers_dir, data_dir);
        let made = place.make("redis").unwrap();
        assert_eq!(std::fs::metadata(&made).unwrap().uid(), place.run_as.unwrap().uid);
        assert_eq!(mode(&made), 0o700);
    }
}
