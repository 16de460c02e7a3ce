//! Many readings in.

use petty_chassis::access::Role;
use petty_proto::ingest::v1 as wire;
use tonic::Code;

use crate::world::{World, ago, at, reading, refusal};

#[tokio::test]
async fn each_reading_of_a_batch_stands_alone() {
    let world = World::new("batch_mix").await;
    let owner = world.person();
    let pet = world.owned(&owner, "collar-1");
    let other = world.owned(&owner, "collar-2");
    world.owned(&world.person(), "collar-of-another");
    let watched = world.pet_id();
    world.pair(&owner, Role::Viewer, "collar-watched", watched, at("2020-01-01T00:00:00Z"), None);
    let paired_late = world.pet_id();
    world.pair(&owner, Role::Owner, "collar-late", paired_late, ago(100), None);
    world.ingest(&owner, reading("collar-1", ago(50))).await.unwrap();

    let readings = vec![
        reading("collar-1", ago(40)),
        reading("collar-1", ago(50)),
        reading("collar-1", ago(40)),
        wire::Reading { heart_rate: Some(f64::NAN), activity_level: Some(9), ..reading("collar-1", ago(30)) },
        reading("collar-of-another", ago(30)),
        reading("collar-watched", ago(30)),
        reading("collar-late", ago(101)),
        reading("collar-late", ago(100)),
        reading("collar-2", ago(40)),
        reading("", ago(30)),
        wire::Reading { timestamp: None, ..reading("collar-2", ago(30)) },
        reading("collar-1", ago(60)),
    ];
    let count = readings.len();
    let answer = world.ingest_batch(&owner, readings).await.unwrap();
    assert_eq!((answer.accepted, answer.duplicates), (4, 2));
    let rejected: Vec<_> =
        answer.rejected.iter().map(|one| (one.index, one.field.as_str(), one.code.as_str())).collect();
    let expected = [
        (3, "heart_rate", "OUT_OF_RANGE"),
        (4, "collar_id", "COLLAR_NOT_FOUND"),
        (5, "collar_id", "PERMISSION_DENIED"),
        (6, "timestamp", "OUTSIDE_PAIRING"),
        (9, "collar_id", "REQUIRED"),
        (10, "timestamp", "REQUIRED"),
    ];
    assert_eq!(rejected, expected);
    assert!(answer.rejected.iter().all(|one| !one.reason.is_empty()));
    assert_eq!(usize::try_from(answer.accepted + answer.duplicates).unwrap() + answer.rejected.len(), count);

    let time = |seconds| ago(seconds).as_microsecond();
    let stored = [
        ("collar-1".to_owned(), time(60), pet),
        ("collar-1".to_owned(), time(50), pet),
        ("collar-1".to_owned(), time(40), pet),
        ("collar-2".to_owned(), time(40), other),
        ("collar-late".to_owned(), time(100), paired_late),
    ];
    assert_eq!(world.stored().await, stored);
    assert_eq!(world.announced().await, stored);
    // One entry for each shard that a flush touched.
    let mut shards: Vec<i16> = [pet, other, paired_late]
        .iter()
        .map(|pet| petty_chassis::events::shard_of(*pet, world.base.events.shards()))
        .collect();
    shards.sort_unstable();
    shards.dedup();
    assert_eq!(world.entries().await.len(), 1 + shards.len());
    assert_eq!(world.latest("collar-1").await, Some((time(40), pet)));
}

#[tokio::test]
async fn a_batch_holds_one_to_a_thousand_readings() {
    let world = World::new("batch_bounds").await;
    let owner = world.person();
    world.owned(&owner, "collar-1");
    let batch = |count: i64| (0..count).map(|index| reading("collar-1", ago(index))).collect::<Vec<_>>();
    for count in [0, 1_001] {
        let status = world.ingest_batch(&owner, batch(count)).await.unwrap_err();
        assert_eq!(
            (refusal(&status).0, refusal(&status).2),
            (Code::InvalidArgument, vec!["readings".to_owned()])
        );
    }
    assert_eq!(world.stored().await, []);
    assert_eq!(world.ingest_batch(&owner, batch(1)).await.unwrap().accepted, 1);
    let answer = world.ingest_batch(&owner, batch(1_000)).await.unwrap();
    assert_eq!((answer.accepted, answer.duplicates, answer.rejected.len()), (999, 1, 0));
    assert_eq!(world.stored().await.len(), 1_000);
    assert_eq!(world.announced().await, world.stored().await);
}

#[tokio::test]
async fn a_batch_of_nothing_good_is_answered_and_stores_nothing() {
    let world = World::new("batch_bad").await;
    let owner = world.person();
    world.owned(&owner, "collar-1");
    let bad = wire::Reading { heart_rate: None, ..reading("collar-1", ago(1)) };
    let answer = world.ingest_batch(&owner, vec![bad.clone(), wire::Reading::default(), bad]).await.unwrap();
    let rejected: Vec<_> = answer.rejected.iter().map(|one| (one.index, one.field.as_str())).collect();
    assert_eq!(rejected, [(0, "signals"), (1, "collar_id"), (2, "signals")]);
    assert_eq!((answer.accepted, answer.duplicates), (0, 0));
    assert_eq!(world.stored().await, []);
    assert_eq!(world.announced().await, []);
}
