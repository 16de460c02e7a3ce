//! Starting, a second start, a kill, a stop: and nothing left behind.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::running::{PATIENCE, Up, gone, open_dir, servers};

#[cfg(target_os = "linux")]
#[test]
fn it_starts_says_who_holds_the_directory_recovers_from_a_kill_and_leaves_nothing_behind() {
    let dir = open_dir();
    let data_dir = dir.path().join("petty");

    let mut first = Up::start(&data_dir, &[]);
    let ready = first.ready();
    let mode = fs::metadata(&first.ready_file).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600, "the ready file holds credentials");
    for field in [
        "/gateway",
        "/services/auth/grpc",
        "/services/gateway/admin",
        "/postgres/admin_url",
        "/redis/url",
        "/staff/email",
    ] {
        assert!(ready.pointer(field).is_some_and(Value::is_string), "{field}: {ready}");
    }
    let greeting = first.greeting();
    pasted_lines_work(&greeting);
    let pids = servers(&ready);

    let mut second = Up::start(&data_dir, &["--no-demo"]);
    let status = second.child.wait().unwrap();
    let said = second.stderr();
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains(&format!("process {}", first.child.id())), "it says by whom: {said}");
    drop(second);

    first.signal(Signal::SIGKILL);
    first.child.wait().unwrap();
    gone(&pids);
    let mut third = Up::start(&data_dir, &[]);
    let ready = third.ready();
    pasted_lines_work(&third.greeting());
    let pids = servers(&ready);

    third.signal(Signal::SIGTERM);
    let status = third.child.wait().unwrap();
    assert_eq!(status.code(), Some(0), "{}", third.stderr());
    gone(&pids);
    assert!(!third.ready_file.exists(), "a ready file is of a mesh that runs");
}

#[cfg(target_os = "linux")]
#[test]
fn it_can_be_stopped_while_it_still_looks_for_its_servers() {
    let dir = open_dir();
    let (bin, data_dir) = (dir.path().join("bin"), dir.path().join("petty"));
    fs::create_dir(&bin).unwrap();
    let asked = bin.join("asked");
    // A server that takes its time to say which version it is; what is installed serves.
    for (name, script) in
        [("postgres", format!("#!/bin/sh\n: > '{}'\nsleep 1\n", asked.display())), ("initdb", String::new())]
    {
        fs::write(bin.join(name), script).unwrap();
        fs::set_permissions(bin.join(name), fs::Permissions::from_mode(0o755)).unwrap();
    }
    let path = format!("{}:/usr/bin:/bin:/usr/sbin:/sbin", bin.display());
    let mut up = Up::start_with(&data_dir, &["--no-demo"], &[("PATH", &path)]);
    let begin = Instant::now();
    while !asked.exists() {
        assert!(begin.elapsed() < PATIENCE, "{}", up.stderr());
        std::thread::sleep(Duration::from_millis(10));
    }
    up.signal(Signal::SIGTERM);
    let status = up.child.wait().unwrap();
    let said = up.stderr();
    assert_eq!(status.code(), Some(0), "{said}");
    assert!(said.contains("stopping, once what is being installed or made has come to its end"), "{said}");
    assert!(!data_dir.join("postgres.log").exists(), "no server was started: {said}");
}

/// Runs the lines as a person would, in one shell; the stream, which would not end, for two seconds.
fn pasted_lines_work(greeting: &[String]) {
    let lines: Vec<String> = greeting
        .iter()
        .filter(|line| line.contains("curl ") || line.starts_with("PET="))
        .map(|line| line.replace("curl -sN", "curl -sN --max-time 2"))
        .collect();
    assert_eq!(lines.len(), 7, "{greeting:?}");
    let begin = Instant::now();
    loop {
        let output = Command::new("bash").arg("-c").arg(lines.join("\necho\n")).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        for pet in ["Biscuit (simulated)", "Mittens (simulated)"] {
            assert!(text.contains(&format!("\"name\":\"{pet}\"")), "{text}");
        }
        let found = |behavior: &str| text.contains(&format!("\"behavior\":\"{behavior}\""));
        if ["Deep Sleep", "Walking", "Running"].into_iter().all(found) {
            return;
        }
        assert!(begin.elapsed() < PATIENCE, "no behaviour yet: {text}");
        std::thread::sleep(Duration::from_millis(200));
    }
}
