//! Everything that can go wrong, in words that say what to do next: these texts reach the person at the terminal.

use std::path::PathBuf;

/// Why a server could not be provided. `Display` tells the whole story and the next step, so there is no `source` to be
/// told again.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another living process owns the data directory.
    #[error(
        "data directory {} is in use by process {pid} ({command}), started {started}; stop it or choose another with --data-dir",
        dir.display()
    )]
    DataDirInUse {
        /// The directory asked for.
        dir: PathBuf,
        /// The owner's process id; 0 where it has not written it yet.
        pid: u32,
        /// The owner's command line.
        command: String,
        /// When the owner took it, RFC 3339.
        started: String,
    },
    /// A server is not on this machine, or too old, and may not or cannot be installed from here.
    #[error("{what}; {why}\n\nTo install by hand:\n\n    {}\n\nthen run this again.", commands.join("\n    "))]
    Missing {
        /// What is missing, and what was found instead.
        what: String,
        /// Why it was not installed.
        why: String,
        /// The commands to run.
        commands: Vec<String>,
    },
    /// The package manager failed.
    #[error("`{command}` failed ({outcome}):\n{tail}\nRun it by hand to see more; the whole output is in {}", log.display())]
    Install {
        /// The command line.
        command: String,
        /// Its exit status, or why it did not run.
        outcome: String,
        /// The last lines it wrote.
        tail: String,
        /// Where all of it was written.
        log: PathBuf,
    },
    /// The databases were made by a server of another major version than any found here.
    #[error(
        "the databases in {} were made by PostgreSQL {wanted}, and only {found} is here; install PostgreSQL {wanted}, or choose a fresh directory with --data-dir",
        dir.display()
    )]
    OtherMajor {
        /// The cluster's directory.
        dir: PathBuf,
        /// The major version that wrote it.
        wanted: u32,
        /// What was found.
        found: String,
    },
    /// The files belong to somebody else.
    #[error(
        "{} belongs to user id {owner}; run this as that user (or as root), or choose another directory with --data-dir",
        dir.display()
    )]
    WrongOwner {
        /// The directory.
        dir: PathBuf,
        /// Its owner.
        owner: u32,
    },
    /// The servers' files were elsewhere, and are not there.
    #[error(
        "the databases of {} are in {}, which is not there; if it is on a disk that is not mounted, mount it and run this again. \
         To begin with empty databases instead, remove {}; or choose another directory with --data-dir",
        data_dir.display(), dir.display(), record.display()
    )]
    Gone {
        /// The directory asked for.
        data_dir: PathBuf,
        /// Where the servers' files were.
        dir: PathBuf,
        /// The file that says so.
        record: PathBuf,
    },
    /// Root, and no unprivileged user can be put to use.
    #[error("PostgreSQL does not run as root, and user id {uid} cannot work in {}: {why}; run this as an ordinary user, or choose another directory with --data-dir", dir.display())]
    Unreachable {
        /// The unprivileged user.
        uid: u32,
        /// The directory it was to work in.
        dir: PathBuf,
        /// What the system said.
        why: String,
    },
    /// `initdb` failed.
    #[error("initdb could not make {}:\n{output}\nCheck free space and permissions there, or choose another directory with --data-dir", dir.display())]
    InitDb {
        /// The directory it was to fill.
        dir: PathBuf,
        /// What it wrote.
        output: String,
    },
    /// A server did not come up.
    #[error("{server} did not start: {why}. Its log, {}, ends with:\n{tail}", log.display())]
    Start {
        /// Which server.
        server: &'static str,
        /// Exited, or not ready in time.
        why: String,
        /// Its log.
        log: PathBuf,
        /// The log's last lines.
        tail: String,
    },
    /// A server of an earlier run is still there and cannot be stopped.
    #[error(
        "{server} of an earlier run (process {pid}) is still alive and cannot be stopped; end it by hand (kill -9 {pid}) and run this again"
    )]
    Leftover {
        /// Which server.
        server: &'static str,
        /// Its process.
        pid: i32,
    },
    /// A name that cannot become a database.
    #[error("`{0}` cannot name a service's database: use 1 to 40 of a-z, 0-9 and _, beginning with a letter")]
    BadName(String),
    /// PostgreSQL refused something.
    #[error("PostgreSQL: {doing}: {}; its log says more", root(cause))]
    Postgres {
        /// What was being done.
        doing: String,
        /// The driver's error.
        cause: tokio_postgres::Error,
    },
    /// Redis refused something, or cannot be reached.
    #[error("Redis: {doing}: {why}; its log says more")]
    Redis {
        /// What was being done.
        doing: String,
        /// What came back.
        why: String,
    },
    /// The operating system refused something.
    #[error("{doing} {}: {cause}", path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
    /// A file of ours does not hold what we wrote.
    #[error("{} is damaged ({cause}); choose another directory with --data-dir, or remove this one to start afresh", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Why it cannot be read.
        cause: serde_json::Error,
    },
}

/// The driver's own words only name the kind of error.
pub(crate) fn root(error: &tokio_postgres::Error) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string)
}

impl Error {
    /// For `map_err` on calls that touch `path`.
    pub(crate) fn io(doing: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |cause| Self::Io { doing, path, cause }
    }
}
