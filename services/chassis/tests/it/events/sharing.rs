//! Replicas share the shards out: each is read by one at a time, so that what is about a pet is applied in its order, whoever comes,
//! goes, dies or is cut off.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use petty_chassis::postgres::{Db, Error};
use petty_proto::events::v1::PetReadings;
use prost::Message as _;
use secrecy::ExposeSecret as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use uuid::Uuid;

use super::{Notebook, World, applied, flush, pets};
use crate::world::{GAP_GRACE, HANDLING_DEADLINE, Setup, eventually};

/// How many shards each replica has, by the table, least first.
pub(super) async fn shares(db: &Db) -> Vec<i64> {
    let sql = "-- shares\nSELECT count(*) FROM event_consumer_shards WHERE lease_until > now() GROUP BY holder ORDER BY 1";
    let read = |tx: petty_chassis::postgres::Tx| async move {
        let rows = tx.query(sql, &[]).await?;
        rows.iter().map(|row| Error::column(row, "event_consumer_shards", 0)).collect()
    };
    db.read("shares", read).await.unwrap_or_default()
}

/// The rounds that each pet's parts are of, in the order in which they were applied.
pub(super) async fn rounds(db: &Db) -> BTreeMap<Uuid, Vec<u8>> {
    let sql = "-- rounds\nSELECT pet_id, body FROM applied ORDER BY place";
    let rows = db.read("rounds", |tx| async move { tx.query(sql, &[]).await }).await.unwrap();
    let mut rounds = BTreeMap::<Uuid, Vec<u8>>::new();
    for row in rows {
        let part = PetReadings::decode(row.get::<_, &[u8]>(1)).unwrap();
        let round = part.readings[0].heart_rate.unwrap();
        // Written from one.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it came from one")]
        rounds.entry(row.get(0)).or_default().push(round as u8);
    }
    rounds
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_about_a_pet_is_applied_in_order_whichever_replica_comes_goes_or_dies() {
    let world = World::new("sharing").await;
    let producer = world.producer().await;
    let pets = pets(12);
    let one = world.consumer(&producer).await;
    one.consume(Arc::new(Notebook::default()));
    let db = &one.base.db.clone();
    eventually("who is alone reads all", || async { shares(db).await == [4] }).await;
    let send = async |rounds: std::ops::Range<u8>| {
        for round in rounds {
            flush(&producer, &pets, f64::from(round)).await;
        }
    };
    send(0..30).await;
    let other = world.consumer(&producer).await;
    other.consume(Arc::new(Notebook::default()));
    send(30..60).await;
    eventually("two share them out", || async { shares(db).await == [2, 2] }).await;
    send(60..90).await;
    other.crash().await;
    send(90..120).await;
    eventually("what a dead one read is read by who is left", || async { shares(db).await == [4] }).await;
    let third = world.consumer(&producer).await;
    third.consume(Arc::new(Notebook::default()));
    eventually("who comes gets a share", || async { shares(db).await == [2, 2] }).await;
    send(120..150).await;
    third.shutdown.begin();
    assert!(third.tasks.wait(Duration::from_secs(10)).await, "it ends in time");
    // One that ends gives its shards back: nobody waits for a lease to end.
    let held = "-- given_back\nSELECT count(*) FROM event_consumer_shards WHERE lease_until > now() AND holder <> $1";
    let mine = one.base.context.base.instance.as_str();
    let others = db
        .read("given_back", |tx| async move {
            Error::column(&tx.query_one(held, &[&mine]).await?, "event_consumer_shards", 0)
        })
        .await;
    assert_eq!(others.ok(), Some(0_i64));
    send(150..180).await;
    let all: Vec<u8> = (0..180).collect();
    eventually("all is applied", || async { applied(db).await.len() == 12 * all.len() }).await;
    for (pet, rounds) in rounds(db).await {
        assert_eq!(rounds, all, "{pet}: in order");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_begins_with_more_than_its_share_gives_up_what_it_never_read() {
    let world = World::new("too_many").await;
    let producer = world.producer().await;
    let (one, other) = (world.consumer(&producer).await, world.consumer(&producer).await);
    let db = &one.base.db;
    // As after a crash: it held all, and comes back under its name before its leases end, to find another there.
    let holders = [&one, &other].map(|node| node.base.context.base.instance.as_str());
    let before = "-- before\nWITH there AS (INSERT INTO event_consumers SELECT unnest($1::text[]), now() + interval '1 minute')
                  INSERT INTO event_consumer_shards SELECT generate_series(0, 3), $2, now() + interval '1 minute'";
    let held = |tx: petty_chassis::postgres::Tx| async move {
        tx.execute(before, &[&holders.as_slice(), &holders[0]]).await.map(|_| ())
    };
    db.transaction("before", held).await.unwrap();
    one.consume(Arc::new(Notebook::default()));
    other.consume(Arc::new(Notebook::default()));
    eventually("two share them out", || async { shares(db).await == [2, 2] }).await;
    let expected = flush(&producer, &pets(12), 1.0).await;
    eventually("nothing waits", || async { applied(db).await.len() == expected.len() }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_cannot_read_the_streams_leaves_its_shards_to_who_can() {
    let world = World::new("cut_off").await;
    let producer = world.producer().await;
    let url = url::Url::parse(world.stack.redis().url().expose_secret()).unwrap();
    let behind = format!("{}:{}", url.host_str().unwrap(), url.port().unwrap());
    let (open, gate) = watch::channel(true);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut through = url.clone();
    through.set_port(Some(listener.local_addr().unwrap().port())).unwrap();
    let tasks = producer.tasks.clone();
    let proxy = producer.tasks.spawn("proxy", async move {
        loop {
            let (mut near, _) = listener.accept().await.unwrap();
            let (behind, mut gate) = (behind.clone(), gate.clone());
            drop(tasks.spawn("proxied", async move {
                if !*gate.borrow() {
                    return;
                }
                let mut far = TcpStream::connect(behind).await.unwrap();
                tokio::select! {
                    _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                    _ = gate.wait_for(|open| !open) => {}
                }
            }));
        }
    });
    let cut_off = Setup {
        stack: &world.stack,
        service: "behavior",
        database: "behavior_cut_off",
        redis_url: through.to_string(),
        endpoints: Vec::new(),
        handling_deadline: HANDLING_DEADLINE,
        gap_grace: GAP_GRACE,
    }
    .start()
    .await;
    let well = world.consumer(&producer).await;
    cut_off.consume(Arc::new(Notebook::default()));
    well.consume(Arc::new(Notebook::default()));
    let db = &well.base.db;
    eventually("two share them out", || async { shares(db).await == [2, 2] }).await;
    open.send(false).unwrap();
    eventually("who can read has all", || async { shares(db).await == [4] }).await;
    let pets = pets(12);
    let expected = flush(&producer, &pets, 1.0).await;
    eventually("nothing waits", || async { applied(db).await.len() == expected.len() }).await;
    open.send(true).unwrap();
    eventually("who can read again has its share", || async { shares(db).await == [2, 2] }).await;
    proxy.abort();
}
