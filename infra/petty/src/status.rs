//! `petty status`: whether a mesh runs on a data directory, and how it is.
//!
//! Invariant: it only looks. Whoever asks gets an answer within seconds, also where half of the mesh is gone.

mod look;
mod store;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;

use serde::Serialize;

use crate::cli::StatusArgs;

/// How the mesh is, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Everything is ready.
    Ready,
    /// It runs, and something is not ready.
    Degraded,
    /// It runs, and has not said yet that it is ready.
    Starting,
    /// Nothing runs.
    NotRunning,
}

/// Everything there is to say.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// In one word.
    pub state: State,
    /// The data directory.
    pub data_dir: String,
    /// Bytes on disk, the servers' files included, as far as they may be read.
    pub disk_bytes: Option<u64>,
    /// This command's version.
    pub command_version: &'static str,
    /// The process that holds the directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub process: Option<Process>,
    /// The gateway.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gateway: Option<Gateway>,
    /// Each service.
    pub services: BTreeMap<String, Service>,
    /// PostgreSQL and Redis.
    pub servers: BTreeMap<&'static str, Server>,
    /// Pets, where they could be counted.
    pub pets: Option<i64>,
    /// Readings, about, where they could be counted.
    pub readings: Option<i64>,
    /// Events that wait.
    pub backlog: Backlog,
}

/// Who runs it.
#[derive(Debug, Clone, Serialize)]
pub struct Process {
    /// Its id.
    pub pid: u32,
    /// Its command line.
    pub command: String,
    /// Since when, RFC 3339.
    pub since: String,
}

/// Where requests go.
#[derive(Debug, Clone, Serialize)]
pub struct Gateway {
    /// Its URL.
    pub url: String,
    /// Its version, where it answers.
    pub version: Option<String>,
}

/// One service.
#[derive(Debug, Clone, Serialize)]
pub struct Service {
    /// Whether it is ready.
    pub ready: bool,
    /// What is not, and why: each check that fails, or that its admin port does not answer.
    pub failing: Vec<String>,
}

/// One of the two servers.
#[derive(Debug, Clone, Serialize)]
pub struct Server {
    /// Its port on 127.0.0.1.
    pub port: u16,
    /// Whether it answers.
    pub reachable: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// Events that wait.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Backlog {
    /// To be sent: in the outbox, by service.
    pub unsent: BTreeMap<String, i64>,
    /// To be handled: sent, and not acknowledged yet, by service that takes them.
    pub unhandled: BTreeMap<String, u64>,
}

/// Does it. Exits with 0 where all is ready, 1 where something is not, 3 where nothing runs.
///
/// # Errors
/// Where it cannot be told who holds the directory, or the ready file is none.
pub async fn run(args: StatusArgs) -> anyhow::Result<ExitCode> {
    let report = look::look(&args.data_dir, &args.ready_file()).await?;
    let text = if args.json { serde_json::to_string_pretty(&report)? } else { words(&report) };
    writeln!(std::io::stdout(), "{}", text.trim_end())?;
    Ok(match report.state {
        State::Ready => ExitCode::SUCCESS,
        State::Degraded | State::Starting => ExitCode::FAILURE,
        State::NotRunning => ExitCode::from(3),
    })
}

/// For people.
fn words(report: &Report) -> String {
    let mut text = String::new();
    let mut line = |name: &str, what: String| {
        // A String takes everything.
        let _infallible = writeln!(text, "{name:<10} {what}");
    };
    let disk = report.disk_bytes.map_or_else(String::new, |bytes| format!(", {} on disk", size(bytes)));
    match report.state {
        State::NotRunning => {
            line("petty", "not running; start it with `cargo petty up`".to_owned());
            line("data", format!("{}{disk}", report.data_dir));
            return text;
        }
        State::Starting => {
            line("petty", "starting, or stopping: it has not said that it is ready".to_owned())
        }
        State::Degraded => line("petty", "degraded: see below".to_owned()),
        State::Ready => line("petty", "ready".to_owned()),
    }
    if let Some(process) = &report.process {
        line("process", format!("{} ({}), since {}", process.pid, process.command, process.since));
    }
    if let Some(gateway) = &report.gateway {
        let version =
            gateway.version.as_ref().map_or_else(|| "no answer".to_owned(), |it| format!("version {it}"));
        line("gateway", format!("{}, {version}", gateway.url));
        if gateway.version.as_ref().is_some_and(|version| version != report.command_version) {
            line("", format!("(this command is version {})", report.command_version));
        }
    }
    for (name, service) in &report.services {
        let how = if service.ready {
            "ready".to_owned()
        } else {
            format!("NOT READY: {}", service.failing.join("; "))
        };
        line(name, how);
    }
    for (name, server) in &report.servers {
        let how = server.why.as_ref().map_or_else(|| "answers".to_owned(), |why| format!("NO ANSWER: {why}"));
        line(name, format!("{how} (port {})", server.port));
    }
    let count = |number: Option<i64>| number.map_or_else(|| "?".to_owned(), |number| number.to_string());
    line("stored", format!("{} pets, about {} readings", count(report.pets), count(report.readings)));
    let Backlog { unsent, unhandled } = &report.backlog;
    let waiting = |what: &str, by: Vec<(String, String)>| {
        let some: Vec<String> =
            by.into_iter().filter(|(_, n)| n != "0").map(|(name, n)| format!("{name} {n}")).collect();
        if some.is_empty() { format!("none {what}") } else { format!("{what}: {}", some.join(", ")) }
    };
    let unsent = unsent.iter().map(|(name, n)| (name.clone(), n.to_string())).collect();
    let unhandled = unhandled.iter().map(|(name, n)| (name.clone(), n.to_string())).collect();
    line(
        "events",
        format!("{}, {}", waiting("waiting to be sent", unsent), waiting("waiting to be handled", unhandled)),
    );
    line("data", format!("{}{disk}", report.data_dir));
    text
}

/// A number of bytes, to be read by people.
fn size(bytes: u64) -> String {
    // Shown with one decimal.
    let mebibytes = bytes as f64 / 1_048_576.0;
    if mebibytes < 1_024.0 {
        format!("{mebibytes:.1} MiB")
    } else {
        format!("{:.1} GiB", mebibytes / 1_024.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(state: State) -> Report {
        Report {
            state,
            data_dir: "/tmp/p".to_owned(),
            disk_bytes: Some(5 * 1_048_576 + 524_288),
            command_version: "1.2.3",
            process: Some(Process {
                pid: 7,
                command: "petty up".to_owned(),
                since: "2026-11-21T10:00:00Z".to_owned(),
            }),
            gateway: Some(Gateway {
                url: "http://127.0.0.1:8080".to_owned(),
                version: Some("1.2.2".to_owned()),
            }),
            services: BTreeMap::from([
                ("auth".to_owned(), Service { ready: true, failing: Vec::new() }),
                ("ingest".to_owned(), Service { ready: false, failing: vec!["postgres: gone".to_owned()] }),
            ]),
            servers: BTreeMap::from([
                ("postgres", Server { port: 5, reachable: false, why: Some("refused".to_owned()) }),
                ("redis", Server { port: 6, reachable: true, why: None }),
            ]),
            pets: Some(2),
            readings: None,
            backlog: Backlog {
                unsent: BTreeMap::from([("auth".to_owned(), 0), ("ingest".to_owned(), 12)]),
                unhandled: BTreeMap::from([("behavior".to_owned(), 0)]),
            },
        }
    }

    #[test]
    fn people_are_told_what_is_wrong() {
        let text = words(&report(State::Degraded));
        for expected in [
            "petty      degraded: see below\n",
            "process    7 (petty up), since 2026-11-21T10:00:00Z\n",
            "http://127.0.0.1:8080, version 1.2.2\n",
            "(this command is version 1.2.3)",
            "ingest     NOT READY: postgres: gone\n",
            "postgres   NO ANSWER: refused (port 5)\n",
            "redis      answers (port 6)\n",
            "stored     2 pets, about ? readings\n",
            "events     waiting to be sent: ingest 12, none waiting to be handled\n",
            "data       /tmp/p, 5.5 MiB on disk\n",
        ] {
            assert!(text.contains(expected), "{expected:?} in {text}");
        }
    }

    #[test]
    fn where_nothing_runs_the_next_step_is_said() {
        let text = words(&report(State::NotRunning));
        assert!(text.contains("cargo petty up") && !text.contains("ingest"), "{text}");
    }
}
