//! Who may do what in a service's database.

use petty_provision::{Error, shared};
use secrecy::ExposeSecret;

use crate::{refusal, run};

const INSUFFICIENT_PRIVILEGE: &str = "42501";
const WRONG_PASSWORD: &str = "28P01";

#[tokio::test]
async fn roles_do_their_own_work_and_nothing_else() {
    let postgres = shared().await.unwrap().postgres();
    let mine = postgres.ensure_database("roles_a").await.unwrap();
    let other = postgres.ensure_database("roles_b").await.unwrap();
    let (owner, runtime) = (mine.owner_url.expose_secret(), mine.runtime_url.expose_secret());

    run(owner, "CREATE TABLE t (id bigserial PRIMARY KEY, x int)").await.unwrap();
    for sql in ["INSERT INTO t (x) VALUES (1)", "UPDATE t SET x = 2", "SELECT * FROM t", "DELETE FROM t"] {
        run(runtime, sql).await.expect(sql);
    }
    for sql in [
        "CREATE TABLE u (id int)",
        "CREATE SCHEMA s",
        "CREATE TEMPORARY TABLE v (id int)",
        "ALTER TABLE t ADD COLUMN y int",
        "DROP TABLE t",
        "TRUNCATE t",
        "CREATE ROLE r",
        "CREATE DATABASE d",
    ] {
        assert_eq!(refusal(runtime, sql).await, INSUFFICIENT_PRIVILEGE, "{sql}");
    }
    for url in [owner, runtime] {
        for database in [other.name.as_str(), "postgres", "template1"] {
            let (server, _) = url.rsplit_once('/').unwrap();
            let elsewhere = format!("{server}/{database}");
            assert_eq!(refusal(&elsewhere, "SELECT 1").await, INSUFFICIENT_PRIVILEGE, "{database}");
        }
    }
}

#[tokio::test]
async fn ensuring_twice_changes_nothing() {
    let postgres = shared().await.unwrap().postgres();
    let (first, second) = tokio::join!(postgres.ensure_database("twice"), postgres.ensure_database("twice"));
    let (first, second) = (first.unwrap(), second.unwrap());
    assert_eq!(first.name, "petty_twice");
    assert_eq!(first.owner_url.expose_secret(), second.owner_url.expose_secret());
    run(first.owner_url.expose_secret(), "CREATE TABLE t AS SELECT 1 AS x").await.unwrap();
    let third = postgres.ensure_database("twice").await.unwrap();
    assert_eq!(run(third.runtime_url.expose_secret(), "SELECT x FROM t").await.unwrap(), 1);
}

#[tokio::test]
async fn passwords_are_asked_for_and_settings_keep_what_is_acknowledged() {
    let postgres = shared().await.unwrap().postgres();
    let admin = postgres.admin_url();
    let admin = admin.expose_secret();
    let stranger = format!("postgres://postgres:wrong@{}:{}/postgres", postgres.host(), postgres.port());
    assert_eq!(refusal(&stranger, "SELECT 1").await, WRONG_PASSWORD);
    for (setting, value) in [
        ("fsync", "on"),
        ("synchronous_commit", "on"),
        ("full_page_writes", "on"),
        ("listen_addresses", "127.0.0.1"),
        ("unix_socket_directories", ""),
        ("max_connections", "200"),
        ("server_encoding", "UTF8"),
        ("log_error_verbosity", "terse"),
    ] {
        let sql = format!("SELECT 1 FROM pg_settings WHERE name = '{setting}' AND setting = '{value}'");
        assert_eq!(run(admin, &sql).await.unwrap(), 1, "{setting} is not {value:?}");
    }
    let hashed =
        "SELECT 1 FROM pg_authid WHERE rolpassword IS NOT NULL AND rolpassword NOT LIKE 'SCRAM-SHA-256$%'";
    assert_eq!(run(admin, hashed).await.unwrap(), 0);
}

#[tokio::test]
async fn names_that_cannot_be_databases_are_refused() {
    let postgres = shared().await.unwrap().postgres();
    for name in ["", "Auth", "a-b", "x\"; DROP DATABASE postgres"] {
        assert!(matches!(postgres.ensure_database(name).await, Err(Error::BadName(_))), "{name:?}");
    }
}
