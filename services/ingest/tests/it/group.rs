//! Group commit: what is written together, and what each request is told of its own.

use futures::future::join_all;
use petty_chassis::access::Role;
use petty_proto::ingest::v1 as wire;

use crate::world::{World, ago, at, reading};

#[tokio::test]
async fn requests_that_wait_together_share_a_commit() {
    let world = World::new("group_shared").await;
    let owner = world.person();
    let pet = world.owned(&owner, "collar-1");
    // What a first flush does beside: connections, statements, the collar's key.
    world.ingest(&owner, reading("collar-1", ago(1_000))).await.unwrap();
    let answers = join_all((0..64).map(|n| world.ingest(&owner, reading("collar-1", ago(n))))).await;
    for answer in answers {
        let answer = answer.unwrap();
        assert_eq!((answer.accepted, answer.duplicates), (1, 0));
    }
    assert_eq!(world.stored().await.len(), 65);
    assert_eq!(world.announced().await, world.stored().await);
    let flushes = world.entries().await.len() - 1;
    assert!(flushes <= 32, "{flushes} flushes of 64 requests of one pet");
    assert_eq!(world.latest("collar-1").await, Some((ago(0).as_microsecond(), pet)));
}

#[tokio::test]
async fn each_request_is_told_its_own_counts() {
    let world = World::new("group_counts").await;
    let owner = world.person();
    for n in 0..8 {
        world.owned(&owner, &format!("collar-{n}"));
    }
    let batch = |collar: i64| -> Vec<wire::Reading> {
        let name = format!("collar-{}", collar % 8);
        // 20 of its own and one that is nobody's.
        let mut batch: Vec<_> = (0..20).map(|n| reading(&name, ago(collar * 100 + n))).collect();
        batch.push(reading("collar-of-nobody", ago(0)));
        // And one twice.
        batch.push(reading(&name, ago(collar * 100)));
        batch
    };
    for again in [false, true] {
        let answers = join_all((0..24).map(|collar| world.ingest_batch(&owner, batch(collar)))).await;
        for answer in answers {
            let answer = answer.unwrap();
            let expected = if again { (0, 21) } else { (20, 1) };
            assert_eq!((answer.accepted, answer.duplicates, answer.conflicting), (expected.0, expected.1, 0));
            assert_eq!(answer.rejected.iter().map(|one| one.index).collect::<Vec<_>>(), [20]);
        }
    }
    assert_eq!(world.stored().await.len(), 24 * 20);
    assert_eq!(world.announced().await, world.stored().await);
}

#[tokio::test]
async fn a_reading_that_the_database_refuses_takes_no_other_with_it() {
    let world = World::new("group_refused").await;
    let owner = world.person();
    let pet = world.owned(&owner, "collar-1");
    world.owned(&owner, "collar-2");
    // Days without a partition: nothing was made since.
    world.clock.set(ago(-30 * 86_400));
    // But for the outbox.
    world.execute("-- maintain\nSELECT event_maintain_partitions('2026-07-15')", &[]).await;
    let (known, unknown) = (ago(0), ago(-20 * 86_400));
    let mixed: Vec<_> = (0..9)
        .map(|n| reading("collar-1", if n == 4 || n == 7 { unknown + micros(n) } else { known + micros(n) }))
        .collect();
    let neighbours = (0..8).map(|n| world.ingest(&owner, reading("collar-2", known + micros(n))));
    let refused = world.ingest(&owner, reading("collar-2", unknown));
    let (answer, neighbours, refused) =
        futures::join!(world.ingest_batch(&owner, mixed), join_all(neighbours), refused);
    let answer = answer.unwrap();
    assert_eq!((answer.accepted, answer.duplicates), (7, 0));
    let rejected: Vec<_> = answer.rejected.iter().map(|one| (one.index, one.code.as_str())).collect();
    assert_eq!(rejected, [(4, "NOT_STORED"), (7, "NOT_STORED")]);
    for neighbour in neighbours {
        assert_eq!(neighbour.unwrap().accepted, 1);
    }
    assert_eq!(refused.unwrap_err().code(), tonic::Code::Internal);
    assert_eq!(world.stored().await.len(), 15);
    assert_eq!(world.announced().await, world.stored().await);
    assert_eq!(world.latest("collar-1").await, Some(((known + micros(8)).as_microsecond(), pet)));
}

fn micros(micros: i64) -> jiff::SignedDuration {
    jiff::SignedDuration::from_micros(micros)
}

#[tokio::test]
async fn a_duplicate_with_other_values_keeps_the_first_and_is_counted_apart() {
    let world = World::new("group_conflicting").await;
    let owner = world.person();
    let pet = world.owned(&owner, "collar-1");
    world.pair(&owner, Role::Owner, "collar-2", pet, at("2020-01-01T00:00:00Z"), None);
    let beat = |collar: &str, seconds: i64, heart_rate: f64| wire::Reading {
        heart_rate: Some(heart_rate),
        ..reading(collar, ago(seconds))
    };
    let counts =
        |answer: &wire::IngestReadingsResponse| (answer.accepted, answer.duplicates, answer.conflicting);
    // Within one request: the first stays.
    let first = vec![beat("collar-1", 5, 70.0), beat("collar-1", 5, 71.0), beat("collar-1", 5, 70.0)];
    assert_eq!(counts(&world.ingest_batch(&owner, first).await.unwrap()), (1, 2, 1));
    // Against what is stored: whatever comes first within the request.
    let second = vec![
        beat("collar-1", 5, 71.0),
        beat("collar-1", 5, 70.0),
        wire::Reading { activity_level: Some(1), ..beat("collar-1", 5, 70.0) },
        beat("collar-2", 5, 90.0),
    ];
    assert_eq!(counts(&world.ingest_batch(&owner, second).await.unwrap()), (1, 3, 2));
    let single = world.ingest(&owner, beat("collar-2", 5, 91.0)).await.unwrap();
    assert_eq!((single.accepted, single.duplicates), (0, 1));
    let rates: Vec<f64> = world
        .query(
            "-- rates\nSELECT heart_rate FROM readings JOIN collars USING (collar_key) ORDER BY collar_id",
            &[],
        )
        .await
        .iter()
        .map(|row| row.get(0))
        .collect();
    assert_eq!(rates, [70.0, 90.0]);
    assert_eq!(world.announced().await, world.stored().await);
}
