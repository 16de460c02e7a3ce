//! Stacks that begin where another ended.

use petty_provision::{Prototype, Stack};
use secrecy::ExposeSecret;

use crate::run;

#[tokio::test]
async fn stacks_begin_where_the_prototype_ended_and_share_nothing() {
    let first = Stack::temporary().await.unwrap();
    let database = first.postgres().ensure_database("handed_on").await.unwrap();
    run(database.owner_url.expose_secret(), "CREATE TABLE t AS SELECT 1 AS x").await.unwrap();
    std::fs::write(first.data_dir().join("keys.json"), "keys").unwrap();
    std::fs::write(first.data_dir().join("some.log"), "what happened").unwrap();
    let dir = first.data_dir().to_path_buf();
    let prototype = Prototype::of(first).await.unwrap();
    assert!(!dir.join("postgres/postmaster.pid").exists(), "it was stopped in good order");

    let (one, other) = tokio::try_join!(prototype.stack(), prototype.stack()).unwrap();
    let mut rows = Vec::new();
    for stack in [&one, &other] {
        let again = stack.postgres().ensure_database("handed_on").await.unwrap();
        let url = again.owner_url.expose_secret();
        run(url, "INSERT INTO t VALUES (2)").await.unwrap();
        rows.push(run(url, "SELECT x FROM t").await.unwrap());
        assert_eq!(std::fs::read_to_string(stack.data_dir().join("keys.json")).unwrap(), "keys");
        assert!(!stack.data_dir().join("some.log").exists(), "it is the other's log");
    }
    assert_eq!(rows, [2, 2], "what one inserts is not the other's");
    assert_ne!(one.postgres().port(), other.postgres().port());
    assert_ne!(one.redis().port(), other.redis().port());

    drop(prototype);
    assert!(!dir.exists(), "its files are gone with it");
    one.postgres().restart().await.unwrap();
}
