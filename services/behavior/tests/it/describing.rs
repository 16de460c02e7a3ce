//! What other services are told of an episode by its id alone.

use petty_behavior::domain::Species;
use petty_proto::behavior::v1::behavior_service_server::BehaviorService as _;
use petty_proto::behavior::v1::episode::Behavior;
use petty_proto::behavior::v1::{DescribeEpisodeRequest, Episode};
use petty_testbench::{field, reason};
use tonic::{Code, Request, Status};

use crate::bench::{Bench, asleep, walking};

async fn describe(bench: &Bench, id: &str) -> Result<Episode, Status> {
    let request = DescribeEpisodeRequest { episode_id: id.to_owned() };
    Ok(bench.grpc.describe_episode(Request::new(request)).await?.into_inner())
}

#[tokio::test]
async fn an_episode_is_found_by_its_id_alone() {
    let bench = Bench::new("describe").await;
    let (pet, other) = (bench.pet(Species::Dog), bench.pet(Species::Cat));
    bench.take(pet, &asleep(0, 10)).await;
    bench.take(other, &asleep(0, 10)).await;
    for (_, told) in bench.told().await {
        let episode = told.episode.unwrap();
        assert_eq!(describe(&bench, &episode.episode_id).await.unwrap(), episode);
    }
}

#[tokio::test]
async fn a_superseded_id_answers_what_took_its_place() {
    let bench = Bench::new("describe_heir").await;
    let pet = bench.pet(Species::Dog);
    bench.take(pet, &asleep(0, 30)).await;
    let before = bench.told().await.pop().unwrap().1.episode.unwrap();
    // At the same times the dog was walking, as the collar says after all: what was sleep is no more.
    bench.take(pet, &walking(0, 30)).await;
    let gone: Vec<_> = bench.told().await.into_iter().filter(|(_, told)| told.superseded).collect();
    let [(_, gone)] = gone.as_slice() else { panic!("{gone:?}") };
    assert_eq!(gone.episode.as_ref().unwrap().episode_id, before.episode_id);
    let heir = describe(&bench, &before.episode_id).await.unwrap();
    assert_ne!(heir.episode_id, before.episode_id);
    assert!(gone.replaced_by.contains(&heir.episode_id));
    assert_ne!(heir.behavior(), Behavior::DeepSleep);
}

#[tokio::test]
async fn what_is_no_id_and_what_is_nobodys_is_refused() {
    let bench = Bench::new("describe_refused").await;
    for id in
        ["", "evt_", "evt_0", "00000000000000000000000000000000", "evt_0000000000000000000000000000000G"]
    {
        let refused = describe(&bench, id).await.unwrap_err();
        assert_eq!((refused.code(), field(&refused).as_str()), (Code::InvalidArgument, "episode_id"), "{id}");
    }
    let unknown = describe(&bench, "evt_00000000000000000000000000000001").await.unwrap_err();
    assert_eq!((unknown.code(), reason(&unknown).as_str()), (Code::NotFound, "EPISODE_NOT_FOUND"));
}
