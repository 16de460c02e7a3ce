//! A collar's newest reading.

use petty_chassis::access::Role;
use petty_proto::ingest::v1 as wire;
use tonic::Code;

use crate::world::{World, ago, at, place, reading, refusal};

#[tokio::test]
async fn a_late_reading_never_replaces_a_newer_one() {
    let world = World::new("realtime_late").await;
    let owner = world.person();
    world.owned(&owner, "collar-1");
    let status = world.realtime(&owner, "collar-1").await.unwrap_err();
    assert_eq!(refusal(&status), (Code::NotFound, "NO_READING_YET".to_owned(), Vec::new()));

    for (seconds, expected) in [(100, 100), (200, 100), (99, 99), (99, 99), (86_400, 99), (0, 0)] {
        world.ingest(&owner, reading("collar-1", ago(seconds))).await.unwrap();
        let newest = world.realtime(&owner, "collar-1").await.unwrap();
        assert_eq!(newest.timestamp, Some(ago(expected).into()), "after {seconds}");
        assert_eq!(newest.as_of, newest.timestamp);
    }
    // A batch in any order counts by its newest.
    let batch =
        vec![reading("collar-1", ago(-20)), reading("collar-1", ago(-30)), reading("collar-1", ago(-10))];
    world.ingest_batch(&owner, batch).await.unwrap();
    assert_eq!(world.realtime(&owner, "collar-1").await.unwrap().timestamp, Some(ago(-30).into()));
}

#[tokio::test]
async fn a_silent_collar_turns_stale_and_is_asked_less_often() {
    let world = World::new("realtime_stale").await;
    let owner = world.person();
    world.owned(&owner, "collar-1");
    world.ingest(&owner, reading("collar-1", ago(0))).await.unwrap();
    for (seconds, stale, poll) in
        [(0, false, 5), (59, false, 5), (180, false, 45), (181, true, 45), (90_000, true, 45)]
    {
        world.clock.set(ago(-seconds));
        let newest = world.realtime(&owner, "collar-1").await.unwrap();
        assert_eq!((newest.stale, newest.poll_after_seconds), (stale, poll), "{seconds}");
    }
}

#[tokio::test]
async fn positions_are_as_exact_as_the_role_allows() {
    let world = World::new("realtime_place").await;
    let owner = world.person();
    let pet = world.owned(&owner, "collar-1");
    let sent = wire::Reading { location: place(-0.123_456_4, 51.507_351_4), ..reading("collar-1", ago(0)) };
    world.ingest(&owner, sent).await.unwrap();
    for (role, expected) in [
        (Role::Owner, [-0.123_46, 51.507_35]),
        (Role::Caregiver, [-0.123_46, 51.507_35]),
        (Role::Viewer, [-0.123, 51.507]),
        (Role::Vet, [-0.123, 51.507]),
    ] {
        let person = world.person();
        world.pair(&person, role, "collar-1", pet, at("2020-01-01T00:00:00Z"), None);
        let newest = world.realtime(&person, "collar-1").await.unwrap();
        assert_eq!(newest.location.unwrap().coordinates, expected, "{role:?}");
        let request = wire::ListReadingsRequest {
            pet_id: pet.to_string(),
            end_time: Some(ago(-1).into()),
            ..Default::default()
        };
        let listed = world.list(&person, request).await.unwrap();
        assert_eq!(listed.readings[0].location.as_ref().unwrap().coordinates, expected, "{role:?}");
    }
}
