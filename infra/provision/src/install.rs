//! Having the servers: found, or else installed, or else an error with the commands to run by hand.
//!
//! The invariant: no server of the distribution's own is started or left to start at boot, and no setting of the
//! machine is different afterwards; where an installation was cut short, not after the next start.

mod apt;

use std::{
    fs::OpenOptions,
    io::Write,
    os::unix::{fs::OpenOptionsExt, process::ExitStatusExt},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::{
    Error, Install, Progress, Result,
    locate::{Found, POSTGRES_MIN, REDIS_MIN, Search},
};

/// The two servers, as they will be run.
#[derive(Debug, Clone)]
pub struct Servers {
    /// `postgres`; `initdb` stands beside it.
    pub postgres: Found,
    /// `redis-server`.
    pub redis: Found,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Product {
    Postgres,
    Redis,
}

/// What can install something here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manager {
    AptAsRoot,
    AptAsUser,
    Brew,
    None,
}

/// Finds both servers, installing what is missing if `install` allows it. `cluster_major` is the version that made
/// the databases, if there are any. Output of the package manager is appended to `log`.
///
/// # Errors
///
/// [`Error::Missing`] with the commands to run, [`Error::Install`] if the package manager failed,
/// [`Error::OtherMajor`] if the databases need another version.
pub fn ensure(
    install: Install,
    cluster: Option<(u32, &Path)>,
    log: &Path,
    progress: &Progress,
) -> Result<Servers> {
    if Manager::here() == Manager::AptAsRoot {
        apt::undo_interrupted()?;
    }
    let search = Search::here();
    let missing = missing(&search);
    if !missing.is_empty() {
        fetch(&missing, &search, install, log, progress)?;
    }
    let (postgres, redis) = (search.postgres(), search.redis());
    let mut fit = postgres.iter().filter(|found| found.version.major >= POSTGRES_MIN);
    let chosen = match cluster {
        None => fit.next().cloned(),
        Some((wanted, dir)) => {
            let same = postgres.iter().find(|found| found.version.major == wanted).cloned();
            Some(same.ok_or_else(|| Error::OtherMajor {
                dir: dir.to_path_buf(),
                wanted,
                found: listed(&postgres),
            })?)
        }
    };
    let redis = redis.into_iter().find(|found| found.version.major >= REDIS_MIN);
    match (chosen, redis) {
        (Some(postgres), Some(redis)) => Ok(Servers { postgres, redis }),
        (postgres, redis) => {
            let still: Vec<Product> =
                [postgres.is_none().then_some(Product::Postgres), redis.is_none().then_some(Product::Redis)]
                    .into_iter()
                    .flatten()
                    .collect();
            Err(refusal(&still, &search, Manager::here(), "what was installed is not enough"))
        }
    }
}

fn missing(search: &Search) -> Vec<Product> {
    let mut missing = Vec::new();
    if !search.postgres().iter().any(|found| found.version.major >= POSTGRES_MIN) {
        missing.push(Product::Postgres);
    }
    if !search.redis().iter().any(|found| found.version.major >= REDIS_MIN) {
        missing.push(Product::Redis);
    }
    missing
}

fn fetch(
    missing: &[Product],
    search: &Search,
    install: Install,
    log: &Path,
    progress: &Progress,
) -> Result<()> {
    let manager = Manager::here();
    if install == Install::Never {
        return Err(refusal(missing, search, manager, "installing was ruled out (--no-install)"));
    }
    let announce = |with: &str| {
        let packages = packages(missing, manager).join(" ");
        progress(&format!("{}: installing {packages} with {with}.", describe(missing, search)));
    };
    match manager {
        Manager::AptAsRoot => {
            let turn = apt::take_turn()?;
            let missing = &self::missing(search)[..];
            if missing.is_empty() {
                return Ok(());
            }
            announce("apt-get");
            apt::install(missing, &turn, log, progress).map_err(|error| match error {
                apt::Failure::TooOld(why) => refusal(missing, search, manager, &why),
                apt::Failure::Other(error) => error,
            })
        }
        Manager::Brew => {
            announce("brew");
            let mut command = Command::new("brew");
            command.arg("install").args(packages(missing, manager)).stdin(Stdio::null());
            Ok(run(command, log)?)
        }
        Manager::AptAsUser => Err(refusal(missing, search, manager, "only root can install packages here")),
        Manager::None => {
            Err(refusal(missing, search, manager, "neither apt-get nor brew is here to install it with"))
        }
    }
}

impl Manager {
    fn here() -> Self {
        if Path::new("/usr/bin/apt-get").exists() {
            if nix::unistd::Uid::effective().is_root() { Self::AptAsRoot } else { Self::AptAsUser }
        } else if ["/opt/homebrew/bin/brew", "/usr/local/bin/brew"]
            .iter()
            .any(|brew| Path::new(brew).exists())
        {
            Self::Brew
        } else {
            Self::None
        }
    }
}

impl Product {
    fn package(self, manager: Manager) -> &'static str {
        match (self, manager) {
            (Self::Postgres, Manager::Brew) => "postgresql@17",
            (Self::Postgres, _) => "postgresql",
            (Self::Redis, Manager::Brew) => "redis",
            (Self::Redis, _) => "redis-server",
        }
    }
}

fn packages(missing: &[Product], manager: Manager) -> Vec<&'static str> {
    missing.iter().map(|product| product.package(manager)).collect()
}

fn listed(found: &[Found]) -> String {
    let all: Vec<String> =
        found.iter().map(|one| format!("{} ({})", one.version, one.program.display())).collect();
    if all.is_empty() { "none".into() } else { all.join(", ") }
}

fn describe(missing: &[Product], search: &Search) -> String {
    let parts: Vec<String> = missing
        .iter()
        .map(|product| {
            let (name, min, found) = match product {
                Product::Postgres => ("PostgreSQL", POSTGRES_MIN, search.postgres()),
                Product::Redis => ("Redis", REDIS_MIN, search.redis()),
            };
            if found.is_empty() {
                format!("{name} {min} or newer is not here")
            } else {
                format!("{name} {min} or newer is not here, only {}", listed(&found))
            }
        })
        .collect();
    parts.join(" and ")
}

fn refusal(missing: &[Product], search: &Search, manager: Manager, why: &str) -> Error {
    Error::Missing {
        what: describe(missing, search),
        why: why.to_owned(),
        commands: by_hand(missing, manager),
    }
}

/// What to type, for each way to install.
fn by_hand(missing: &[Product], manager: Manager) -> Vec<String> {
    let packages = packages(missing, manager).join(" ");
    let sudo = if manager == Manager::AptAsRoot { "" } else { "sudo " };
    match manager {
        Manager::Brew => vec![format!("brew install {packages}")],
        Manager::AptAsRoot | Manager::AptAsUser => {
            let mut commands = vec![
                format!("{sudo}apt-get update"),
                format!("{sudo}apt-get install -y --no-install-recommends {packages}"),
            ];
            if missing.contains(&Product::Redis) {
                // Petty runs its own; the package's would take the default port.
                commands.push(format!("{sudo}systemctl disable --now redis-server"));
            }
            commands
        }
        Manager::None => vec![format!(
            "# with this system's package manager: PostgreSQL {POSTGRES_MIN} or newer (server), Redis {REDIS_MIN} or newer"
        )],
    }
}

/// A package manager did not do it.
#[derive(Debug)]
struct Failed {
    error: Error,
    /// Somebody ended it.
    by_signal: bool,
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self { error, by_signal: false }
    }
}

impl From<Failed> for Error {
    fn from(failed: Failed) -> Self {
        failed.error
    }
}

/// Runs a package manager to its end, its output in `log`.
fn run(mut command: Command, log: &Path) -> Result<(), Failed> {
    let mut words = vec![command.get_program().to_string_lossy().into_owned()];
    words.extend(command.get_args().map(|word| word.to_string_lossy().into_owned()));
    let line = words.join(" ");
    let mut out =
        OpenOptions::new().create(true).append(true).mode(0o600).open(log).map_err(Error::io("open", log))?;
    writeln!(out, "$ {line}").map_err(Error::io("write", log))?;
    let err = out.try_clone().map_err(Error::io("open", log))?;
    let (outcome, by_signal) = match command.stdout(out).stderr(err).status() {
        Ok(status) if status.success() => return Ok(()),
        Ok(status) => (status.to_string(), status.signal().is_some()),
        Err(error) => (error.to_string(), false),
    };
    let (tail, log) = (crate::spawn::tail(log), PathBuf::from(log));
    Err(Failed { error: Error::Install { command: line, outcome, tail, log }, by_signal })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nowhere() -> Search {
        Search { path: vec![], debian: "/nonexistent".into(), homebrew: vec![] }
    }

    #[test]
    fn a_refusal_names_what_is_missing_and_the_commands() {
        let both = [Product::Postgres, Product::Redis];
        for (products, manager, wanted) in [
            (
                &both[..],
                Manager::AptAsRoot,
                "\n    apt-get install -y --no-install-recommends postgresql redis-server\n",
            ),
            (
                &both[1..],
                Manager::AptAsUser,
                "\n    sudo apt-get install -y --no-install-recommends redis-server\n",
            ),
            (&both[1..], Manager::AptAsUser, "\n    sudo systemctl disable --now redis-server\n"),
            (&both[..], Manager::Brew, "\n    brew install postgresql@17 redis\n"),
            (&both[..1], Manager::None, "PostgreSQL 15 or newer"),
        ] {
            let message = refusal(products, &nowhere(), manager, "installing was ruled out").to_string();
            assert!(message.contains(wanted), "{manager:?}: {message}");
            assert!(message.contains("installing was ruled out"), "{message}");
        }
        let message = refusal(&both[1..], &nowhere(), Manager::None, "x").to_string();
        assert!(message.starts_with("Redis 7 or newer is not here; x"), "{message}");
    }

    #[test]
    fn a_failing_package_manager_is_quoted() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("install.log");
        let mut command = Command::new("sh");
        command.args(["-c", "echo no space left >&2; exit 3"]);
        let failed = run(command, &log).unwrap_err();
        let message = failed.error.to_string();
        assert!(message.contains("no space left") && message.contains("exit status: 3"), "{message}");
        assert!(!failed.by_signal);
        assert!(message.contains("install.log"), "{message}");
    }
}
