//! Looking: at the lock, the ready file, the admin ports, the servers, the disk.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use futures::future::join_all;
use petty_provision::{Owner, owner};
use redis::AsyncCommands as _;
use redis::streams::StreamInfoGroupsReply;
use serde::Deserialize;

use super::store::Store;
use super::{Backlog, Gateway, Process, Report, Server, Service, State};
use crate::ready::{self, Addresses, Ready};

/// An answer that takes longer is none.
const PATIENCE: Duration = Duration::from_secs(3);

/// How the mesh of a data directory is.
pub(super) async fn look(data_dir: &Path, ready_file: &Path) -> anyhow::Result<Report> {
    let holder = Owner::of(data_dir)?;
    let mut report = Report {
        state: State::NotRunning,
        data_dir: data_dir.canonicalize().unwrap_or_else(|_| data_dir.to_path_buf()).display().to_string(),
        disk_bytes: disk(data_dir),
        command_version: env!("CARGO_PKG_VERSION"),
        process: None,
        gateway: None,
        services: BTreeMap::new(),
        servers: BTreeMap::new(),
        pets: None,
        readings: None,
        backlog: Backlog::default(),
    };
    let Some(holder) = holder else { return Ok(report) };
    report.state = State::Starting;
    // A ready file of another process is one that a killed mesh left behind.
    let ready = ready::read(ready_file)?.filter(|ready| ready.pid == holder.pid);
    report.process = Some(Process { pid: holder.pid, command: holder.command, since: holder.started });
    if let Some(ready) = ready {
        ask(&mut report, &ready).await?;
    }
    Ok(report)
}

async fn ask(report: &mut Report, ready: &Ready) -> anyhow::Result<()> {
    let http = reqwest::Client::builder().timeout(PATIENCE).build()?;
    let services = join_all(ready.services.iter().map(|(name, at)| service(&http, name, at)));
    let (version, services) = tokio::join!(version(&http, &ready.gateway), services);
    report.gateway = Some(Gateway { url: ready.gateway.clone(), version });
    report.services = services.into_iter().collect();
    let redis = streams(&ready.redis.url, &mut report.backlog).await;
    let postgres = databases(report, ready).await;
    for (name, port, answer) in
        [("postgres", ready.postgres.port, postgres), ("redis", ready.redis.port, redis)]
    {
        let why = answer.err().map(|error| format!("{error:#}"));
        report.servers.insert(name, Server { port, reachable: why.is_none(), why });
    }
    let all = report.services.values().all(|service| service.ready)
        && report.servers.values().all(|server| server.reachable)
        && report.gateway.as_ref().is_some_and(|gateway| gateway.version.is_some());
    report.state = if all { State::Ready } else { State::Degraded };
    Ok(())
}

/// What a service's admin port says of it.
async fn service(http: &reqwest::Client, name: &str, at: &Addresses) -> (String, Service) {
    #[derive(Deserialize)]
    struct Answer {
        ready: bool,
        checks: Vec<Check>,
    }
    #[derive(Deserialize)]
    struct Check {
        name: String,
        ok: bool,
        detail: String,
    }
    let asked = async { http.get(format!("{}/readyz", at.admin)).send().await?.json::<Answer>().await };
    let service = match asked.await {
        Ok(Answer { ready, checks }) => {
            let failing = checks.into_iter().filter(|check| !check.ok);
            Service {
                ready,
                failing: failing.map(|check| format!("{}: {}", check.name, check.detail)).collect(),
            }
        }
        Err(error) => {
            let why = format!("its admin port {} does not answer: {}", at.admin, error.without_url());
            Service { ready: false, failing: vec![why] }
        }
    };
    (name.to_owned(), service)
}

async fn version(http: &reqwest::Client, gateway: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Version {
        version: String,
    }
    let answer = http.get(format!("{gateway}/version")).send().await.ok()?;
    answer.json::<Version>().await.ok().map(|answer| answer.version)
}

/// Counts pets, readings and what waits to be sent; fails where the server does not answer.
async fn databases(report: &mut Report, ready: &Ready) -> anyhow::Result<()> {
    for (name, database) in &ready.postgres.databases {
        let store = Store::open(&database.runtime_url).await?;
        report.backlog.unsent.insert(name.clone(), store.unsent().await?);
        match name.as_str() {
            "auth" => report.pets = Some(store.pets().await?),
            "ingest" => report.readings = Some(store.readings().await?),
            _ => {}
        }
    }
    Ok(())
}

/// Counts what waits to be handled: what a group was not given yet, and what it was given and has not acknowledged.
async fn streams(url: &str, backlog: &mut Backlog) -> anyhow::Result<()> {
    let asking = async {
        let client = redis::Client::open(url)?;
        let mut connection = client.get_multiplexed_async_connection().await?;
        let mut keys: Vec<String> = Vec::new();
        let mut scan = connection.scan_match::<_, String>("petty:*").await?;
        while let Some(key) = scan.next_item().await {
            keys.push(key?);
        }
        drop(scan);
        for key in keys {
            let kind: String = connection.key_type(&key).await?;
            if kind != "stream" {
                continue;
            }
            let groups: StreamInfoGroupsReply = connection.xinfo_groups(&key).await?;
            for group in groups.groups {
                let waiting = group.lag.unwrap_or(0) + group.pending;
                *backlog.unhandled.entry(group.name).or_default() += waiting as u64;
            }
        }
        Ok::<(), redis::RedisError>(())
    };
    tokio::time::timeout(PATIENCE, asking).await??;
    Ok(())
}

/// Bytes below the data directory, and where the servers keep theirs; `None` where it is not there.
fn disk(data_dir: &Path) -> Option<u64> {
    data_dir.is_dir().then(|| {
        let all = owner::directories(data_dir).unwrap_or_else(|_| vec![data_dir.to_path_buf()]);
        all.iter().map(|dir| below(dir)).sum()
    })
}

fn below(dir: &Path) -> u64 {
    // What may not be read is not counted; what goes meanwhile is gone.
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(meta) if meta.is_dir() => below(&entry.path()),
            Ok(meta) => meta.len(),
            Err(_) => 0,
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_directory_that_nobody_holds_is_not_running_whatever_lies_there() {
        let dir = tempfile::tempdir().unwrap();
        let ready = dir.path().join("ready.json");
        std::fs::write(&ready, r#"{"gateway": "http://127.0.0.1:1", "pid": 1}"#).unwrap();
        std::fs::create_dir(dir.path().join("postgres")).unwrap();
        std::fs::write(dir.path().join("postgres/data"), [0; 1_000]).unwrap();
        let report = look(dir.path(), &ready).await.unwrap();
        assert_eq!(report.state, State::NotRunning);
        assert!(report.disk_bytes.unwrap() > 1_000);
        let report = look(&dir.path().join("absent"), &ready).await.unwrap();
        assert_eq!((report.state, report.disk_bytes), (State::NotRunning, None));
    }

    #[tokio::test]
    async fn what_does_not_answer_is_named() {
        let dead = format!("http://{}", crate::mesh::free_address().unwrap());
        let http = reqwest::Client::builder().timeout(PATIENCE).build().unwrap();
        let (_, service) = service(&http, "auth", &Addresses { admin: dead.clone(), grpc: None }).await;
        assert!(!service.ready && service.failing[0].contains(&dead), "{service:?}");
        assert_eq!(version(&http, &dead).await, None);
        let mut backlog = Backlog::default();
        assert!(streams(&dead.replace("http", "redis"), &mut backlog).await.is_err());
    }
}
