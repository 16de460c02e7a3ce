//! Debian's way. A package's post-installation script starts its server: for the time of the installation a policy
//! forbids that, and PostgreSQL's packages are told to make no cluster of their own. Both settings are put back: by us, or, where we
//! were killed meanwhile, by the next one to come, once apt-get has ended.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::ErrorKind,
    os::unix::{
        fs::{OpenOptionsExt, PermissionsExt},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::{Failed, Manager, Product, run};
use crate::{
    Error, Progress,
    locate::{POSTGRES_MIN, REDIS_MIN},
};

/// What invoke-rc.d asks before it starts anything (Debian policy, policy-rc.d).
const POLICY: &str = "/usr/sbin/policy-rc.d";
/// Held by whoever installs.
const TURN: &str = "/run/petty-install.lock";
/// Read by PostgreSQL's post-installation script.
const CLUSTERS: &str = "/etc/postgresql-common/createcluster.conf";

const DENY: &str =
    "#!/bin/sh\n# Put here by petty while it installs packages; it takes it away again.\nexit 101\n";

#[derive(Debug)]
pub(super) enum Failure {
    /// The distribution has it, but not new enough.
    TooOld(String),
    Other(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Other(error)
    }
}

/// Installs what is missing, for whoever holds the turn.
pub(super) fn install(
    missing: &[Product],
    turn: &File,
    log: &Path,
    progress: &Progress,
) -> Result<(), Failure> {
    let apt = Apt { program: Path::new("apt-get"), turn, log };
    if missing.iter().any(|product| candidate(*product).is_none()) {
        progress("Fetching the list of packages (apt-get update).");
        apt.run(&["update"]).map_err(Error::from)?;
    }
    for product in missing {
        let (name, min) = match product {
            Product::Postgres => ("PostgreSQL", POSTGRES_MIN),
            Product::Redis => ("Redis", REDIS_MIN),
        };
        if let Some(major) = candidate(*product).filter(|major| *major < min) {
            let source = match product {
                Product::Postgres => "https://wiki.postgresql.org/wiki/Apt",
                Product::Redis => "https://redis.io/docs/latest/operate/oss_and_stack/install/",
            };
            return Err(Failure::TooOld(format!(
                "this distribution offers {name} {major}: add the maker's own packages first ({source})"
            )));
        }
    }
    let had_redis = is_installed("redis-server");
    let policy = Replaced::with(Path::new(POLICY), |_| DENY.to_owned(), 0o755)?;
    if missing.contains(&Product::Postgres) {
        // First what reads the setting, so that its file is there with its own defaults.
        apt.install(&["postgresql-common"])?;
        let clusters = Replaced::with(Path::new(CLUSTERS), without_cluster, 0o644)?;
        apt.install(&["postgresql"])?;
        clusters.put_back()?;
    }
    if missing.contains(&Product::Redis) {
        apt.install(&["redis-server"])?;
        if !had_redis {
            leave_disabled(log)?;
        }
    }
    policy.put_back()?;
    Ok(())
}

/// One installation of ours at a time on this machine: two would take each other's settings for the machine's own.
pub(super) fn take_turn() -> Result<File, Error> {
    let path = Path::new(TURN);
    let file = open_turn(path)?;
    file.lock().map_err(Error::io("lock", path))?;
    Ok(file)
}

fn open_turn(path: &Path) -> Result<File, Error> {
    OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .mode(0o600)
        .open(path)
        .map_err(Error::io("open", path))
}

/// Puts back what an installation left changed that was cut short.
pub(super) fn undo_interrupted() -> Result<(), Error> {
    undo(Path::new(TURN), &[Path::new(POLICY), Path::new(CLUSTERS)])
}

fn undo(turn: &Path, paths: &[&Path]) -> Result<(), Error> {
    let left: Vec<Replaced> =
        paths.iter().map(|path| Replaced::found(path)).filter(Replaced::is_changed).collect();
    if left.is_empty() {
        return Ok(());
    }
    let file = open_turn(turn)?;
    match file.try_lock() {
        Ok(()) => left.into_iter().try_for_each(Replaced::put_back),
        // It goes on: who began it puts it back, or whoever comes next.
        Err(TryLockError::WouldBlock) => Ok(()),
        Err(TryLockError::Error(cause)) => Err(Error::io("lock", turn)(cause)),
    }
}

/// apt-get, for whoever holds the turn.
struct Apt<'a> {
    program: &'a Path,
    turn: &'a File,
    log: &'a Path,
}

impl Apt<'_> {
    fn install(&self, packages: &[&str]) -> Result<(), Error> {
        // Somebody else's apt may be at work.
        let mut words = vec!["install", "-y", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=600"];
        words.extend(packages);
        match self.run(&words) {
            Ok(()) => Ok(()),
            // Whoever ended it does not want to see it begin again.
            Err(Failed { error, by_signal: true }) => Err(error),
            // The list may be older than what the mirror still has.
            Err(_) => {
                self.run(&["update"])?;
                Ok(self.run(&words)?)
            }
        }
    }

    /// In a process group of its own: Ctrl-C in the terminal is for us, and packages that are half installed are nobody's wish. It
    /// reads the turn's file, which is empty, and so holds the turn for as long as it runs, also where we are killed.
    fn run(&self, words: &[&str]) -> Result<(), Failed> {
        let turn = self.turn.try_clone().map_err(Error::io("open", TURN))?;
        let mut command = Command::new(self.program);
        command.args(words).env("DEBIAN_FRONTEND", "noninteractive").env("LC_ALL", "C");
        command.stdin(turn).process_group(0);
        run(command, self.log)
    }
}

/// The package enables its service for the next boot; ours are private, so that one stays off.
fn leave_disabled(log: &Path) -> Result<(), Error> {
    for (program, words) in [
        ("/usr/bin/systemctl", &["disable", "redis-server.service"][..]),
        ("/usr/sbin/update-rc.d", &["redis-server", "disable"][..]),
    ] {
        if Path::new(program).exists() {
            let mut command = Command::new(program);
            command.args(words).env("LC_ALL", "C").stdin(Stdio::null());
            run(command, log)?;
        }
    }
    Ok(())
}

fn is_installed(package: &str) -> bool {
    let output = Command::new("dpkg-query").args(["-W", "-f", "${db:Status-Status}", package]).output();
    output.is_ok_and(|output| output.stdout == b"installed")
}

/// The major version apt would install; `None` if it knows none.
fn candidate(product: Product) -> Option<u32> {
    let package = product.package(Manager::AptAsRoot);
    let output = Command::new("apt-cache")
        .args(["policy", package])
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .output()
        .ok()?;
    parse_candidate(&String::from_utf8_lossy(&output.stdout))
}

/// `  Candidate: 5:7.0.15-1~deb12u5`: the epoch, then the version.
fn parse_candidate(policy: &str) -> Option<u32> {
    let version = policy.lines().find_map(|line| line.trim().strip_prefix("Candidate: "))?;
    let upstream = version.split_once(':').map_or(version, |(_, rest)| rest);
    let digits = upstream.find(|c: char| !c.is_ascii_digit()).unwrap_or(upstream.len());
    upstream.get(..digits)?.parse().ok()
}

fn without_cluster(old: &str) -> String {
    let kept: String = old
        .lines()
        .filter(|line| !line.trim_start().starts_with("create_main_cluster"))
        .flat_map(|line| [line, "\n"])
        .collect();
    format!("{kept}create_main_cluster = false\n")
}

/// A file of the machine's, changed for a while. What was there is kept beside it until it is put back, so that an
/// interrupted installation is undone by the next one.
#[derive(Debug)]
struct Replaced {
    path: PathBuf,
    done: bool,
}

impl Replaced {
    fn with(path: &Path, change: impl FnOnce(&str) -> String, mode: u32) -> Result<Self, Error> {
        let this = Self { path: path.to_path_buf(), done: false };
        this.restore().map_err(Error::io("restore", path))?;
        let old = match std::fs::read_to_string(path) {
            Ok(old) => Some(old),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(Error::io("read", path)(error)),
        };
        let write = || {
            if let Some(parent) = path.parent() {
                std::fs::create_dir_all(parent)?;
            }
            match &old {
                Some(_) => std::fs::rename(path, this.kept())?,
                None => std::fs::write(this.absent(), "")?,
            }
            std::fs::write(path, change(old.as_deref().unwrap_or_default()))?;
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
        };
        write().map_err(Error::io("change", path))?;
        Ok(this)
    }

    /// One that may have been left by another.
    fn found(path: &Path) -> Self {
        Self { path: path.to_path_buf(), done: true }
    }

    fn is_changed(&self) -> bool {
        self.kept().exists() || self.absent().exists()
    }

    fn put_back(mut self) -> Result<(), Error> {
        self.done = true;
        self.restore().map_err(Error::io("restore", &self.path))
    }

    /// Undoes the change, ours or that of an installation that was interrupted.
    fn restore(&self) -> std::io::Result<()> {
        if self.kept().exists() {
            return std::fs::rename(self.kept(), &self.path);
        }
        if self.absent().exists() {
            match std::fs::remove_file(&self.path) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            return std::fs::remove_file(self.absent());
        }
        Ok(())
    }

    fn beside(&self, suffix: &str) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(suffix);
        name.into()
    }

    /// Where the old file is kept.
    fn kept(&self) -> PathBuf {
        self.beside(".petty-saved")
    }

    /// Says that there was none.
    fn absent(&self) -> PathBuf {
        self.beside(".petty-absent")
    }
}

impl Drop for Replaced {
    fn drop(&mut self) {
        if !self.done {
            // An error is on its way to the user already; the next installation tries again.
            let _failed = self.restore();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_candidate_is_read_past_its_epoch() {
        for (policy, want) in [
            ("redis-server:\n  Installed: (none)\n  Candidate: 5:7.0.15-1~deb12u5\n", Some(7)),
            ("postgresql:\n  Installed: (none)\n  Candidate: 15+248+deb12u1\n", Some(15)),
            ("postgresql:\n  Installed: 14+238\n  Candidate: 14+238\n", Some(14)),
            ("x:\n  Installed: (none)\n  Candidate: (none)\n", None),
            ("", None),
        ] {
            assert_eq!(parse_candidate(policy), want, "{policy:?}");
        }
    }

    #[test]
    fn no_cluster_is_made_whatever_the_file_said() {
        for old in ["", "#create_main_cluster = true\nssl = on\n", "create_main_cluster = true\nssl = on\n"] {
            let new = without_cluster(old);
            let active: Vec<_> = new.lines().filter(|line| line.starts_with("create_main")).collect();
            assert_eq!(active, ["create_main_cluster = false"], "{old:?}");
            assert_eq!(new.contains("ssl = on"), old.contains("ssl = on"));
        }
    }

    #[test]
    fn a_replaced_file_comes_back_as_it_was_even_after_an_interruption() {
        for old in [Some("#!/bin/sh\nexit 0\n"), None] {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("policy-rc.d");
            if let Some(old) = old {
                std::fs::write(&path, old).unwrap();
            }
            let replace = || Replaced::with(&path, |_| DENY.to_owned(), 0o755).unwrap();
            let now = || std::fs::read_to_string(&path).ok();

            std::mem::forget(replace());
            assert_eq!(now().as_deref(), Some(DENY), "interrupted");
            let second = replace();
            assert_eq!(now().as_deref(), Some(DENY));
            second.put_back().unwrap();
            assert_eq!(now().as_deref(), old);

            drop(replace());
            assert_eq!(now().as_deref(), old, "failed");
            assert_eq!(
                std::fs::read_dir(dir.path()).unwrap().count(),
                usize::from(old.is_some()),
                "nothing beside"
            );
        }
    }

    #[test]
    fn what_a_killed_installation_left_is_put_back_once_its_apt_get_has_ended() {
        let dir = tempfile::tempdir().unwrap();
        let [turn, policy, clusters] =
            ["turn", "policy-rc.d", "createcluster.conf"].map(|name| dir.path().join(name));
        std::fs::write(&clusters, "ssl = on\n").unwrap();
        let undo = || super::undo(&turn, &[&policy, &clusters]).unwrap();
        undo();
        assert!(!turn.exists(), "nothing to do");

        let file = open_turn(&turn).unwrap();
        file.lock().unwrap();
        let of_apt_get = file.try_clone().unwrap();
        std::mem::forget(Replaced::with(&policy, |_| DENY.to_owned(), 0o755).unwrap());
        std::mem::forget(Replaced::with(&clusters, without_cluster, 0o644).unwrap());
        // Killed: what it had open is closed, and nothing is unlocked by hand. Its apt-get goes on.
        drop(file);
        undo();
        assert!(policy.exists(), "apt-get still reads it");
        drop(of_apt_get);
        undo();
        assert!(!policy.exists());
        assert_eq!(std::fs::read_to_string(&clusters).unwrap(), "ssl = on\n");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2, "nothing beside");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn apt_get_has_a_process_group_of_its_own_holds_the_turn_and_is_not_begun_again_once_it_was_ended() {
        for (ends, begun) in [("kill -INT $$", 1), ("exit 100", 2)] {
            let dir = tempfile::tempdir().unwrap();
            let [program, turn, log, calls] =
                ["apt-get", "turn", "install.log", "calls"].map(|name| dir.path().join(name));
            // Its group, itself, what it reads, and what it is to do.
            let script = format!(
                "#!/bin/sh\necho $(cut -d' ' -f5 /proc/$$/stat) $$ $(readlink /proc/$$/fd/0) $1 >> '{}'\n{ends}\n",
                calls.display()
            );
            // By another process: what one of ours had open for writing could not be run while a third is being started.
            let write = Command::new("sh")
                .args(["-c", "printf %s \"$1\" > \"$0\" && chmod 755 \"$0\""])
                .args([program.as_os_str(), script.as_ref()])
                .status();
            assert!(write.unwrap().success());
            let file = open_turn(&turn).unwrap();
            let apt = Apt { program: &program, turn: &file, log: &log };
            assert!(apt.install(&["redis-server"]).is_err());
            let calls = std::fs::read_to_string(&calls).unwrap();
            assert_eq!(calls.lines().count(), begun, "{calls}");
            for call in calls.lines() {
                let words: Vec<&str> = call.split(' ').collect();
                assert_eq!((words[0], Path::new(words[2])), (words[1], turn.as_path()), "{call}");
            }
        }
    }
}
