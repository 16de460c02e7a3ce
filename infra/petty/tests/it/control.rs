//! `petty status`, `petty simulate` and `petty down` around a mesh that really runs. One mesh for all of it: starting one
//! is what takes the time.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Output;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use petty::client::{Account, Client};
use serde_json::Value;

use crate::running::{PATIENCE, Up, gone, open_dir, petty, pid_listening, servers};

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[track_caller]
pub(crate) fn check(output: &Output, code: i32, words: &[&str]) -> String {
    let said = said(output);
    assert_eq!(output.status.code(), Some(code), "{said}");
    for word in words {
        assert!(said.contains(word), "{word:?}: {said}");
    }
    said
}

/// Asks until the exit code is what is waited for.
fn status(data_dir: &str, code: i32) -> Value {
    let begin = Instant::now();
    loop {
        let output = petty(&["status", "--data-dir", data_dir, "--json"]);
        if output.status.code() == Some(code) {
            return serde_json::from_slice(&output.stdout).unwrap();
        }
        assert!(begin.elapsed() < PATIENCE, "{}", said(&output));
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_mesh_is_looked_at_fed_and_stopped_from_elsewhere() {
    let dir = open_dir();
    let path = dir.path().join("petty");
    let data_dir = path.to_str().unwrap();
    check(&petty(&["status", "--data-dir", data_dir]), 3, &["not running", "cargo petty up"]);
    check(&petty(&["down", "--data-dir", data_dir]), 0, &["nothing to stop"]);
    check(&petty(&["simulate", "--data-dir", data_dir]), 1, &["cargo petty up", "--gateway"]);
    check(&petty(&["keys", "list", "--data-dir", data_dir]), 1, &["cargo petty up", "PETTY_ENDPOINT_AUTH"]);

    let mut up = Up::start(&path, &["--no-demo"]);
    let ready = up.ready();
    let pids = servers(&ready);
    let words = ["ready", "behavior", "postgres   answers", "redis      answers", "since 20"];
    let report = status(data_dir, 0);
    check(&petty(&["status", "--data-dir", data_dir]), 0, &words);
    assert_eq!((&report["process"]["pid"], &report["gateway"]["url"]), (&ready["pid"], &ready["gateway"]));
    assert_eq!((&report["pets"], &report["readings"]), (&Value::from(0), &Value::from(0)));
    assert_eq!(report["services"].as_object().unwrap().len(), ready["services"].as_object().unwrap().len());
    assert!(report["disk_bytes"].as_u64().unwrap() > 1_000_000, "{report}");
    let text = report.to_string();
    assert!(!text.contains("redis://") && !text.contains("postgres://"), "no credentials: {text}");

    signing_keys_are_listed_and_turned(data_dir);
    wrapping_keys_are_rolled(data_dir);
    the_audit_log_is_verified(&path, &ready);
    dead_letters_and_outboxes_are_seen_to(data_dir);
    simulated_days_are_stored_once_and_recognised(data_dir, ready["gateway"].as_str().unwrap());

    kill(Pid::from_raw(pid_listening(ready["redis"]["port"].as_u64().unwrap())), Signal::SIGKILL).unwrap();
    let report = status(data_dir, 1);
    assert_eq!(
        (&report["state"], &report["servers"]["redis"]["reachable"]),
        (&"degraded".into(), &false.into())
    );
    assert_eq!(report["servers"]["postgres"]["reachable"], true);
    let begin = Instant::now();
    while status(data_dir, 1)["services"]["auth"]["failing"].to_string().find("redis").is_none() {
        assert!(begin.elapsed() < PATIENCE, "the check that fails is named");
        std::thread::sleep(Duration::from_millis(200));
    }

    let stopped = petty(&["down", "--data-dir", data_dir, "--timeout", "120"]);
    check(&stopped, 0, &[&format!("stopping process {}", ready["pid"]), "stopped after"]);
    up.child.wait().unwrap();
    gone(&pids);
    check(&petty(&["status", "--data-dir", data_dir]), 3, &["not running"]);
    check(&petty(&["down", "--data-dir", data_dir]), 0, &["nothing to stop"]);
}

fn dead_letters_and_outboxes_are_seen_to(data_dir: &str) {
    let dlq = |words: &[&str]| petty(&[&["dlq"], words, &["--data-dir", data_dir]].concat());
    check(&dlq(&["list"]), 0, &["There are no dead letters."]);
    check(&dlq(&["redrive", "--all"]), 0, &["0 redriven, 0 failed again."]);
    let nobody = "behavior/018f3b2e-7c1a-7d60-9c1b-1f4e5a6b7c8d/018f3b2e-7c1a-7d60-9c1b-1f4e5a6b7c8e";
    check(&dlq(&["show", nobody]), 1, &["behavior refused", "no such dead letter"]);
    check(&dlq(&["drop", nobody]), 1, &["not there (any more)", "0 dropped, 1 not there (any more)."]);
    check(
        &dlq(&["redrive", "behavior/none/none", nobody]),
        1,
        &[
            "was not redriven: behavior refused",
            "0 redriven, 0 failed again, 1 not there (any more), 1 refused.",
        ],
    );
    let replay = petty(&["outbox", "replay", "--since", "1h", "--data-dir", data_dir]);
    check(&replay, 0, &["auth       ", "events go out again", "feedback   "]);
}

/// As the operator, with both identities, from the data directory alone.
fn signing_keys_are_listed_and_turned(data_dir: &str) {
    let list = || check(&petty(&["keys", "list", "--data-dir", data_dir]), 0, &["next ", "current "]);
    let kid = |listed: &str, state: &str| {
        let line = listed.lines().find(|line| line.starts_with(state)).unwrap();
        line.split_whitespace().nth(2).unwrap().to_owned()
    };
    let before = list();
    let (next, current) = (kid(&before, "next"), kid(&before, "current"));
    let gives_way = format!("{current} gives way to {next}");
    check(&petty(&["keys", "rotate", "--data-dir", data_dir]), 0, &[&gives_way, "stays valid"]);
    // The next one has not been published for long enough yet.
    assert_eq!(kid(&list(), "current"), current);
    let withdrawn = petty(&["keys", "rotate", "--compromised", "--data-dir", data_dir]);
    check(&withdrawn, 0, &[&format!("{current} is withdrawn"), &next]);
    let after = check(&petty(&["keys", "list", "--data-dir", data_dir]), 0, &["current "]);
    assert_eq!(kid(&after, "current"), next);
    assert!(!after.contains(&current), "{after}");
}

fn wrapping_keys_are_rolled(data_dir: &str) {
    let rolled = petty(&["keys", "reencrypt", "--data-dir", data_dir]);
    check(&rolled, 0, &["0 keys were wrapped anew; all are wrapped under "]);
}

/// Through auth and in its database, by what was noted before; a log that does not go on from there is a failure.
fn the_audit_log_is_verified(data_dir: &Path, ready: &Value) {
    let (notes, data_dir) = (data_dir.join("anchors.json"), data_dir.to_str().unwrap());
    let anchors = notes.to_str().unwrap();
    let through_auth = || petty(&["audit", "--data-dir", data_dir, "verify", "--anchors", anchors]);
    check(&through_auth(), 0, &["entries in 16 chains: as they were written.", "noted in"]);
    check(&through_auth(), 0, &["they go on from what was noted"]);
    let admin = ready["postgres"]["admin_url"].as_str().unwrap();
    let database = format!("{}/petty_auth", admin.rsplit_once('/').unwrap().0);
    let directly = || petty(&["audit", "verify", "--database-url", &database, "--anchors", anchors]);
    check(&directly(), 0, &["they go on from what was noted"]);

    let mut noted: Value = serde_json::from_slice(&fs::read(&notes).unwrap()).unwrap();
    // A place is an int64: text in JSON.
    let has_begun = |head: &&mut Value| head["place"].as_str().is_some_and(|place| place != "0");
    let begun = noted.as_array_mut().unwrap().iter_mut().find(has_begun).unwrap();
    begun["hash"] = Value::from("00".repeat(32));
    fs::write(&notes, noted.to_string()).unwrap();
    for verified in [through_auth(), directly()] {
        check(&verified, 1, &["1 faults: the audit log is not what was written"]);
    }
    let away = ["audit", "verify", "--database-url", "postgres://127.0.0.1:1/petty_auth"];
    check(&petty(&away), 1, &["read the audit log"]);
}

fn simulated_days_are_stored_once_and_recognised(data_dir: &str, gateway: &str) {
    let simulate = ["simulate", "--data-dir", data_dir, "--pets", "2", "--interval", "60", "--days", "1"];
    let first = petty(&simulate);
    let words = [
        "2 simulated pets",
        "Biscuit",
        "Mittens",
        "0 there already, 0 refused",
        "Every reading is acknowledged.",
    ];
    let first = check(&first, 0, &words);
    let again = check(&petty(&simulate), 0, &["0 refused", "Every reading is acknowledged."]);
    let pets = |text: &str| -> BTreeSet<String> {
        text.lines()
            .filter_map(|line| line.split_once(" pet ")?.1.split(' ').next().map(str::to_owned))
            .collect()
    };
    assert_eq!((pets(&first), pets(&first).len()), (pets(&again), 2), "the same pets");
    let number = |text: &str, before: &str| -> usize {
        let words: Vec<&str> = text.split([' ', ',']).collect();
        words.windows(2).find(|pair| pair[1] == before).unwrap()[0].parse().unwrap()
    };
    let (sent, there) = (number(&first, "accepted"), number(&again, "there"));
    assert_eq!(sent, there, "what was sent is there, and is not stored twice: {again}");
    assert!(sent > 2_500, "two pets, a day and more, each minute: {sent}");
    assert!(number(&again, "accepted") < 20, "what has come since: {again}");

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let client = Client::new(gateway).unwrap();
        let password = "simulated dogs and cats".to_owned().into();
        let account = Account { email: "simulate@example.com".to_owned(), password };
        let token = client.log_in(&account).await.unwrap();
        let pets = client.pets(&token).await.unwrap();
        let dog = pets.iter().find(|pet| pet.name == "Biscuit").unwrap();
        assert_eq!(dog.time_zone, "Europe/Berlin");
        let path = format!("/v1/pets/{}/timeline?page_size=1000", dog.pet_id);
        let begin = Instant::now();
        loop {
            let timeline = client.read::<Value>(&token, &path).await.unwrap().to_string();
            let found = |behavior: &str| timeline.contains(&format!("\"behavior\":\"{behavior}\""));
            if ["Deep Sleep", "Resting", "Walking", "Running"].into_iter().all(found) {
                return;
            }
            assert!(begin.elapsed() < PATIENCE, "not recognised: {timeline}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    });
}
