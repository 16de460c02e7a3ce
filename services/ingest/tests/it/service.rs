//! The service as a whole, from its environment alone.

use petty_chassis::config::{self, Reader, Section};
use petty_ingest::{Ingest, IngestConfig};

use crate::world::{World, plan};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_starts_from_its_environment_and_drains() {
    petty_testbench::runs_alone::<Ingest>(plan()).await;
}

#[tokio::test]
async fn the_runtime_role_makes_partitions_only_through_their_function() {
    let world = World::new("service_ddl").await;
    let refused = world
        .base
        .db
        .transaction("test", |tx| async move {
            tx.execute("-- ddl\nCREATE TABLE more PARTITION OF readings DEFAULT", &[]).await
        })
        .await;
    assert!(refused.is_err());
    let sql = "-- days\nSELECT count(*) FROM pg_inherits WHERE inhparent = 'readings'::regclass";
    let days: i64 = world.query(sql, &[]).await[0].get(0);
    assert_eq!(days, 35, "from 32 days back to 2 ahead");
}

#[tokio::test]
async fn a_window_out_of_bounds_is_named() {
    struct Both;
    impl Section for Both {
        fn read(reader: &mut Reader<'_>) -> Option<Self> {
            IngestConfig::read(reader).map(|_| Self)
        }
    }
    let world = World::new("service_config").await;
    for (name, value) in [
        ("PETTY_INGEST_MAX_AGE", "30d"),
        ("PETTY_INGEST_MAX_AGE", "1s"),
        ("PETTY_INGEST_MAX_AGE", "9000h"),
        ("PETTY_INGEST_MAX_AHEAD", "25h"),
        ("PETTY_INGEST_KEEP_RAW", "767h"),
        ("PETTY_INGEST_KEEP_MINUTES", "767h"),
        ("PETTY_INGEST_KEEP_HOURS", "8759h"),
    ] {
        let environment = world.environment.clone().with(name, value);
        let faults = config::load::<Both>(&environment).err().unwrap();
        assert!(faults.iter().any(|fault| fault.starts_with(name)), "{faults}");
    }
}
