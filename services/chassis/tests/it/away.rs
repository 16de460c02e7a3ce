//! A PostgreSQL that is there and of no use: it hangs, or only reads.

use std::time::Duration;

use petty_chassis::config::{PostgresConfig, PostgresTls};
use petty_chassis::postgres::{Class, Db, Error, Migrations, Step};
use petty_provision::Stack;
use uuid::Uuid;

use crate::fixture::{Keys, context};
use crate::world::{eventually, migrations, node};

const LOOK: &str = "-- look\nSELECT body FROM applied";
const PUT: &str = "-- put\nINSERT INTO applied (event_id, pet_id, body) VALUES ($1, $1, '')";

/// One connection to a database of its own, as the runtime role.
async fn only_one(stack: &Stack, name: &str) -> PostgresConfig {
    let database = stack.postgres().ensure_database(name).await.unwrap();
    PostgresConfig {
        runtime_url: database.runtime_url,
        owner_url: Some(database.owner_url),
        pool_size: 1,
        tls: PostgresTls::default(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_is_not_ready_while_its_database_hangs_and_is_again_afterwards() {
    let stack = Stack::temporary().await.unwrap();
    let config = only_one(&stack, "hangs").await;
    let context = context("postgres_hangs", &Keys::new().environment("auth"));
    let _db = Db::open(&context, &config, Migrations::new(migrations::migrations::runner())).await.unwrap();
    let ready = || {
        let report = context.readiness.report();
        report.checks.into_iter().find(|check| check.name == "postgres").unwrap().ok
    };
    assert!(ready());
    stack.postgres().pause();
    eventually("it is not ready", || async { !ready() }).await;
    stack.postgres().resume();
    eventually("it is ready again", || async { ready() }).await;
    context.shutdown.cancel();
}

/// Time passes as soon as there is nothing to do, so that what hangs is given up at once.
#[tokio::test]
async fn a_statement_that_gets_no_answer_is_given_up_with_its_connection() {
    let stack = Stack::temporary().await.unwrap();
    let config = only_one(&stack, "unanswered").await;
    let context = context("postgres_unanswered", &Keys::new().environment("auth"));
    let db = Db::open(&context, &config, Migrations::new(migrations::migrations::runner())).await.unwrap();
    context.shutdown.cancel();
    let (db, id) = (&db, Uuid::from_u128(1));
    let put = || async {
        let put: Result<u64, Error> =
            db.transaction("put", |tx| async move { tx.execute(PUT, &[&id]).await }).await;
        put
    };
    let step = || [Step::Execute { sql: PUT, parameters: vec![&id] }];
    assert_eq!(put().await.unwrap(), 1);
    for piped in [false, true] {
        stack.postgres().pause();
        tokio::time::pause();
        let since = tokio::time::Instant::now();
        let error = if piped { db.pipeline(&step()).await.map(|_| ()) } else { put().await.map(|_| ()) };
        let (error, waited) = (error.unwrap_err(), since.elapsed());
        tokio::time::resume();
        stack.postgres().resume();
        assert_eq!(error.class(), Class::Away, "{error:?}");
        assert!((Duration::from_secs(30)..Duration::from_secs(80)).contains(&waited), "{waited:?}");
        // The only one there was: the next is another.
        assert_eq!(put().await.unwrap(), 1, "after one that was given up");
    }
}

/// What is to become the first server answers, and writes nothing yet.
#[tokio::test]
async fn a_server_that_only_reads_is_away_to_who_would_write() {
    let node = node("postgres_reads").await;
    let id = Uuid::from_u128(1);
    let written: Result<u64, Error> =
        node.base.db.read("writes", |tx| async move { tx.execute(PUT, &[&id]).await }).await;
    let error = written.unwrap_err();
    assert_eq!(error.class(), Class::Away, "{error:?}");
    assert!(
        node.base.db.read("look", |tx| async move { tx.query(LOOK, &[]).await }).await.unwrap().is_empty()
    );
}
