//! Events, by hand and by Redis.

use std::sync::Arc;

use petty_chassis::events::{Event, Failure, Handler, Outgoing, Part, outbox, topics};
use petty_chassis::pets::PetSource as _;
use petty_chassis::postgres::Tx;
use petty_chassis::types::Clock;
use petty_proto::events::v1::{DataErased, PetChanged};
use petty_testbench::{Bench, Pets, SHARDS, a_cat, a_dog, eventually};

use crate::echo::plan;

/// Writes that a pet's data are erased, whatever it hears; refuses what has no version.
#[derive(Debug)]
struct Eraser(Clock);

#[tonic::async_trait]
impl Handler for Eraser {
    async fn apply(&self, tx: &Tx, event: &Event, part: &Part) -> Result<(), Failure> {
        let payload = DataErased { pet_id: part.pet.to_string(), ..DataErased::default() };
        let erased = Outgoing::of_pet(&topics::DATA_ERASED, part.pet, event.version, SHARDS, &payload);
        outbox::write(tx, &self.0, &erased).await?;
        if event.version == 0 { Err(Failure::Poison("no version".to_owned())) } else { Ok(()) }
    }
}

async fn employed(mut bench: Bench) -> Bench {
    bench.employ(Arc::new(Eraser(bench.clock.clone())));
    bench
}

const HANDLED: &str = "-- handled\nSELECT count(*) FROM event_inbox";

#[tokio::test]
async fn what_is_applied_is_committed_or_leaves_nothing() {
    let bench = employed(plan().lay("applied").await).await;
    let pet = bench.pet_id();
    bench.apply(&bench.pet_changed(&a_dog(pet, 3))).await.unwrap();
    assert!(matches!(bench.apply(&bench.erasing(pet)).await, Err(Failure::Poison(_))));
    let [written] = bench.outbox::<DataErased>(&topics::DATA_ERASED).await.try_into().unwrap();
    assert_eq!((written.subject, written.version, written.payload.pet_id), (pet.0, 3, pet.to_string()));
    assert!(bench.outbox::<DataErased>(&topics::BEHAVIOR_CHANGED).await.is_empty());
    assert_eq!(bench.rows("-- topics\nSELECT topic FROM event_outbox").await, ["data.erased"]);
    assert_eq!(bench.execute("-- gone\nDELETE FROM event_outbox WHERE subject = $1", &[&pet.0]).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_published_is_consumed_by_its_own_bench_alone() {
    let one = employed(plan().consuming().lay("one").await).await;
    let other = employed(plan().consuming().lay("other").await).await;
    one.consume();
    other.consume();
    let (dog, cat) = (a_dog(one.pet_id(), 1), a_cat(other.pet_id(), 2));
    one.publish(&one.pet_changed(&dog)).await;
    other.publish(&other.pet_deleted(&cat)).await;
    for (bench, pet) in [(&one, &dog), (&other, &cat)] {
        eventually("the pet's event is handled", || async { bench.count(HANDLED).await == 1 }).await;
        let [written] = bench.outbox::<DataErased>(&topics::DATA_ERASED).await.try_into().unwrap();
        assert_eq!(written.payload.pet_id, pet.pet_id);
    }
    let gone: PetChanged = other.pet_deleted(&cat).read().unwrap();
    assert_eq!((gone.pet, gone.deleted), (Some(cat), true));
}

#[tokio::test]
async fn auth_is_away_for_pets_of_whom_nothing_was_said() {
    let bench = plan().lay("pets").await;
    let (pet, pets) = (bench.pet_id(), Pets::default());
    assert!(pets.describe(pet).await.is_err());
    pets.clone().say(a_cat(pet, 2));
    assert_eq!(pets.describe(pet).await.unwrap(), Some(a_cat(pet, 2)));
    pets.gone(pet);
    assert_eq!(pets.describe(pet).await.unwrap(), None);
}
