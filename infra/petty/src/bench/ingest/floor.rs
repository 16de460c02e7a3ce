//! What PostgreSQL does by itself, with the same rows in the same table: COPY over one connection and over two, and pgbench
//! with one prepared row a transaction.

use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use futures::SinkExt as _;
use tokio_postgres::{Client, NoTls};

use super::herd::{self, COLLARS, Herd};

/// Keys of collars that nobody has: the floor's rows are the same but for them.
const FIRST_KEY: i32 = 1_000_000_000;
const COPY: &str =
    "COPY readings (measured_at, pet_id, heart_rate, collar_key, longitude_e6, latitude_e6, activity_level)
                    FROM STDIN (FORMAT binary)";
const EPOCH_US: i64 = 946_684_800_000_000;
/// Sent at once, about.
const CHUNK: usize = 64 * 1024;

/// A connection to ingest's database, as its owner.
pub(super) async fn connect(url: &str) -> anyhow::Result<Client> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    #[expect(
        clippy::disallowed_methods,
        reason = "the driver's own connection task; it ends with the client"
    )]
    tokio::spawn(connection);
    Ok(client)
}

/// Rows for COPY: of each collar so many seconds, collar by collar.
pub(super) struct Rows {
    bytes: Vec<u8>,
    pub(super) count: u64,
}

/// Whose rows they are.
pub(super) enum Of<'a> {
    /// Nobody's, offset by so much.
    Nobody(i32),
    /// The herd's: keys and pets, in its order.
    Herd(&'a [(i32, [u8; 16])]),
}

impl Rows {
    pub(super) fn make(
        herd: &Herd,
        of: &Of<'_>,
        seconds: std::ops::Range<i64>,
        collars: std::ops::Range<usize>,
    ) -> Self {
        let mut bytes = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0".to_vec();
        let mut count = 0;
        for nth in collars {
            let (key, pet) = match of {
                Of::Nobody(offset) => (FIRST_KEY + offset + i32::try_from(nth).unwrap_or(0), [7; 16]),
                Of::Herd(keys) => keys[nth],
            };
            for second in seconds.clone() {
                let (beats, activity, longitude, latitude) = herd::signals(nth, second);
                bytes.extend(7_i16.to_be_bytes());
                field(&mut bytes, &(herd.at(second).as_microsecond() - EPOCH_US).to_be_bytes());
                field(&mut bytes, &pet);
                field(&mut bytes, &beats.to_be_bytes());
                field(&mut bytes, &key.to_be_bytes());
                field(&mut bytes, &longitude.to_be_bytes());
                field(&mut bytes, &latitude.to_be_bytes());
                field(&mut bytes, &activity.to_be_bytes());
                count += 1;
            }
        }
        bytes.extend((-1_i16).to_be_bytes());
        Self { bytes, count }
    }

    /// In one transaction.
    pub(super) async fn copy(self, client: &Client) -> anyhow::Result<()> {
        let mut sink = std::pin::pin!(client.copy_in(COPY).await?);
        let mut rest = bytes::Bytes::from(self.bytes);
        while !rest.is_empty() {
            let chunk = rest.split_to(rest.len().min(CHUNK));
            sink.send(chunk).await?;
        }
        let rows = sink.finish().await?;
        ensure!(rows == self.count, "COPY wrote {rows} of {} rows", self.count);
        Ok(())
    }
}

fn field(bytes: &mut Vec<u8>, value: &[u8]) {
    bytes.extend(u32::try_from(value.len()).unwrap_or(0).to_be_bytes());
    bytes.extend(value);
}

/// Rows a second of COPY over so many connections at once.
pub(super) async fn copies(
    url: &str,
    herd: &Herd,
    connections: usize,
    offset: i32,
    seconds: std::ops::Range<i64>,
) -> anyhow::Result<f64> {
    let mut work = Vec::new();
    let mut rows = 0;
    for nth in 0..connections {
        let part = COLLARS / connections;
        let made = Rows::make(herd, &Of::Nobody(offset), seconds.clone(), nth * part..(nth + 1) * part);
        rows += made.count;
        work.push((connect(url).await?, made));
    }
    let since = Instant::now();
    futures::future::try_join_all(
        work.into_iter().map(|(client, rows)| async move { rows.copy(&client).await }),
    )
    .await?;
    Ok(super::per_second(rows, since.elapsed()))
}

/// Transactions a second of pgbench: one prepared row each, 32 clients.
pub(super) async fn pgbench(url: &str, span: Duration) -> anyhow::Result<f64> {
    let script = format!(
        "INSERT INTO readings (measured_at, pet_id, heart_rate, collar_key, longitude_e6, latitude_e6, activity_level) \
         VALUES (clock_timestamp(), '07070707-0707-0707-0707-070707070707', 80.5, {} + :client_id, 13400000, 52500000, 1);\n",
        FIRST_KEY / 2
    );
    let file = std::env::temp_dir().join(format!("petty-bench-{}.sql", std::process::id()));
    tokio::fs::write(&file, script).await?;
    let output = tokio::process::Command::new("pgbench")
        .args(["-n", "-M", "prepared", "-c", "32", "-j", "2", "-T", &span.as_secs().to_string(), "-f"])
        .arg(&file)
        .arg(url)
        .stdin(Stdio::null())
        .output()
        .await
        .context("run pgbench, which comes with PostgreSQL")?;
    tokio::fs::remove_file(&file).await.ok();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let tps = text.lines().find_map(|line| line.strip_prefix("tps = ")?.split(' ').next()?.parse().ok());
    tps.with_context(|| format!("pgbench said no rate: {text} {}", String::from_utf8_lossy(&output.stderr)))
}
