//! Two replicas of the service on a PostgreSQL and a Redis of their own, which take in what made-up collars report as ingest would tell
//! it: an entry is a flush of one shard, and a collar has so many readings in it.
//!
//! Nothing else of the mesh runs. What is timed begins with the first entry that is sent, and ends once the last number of every shard is
//! noted as handled: sending, reading, interpreting, writing, telling. Before that each pet's windows are filled.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use jiff::Timestamp;
use petty_chassis::events::{Event, Topic, shard_of, topics};
use petty_chassis::service::RunningService;
use petty_chassis::types::{Clock, EventId, PetId};
use petty_chassis::{Shutdown, Tasks};
use petty_eval::classifier::Input;
use petty_proto::auth::v1::Pet;
use petty_proto::auth::v1::pet::Species;
use petty_proto::events::v1::{AcceptedReading, Envelope, PetChanged, PetReadings, ReadingsAccepted};
use petty_provision::Stack;
use prost_reflect::prost::Message;
use redis::AsyncConnectionConfig;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use tokio_postgres::NoTls;
use uuid::Uuid;

use crate::bench::GRACE;
use crate::bench::report::environment;
use crate::mesh::{Addresses, Plan, free_address};
use crate::process::most_rss_mib;
use crate::up;

/// As many as are fixed where nothing says otherwise.
const SHARDS: i16 = 16;
/// So many readings of each pet before anything counts: two hours of one each 5 s.
const WARM_UP: usize = 1_440;
/// In so many entries.
const WARM_UP_ENTRIES: usize = 4;
/// So many readings of each pet are timed.
const TIMED: usize = 1_000;
/// So many entries are sent together.
const AT_ONCE: usize = 256;
/// Both replicas must share the shards within this time.
const BEGUN_WITHIN: Duration = Duration::from_secs(60);
/// All of it must be through within this time.
const PATIENCE: Duration = Duration::from_secs(600);

/// What one round found.
pub(super) struct Round {
    /// Readings a second, both replicas together.
    pub(super) rate: f64,
    pub(super) details: Value,
    pub(super) environment: Value,
}

/// A fleet whose readings are told with so many of a collar in an entry.
pub(super) async fn round(inputs: &[Input], pets: usize, chunk: usize) -> anyhow::Result<Round> {
    ensure!(
        inputs.iter().all(|input| input.readings.len() >= WARM_UP + TIMED),
        "a recording has fewer than {} readings: take more --days",
        WARM_UP + TIMED
    );
    let stack = Stack::temporary().await.context("start a private PostgreSQL and Redis")?;
    let mut plan = Plan::make(&stack, free_address()?).await?;
    plan.replicas.entry("behavior").or_default().push(Addresses::free()?);
    let shutdown = Shutdown::new();
    let tasks = Tasks::new(shutdown.clone());
    let outcome = measure(&stack, &plan, (&shutdown, &tasks), &Fleet::new(inputs, pets), chunk).await;
    shutdown.begin();
    tasks.wait(GRACE).await;
    stack.stop().await?;
    outcome
}

async fn measure(
    stack: &Stack,
    plan: &Plan,
    (shutdown, tasks): (&Shutdown, &Tasks),
    fleet: &Fleet<'_>,
    chunk: usize,
) -> anyhow::Result<Round> {
    let mut running: Vec<RunningService> = Vec::new();
    for replica in 0..2 {
        running.push(up::start_one::<petty_behavior::Behavior>(plan, replica, shutdown, tasks).await?);
    }
    let mut line = Line::open(stack, plan, tasks).await?;
    line.begun().await?;
    line.send(&topics::PET_CHANGED, fleet.pets_changed()).await?;
    // There is no auth to be asked about a pet that nothing is known of.
    line.drained().await.context("the pets do not become known")?;
    let warm_up: Vec<Event> = (0..WARM_UP_ENTRIES)
        .flat_map(|nth| fleet.entries(nth * WARM_UP / WARM_UP_ENTRIES, WARM_UP / WARM_UP_ENTRIES))
        .collect();
    line.send(&topics::READINGS_ACCEPTED, warm_up).await?;
    line.drained().await.context("windows are not filled")?;
    let entries: Vec<Event> =
        (0..TIMED / chunk).flat_map(|nth| fleet.entries(WARM_UP + nth * chunk, chunk)).collect();
    let count = entries.len();
    let began = Instant::now();
    line.send(&topics::READINGS_ACCEPTED, entries).await?;
    line.drained().await.context("the readings are not handled")?;
    let seconds = began.elapsed().as_secs_f64();
    let readings = fleet.pets.len() * (TIMED / chunk) * chunk;
    let refused = line.count("SELECT count(*) FROM event_dead_letters").await?;
    ensure!(refused == 0, "{refused} parts were given up on");
    let details = json!({
        "pets": fleet.pets.len(),
        "entries": count,
        "readings": readings,
        "seconds": seconds,
        "episodes": line.count("SELECT count(*) FROM episodes WHERE NOT superseded").await?,
        "told": line.count("SELECT count(*) FROM event_outbox WHERE topic = 'behavior.changed'").await?,
        "shards_by_replica": line.shares().await?,
        // Both replicas, and what sends.
        "largest_resident_mib": most_rss_mib(std::process::id())?,
    });
    Ok(Round { rate: readings as f64 / seconds, details, environment: environment(stack).await? })
}

/// Pets with collars, each with the readings of one of the recordings.
struct Fleet<'a> {
    pets: Vec<(PetId, &'a Input)>,
    clock: Clock,
}

impl<'a> Fleet<'a> {
    fn new(inputs: &'a [Input], pets: usize) -> Self {
        let clock = Clock::system();
        let pets = inputs.iter().cycle().take(pets).map(|input| (PetId::new(&clock), input)).collect();
        Self { pets, clock }
    }

    fn pets_changed(&self) -> Vec<Event> {
        let changed = |(pet, input): &(PetId, &Input)| {
            let species = match input.params.species {
                petty_behavior::domain::Species::Dog => Species::Dog,
                petty_behavior::domain::Species::Cat => Species::Cat,
            };
            let told = Pet {
                pet_id: pet.to_string(),
                species: species.into(),
                time_zone: "Europe/Berlin".to_owned(),
                version: 1,
                ..Pet::default()
            };
            let payload = PetChanged { pet: Some(told), ..PetChanged::default() };
            self.event(&topics::PET_CHANGED, pet.0, shard_of(*pet, SHARDS), 1, &payload)
        };
        self.pets.iter().map(changed).collect()
    }

    /// One entry for each shard: of each of its pets so many readings from one on.
    fn entries(&self, from: usize, count: usize) -> Vec<Event> {
        let mut shards = BTreeMap::<i16, Vec<PetReadings>>::new();
        for (pet, input) in &self.pets {
            let readings = input.readings.iter().skip(from).take(count).map(|reading| AcceptedReading {
                time_us: reading.at.as_microsecond(),
                heart_rate: reading.heart_rate,
                activity_level: reading.activity_level.map(i32::from),
                longitude: reading.position.map(|at| at.longitude),
                latitude: reading.position.map(|at| at.latitude),
                accuracy_m: reading.position.and_then(|at| at.accuracy_m),
                ..AcceptedReading::default()
            });
            let readings = PetReadings {
                pet_id: pet.to_string(),
                collar_id: format!("collar-{pet}"),
                readings: readings.collect(),
            };
            shards.entry(shard_of(*pet, SHARDS)).or_default().push(readings);
        }
        let entry = |(shard, pets)| {
            self.event(&topics::READINGS_ACCEPTED, Uuid::nil(), shard, 0, &ReadingsAccepted { pets })
        };
        shards.into_iter().map(entry).collect()
    }

    fn event(
        &self,
        topic: &'static Topic,
        subject: Uuid,
        shard: i16,
        version: i64,
        payload: &impl Message,
    ) -> Event {
        Event {
            id: EventId::new(&self.clock),
            topic,
            subject,
            version,
            time: Timestamp::from_second(self.clock.now().as_second()).unwrap_or_default(),
            traceparent: String::new(),
            payload: payload.encode_to_vec().into(),
            source: topic.producers[0].to_owned(),
            shard,
            // Given when it is sent.
            number: 0,
        }
    }
}

/// What tells behavior of readings in ingest's place, and sees in its database how far it is.
struct Line {
    redis: redis::aio::MultiplexedConnection,
    postgres: tokio_postgres::Client,
    /// The last number by topic and shard.
    numbers: BTreeMap<(&'static str, i16), i64>,
}

impl Line {
    async fn open(stack: &Stack, plan: &Plan, tasks: &Tasks) -> anyhow::Result<Self> {
        let client = redis::Client::open(stack.redis().url().expose_secret())?;
        // Redis writes what is sent to disk before it answers, beside all that it does for the replicas.
        let patient = AsyncConnectionConfig::new().set_response_timeout(Some(PATIENCE));
        let redis = client.get_multiplexed_async_connection_with_config(&patient).await?;
        let database = plan.databases().get("behavior").context("behavior has a database")?;
        let (postgres, connection) =
            tokio_postgres::connect(database.owner_url.expose_secret(), NoTls).await?;
        drop(tasks.spawn("bench-postgres", connection));
        Ok(Self { redis, postgres, numbers: BTreeMap::new() })
    }

    async fn send(&mut self, topic: &'static Topic, events: Vec<Event>) -> anyhow::Result<()> {
        let mut left = events.into_iter().peekable();
        while left.peek().is_some() {
            let mut pipeline = redis::pipe();
            for mut event in left.by_ref().take(AT_ONCE) {
                let last = self.numbers.entry((topic.name, event.shard)).or_default();
                *last += 1;
                event.number = *last;
                let envelope = Envelope::from(&event).encode_to_vec();
                pipeline.cmd("XADD").arg(topic.stream(event.shard)).arg("*").arg("e").arg(envelope).ignore();
            }
            pipeline.query_async::<()>(&mut self.redis).await?;
        }
        Ok(())
    }

    /// Waits until both replicas read their shards. They are never ready: the rest of the mesh is not there.
    async fn begun(&self) -> anyhow::Result<()> {
        let deadline = Instant::now() + BEGUN_WITHIN;
        let there = "SELECT count(to_regclass('event_consumer_shards'))";
        while self.count(there).await? == 0 || self.shares().await?.len() < 2 {
            ensure!(
                Instant::now() < deadline,
                "two replicas do not begin within {} s",
                BEGUN_WITHIN.as_secs()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Waits until all that was sent is handled.
    async fn drained(&self) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        let sent: i64 = self.numbers.values().sum();
        while self.count("SELECT coalesce(sum(frontier), 0)::int8 FROM event_progress").await? < sent {
            ensure!(Instant::now() < deadline, "not within {} s", PATIENCE.as_secs());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    async fn count(&self, sql: &str) -> anyhow::Result<i64> {
        Ok(self.postgres.query_one(sql, &[]).await?.try_get(0)?)
    }

    async fn shares(&self) -> anyhow::Result<Vec<i64>> {
        let sql = "SELECT count(*) FROM event_consumer_shards GROUP BY holder ORDER BY holder";
        let rows = self.postgres.query(sql, &[]).await?;
        Ok(rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?)
    }
}
