//! Finding the servers: on the PATH, in Debian's places, in Homebrew's. A program counts by what it answers to
//! `--version`, not by its name.

use std::{
    fmt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// The oldest PostgreSQL that serves.
pub const POSTGRES_MIN: u32 = 15;
/// The oldest Redis that serves.
pub const REDIS_MIN: u32 = 7;

/// A server's version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// 15 of 15.18, 7 of 7.0.15.
    pub major: u32,
    /// 18 of 15.18, 0 of 7.0.15; 0 where there is none, as in 17beta1.
    pub minor: u32,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// A program that was found, and its version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The server program.
    pub program: PathBuf,
    /// What it said.
    pub version: Version,
}

/// Where to look.
#[derive(Debug, Clone)]
pub struct Search {
    /// The directories of `PATH`.
    pub path: Vec<PathBuf>,
    /// Debian's: versions below it, `bin` below those.
    pub debian: PathBuf,
    /// Homebrew's: kegs such as `postgresql@17` below them, `bin` below those.
    pub homebrew: Vec<PathBuf>,
}

impl Search {
    /// This machine's places.
    #[must_use]
    pub fn here() -> Self {
        #[expect(
            clippy::disallowed_methods,
            reason = "below the chassis: the PATH is where programs are, not configuration"
        )]
        let path = std::env::var_os("PATH").unwrap_or_default();
        let mut path: Vec<PathBuf> = std::env::split_paths(&path).filter(|dir| dir.is_absolute()).collect();
        // A service manager or cron may have left these out.
        path.extend(["/usr/bin", "/usr/local/bin"].map(PathBuf::from));
        Self {
            path,
            debian: "/usr/lib/postgresql".into(),
            homebrew: vec!["/opt/homebrew/opt".into(), "/usr/local/opt".into()],
        }
    }

    /// Every PostgreSQL with its `initdb` beside it: the PATH's in its order, then the others, newest first.
    #[must_use]
    pub fn postgres(&self) -> Vec<Found> {
        let complete = |dir: &PathBuf| dir.join("initdb").is_file();
        let on_path =
            self.path.iter().filter(|dir| complete(dir)).filter_map(|dir| ask(&dir.join("postgres")));
        let debian = subdirectories(&self.debian, "");
        let homebrew = self.homebrew.iter().flat_map(|kegs| subdirectories(kegs, "postgresql"));
        let mut elsewhere: Vec<Found> = debian
            .into_iter()
            .chain(homebrew)
            .map(|dir| dir.join("bin"))
            .filter(complete)
            .filter_map(|dir| ask(&dir.join("postgres")))
            .collect();
        elsewhere.sort_by_key(|found| std::cmp::Reverse(found.version));
        on_path.chain(elsewhere).collect()
    }

    /// Every Redis, in the same order.
    #[must_use]
    pub fn redis(&self) -> Vec<Found> {
        let kegs = self.homebrew.iter().flat_map(|kegs| subdirectories(kegs, "redis"));
        let mut elsewhere: Vec<Found> =
            kegs.filter_map(|keg| ask(&keg.join("bin").join("redis-server"))).collect();
        elsewhere.sort_by_key(|found| std::cmp::Reverse(found.version));
        self.path.iter().filter_map(|dir| ask(&dir.join("redis-server"))).chain(elsewhere).collect()
    }
}

/// Reads the version out of what `postgres --version` or `redis-server --version` prints.
#[must_use]
pub fn parse_version(output: &str) -> Option<Version> {
    let after = match output.find("(PostgreSQL) ") {
        Some(at) => output.get(at + "(PostgreSQL) ".len()..)?,
        None => output.strip_prefix("Redis server v=")?,
    };
    let end = after.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(after.len());
    let mut numbers = after.get(..end)?.split('.');
    let major = numbers.next()?.parse().ok()?;
    let minor = numbers.next().and_then(|minor| minor.parse().ok()).unwrap_or(0);
    Some(Version { major, minor })
}

fn ask(program: &Path) -> Option<Found> {
    if !program.is_file() {
        return None;
    }
    let output = Command::new(program).arg("--version").stdin(Stdio::null()).output().ok()?;
    let version = parse_version(&String::from_utf8_lossy(&output.stdout))?;
    Some(Found { program: program.to_path_buf(), version })
}

fn subdirectories(dir: &Path, prefix: &str) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(dir) else { return Vec::new() };
    entries
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix))
        .map(|entry| entry.path())
        .collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn versions_are_read_from_what_servers_print() {
        let version = |major, minor| Some(Version { major, minor });
        for (output, want) in [
            ("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n", version(15, 18)),
            ("postgres (PostgreSQL) 17beta1\n", version(17, 0)),
            ("postgres (PostgreSQL) 18devel\n", version(18, 0)),
            ("postgres (PostgreSQL) 9.6.24\n", version(9, 6)),
            ("postgres (PostgreSQL) 16\n", version(16, 0)),
            ("Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64 build=1\n", version(7, 0)),
            ("Redis server v=8.2.1 sha=0:0\n", version(8, 2)),
            ("Redis server v= sha", None),
            ("redis-cli 7.0.15\n", None),
            ("postgres (PostgreSQL) x\n", None),
            ("", None),
        ] {
            assert_eq!(parse_version(output), want, "{output:?}");
        }
    }

    fn program(path: &Path, says: &str) {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, format!("#!/bin/sh\necho '{says}'\n")).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    #[test]
    fn servers_are_found_on_the_path_then_the_newest_elsewhere() {
        let root = tempfile::tempdir().unwrap();
        let at = |path: &str| root.path().join(path);
        let postgres = |dir: &str, version: &str| {
            program(&at(dir).join("postgres"), &format!("postgres (PostgreSQL) {version}"));
            program(&at(dir).join("initdb"), "");
        };
        postgres("path", "15.2");
        postgres("debian/14/bin", "14.9");
        postgres("debian/16/bin", "16.1");
        postgres("brew/postgresql@17/bin", "17.4");
        program(&at("client/postgres"), "postgres (PostgreSQL) 18.0");
        program(&at("path/redis-server"), "Redis server v=6.2.0 sha=0");
        program(&at("brew/redis/bin/redis-server"), "Redis server v=7.2.5 sha=0");
        program(&at("client/redis-server"), "nonsense");
        let search = Search {
            path: vec![at("client"), at("path"), at("absent")],
            debian: at("debian"),
            homebrew: vec![at("nobrew"), at("brew")],
        };
        let versions =
            |found: Vec<Found>| found.iter().map(|one| one.version.to_string()).collect::<Vec<_>>();
        assert_eq!(versions(search.postgres()), ["15.2", "17.4", "16.1", "14.9"], "no initdb, no server");
        assert_eq!(versions(search.redis()), ["6.2", "7.2"]);
    }
}
