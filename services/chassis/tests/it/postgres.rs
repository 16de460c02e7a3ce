//! Transactions: again after a lost race, never half, and requests that are sent twice.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use petty_chassis::config::{PostgresConfig, PostgresTls};
use petty_chassis::error::chain;
use petty_chassis::postgres::requests;
use petty_chassis::postgres::{Class, Db, Error, Migrations, Tx};
use petty_chassis::telemetry::prometheus_text;
use petty_chassis::types::Clock;
use petty_chassis::{ApiError, Code};
use petty_proto::auth::v1::{CreatePetRequest, Pet};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::fixture::{Keys, context};
use crate::world::{eventually, migrations, node};

/// A row that two transactions fight over.
async fn put(db: &Db, id: Uuid) {
    let sql = "-- put\nINSERT INTO applied (event_id, pet_id, body) VALUES ($1, $1, '')";
    let put: Result<u64, Error> =
        db.transaction("put", |tx| async move { tx.execute(sql, &[&id]).await }).await;
    assert_eq!(put.unwrap(), 1);
}

async fn length(db: &Db, id: Uuid) -> i32 {
    let sql = "-- length\nSELECT length(body) FROM applied WHERE event_id = $1";
    let length: Result<i32, Error> = db
        .read("length", |tx| async move { Error::column(&tx.query_one(sql, &[&id]).await?, "applied", 0) })
        .await;
    length.unwrap()
}

const GROW: &str = "-- grow\nUPDATE applied SET body = body || 'x' WHERE event_id = $1";

#[tokio::test(flavor = "multi_thread")]
async fn two_that_wait_for_each_other_both_succeed_in_the_end() {
    let node = node("postgres_race").await;
    let db = &node.base.db;
    let (one, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
    put(db, one).await;
    put(db, other).await;
    let attempts = AtomicU32::new(0);
    let both_hold_one = tokio::sync::Barrier::new(2);
    let (attempts, both_hold_one) = (&attempts, &both_hold_one);
    // Each locks one row, waits until the other has locked its own, and then wants that one, too.
    let cross = |first: Uuid, second: Uuid| async move {
        let done: Result<(), Error> = db
            .transaction("cross", |tx| async move {
                tx.execute(GROW, &[&first]).await?;
                if attempts.fetch_add(1, Ordering::AcqRel) < 2 {
                    both_hold_one.wait().await;
                }
                tx.execute(GROW, &[&second]).await.map(|_| ())
            })
            .await;
        done.unwrap();
    };
    tokio::join!(cross(one, other), cross(other, one));
    assert_eq!((length(db, one).await, length(db, other).await), (2, 2), "each effect once");
    assert!(attempts.load(Ordering::Acquire) > 2, "one of them ran again");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_or_is_dropped_midway_leaves_nothing_behind() {
    let node = node("postgres_midway").await;
    let db = &node.base.db;
    let id = Uuid::from_u128(3);
    put(db, id).await;
    let failed: Result<(), ApiError> = db
        .transaction("fails", |tx| async move {
            tx.execute(GROW, &[&id]).await?;
            Err(ApiError::not_found("NOT_THERE", "not there"))
        })
        .await;
    assert_eq!(failed.unwrap_err().reason, "NOT_THERE");
    let hung = db.transaction("hangs", |tx| async move {
        tx.execute(GROW, &[&id]).await?;
        std::future::pending::<Result<(), Error>>().await
    });
    assert!(tokio::time::timeout(Duration::from_millis(200), hung).await.is_err());
    assert_eq!(length(db, id).await, 0);
    // The dropped one's connection is not handed out with its transaction still open: the row can be had.
    let grown: Result<u64, Error> =
        db.transaction("grow", |tx| async move { tx.execute(GROW, &[&id]).await }).await;
    assert_eq!(grown.unwrap(), 1);
    assert_eq!(length(db, id).await, 1);
}

/// A call may be given up at any moment, so also while its `BEGIN READ ONLY` is on its way: who gets the connection next must
/// not find itself in that transaction.
#[tokio::test]
async fn what_is_dropped_while_it_begins_leaves_the_next_a_connection_that_can_write() {
    let node = node("postgres_begin").await;
    let id = Uuid::from_u128(4);
    put(&node.base.db, id).await;
    let stack = petty_provision::shared().await.unwrap();
    let runtime_url = stack.postgres().ensure_database("postgres_begin").await.unwrap().runtime_url;
    let only_one = PostgresConfig { runtime_url, owner_url: None, pool_size: 1, tls: PostgresTls::default() };
    let db = &Db::connect(&only_one).unwrap();
    let mut ended = 0;
    for polls in 1..=20 {
        let look = db.read("look", |tx| async move { tx.query(LOOK, &[&id]).await });
        ended += u32::from(given_up_after(polls, look).await.is_some());
        let grown: Result<u64, Error> =
            db.transaction("grow", |tx| async move { tx.execute(GROW, &[&id]).await }).await;
        assert_eq!(grown.unwrap(), 1, "after a read that was given up at its poll {polls}");
    }
    assert!((1..20).contains(&ended), "some were given up and some were not: {ended} ended");
    assert_eq!(length(db, id).await, 20);
}

/// The first statement is sent behind its `BEGIN` without waiting for that: it is within it nevertheless.
#[tokio::test]
async fn the_first_statement_is_in_its_transaction() {
    let node = node("postgres_first").await;
    let stack = petty_provision::shared().await.unwrap();
    let runtime_url = stack.postgres().ensure_database("postgres_first").await.unwrap().runtime_url;
    let only_one = PostgresConfig { runtime_url, owner_url: None, pool_size: 1, tls: PostgresTls::default() };
    let db = &Db::connect(&only_one).unwrap();
    let within = |tx: Tx| async move {
        let row = tx.query_one(WITHIN, &[]).await?;
        Ok::<(String, String), Error>((Error::column(&row, "it", 0)?, Error::column(&row, "it", 1)?))
    };
    let is = |read_only: &str, plans: &str| (read_only.to_owned(), plans.to_owned());
    // On one connection, so that what one of them says would be the next one's as well.
    for _ in 0..3 {
        assert_eq!(db.read_partitions("within", within).await.unwrap(), is("on", "force_custom_plan"));
        assert_eq!(db.transaction("within", within).await.unwrap(), is("off", "auto"));
        assert_eq!(db.read("within", within).await.unwrap(), is("on", "auto"));
    }
    drop(node);
}

const WITHIN: &str =
    "-- within\nSELECT current_setting('transaction_read_only'), current_setting('plan_cache_mode')";
const LOOK: &str = "-- look\nSELECT body FROM applied WHERE event_id = $1";

/// What a future ends with, if it does within so many polls.
async fn given_up_after<F: Future>(polls: u32, future: F) -> Option<F::Output> {
    let (mut future, mut polled) = (std::pin::pin!(future), 0);
    std::future::poll_fn(|context| {
        polled += 1;
        match future.as_mut().poll(context) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if polled >= polls => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_that_the_schema_refuses_is_lasting_and_a_server_that_is_away_is_not() {
    let node = node("postgres_classes").await;
    let db = &node.base.db;
    let refused: Result<u64, Error> = db
        .transaction("refused", |tx| async move {
            tx.execute(
                "-- refused\nINSERT INTO applied (event_id) VALUES ('00000000-0000-0000-0000-000000000000')",
                &[],
            )
            .await
        })
        .await;
    let refused = refused.unwrap_err();
    assert_eq!(refused.class(), Class::Lasting, "{refused:?}");
    // What is logged and kept of it says which column, and nothing of the row.
    let text = chain(&refused);
    assert!(text.contains("\"pet_id\"") && text.contains("23502"), "{text}");
    assert!(!text.contains("Failing row") && !text.contains("0000-0000"), "{text}");
    let unread: Result<u64, Error> = db
        .read(
            "unread",
            |tx| async move { tx.execute("-- unread\nSELECT ('at ' || '52.51')::uuid", &[]).await },
        )
        .await;
    let text = chain(&unread.unwrap_err());
    assert!(text.contains("22P02") && !text.contains("52.51"), "{text}");
    let ended: Result<u64, Error> = db
        .transaction("ended", |tx| async move {
            tx.execute("-- ended\nSELECT pg_terminate_backend(pg_backend_pid())", &[]).await
        })
        .await;
    let ended = ended.unwrap_err();
    assert_eq!(ended.class(), Class::Away, "{ended:?}");
    assert_eq!(ApiError::from(ended).code, Code::Unavailable);
}

/// Creates as a handler does; how many were really made is counted.
async fn create(
    db: &Db,
    request_id: &str,
    name: &str,
    secret: bool,
    made: &AtomicU32,
) -> Result<Pet, ApiError> {
    let request =
        CreatePetRequest { name: name.to_owned(), request_id: request_id.to_owned(), ..Default::default() };
    let (clock, request) = (&Clock::system(), &request);
    let answer: Result<(Pet, bool), ApiError> = db
        .transaction("create", |tx| async move {
            let new = &AtomicBool::new(false);
            let work = async {
                new.store(true, Ordering::Release);
                Ok(Pet { name: request.name.clone(), ..Default::default() })
            };
            let named = (request.request_id.as_str(), "CreatePet");
            let pet = if secret {
                requests::once_shown(&tx, clock, named, request).await?;
                work.await?
            } else {
                requests::once(&tx, clock, named, request, work).await?
            };
            Ok((pet, new.load(Ordering::Acquire)))
        })
        .await;
    let (pet, new) = answer?;
    made.fetch_add(u32::from(new), Ordering::AcqRel);
    Ok(pet)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_sent_many_times_at_once_has_one_effect_and_one_answer() {
    let node = node("postgres_requests").await;
    let db = &node.base.db;
    let made = AtomicU32::new(0);
    let answers = futures::future::join_all((0..20).map(|_| create(db, "key-1", "Rex", false, &made))).await;
    assert!(answers.into_iter().all(|answer| answer.unwrap().name == "Rex"));
    assert_eq!(made.load(Ordering::Acquire), 1);

    let other = create(db, "key-1", "Tom", false, &made).await.unwrap_err();
    assert_eq!((other.code, other.reason), (Code::RequestIdReused, "IDEMPOTENCY_KEY_REUSED"));
    create(db, "key-2", "Rex", true, &made).await.unwrap();
    let again = create(db, "key-2", "Rex", true, &made).await.unwrap_err();
    assert_eq!((again.code, again.reason), (Code::Conflict, "SECRET_ALREADY_SHOWN"));
    let other = create(db, "key-2", "Tom", true, &made).await.unwrap_err();
    assert_eq!((other.code, other.reason), (Code::RequestIdReused, "IDEMPOTENCY_KEY_REUSED"));
    for _ in 0..2 {
        create(db, "", "Rex", false, &made).await.unwrap();
    }
    assert_eq!(made.load(Ordering::Acquire), 4, "without a key each sending is a request of its own");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_request_or_its_answer_can_be_read_from_what_is_kept() {
    let node = node("postgres_requests_sealed").await;
    let db = &node.base.db;
    let made = AtomicU32::new(0);
    create(db, "key-of-rex", "Rex the First", false, &made).await.unwrap();
    create(db, "key-of-rex", "Rex the First", false, &made).await.unwrap();
    assert_eq!(made.load(Ordering::Acquire), 1);
    let (kept, plain_hash): (String, bool) = db
        .read("kept", |tx| async move {
            let sql =
                "-- kept\nSELECT string_agg(r::text, ' '), bool_or(request_hash = $1) FROM event_requests r";
            let request = CreatePetRequest {
                name: "Rex the First".to_owned(),
                request_id: "key-of-rex".to_owned(),
                ..Default::default()
            };
            let hash = Sha256::digest(prost::Message::encode_to_vec(&request)).to_vec();
            let row = tx.query_one(sql, &[&hash]).await?;
            Ok::<_, Error>((row.get(0), row.get(1)))
        })
        .await
        .unwrap();
    assert!(kept.contains("CreatePet"), "{kept}");
    for hidden in ["Rex the First", "key-of-rex"] {
        assert!(!kept.contains(hidden) && !kept.contains(&hex::encode(hidden)), "{hidden}: {kept}");
    }
    assert!(!plain_hash, "a hash without a key could be tried for all short requests");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_for_after_the_commit_happens_once_and_only_then() {
    let node = node("postgres_after_commit").await;
    let db = &node.base.db;
    let id = Uuid::from_u128(4);
    put(db, id).await;
    let said = &Arc::new(Mutex::new(Vec::new()));
    let say = |tx: &Tx, word: &'static str| {
        let said = Arc::clone(said);
        tx.after_commit(move || said.lock().unwrap().push(word));
    };

    let failed: Result<(), ApiError> = db
        .transaction("fails", |tx| async move {
            say(&tx, "rolled back");
            Err(ApiError::not_found("NOT_THERE", "not there"))
        })
        .await;
    failed.unwrap_err();

    // A deferred constraint says no at the commit itself.
    let attempts = &AtomicU32::new(0);
    let refused: Result<(), Error> = db
        .transaction("refused", |tx| async move {
            attempts.fetch_add(1, Ordering::AcqRel);
            tx.execute("-- orphan\nINSERT INTO children (parent) VALUES ($1)", &[&id]).await?;
            say(&tx, "refused");
            let said = Arc::clone(said);
            tx.at_refused_commit(move || said.lock().unwrap().push("alarm"));
            Ok(())
        })
        .await;
    refused.unwrap_err();
    assert_eq!(attempts.load(Ordering::Acquire), 1, "no race was lost");
    assert_eq!(std::mem::take(&mut *said.lock().unwrap()), ["alarm"]);

    // Both lock one row and then want the other's: one of them loses its first attempt.
    let other = Uuid::from_u128(5);
    put(db, other).await;
    let attempts = &AtomicU32::new(0);
    let both_hold_one = &tokio::sync::Barrier::new(2);
    let cross = |first: Uuid, second: Uuid, word: &'static str| async move {
        let done: Result<(), Error> = db
            .transaction("cross", |tx| async move {
                say(&tx, word);
                tx.execute(GROW, &[&first]).await?;
                if attempts.fetch_add(1, Ordering::AcqRel) < 2 {
                    both_hold_one.wait().await;
                }
                tx.execute(GROW, &[&second]).await.map(|_| ())
            })
            .await;
        done.unwrap();
    };
    tokio::join!(cross(id, other, "one"), cross(other, id, "other"));
    assert!(attempts.load(Ordering::Acquire) > 2, "one of them ran again");
    let mut said = said.lock().unwrap().clone();
    said.sort_unstable();
    assert_eq!(said, ["one", "other"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_told_after_the_commit_finds_what_was_committed() {
    let node = node("postgres_told").await;
    let (db, id) = (&node.base.db, Uuid::from_u128(6));
    put(db, id).await;
    let (told, mut hears) = tokio::sync::mpsc::unbounded_channel();
    let told = &told;
    let grown: Result<u64, Error> = db
        .transaction("grow", |tx| async move {
            for number in [1, 2] {
                let told = told.clone();
                tx.after_commit(move || told.send(number).unwrap());
            }
            tx.execute(GROW, &[&id]).await
        })
        .await;
    assert_eq!(grown.unwrap(), 1);
    assert_eq!((hears.try_recv(), hears.try_recv()), (Ok(1), Ok(2)), "in their order, before it is answered");
    assert_eq!(length(db, id).await, 1);
}

/// The settings of a Postgres may change while services run, for the worse and for the better.
#[tokio::test(flavor = "multi_thread")]
async fn settings_that_lose_data_show_while_they_hold_and_no_longer() {
    let stack = petty_provision::shared().await.unwrap();
    let database = stack.postgres().ensure_database("postgres_durable").await.unwrap();
    // On one connection, so that what is set here is what is looked at.
    let config = PostgresConfig {
        runtime_url: database.runtime_url,
        owner_url: Some(database.owner_url),
        pool_size: 1,
        tls: PostgresTls::default(),
    };
    // Whose name it is alone, for all tests share their metrics.
    let context = context("postgres_durable", &Keys::new().environment("auth"));
    let db = &Db::open(&context, &config, Migrations::new(migrations::migrations::runner())).await.unwrap();
    let shown = || {
        let report = context.readiness.report();
        let check = report.checks.into_iter().find(|check| check.name == "postgres").unwrap();
        let metrics = prometheus_text();
        let durable = metrics.lines().find_map(|line| {
            let labelled = line.strip_prefix("petty_postgres_durable{")?;
            labelled.contains("service=\"postgres_durable\"").then(|| labelled.ends_with(" 1"))
        });
        (durable.unwrap(), check.ok, check.detail)
    };
    let well = (true, true, "reachable".to_owned());
    let lossy = (false, true, "reachable, but set up to lose data: synchronous_commit = off".to_owned());
    assert_eq!(shown(), well);
    for (setting, wanted) in [("off", lossy), ("on", well.clone())] {
        // As whoever changes it would: for those who connect from now on.
        let set: Result<(), Error> = db
            .transaction("set", |tx| async move {
                let sql = format!("-- set\nALTER ROLE CURRENT_USER SET synchronous_commit = {setting}");
                tx.execute(&sql, &[]).await.map(drop)
            })
            .await;
        set.unwrap();
        let others = "-- others\nSELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                      WHERE datname = current_database() AND usename = current_user AND pid <> pg_backend_pid()";
        let ended: Result<u64, Error> =
            db.read("others", |tx| async move { tx.execute(others, &[]).await }).await;
        assert!(ended.unwrap() > 0);
        eventually(setting, || async { shown() == wanted }).await;
    }
    context.shutdown.cancel();
}

#[tokio::test]
async fn a_replica_whose_connections_are_all_in_use_is_ready_none_the_less() {
    let stack = petty_provision::shared().await.unwrap();
    let database = stack.postgres().ensure_database("postgres_busy").await.unwrap();
    let config = PostgresConfig {
        runtime_url: database.runtime_url,
        owner_url: Some(database.owner_url),
        pool_size: 1,
        tls: PostgresTls::default(),
    };
    let context = context("postgres_busy", &Keys::new().environment("auth"));
    let db = &Db::open(&context, &config, Migrations::new(migrations::migrations::runner())).await.unwrap();
    // Longer than it is looked at twice, and than an answer is waited for.
    let busy = db.read("busy", |tx| async move {
        tx.execute("-- busy\nSELECT pg_sleep(6)", &[]).await?;
        Ok::<(), Error>(())
    });
    let mut busy = std::pin::pin!(busy);
    loop {
        tokio::select! {
            ended = &mut busy => {
                ended.unwrap();
                break;
            }
            () = tokio::time::sleep(Duration::from_millis(50)) => {}
        }
        let report = context.readiness.report();
        assert!(report.checks.iter().any(|check| check.name == "postgres" && check.ok), "{report:?}");
    }
    context.shutdown.cancel();
}

/// Its connection is closed, which PostgreSQL would notice once it has something to say.
#[tokio::test(flavor = "multi_thread")]
async fn a_statement_that_is_given_up_ends_although_it_waits() {
    let node = node("postgres_given_up").await;
    let db = &node.base.db;
    let id = Uuid::from_u128(5);
    put(db, id).await;
    let holding = db.transaction("hold", |tx| async move {
        tx.execute(GROW, &[&id]).await?;
        let waiting = db.transaction("wait", |tx| async move { tx.execute(GROW, &[&id]).await });
        let given_up: Result<Result<u64, Error>, _> =
            tokio::time::timeout(Duration::from_millis(300), waiting).await;
        assert!(given_up.is_err());
        let sql = "-- waiting\nSELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
        let began = std::time::Instant::now();
        loop {
            let waiting: i64 = Error::column(&tx.query_one(sql, &[]).await?, "pg_stat_activity", 0)?;
            if waiting == 0 {
                break;
            }
            // By itself it ends after ten seconds, when no lock was to be had.
            assert!(began.elapsed().as_secs() < 8, "it waits still");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok::<(), Error>(())
    });
    holding.await.unwrap();
}
