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

/// Connections to the databases of ingest, behavior, timeline and feedback.
pub(super) struct Tables {
    pub(super) ingest: Client,
    behavior: Client,
    timeline: Client,
    feedback: Client,
    url: String,
}

/// How long after the last acknowledgement it took until what follows from readings was there.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Drain {
    /// behavior has handled all readings.
    pub(super) behavior: Duration,
    /// timeline and feedback have handled what behavior told of that.
    pub(super) told: Duration,
    /// All sums of minutes and hours are made.
    pub(super) sums: Duration,
}

impl Tables {
    /// By the owner's addresses, in the order above.
    pub(super) async fn open([ingest, behavior, timeline, feedback]: [&str; 4]) -> anyhow::Result<Self> {
        Ok(Self {
            ingest: connect(ingest).await?,
            behavior: connect(behavior).await?,
            timeline: connect(timeline).await?,
            feedback: connect(feedback).await?,
            url: ingest.to_owned(),
        })
    }

    /// Waits until all that follows from readings is there; how long each took.
    pub(super) async fn drained(&self) -> anyhow::Result<Drain> {
        let since = Instant::now();
        let (mut behavior, mut told, mut sums) = (None, None, None);
        loop {
            ensure!(since.elapsed() < PATIENCE, "behavior, timeline, feedback or the sums do not come after");
            if behavior.is_none()
                && is_handled("readings.accepted", "ingest", &self.ingest, &[&self.behavior]).await?
            {
                behavior = Some(since.elapsed());
            }
            let consumers = [&self.timeline, &self.feedback];
            if behavior.is_some()
                && told.is_none()
                && is_handled("behavior.changed", "behavior", &self.behavior, &consumers).await?
            {
                told = Some(since.elapsed());
            }
            let left: i64 =
                self.ingest.query_one("SELECT count(*) FROM readings_dirty", &[]).await?.try_get(0)?;
            if sums.is_none() && left == 0 {
                sums = Some(since.elapsed());
            }
            if let (Some(behavior), Some(told), Some(sums)) = (behavior, told, sums) {
                return Ok(Drain { behavior, told, sums });
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// How many readings are stored of collars that somebody has.
    pub(super) async fn stored(&self) -> anyhow::Result<u64> {
        let sql = "SELECT count(*) FROM readings WHERE collar_key < 500000000";
        let count: i64 = self.ingest.query_one(sql, &[]).await?.try_get(0)?;
        Ok(u64::try_from(count)?)
    }

    /// How large ingest's database is, in MB.
    pub(super) async fn megabytes(&self) -> anyhow::Result<f64> {
        let sql = "SELECT pg_database_size(current_database())::float8 / 1e6";
        Ok(self.ingest.query_one(sql, &[]).await?.try_get(0)?)
    }

    /// Forgets all readings and their sums.
    pub(super) async fn empty(&self) -> anyhow::Result<()> {
        let client = connect(&self.url).await?;
        client.batch_execute("TRUNCATE readings, readings_minute, readings_hour, readings_dirty").await?;
        Ok(())
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

impl Tables {
    /// Does at once what PostgreSQL does some time after so much was filled in: nobody fills in ten million readings and reads them in the next
    /// second.
    pub(super) async fn settle(&self) -> anyhow::Result<()> {
        let client = connect(&self.url).await?;
        for table in ["readings", "readings_minute", "readings_hour"] {
            client.batch_execute(&format!("VACUUM (ANALYZE) {table}")).await?;
        }
        client.batch_execute("CHECKPOINT").await.ok();
        Ok(())
    }
}

/// Whether all that a source told of a topic is handled by its consumers.
async fn is_handled(topic: &str, source: &str, from: &Client, by: &[&Client]) -> anyhow::Result<bool> {
    let sql = "SELECT (SELECT count(*) FROM event_outbox WHERE topic = $1 AND number IS NULL),
                      (SELECT coalesce(sum(last_number), 0)::int8 FROM event_relay_numbers WHERE topic = $1)";
    let row = from.query_one(sql, &[&topic]).await?;
    let (unnumbered, sent): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
    let mut all = unnumbered == 0;
    for consumer in by {
        let sql =
            "SELECT coalesce(sum(frontier), 0)::int8 FROM event_progress WHERE topic = $1 AND source = $2";
        let handled: i64 = consumer.query_one(sql, &[&topic, &source]).await?.try_get(0)?;
        all &= handled == sent;
    }
    Ok(all)
}
