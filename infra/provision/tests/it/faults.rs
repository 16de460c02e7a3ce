//! Servers killed, paused and started again, as the mesh's fault tests do it.

use std::time::Duration;

use petty_provision::{Error, Stack};
use secrecy::ExposeSecret;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::{alive, open_to_the_servers_user, options, run};

/// Sends commands to Redis, answers everything up to `end`.
async fn redis(stack: &Stack, commands: &str, end: &str) -> std::io::Result<String> {
    let url = stack.redis().url();
    let (_, rest) = url.expose_secret().split_once("redis://:").unwrap();
    let (password, _) = rest.split_once('@').unwrap();
    let mut stream = TcpStream::connect(("127.0.0.1", stack.redis().port())).await?;
    stream.write_all(format!("AUTH {password}\r\n{commands}\r\n").as_bytes()).await?;
    let mut answer = String::new();
    while !answer.ends_with(end) {
        let mut buffer = [0; 4096];
        let read = stream.read(&mut buffer).await?;
        assert_ne!(read, 0, "{answer}");
        answer.push_str(&String::from_utf8_lossy(&buffer[..read]));
    }
    Ok(answer)
}

#[tokio::test]
async fn a_kill_loses_nothing_that_was_acknowledged() {
    let stack = Stack::temporary().await.unwrap();
    let database = stack.postgres().ensure_database("kill").await.unwrap();
    let url = database.owner_url.expose_secret();
    run(url, "CREATE TABLE t (x int)").await.unwrap();
    for round in 1..=3 {
        run(url, "INSERT INTO t VALUES (1)").await.unwrap();
        redis(&stack, "RPUSH l x", &format!(":{round}\r\n")).await.unwrap();
        let (postgres, port) = (stack.postgres().pid().unwrap(), stack.postgres().port());
        stack.postgres().kill();
        stack.redis().kill();
        assert!(!alive(postgres) && !stack.postgres().is_running() && stack.redis().pid().is_none());
        run(url, "SELECT 1").await.expect_err("nobody there");

        stack.postgres().restart().await.unwrap();
        stack.redis().restart().await.unwrap();
        assert_eq!(stack.postgres().port(), port);
        assert_eq!(run(url, "SELECT x FROM t").await.unwrap(), round);
        redis(&stack, "LLEN l", &format!(":{round}\r\n")).await.unwrap();
    }
    stack.redis().flushall().await.unwrap();
    redis(&stack, "LLEN l", ":0\r\n").await.unwrap();
}

#[tokio::test]
async fn a_paused_server_hangs_and_goes_on() {
    let stack = Stack::temporary().await.unwrap();
    let admin = stack.postgres().admin_url();
    stack.postgres().pause();
    stack.redis().pause();
    let short = Duration::from_millis(300);
    assert!(timeout(short, run(admin.expose_secret(), "SELECT 1")).await.is_err(), "PostgreSQL answered");
    assert!(timeout(short, redis(&stack, "PING", "+PONG\r\n")).await.is_err(), "Redis answered");
    stack.postgres().resume();
    stack.redis().resume();
    run(admin.expose_secret(), "SELECT 1").await.unwrap();
    redis(&stack, "PING", "+PONG\r\n").await.unwrap();
    stack.postgres().pause();
    stack.redis().pause();
    // Dropped while paused: must neither hang nor leave them.
    let pids = [stack.postgres().pid().unwrap(), stack.redis().pid().unwrap()];
    drop(stack);
    assert!(!pids.into_iter().any(alive));
}

#[tokio::test]
async fn a_data_directory_keeps_its_data_and_has_one_owner() {
    let dir = tempfile::tempdir().unwrap();
    open_to_the_servers_user(dir.path());
    let data = dir.path().join("data");
    let first = Stack::start(options(&data)).await.unwrap();
    let database = first.postgres().ensure_database("kept").await.unwrap();
    run(database.owner_url.expose_secret(), "CREATE TABLE t AS SELECT 1 AS x").await.unwrap();
    redis(&first, "SET k v", "+OK\r\n+OK\r\n").await.unwrap();
    let ports = (first.postgres().port(), first.redis().port());

    let refused = Stack::start(options(&data)).await.unwrap_err();
    assert!(matches!(&refused, Error::DataDirInUse { pid, .. } if *pid == std::process::id()), "{refused}");
    let pids = [first.postgres().pid().unwrap(), first.redis().pid().unwrap()];
    first.stop().await.unwrap();
    assert!(!pids.into_iter().any(alive));

    let second = Stack::start(options(&data)).await.unwrap();
    assert_eq!((second.postgres().port(), second.redis().port()), ports, "the same ports");
    assert_eq!(
        run(database.runtime_url.expose_secret(), "SELECT x FROM t").await.unwrap(),
        1,
        "the same password"
    );
    redis(&second, "GET k", "$1\r\nv\r\n").await.unwrap();
    second.stop().await.unwrap();

    // Somebody else has the port now.
    let _taken = std::net::TcpListener::bind(("127.0.0.1", ports.0)).unwrap();
    let third = Stack::start(options(&data)).await.unwrap();
    assert_ne!(third.postgres().port(), ports.0);
}
