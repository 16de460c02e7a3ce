//! Who may.

use petty_chassis::access::Role;
use petty_proto::ingest::v1 as wire;
use tonic::Code;

use crate::world::{Person, World, ago, at, reading, refusal};

#[tokio::test]
async fn strangers_find_nothing_and_viewers_may_not_write() {
    let world = World::new("access_roles").await;
    let owner = world.person();
    let pet = world.owned(&owner, "collar-1");
    world.ingest(&owner, reading("collar-1", ago(10))).await.unwrap();

    let stranger = world.person();
    for collar in ["collar-1", "collar-unknown"] {
        let expected = (Code::NotFound, "COLLAR_NOT_FOUND".to_owned(), Vec::new());
        let status = world.ingest(&stranger, reading(collar, ago(5))).await.unwrap_err();
        assert_eq!(refusal(&status), expected);
        let status = world.realtime(&stranger, collar).await.unwrap_err();
        assert_eq!(refusal(&status), expected);
    }
    let status = world
        .list(&stranger, wire::ListReadingsRequest { pet_id: pet.to_string(), ..Default::default() })
        .await
        .unwrap_err();
    assert_eq!(refusal(&status).1, "PET_NOT_FOUND");

    let since = at("2020-01-01T00:00:00Z");
    for (role, writes) in
        [(Role::Viewer, false), (Role::Vet, false), (Role::Caregiver, true), (Role::Owner, true)]
    {
        let person = world.person();
        world.pair(&person, role, "collar-1", pet, since, None);
        let written = world.ingest(&person, reading("collar-1", ago(20))).await;
        match written {
            Ok(_) => assert!(writes, "{role:?}"),
            Err(status) => {
                assert!(!writes, "{role:?}");
                assert_eq!(refusal(&status).0, Code::PermissionDenied);
            }
        }
        assert!(world.realtime(&person, "collar-1").await.is_ok(), "{role:?}");
    }
    assert_eq!(world.stored().await.len(), 2);
}

#[tokio::test]
async fn a_collar_writes_for_itself_only() {
    let world = World::new("access_device").await;
    let owner = world.person();
    let pet = world.owned(&owner, "collar-1");
    world.owned(&owner, "collar-2");
    let device = world.device("collar-1", pet, &owner);
    assert_eq!(world.ingest(&device, reading("collar-1", ago(10))).await.unwrap().accepted, 1);
    let status = world.ingest(&device, reading("collar-2", ago(10))).await.unwrap_err();
    assert_eq!(refusal(&status).1, "COLLAR_NOT_FOUND");
    let batch = vec![reading("collar-2", ago(9)), reading("collar-1", ago(9))];
    let answer = world.ingest_batch(&device, batch).await.unwrap();
    assert_eq!((answer.accepted, answer.rejected.len()), (1, 1));
    assert_eq!(answer.rejected[0].code, "COLLAR_NOT_FOUND");
    assert_eq!(world.realtime(&device, "collar-1").await.unwrap().pet_id, pet.to_string());
    let status = world
        .list(&device, wire::ListReadingsRequest { pet_id: pet.to_string(), ..Default::default() })
        .await
        .unwrap_err();
    assert_eq!(refusal(&status).1, "DEVICE_NOT_ALLOWED");
}

#[tokio::test]
async fn without_a_token_the_scope_or_auth_nothing_is_taken() {
    let world = World::new("access_token").await;
    let owner = world.person();
    world.owned(&owner, "collar-1");
    let nobody = Person { badge: None, ..owner.clone() };
    let reader = world.person_with("readings:read pets:read");
    for (person, code) in [(&nobody, Code::Unauthenticated), (&reader, Code::PermissionDenied)] {
        let status = world.ingest(person, reading("collar-1", ago(10))).await.unwrap_err();
        assert_eq!(status.code(), code);
        let status = world.ingest_batch(person, vec![reading("collar-1", ago(10))]).await.unwrap_err();
        assert_eq!(status.code(), code);
    }
    world.access.set_away(true);
    let status = world.ingest(&owner, reading("collar-1", ago(10))).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    let status = world.ingest_batch(&owner, vec![reading("collar-1", ago(10))]).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(world.stored().await, []);
}
