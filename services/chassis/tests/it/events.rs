//! Events: at least once on the wire, exactly once in effect, whatever happens to either.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use petty_chassis::events::{Event, Failure, Handler, Outgoing, Part, outbox, shard_of, topics, versions};
use petty_chassis::postgres::{Db, Error, Tx};
use petty_chassis::types::{Clock, PetId};
use petty_proto::events::v1::{AcceptedReading, Envelope, PetReadings, ReadingsAccepted};
use petty_provision::Stack;
use prost::Message as _;
use secrecy::ExposeSecret as _;
use tokio::sync::Notify;
use uuid::Uuid;

use crate::world::{GAP_GRACE, HANDLING_DEADLINE, Node, Setup, eventually};

mod backlog;
mod full;
mod numbers;
mod refused;
mod repair;
mod sharing;

/// Notes every part that it applies; refuses the poisoned pet's.
#[derive(Default)]
struct Notebook {
    poisoned: Option<PetId>,
    panics: bool,
    healed: AtomicBool,
    /// How many events were looked into, however often each.
    splits: AtomicUsize,
    /// How often each pet was worked on.
    tries: Mutex<BTreeMap<PetId, usize>>,
    /// Where set: each part waits in the middle of its transaction, once it has said so.
    turnstile: Option<Arc<Turnstile>>,
}

#[derive(Default)]
struct Turnstile {
    inside: Notify,
    go: Notify,
    open: AtomicBool,
}

#[tonic::async_trait]
impl Handler for Notebook {
    fn split(&self, event: &Event) -> Result<Vec<Part>, Failure> {
        self.splits.fetch_add(1, Ordering::AcqRel);
        let accepted: ReadingsAccepted = event.read()?;
        let part = |pet: PetReadings| {
            let id = pet.pet_id.parse().map_err(|_| Failure::Poison("pet_id".to_owned()))?;
            Ok(Part { pet: id, body: pet.encode_to_vec().into() })
        };
        accepted.pets.into_iter().map(part).collect()
    }

    async fn apply(&self, tx: &Tx, event: &Event, part: &Part) -> Result<(), Failure> {
        *self.tries.lock().unwrap().entry(part.pet).or_default() += 1;
        let sql = "-- note\nINSERT INTO applied (event_id, pet_id, body) VALUES ($1, $2, $3)";
        tx.execute(sql, &[&event.id.0, &part.pet.0, &part.body.to_vec()]).await?;
        if let Some(turnstile) =
            self.turnstile.as_ref().filter(|turnstile| !turnstile.open.load(Ordering::Acquire))
        {
            turnstile.inside.notify_one();
            turnstile.go.notified().await;
        }
        if self.poisoned == Some(part.pet) && !self.healed.load(Ordering::Acquire) {
            assert!(!self.panics, "poisoned on purpose");
            return Err(Failure::Poison("poisoned on purpose".to_owned()));
        }
        Ok(())
    }
}

type Row = (Uuid, Uuid, Vec<u8>);

/// What was applied, sorted; doubles would show.
async fn applied(db: &Db) -> Vec<Row> {
    db.read("applied", |tx| async move {
        let rows =
            tx.query("-- applied\nSELECT event_id, pet_id, body FROM applied ORDER BY 1, 2", &[]).await?;
        rows.iter()
            .map(|row| {
                Ok((
                    Error::column(row, "applied", 0)?,
                    Error::column(row, "applied", 1)?,
                    Error::column(row, "applied", 2)?,
                ))
            })
            .collect::<Result<Vec<Row>, Error>>()
    })
    .await
    .unwrap_or_default()
}

async fn count(db: &Db, sql: &'static str) -> i64 {
    let counted: Result<i64, Error> =
        db.read("count", |tx| async move { Error::column(&tx.query_one(sql, &[]).await?, "count", 0) }).await;
    counted.unwrap_or(-1)
}

const DEAD: &str = "-- dead\nSELECT count(*) FROM event_dead_letters";

fn pets(count: usize) -> Vec<PetId> {
    (0..count).map(|_| PetId::new(&Clock::system())).collect()
}

/// Writes one flush for each shard that the pets fall into; answers what is to be applied.
async fn flush(producer: &Node, pets: &[PetId], value: f64) -> Vec<Row> {
    let shards = producer.base.events.shards();
    let mut by_shard: BTreeMap<i16, Vec<PetReadings>> = BTreeMap::new();
    for pet in pets {
        let reading = AcceptedReading {
            collar_id: "collar-1".to_owned(),
            time_us: 1,
            heart_rate: Some(value),
            ..Default::default()
        };
        let readings = PetReadings { pet_id: pet.to_string(), readings: vec![reading], ..Default::default() };
        by_shard.entry(shard_of(*pet, shards)).or_default().push(readings);
    }
    let (clock, by_shard) = (&producer.base.context.clock, &by_shard);
    producer
        .base
        .db
        .transaction("flush", |tx| async move {
            let mut expected = Vec::new();
            for (shard, pets) in by_shard {
                let payload = ReadingsAccepted { pets: pets.clone() };
                let event = Outgoing {
                    topic: &topics::READINGS_ACCEPTED,
                    subject: Uuid::nil(),
                    version: 0,
                    shard: *shard,
                    payload: &payload,
                };
                let id = outbox::write(&tx, clock, &event).await?;
                for pet in pets {
                    expected.push((id.0, pet.pet_id.parse().unwrap(), pet.encode_to_vec()));
                }
            }
            Ok::<_, Error>(expected)
        })
        .await
        .unwrap()
}

struct World {
    stack: Stack,
    name: String,
}

impl World {
    async fn new(name: &str) -> Self {
        Self { stack: Stack::temporary().await.unwrap(), name: name.to_owned() }
    }

    async fn producer(&self) -> Node {
        let database = format!("ingest_{}", self.name);
        let redis_url = self.stack.redis().url().expose_secret().to_owned();
        Setup {
            stack: &self.stack,
            service: "ingest",
            database: &database,
            redis_url,
            endpoints: Vec::new(),
            handling_deadline: HANDLING_DEADLINE,
            gap_grace: GAP_GRACE,
        }
        .start()
        .await
    }

    async fn consumer(&self, producer: &Node) -> Node {
        self.consumer_with(producer, HANDLING_DEADLINE).await
    }

    async fn consumer_with(&self, producer: &Node, handling_deadline: &'static str) -> Node {
        self.consumer_so(producer, handling_deadline, GAP_GRACE).await
    }

    async fn consumer_waiting(&self, producer: &Node, gap_grace: &'static str) -> Node {
        self.consumer_so(producer, HANDLING_DEADLINE, gap_grace).await
    }

    async fn consumer_so(
        &self,
        producer: &Node,
        handling_deadline: &'static str,
        gap_grace: &'static str,
    ) -> Node {
        let database = format!("behavior_{}", self.name);
        let redis_url = self.stack.redis().url().expose_secret().to_owned();
        let endpoints = producer.address.map(|address| ("ingest", address)).into_iter().collect();
        Setup {
            stack: &self.stack,
            service: "behavior",
            database: &database,
            redis_url,
            endpoints,
            handling_deadline,
            gap_grace,
        }
        .start()
        .await
    }

    /// The outbox's events as they stand in their streams.
    async fn send_raw(&self, producer: &Node, shuffle: usize) {
        let sql = "-- raw\nSELECT id, shard, created_at, payload, number FROM event_outbox WHERE number IS NOT NULL ORDER BY id";
        let rows = producer.base.db.read("raw", |tx| async move { tx.query(sql, &[]).await }).await.unwrap();
        let client = redis::Client::open(self.stack.redis().url().expose_secret()).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        let length = rows.len();
        for index in 0..length {
            // Any stride that shares no factor with the length visits every row, out of order.
            let row = &rows[(index * shuffle) % length];
            let created: jiff::Timestamp = row.get(2);
            let shard: i16 = row.get(1);
            let envelope = Envelope {
                event_id: row.get::<_, Uuid>(0).to_string(),
                topic: topics::READINGS_ACCEPTED.name.to_owned(),
                subject: Uuid::nil().to_string(),
                time: Some(created.into()),
                schema_version: 1,
                payload: row.get::<_, Vec<u8>>(3).into(),
                source: "ingest".to_owned(),
                shard: shard.into(),
                number: row.get(4),
                ..Default::default()
            };
            let mut command = redis::cmd("XADD");
            command
                .arg(topics::READINGS_ACCEPTED.stream(shard))
                .arg("*")
                .arg("e")
                .arg(envelope.encode_to_vec());
            command.query_async::<()>(&mut connection).await.unwrap();
        }
    }
}

fn sorted(mut rows: Vec<Row>) -> Vec<Row> {
    rows.sort();
    rows
}

#[tokio::test(flavor = "multi_thread")]
async fn twice_out_of_order_with_a_poisoned_pet_and_after_flushall_the_tables_are_the_same() {
    let world = World::new("shuffled").await;
    let producer = world.producer().await;
    let consumer = world.consumer(&producer).await;
    let pets = pets(12);
    let poisoned = pets[5];
    consumer.consume(Arc::new(Notebook { poisoned: Some(poisoned), ..Default::default() }));

    let mut expected = Vec::new();
    for round in 0..5_u8 {
        expected.extend(flush(&producer, &pets, f64::from(round)).await);
    }
    world.send_raw(&producer, 1).await;
    world.stack.redis().flushall().await.unwrap();
    for round in 5..10_u8 {
        expected.extend(flush(&producer, &pets, f64::from(round)).await);
    }
    eventually("all are numbered", || async {
        count(&producer.base.db, "-- open\nSELECT count(*) FROM event_outbox WHERE sent_at IS NULL").await
            == 0
    })
    .await;
    world.send_raw(&producer, 7).await;
    world.send_raw(&producer, 3).await;

    let (bad, good): (Vec<Row>, Vec<Row>) = expected.into_iter().partition(|row| row.1 == poisoned.0);
    let good = sorted(good);
    eventually("every good part is applied", || async { applied(&consumer.base.db).await == good }).await;
    let dead = i64::try_from(bad.len()).unwrap();
    eventually("every bad part is dead-lettered", || async { count(&consumer.base.db, DEAD).await == dead })
        .await;
    let others = "-- others\nSELECT count(DISTINCT pet_id) FROM event_dead_letters";
    assert_eq!(count(&consumer.base.db, others).await, 1, "only the poisoned pet's parts are given up on");
    assert_eq!(count(&consumer.base.db, "-- left\nSELECT count(*) FROM event_failures").await, 0);
    assert_eq!(applied(&consumer.base.db).await, good, "nothing was applied again meanwhile");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_is_a_deterministic_failure_like_any_other() {
    let world = World::new("panic").await;
    let producer = world.producer().await;
    let consumer = world.consumer(&producer).await;
    let pets = pets(3);
    consumer.consume(Arc::new(Notebook { poisoned: Some(pets[0]), panics: true, ..Default::default() }));
    let expected = flush(&producer, &pets, 1.0).await;
    let good = sorted(expected.into_iter().filter(|row| row.1 != pets[0].0).collect());
    eventually("the good parts are applied", || async { applied(&consumer.base.db).await == good }).await;
    eventually("the bad one is dead-lettered", || async { count(&consumer.base.db, DEAD).await == 1 }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_no_envelope_are_dead_lettered_and_the_rest_flows_on() {
    let world = World::new("bytes").await;
    let producer = world.producer().await;
    let consumer = world.consumer(&producer).await;
    consumer.consume(Arc::new(Notebook::default()));
    let client = redis::Client::open(world.stack.redis().url().expose_secret()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    for shard in 0..4 {
        let mut command = redis::cmd("XADD");
        command.arg(topics::READINGS_ACCEPTED.stream(shard)).arg("*").arg("e").arg(b"\xff\xffnonsense");
        command.query_async::<()>(&mut connection).await.unwrap();
    }
    let expected = sorted(flush(&producer, &pets(8), 1.0).await);
    eventually("the good ones are applied", || async { applied(&consumer.base.db).await == expected }).await;
    // The same bytes in every shard are the same dead letter.
    eventually("the bytes are kept", || async { count(&consumer.base.db, DEAD).await == 1 }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_postgres_dead_letters_nothing_and_loses_nothing() {
    let world = World::new("outage").await;
    let producer = world.producer().await;
    let consumer = world.consumer(&producer).await;
    let turnstile = Arc::new(Turnstile::default());
    consumer.consume(Arc::new(Notebook { turnstile: Some(turnstile.clone()), ..Default::default() }));
    // One pet, so that each outage meets the same part in the middle of its transaction: more often than would bury it.
    let mut expected = flush(&producer, &pets(1), 0.0).await;
    for _ in 0..7 {
        let inside = tokio::time::timeout(Duration::from_secs(30), turnstile.inside.notified()).await;
        assert!(inside.is_ok(), "the part is tried again after every outage");
        world.stack.postgres().kill();
        turnstile.go.notify_one();
        world.stack.postgres().restart().await.unwrap();
    }
    let ready = || async { count(&producer.base.db, "-- up\nSELECT 1::int8").await == 1 };
    eventually("Postgres is back", ready).await;
    turnstile.open.store(true, Ordering::Release);
    turnstile.go.notify_one();
    expected.extend(flush(&producer, &pets(20), 1.0).await);
    let expected = sorted(expected);
    eventually("everything is applied once", || async { applied(&consumer.base.db).await == expected }).await;
    assert_eq!(count(&consumer.base.db, DEAD).await, 0);
    assert_eq!(count(&consumer.base.db, "-- failures\nSELECT count(*) FROM event_failures").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_flushed_redis_lost_is_fetched_from_the_outbox() {
    let world = World::new("flushed").await;
    let producer = world.producer().await;
    let mut expected = Vec::new();
    for round in 0..20_u8 {
        expected.extend(flush(&producer, &pets(5), f64::from(round)).await);
    }
    eventually("all are in the streams", || async {
        count(&producer.base.db, "-- open\nSELECT count(*) FROM event_outbox WHERE sent_at IS NULL").await
            == 0
    })
    .await;
    world.stack.redis().flushall().await.unwrap();
    let consumer = world.consumer(&producer).await;
    consumer.consume(Arc::new(Notebook::default()));
    let expected = sorted(expected);
    eventually("everything is applied once", || async { applied(&consumer.base.db).await == expected }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_have_no_gaps_whoever_relays_and_whoever_crashes() {
    let world = World::new("numbers").await;
    let first = world.producer().await;
    let second = world.producer().await;
    let consumer = world.consumer(&second).await;
    consumer.consume(Arc::new(Notebook::default()));
    let mut expected = Vec::new();
    for round in 0..10_u8 {
        expected.extend(flush(&first, &pets(6), f64::from(round)).await);
        expected.extend(flush(&second, &pets(6), f64::from(round)).await);
    }
    first.crash().await;
    for round in 10..20_u8 {
        expected.extend(flush(&second, &pets(6), f64::from(round)).await);
    }
    let expected = sorted(expected);
    eventually("everything is applied once", || async { applied(&consumer.base.db).await == expected }).await;
    let gaps = "-- gaps\nSELECT count(*) FROM (SELECT shard, max(number) - count(DISTINCT number) AS missing, min(number) AS first
                FROM event_outbox GROUP BY shard) s WHERE missing <> 0 OR first <> 1";
    assert_eq!(count(&second.base.db, gaps).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_consumers_share_the_work_and_a_crashed_ones_entries_are_claimed() {
    let world = World::new("replicas").await;
    let producer = world.producer().await;
    let one = world.consumer(&producer).await;
    let other = world.consumer(&producer).await;
    one.consume(Arc::new(Notebook::default()));
    other.consume(Arc::new(Notebook::default()));
    let mut expected = Vec::new();
    for round in 0..40_u8 {
        expected.extend(flush(&producer, &pets(4), f64::from(round)).await);
    }
    one.crash().await;
    for round in 40..60_u8 {
        expected.extend(flush(&producer, &pets(4), f64::from(round)).await);
    }
    let expected = sorted(expected);
    eventually("everything is applied once", || async { applied(&other.base.db).await == expected }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_are_trimmed_once_every_group_is_through() {
    let world = World::new("trimmed").await;
    let producer = world.producer().await;
    let expected = flush(&producer, &pets(50), 1.0).await;
    let client = redis::Client::open(world.stack.redis().url().expose_secret()).unwrap();
    let connection = client.get_multiplexed_async_connection().await.unwrap();
    let length = || {
        let mut connection = connection.clone();
        async move {
            let mut total = 0_usize;
            for shard in 0..4 {
                let key = topics::READINGS_ACCEPTED.stream(shard);
                total += redis::cmd("XLEN").arg(key).query_async::<usize>(&mut connection).await.unwrap();
            }
            total
        }
    };
    let shards: BTreeSet<Uuid> = expected.iter().map(|row| row.0).collect();
    eventually("all are in the streams", || async { length().await == shards.len() }).await;
    let consumer = world.consumer(&producer).await;
    consumer.consume(Arc::new(Notebook::default()));
    let expected = sorted(expected);
    eventually("everything is applied", || async { applied(&consumer.base.db).await == expected }).await;
    eventually("the streams are empty", || async { length().await == 0 }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_higher_versions_apply_and_deleted_is_final() {
    let world = World::new("versions").await;
    let node = world.producer().await;
    let subject = PetId::new(&Clock::system()).0;
    let advance = async |version: i64, deleted: bool| {
        let advanced: Result<bool, Error> = node
            .base
            .db
            .transaction("advance", |tx| async move {
                versions::advance(&tx, "pet", subject, version, deleted).await
            })
            .await;
        advanced.unwrap()
    };
    for (version, deleted, applies) in [
        (2, false, true),
        (1, false, false),
        (2, false, false),
        (3, false, true),
        (5, true, true),
        (6, false, false),
        (9, true, false),
    ] {
        assert_eq!(advance(version, deleted).await, applies, "version {version}, deleted {deleted}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_applied_to_a_pet_that_is_forgotten() {
    let world = World::new("forgotten").await;
    let producer = world.producer().await;
    let consumer = world.consumer(&producer).await;
    let pets = pets(2);
    let gone = pets[0];
    let clock = &consumer.base.context.clock;
    let erased: Result<(), Error> = consumer
        .base
        .db
        .transaction("erase", |tx| async move { petty_chassis::events::inbox::erase(&tx, clock, gone).await })
        .await;
    erased.unwrap();
    consumer.consume(Arc::new(Notebook::default()));
    let expected = flush(&producer, &pets, 1.0).await;
    let kept = sorted(expected.into_iter().filter(|row| row.1 != gone.0).collect());
    eventually("the other pet's part is applied", || async { applied(&consumer.base.db).await == kept })
        .await;
    let taken = "-- taken\nSELECT count(*) FROM event_inbox";
    eventually("both parts are taken", || async { count(&consumer.base.db, taken).await == 2 }).await;
    assert_eq!(applied(&consumer.base.db).await, kept);
}
