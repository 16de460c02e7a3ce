//! What stands in the tables: how far the events and sums are behind, whose keys are whose, and rows beyond counting.

use std::time::{Duration, Instant};

use anyhow::ensure;
use tokio_postgres::Client;
use uuid::Uuid;

use super::floor::{Of, Rows, connect};
use super::herd::{COLLARS, Herd};

const PATIENCE: Duration = Duration::from_secs(1_800);
/// Filled by one COPY each.
const FILL_SECONDS: i64 = 2_000;

/// Connections to the databases of ingest and behavior.
pub(super) struct Tables {
    pub(super) ingest: Client,
    behavior: Client,
    url: String,
}

impl Tables {
    pub(super) async fn open(ingest: &str, behavior: &str) -> anyhow::Result<Self> {
        Ok(Self {
            ingest: connect(ingest).await?,
            behavior: connect(behavior).await?,
            url: ingest.to_owned(),
        })
    }

    /// Waits until behavior has handled all readings and all sums are made; how long each took.
    pub(super) async fn drained(&self) -> anyhow::Result<(Duration, Duration)> {
        let since = Instant::now();
        let (mut handled, mut summed) = (None, None);
        while handled.is_none() || summed.is_none() {
            ensure!(since.elapsed() < PATIENCE, "behavior or the sums do not come after");
            if handled.is_none() && self.is_handled().await? {
                handled = Some(since.elapsed());
            }
            let left: i64 =
                self.ingest.query_one("SELECT count(*) FROM readings_dirty", &[]).await?.try_get(0)?;
            if summed.is_none() && left == 0 {
                summed = Some(since.elapsed());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok((handled.unwrap_or_default(), summed.unwrap_or_default()))
    }

    async fn is_handled(&self) -> anyhow::Result<bool> {
        let sql = "SELECT (SELECT count(*) FROM event_outbox WHERE number IS NULL),
                          (SELECT coalesce(sum(last_number), 0)::int8 FROM event_relay_numbers WHERE topic = 'readings.accepted')";
        let row = self.ingest.query_one(sql, &[]).await?;
        let (unnumbered, sent): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
        let sql =
            "SELECT coalesce(sum(frontier), 0)::int8 FROM event_progress WHERE topic = 'readings.accepted'";
        let handled: i64 = self.behavior.query_one(sql, &[]).await?.try_get(0)?;
        Ok(unnumbered == 0 && handled == sent)
    }

    /// How many readings are stored of collars that somebody has.
    pub(super) async fn stored(&self) -> anyhow::Result<u64> {
        let sql = "SELECT count(*) FROM readings WHERE collar_key < 500000000";
        let count: i64 = self.ingest.query_one(sql, &[]).await?.try_get(0)?;
        Ok(u64::try_from(count)?)
    }

    /// The herd's keys and pets, in its order.
    async fn keys(&self, herd: &Herd) -> anyhow::Result<Vec<(i32, [u8; 16])>> {
        let mut keys = Vec::with_capacity(COLLARS);
        for collar in &herd.collars {
            let row = self
                .ingest
                .query_one("SELECT collar_key FROM collars WHERE collar_id = $1", &[&collar.id])
                .await?;
            keys.push((row.try_get(0)?, *collar.pet.parse::<Uuid>()?.as_bytes()));
        }
        Ok(keys)
    }

    /// Stores so many seconds more of every collar, past ingest, as it would have stored them. With their notes, so that they are
    /// summed.
    pub(super) async fn fill(&self, herd: &Herd, seconds: std::ops::Range<i64>) -> anyhow::Result<()> {
        let keys = self.keys(herd).await?;
        let client = connect(&self.url).await?;
        let mut first = seconds.start;
        while first < seconds.end {
            let part = first..(first + FILL_SECONDS).min(seconds.end);
            first = part.end;
            Rows::make(herd, &Of::Herd(&keys), part.clone(), 0..COLLARS).copy(&client).await?;
            let minute = |second| herd.at(second).as_second().div_euclid(60);
            let minutes: Vec<i32> =
                (minute(part.start)..=minute(part.end - 1)).map(i32::try_from).collect::<Result<_, _>>()?;
            for (key, _) in &keys {
                let sql = "INSERT INTO readings_dirty (collar_keys, minutes)
                           SELECT array_agg($1::int4), array_agg(minute) FROM unnest($2::int4[]) AS minute";
                client.execute(sql, &[key, &minutes]).await?;
            }
        }
        for table in ["readings", "pet_collars", "collars"] {
            client.batch_execute(&format!("ANALYZE {table}")).await?;
        }
        client.batch_execute("CHECKPOINT").await.ok();
        Ok(())
    }
}
