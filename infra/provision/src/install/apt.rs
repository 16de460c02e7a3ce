//! Debian's way. A package's post-installation script starts its server: for the time of the installation a policy
//! forbids that, and PostgreSQL's packages are told to make no cluster of their own. Both settings are put back.

use std::{
    fs::{File, OpenOptions},
    io::ErrorKind,
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::{Manager, Product, run};
use crate::{
    Error, Progress,
    locate::{POSTGRES_MIN, REDIS_MIN},
};

/// What invoke-rc.d asks before it starts anything (Debian policy, policy-rc.d).
const POLICY: &str = "/usr/sbin/policy-rc.d";
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

pub(super) fn install(missing: &[Product], log: &Path, progress: &Progress) -> Result<(), Failure> {
    if missing.iter().any(|product| candidate(*product).is_none()) {
        progress("Fetching the list of packages (apt-get update).");
        run(apt_get(&["update"]), log)?;
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
        install_packages(&["postgresql-common"], log)?;
        let clusters = Replaced::with(Path::new(CLUSTERS), without_cluster, 0o644)?;
        install_packages(&["postgresql"], log)?;
        clusters.put_back()?;
    }
    if missing.contains(&Product::Redis) {
        install_packages(&["redis-server"], log)?;
        if !had_redis {
            leave_disabled(log)?;
        }
    }
    policy.put_back()?;
    Ok(())
}

/// One installation of ours at a time on this machine: two would take each other's settings for the machine's own.
pub(super) fn take_turn() -> Result<File, Error> {
    let path = Path::new("/run/petty-install.lock");
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(path)
        .map_err(Error::io("open", path))?;
    file.lock().map_err(Error::io("lock", path))?;
    Ok(file)
}

fn install_packages(packages: &[&str], log: &Path) -> Result<(), Error> {
    // Somebody else's apt may be at work.
    let mut words = vec!["install", "-y", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=600"];
    words.extend(packages);
    match run(apt_get(&words), log) {
        Ok(()) => Ok(()),
        // The list may be older than what the mirror still has.
        Err(_) => run(apt_get(&["update"]), log).and_then(|()| run(apt_get(&words), log)),
    }
}

fn apt_get(words: &[&str]) -> Command {
    let mut command = Command::new("apt-get");
    command.args(words).env("DEBIAN_FRONTEND", "noninteractive").env("LC_ALL", "C");
    command
}

/// The package enables its service for the next boot; ours are private, so that one stays off.
fn leave_disabled(log: &Path) -> Result<(), Error> {
    for (program, words) in [
        ("/usr/bin/systemctl", &["disable", "redis-server.service"][..]),
        ("/usr/sbin/update-rc.d", &["redis-server", "disable"][..]),
    ] {
        if Path::new(program).exists() {
            let mut command = Command::new(program);
            command.args(words).env("LC_ALL", "C");
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
}
