//! Forgetting a pet.

use petty_chassis::access::Role;
use petty_chassis::events::{Topic, topics};
use petty_chassis::postgres::{Error, Tx};
use petty_chassis::types::PetId;
use petty_proto::events::v1::{DataErased, PetChanged, PetErasing};
use petty_proto::ingest::v1::ListReadingsRequest;
use prost::Message;

use crate::world::{World, ago, at, reading, refusal};

const SUMS: &str =
    "-- sums\nSELECT pet_id::text FROM readings_minute UNION ALL SELECT pet_id::text FROM readings_hour";

async fn handle(world: &World, topic: &'static Topic, pet: PetId, version: i64, message: &impl Message) {
    world.apply(&world.event(topic, pet, version, message)).await.unwrap();
}

async fn erased_announced(world: &World) -> Vec<DataErased> {
    world.outbox(&topics::DATA_ERASED).await.into_iter().map(|written| written.payload).collect()
}

#[tokio::test]
async fn an_erased_pet_leaves_nothing_and_nothing_comes_back() {
    let world = World::new("erase_all").await;
    world.clock.set(ago(-3_600));
    let owner = world.person();
    let (kept, gone) = (world.pet_id(), world.pet_id());
    world.pair(&owner, Role::Owner, "collar-1", kept, at("2020-01-01T00:00:00Z"), Some(ago(0)));
    world.pair(&owner, Role::Owner, "collar-1", gone, ago(0), None);
    world.pair(&owner, Role::Owner, "collar-2", gone, at("2020-01-01T00:00:00Z"), None);
    let both = vec![
        reading("collar-1", ago(20)),
        reading("collar-1", ago(10)),
        reading("collar-1", ago(-10)),
        reading("collar-2", ago(5)),
    ];
    assert_eq!(world.ingest_batch(&owner, both).await.unwrap().accepted, 4);
    assert_eq!(world.latest("collar-1").await, Some((ago(-10).as_microsecond(), gone)));

    let erasing = PetErasing { pet_id: gone.to_string(), account_id: owner.account.to_string() };
    handle(&world, &topics::PET_ERASING, gone, 0, &erasing).await;
    assert_eq!(erased_announced(&world).await, [], "not before all of it is deleted");
    world.deleted().await;
    let time = |seconds| ago(seconds).as_microsecond();
    let left = [("collar-1".to_owned(), time(20), kept), ("collar-1".to_owned(), time(10), kept)];
    assert_eq!(world.stored().await, left);
    let announced = erased_announced(&world).await;
    assert_eq!(announced, [DataErased { pet_id: gone.to_string(), service: "ingest".to_owned() }]);
    let rows = world.query("-- rest\nSELECT 1 FROM pet_collars WHERE pet_id = $1", &[&gone.0]).await;
    assert!(rows.is_empty());

    // The collar's newest is the other pet's again, and a late reading does not take its place.
    assert_eq!(world.latest("collar-1").await, Some((time(10), kept)));
    world.ingest(&owner, reading("collar-1", ago(15))).await.unwrap();
    assert_eq!(world.latest("collar-1").await, Some((time(10), kept)));
    assert_eq!(world.latest("collar-2").await, None);

    // What still arrives for it, new or again, is refused.
    let before = world.announced().await;
    let status = world.ingest(&owner, reading("collar-2", ago(5))).await.unwrap_err();
    assert_eq!(refusal(&status).1, "COLLAR_NOT_FOUND");
    let late = vec![reading("collar-2", ago(4)), reading("collar-1", ago(30)), reading("collar-2", ago(4))];
    let answer = world.ingest_batch(&owner, late).await.unwrap();
    assert_eq!((answer.accepted, answer.duplicates), (1, 0));
    assert_eq!(answer.rejected.iter().map(|one| one.index).collect::<Vec<_>>(), [0, 2]);
    assert_eq!(world.announced().await.len(), before.len() + 1);
    assert_eq!(world.stored().await.iter().filter(|(_, _, pet)| *pet == gone).count(), 0);
}

#[tokio::test]
async fn only_a_change_that_says_deleted_forgets() {
    let world = World::new("erase_changed").await;
    let owner = world.person();
    let pet = world.owned(&owner, "collar-1");
    world.ingest(&owner, reading("collar-1", ago(5))).await.unwrap();
    let changed =
        |deleted| PetChanged { account_id: owner.account.to_string(), deleted, ..PetChanged::default() };
    handle(&world, &topics::PET_CHANGED, pet, 2, &changed(false)).await;
    assert_eq!(world.stored().await.len(), 1);
    handle(&world, &topics::PET_CHANGED, pet, 3, &changed(true)).await;
    world.deleted().await;
    assert_eq!(world.stored().await, []);
    assert_eq!(erased_announced(&world).await, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn readings_that_race_with_an_erasure_are_gone_or_refused() {
    let world = World::new("erase_race").await;
    let owner = world.person();
    for round in 0..10 {
        let collar = format!("collar-{round}");
        let pet = world.owned(&owner, &collar);
        let batches = (0..8).map(|batch: i64| {
            let readings: Vec<_> = (0..20).map(|n| reading(&collar, ago(batch * 100 + n))).collect();
            world.ingest_batch(&owner, readings)
        });
        let (answers, (), ()) =
            futures::join!(futures::future::join_all(batches), world.erase(pet), world.rolled_up());
        for answer in answers {
            let answer = answer.unwrap();
            // A flush is before the erasure, or after it; never half.
            assert!(answer.accepted == 20 || answer.rejected.len() == 20, "{answer:?}");
        }
        assert_eq!(world.stored().await, [], "round {round}");
        world.rolled_up().await;
        assert!(world.rows(SUMS).await.is_empty(), "round {round}");
        assert_eq!(world.latest(&collar).await, None);
    }
}

#[tokio::test]
async fn what_waits_to_be_deleted_is_not_found_and_not_summed() {
    let world = World::new("erase_waits").await;
    let owner = world.person();
    let (kept, gone) = (world.pet_id(), world.pet_id());
    world.pair(&owner, Role::Owner, "collar-1", kept, at("2020-01-01T00:00:00Z"), Some(ago(100)));
    world.pair(&owner, Role::Owner, "collar-1", gone, ago(100), None);
    let both =
        vec![reading("collar-1", ago(300)), reading("collar-1", ago(50)), reading("collar-1", ago(40))];
    assert_eq!(world.ingest_batch(&owner, both).await.unwrap().accepted, 3);
    world.begin_erasing(gone).await;

    // Its owner's access goes by another event: it may be here still.
    assert_eq!(world.stored().await.len(), 3, "deleted later");
    let request = ListReadingsRequest { pet_id: gone.to_string(), ..Default::default() };
    assert_eq!(world.list(&owner, request).await.unwrap().readings, []);
    let newest = world.realtime(&owner, "collar-1").await.unwrap();
    assert_eq!(newest.timestamp, Some(ago(300).into()), "the other pet's, as it saw it last");
    world.rolled_up().await;
    assert_eq!(world.rows(SUMS).await, [kept.to_string(), kept.to_string()]);

    // A late one becomes the collar's newest meanwhile, and no longer is once the newer one before it is found.
    world.ingest(&owner, reading("collar-1", ago(310))).await.unwrap();
    assert_eq!(world.latest("collar-1").await, Some((ago(310).as_microsecond(), kept)));
    assert_eq!(world.store.erasures().await.unwrap().0, 1);
    world.deleted().await;
    assert_eq!(world.latest("collar-1").await, Some((ago(300).as_microsecond(), kept)));
    assert_eq!(world.stored().await.len(), 2);
    assert_eq!(world.store.erasures().await.unwrap(), (0, 0.0));
    assert_eq!(erased_announced(&world).await.len(), 1);
}

#[tokio::test]
async fn years_are_deleted_a_part_at_a_time_and_from_where_it_was_left() {
    let world = World::new("erase_years").await;
    let owner = world.person();
    let (kept, gone) = (world.owned(&owner, "collar-2"), world.owned(&owner, "collar-1"));
    for collar in ["collar-1", "collar-2"] {
        world.ingest(&owner, reading(collar, ago(5))).await.unwrap();
    }
    world.rolled_up().await;
    // As if they had been worn for a long time.
    let older = |tx: Tx| async move {
        tx.query("-- years\nSELECT ingest_make_rollups('2024-06-01', '2026-06-01')", &[]).await?;
        for table in ["readings_minute", "readings_hour"] {
            let sql = format!(
                "-- older\nINSERT INTO {table} SELECT (jsonb_populate_record(r, jsonb_build_object('span_start', day))).*
                 FROM {table} r, generate_series('2024-06-01'::timestamptz, '2026-06-01', '1 day') AS day"
            );
            tx.execute(&sql, &[]).await?;
        }
        Ok::<_, Error>(())
    };
    world.base.db.transaction("test", older).await.unwrap();
    let left = async |pet: PetId| {
        let mut left = 0;
        for table in ["readings", "readings_minute", "readings_hour"] {
            let sql = format!("-- left\nSELECT count(*) FROM {table} WHERE pet_id = $1");
            left += world.query(&sql, &[&pet.0]).await[0].get::<_, i64>(0);
        }
        left
    };
    let all = left(gone).await;
    assert_eq!(all, 2 * 732 + 1);
    world.begin_erasing(gone).await;
    let (mut parts, mut before) = (0, all);
    while world.store.delete_erased().await.unwrap() {
        let now = left(gone).await;
        assert!(now < before || now == 0, "each part takes some");
        (parts, before) = (parts + 1, now);
        assert_eq!(erased_announced(&world).await.is_empty(), world.store.erasures().await.unwrap().0 == 1);
    }
    assert!(parts > 10, "744 days were deleted in {parts} transactions");
    assert_eq!((left(gone).await, left(kept).await), (0, all));
}
