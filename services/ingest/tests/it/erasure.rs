//! Forgetting a pet.

use petty_chassis::access::Role;
use petty_chassis::events::{Topic, topics};
use petty_chassis::types::PetId;
use petty_proto::events::v1::{DataErased, PetChanged, PetErasing};
use prost::Message;

use crate::world::{World, ago, at, reading, refusal};

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
        let (answers, _) = futures::join!(futures::future::join_all(batches), world.erase(pet));
        for answer in answers {
            let answer = answer.unwrap();
            // A flush is before the erasure, or after it; never half.
            assert!(answer.accepted == 20 || answer.rejected.len() == 20, "{answer:?}");
        }
        assert_eq!(world.stored().await, [], "round {round}");
        assert_eq!(world.latest(&collar).await, None);
    }
}
