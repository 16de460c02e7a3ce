//! What is refused: events that the inbox cannot remember, and dead letters that the database does not take.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use petty_chassis::config::{PostgresConfig, PostgresTls};
use petty_chassis::events::{shard_of, topics};
use petty_chassis::postgres::{Db, Error};
use petty_chassis::types::{Clock, EventId, PetId};
use petty_proto::events::v1::{Envelope, PetReadings, ReadingsAccepted};
use prost::Message as _;
use secrecy::ExposeSecret as _;

use super::{DEAD, Notebook, World, applied, count, flush, pets, sorted};
use crate::world::eventually;

/// An event of ingest's about one pet, dated so, as it stands in a stream.
fn dated(time: Timestamp, number: i64, pet: PetId) -> Envelope {
    let readings = PetReadings { pet_id: pet.to_string(), ..Default::default() };
    Envelope {
        event_id: EventId::new(&Clock::system()).to_string(),
        topic: topics::READINGS_ACCEPTED.name.to_owned(),
        subject: uuid::Uuid::nil().to_string(),
        time: Some(time.into()),
        payload: ReadingsAccepted { pets: vec![readings] }.encode_to_vec().into(),
        source: "ingest".to_owned(),
        number,
        ..Default::default()
    }
}

async fn send(world: &World, envelope: &Envelope) {
    let client = redis::Client::open(world.stack.redis().url().expose_secret()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let mut command = redis::cmd("XADD");
    command.arg(topics::READINGS_ACCEPTED.stream(0)).arg("*").arg("e").arg(envelope.encode_to_vec());
    command.query_async::<()>(&mut connection).await.unwrap();
}

const FAILURES: &str = "-- failures\nSELECT count(*) FROM event_failures";

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_the_inbox_cannot_remember_is_buried_and_the_next_is_handled() {
    let world = World::new("dated").await;
    let producer = world.producer().await;
    let consumer = world.consumer(&producer).await;
    consumer.consume(Arc::new(Notebook::default()));
    let (db, now) = (&consumer.base.db, Clock::system().now());
    let from_now = |hours| now + SignedDuration::from_hours(hours);
    let pets = pets(2);
    // Just too old, older than there are partitions, too far ahead, and further ahead than there are partitions.
    let refused: Vec<Envelope> = [-22 * 24 - 1, -30 * 24, 2 * 24 + 1, 5 * 24]
        .into_iter()
        .zip(1..)
        .map(|(hours, number)| dated(from_now(hours), number, pets[0]))
        .collect();
    for (envelope, dead) in refused.iter().zip(1..) {
        send(&world, envelope).await;
        eventually("it is dead-lettered", || async { count(db, DEAD).await == dead }).await;
    }
    assert!(applied(db).await.is_empty());
    // Again, as after a crash: they are known by their dead letters.
    for envelope in &refused {
        send(&world, envelope).await;
    }
    send(&world, &dated(now, 5, pets[1])).await;
    eventually("the next is handled", || async { applied(db).await.len() == 1 }).await;
    let all =
        "-- frontier\nSELECT frontier FROM event_progress WHERE topic = 'readings.accepted' AND shard = 0";
    eventually("all of them are done with", || async { count(db, all).await == 5 }).await;
    eventually("nothing is counted any more", || async { count(db, FAILURES).await == 0 }).await;
    assert_eq!((count(db, DEAD).await, applied(db).await[0].1), (4, pets[1].0));
}

/// Two pets of one shard.
fn neighbours() -> [PetId; 2] {
    let pets = pets(40);
    let shard = shard_of(pets[0], 4);
    let neighbour = pets[1..].iter().find(|pet| shard_of(**pet, 4) == shard).unwrap();
    [pets[0], *neighbour]
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_database_refuses_to_bury_holds_nobody_up_and_is_buried_later() {
    let world = World::new("unburied").await;
    let producer = world.producer().await;
    let consumer = world.consumer(&producer).await;
    let database = world.stack.postgres().ensure_database("behavior_unburied").await.unwrap();
    let as_owner = PostgresConfig {
        runtime_url: database.owner_url,
        owner_url: None,
        pool_size: 1,
        tls: PostgresTls::default(),
    };
    let owner = &Db::connect(&as_owner).unwrap();
    let change = async |sql: &'static str| {
        let changed: Result<u64, Error> =
            owner.transaction("change", |tx| async move { tx.execute(sql, &[]).await }).await;
        changed.unwrap();
    };
    change(
        "-- revoke\nDO $$ BEGIN EXECUTE format('REVOKE INSERT ON event_dead_letters FROM %I',
                                               current_database() || '_runtime'); END $$",
    )
    .await;
    let [poisoned, good] = neighbours();
    let notebook = Arc::new(Notebook { poisoned: Some(poisoned), ..Default::default() });
    consumer.consume(notebook.clone());
    let db = &consumer.base.db;
    flush(&producer, &[poisoned], 1.0).await;
    eventually("it is given up on", || async {
        notebook.tries.lock().unwrap().get(&poisoned).is_some_and(|tries| *tries >= 5)
    })
    .await;
    let expected = sorted(flush(&producer, &[good], 2.0).await);
    eventually("what comes behind it is applied", || async { applied(db).await == expected }).await;
    assert_eq!(count(db, DEAD).await, 0);
    change(
        "-- grant\nDO $$ BEGIN EXECUTE format('GRANT INSERT ON event_dead_letters TO %I',
                                              current_database() || '_runtime'); END $$",
    )
    .await;
    eventually("it came again", || async { count(db, DEAD).await == 1 }).await;
    assert_eq!(applied(db).await, expected);
}
