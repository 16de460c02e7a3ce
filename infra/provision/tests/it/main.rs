//! The servers themselves, started and stopped on this machine.

#![expect(clippy::unwrap_used, reason = "a test may panic, in its helpers too")]

mod databases;
mod faults;
mod leaving_nothing;
mod prototype;

use petty_provision::{Install, Options};
use tokio_postgres::{Client, NoTls};

/// Runs statements on a connection of its own; answers the number of rows of the last one that had any.
async fn run(url: &str, sql: &str) -> Result<usize, tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    drive(client, connection, sql).await
}

async fn drive(
    client: Client,
    connection: impl Future<Output = Result<(), tokio_postgres::Error>>,
    sql: &str,
) -> Result<usize, tokio_postgres::Error> {
    tokio::pin!(connection);
    let query = client.simple_query(sql);
    tokio::pin!(query);
    let answer = tokio::select! {
        biased;
        answer = &mut query => answer?,
        ended = &mut connection => { ended?; query.await? }
    };
    Ok(answer.iter().filter(|one| matches!(one, tokio_postgres::SimpleQueryMessage::Row(_))).count())
}

/// The five characters of the SQLSTATE a statement is refused with.
async fn refusal(url: &str, sql: &str) -> String {
    let error = run(url, sql).await.expect_err(sql);
    error.code().map_or_else(|| error.to_string(), |code| code.code().to_owned())
}

fn options(dir: &std::path::Path) -> Options {
    Options { install: Install::Never, shared_buffers_mb: 32, ..Options::new(dir) }
}

fn alive(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    !stat.is_empty() && !stat.contains(") Z ")
}

/// Temporary directories are 0700; the servers' user, if we are root, must get through to stay inside.
fn open_to_the_servers_user(dir: &std::path::Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o711)).unwrap();
}
