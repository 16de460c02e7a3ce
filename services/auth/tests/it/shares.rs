//! Shares.

use jiff::SignedDuration;
use petty_proto::auth::v1 as wire;
use petty_proto::auth::v1::pet::Role;
use tonic::Code;

use crate::harness::{Harness, User, fields, refusal};

fn share(pet: &wire::Pet, with: &str, role: Role) -> wire::CreateShareRequest {
    wire::CreateShareRequest {
        pet_id: pet.pet_id.clone(),
        email: with.to_owned(),
        role: role.into(),
        expire_time: None,
        request_id: String::new(),
    }
}

async fn create(
    harness: &Harness,
    owner: &User,
    request: wire::CreateShareRequest,
) -> Result<wire::Share, tonic::Status> {
    harness.pets().create_share(harness.with(&owner.token, request)).await.map(tonic::Response::into_inner)
}

#[tokio::test]
async fn a_share_is_given_once_listed_and_withdrawn() {
    let harness = Harness::start().await;
    let (ada, bob) = (harness.user("ada").await, harness.user("bob").await);
    let pet = harness.pet(&ada, "Rex").await;
    let mut request = share(&pet, "BOB@example.org", Role::Caregiver);
    request.request_id = "key-1".to_owned();
    let given = create(&harness, &ada, request.clone()).await.unwrap();
    assert_eq!((given.email.as_str(), given.role()), (bob.email.as_str(), Role::Caregiver));
    assert_eq!(create(&harness, &ada, request).await.unwrap(), given);
    let twice = create(&harness, &ada, share(&pet, &bob.email, Role::Vet)).await;
    assert_eq!(refusal(twice), (Code::AlreadyExists, "SHARE_EXISTS".to_owned()));

    // Whoever was given a share sees the pet, and may not do what an owner may.
    let list =
        harness.pets().list_pets(harness.with(&bob.token, wire::ListPetsRequest::default())).await.unwrap();
    assert_eq!(list.into_inner().pets[0].role(), Role::Caregiver);
    let shares = wire::ListSharesRequest { pet_id: pet.pet_id.clone(), ..Default::default() };
    let refused = harness.pets().list_shares(harness.with(&bob.token, shares.clone())).await;
    assert_eq!(refusal(refused).0, Code::PermissionDenied);
    let listed =
        harness.pets().list_shares(harness.with(&ada.token, shares.clone())).await.unwrap().into_inner();
    assert_eq!(listed.shares, std::slice::from_ref(&given));

    let delete = wire::DeleteShareRequest { pet_id: pet.pet_id.clone(), share_id: given.share_id.clone() };
    for _ in 0..2 {
        let answer = harness.pets().delete_share(harness.with(&ada.token, delete.clone())).await.unwrap();
        assert!(answer.into_inner().success);
    }
    assert_eq!(
        refusal(harness.check_pet(&bob.token, &pet).await),
        (Code::NotFound, "PET_NOT_FOUND".to_owned())
    );
    let listed = harness.pets().list_shares(harness.with(&ada.token, shares)).await.unwrap().into_inner();
    assert!(listed.shares.is_empty());
    create(&harness, &ada, share(&pet, &bob.email, Role::Vet)).await.unwrap();

    let other = wire::DeleteShareRequest { share_id: pet.pet_id.clone(), pet_id: pet.pet_id.clone() };
    let refused = harness.pets().delete_share(harness.with(&ada.token, other)).await;
    assert_eq!(refusal(refused), (Code::NotFound, "SHARE_NOT_FOUND".to_owned()));
}

#[tokio::test]
async fn a_share_ends_by_itself_and_may_then_be_given_again() {
    let harness = Harness::start().await;
    let (ada, bob) = (harness.user("ada").await, harness.user("bob").await);
    let pet = harness.pet(&ada, "Rex").await;
    let end = harness.clock.now() + SignedDuration::from_secs(60);
    let mut request = share(&pet, &bob.email, Role::Viewer);
    request.expire_time = Some(end.into());
    create(&harness, &ada, request.clone()).await.unwrap();
    let answer = harness.check_pet(&bob.token, &pet).await.unwrap();
    let end = petty_chassis::types::micros(end);
    assert_eq!((answer.role(), answer.expire_time), (Role::Viewer, Some(end.into())));
    harness.pass(60);
    assert_eq!(refusal(harness.check_pet(&bob.token, &pet).await).1, "PET_NOT_FOUND");
    request.expire_time = None;
    create(&harness, &ada, request).await.unwrap();
    harness.check_pet(&bob.token, &pet).await.unwrap();
}

#[tokio::test]
async fn bad_shares_are_refused_and_store_nothing() {
    let harness = Harness::start().await;
    let (ada, bob) = (harness.user("ada").await, harness.user("bob").await);
    let pet = harness.pet(&ada, "Rex").await;
    for (email, role, expected) in [
        ("", Role::Viewer, vec!["email"]),
        ("bob", Role::Unspecified, vec!["email", "role"]),
        (bob.email.as_str(), Role::Owner, vec!["role"]),
        (ada.email.as_str(), Role::Viewer, vec!["email"]),
    ] {
        assert_eq!(fields(create(&harness, &ada, share(&pet, email, role)).await), expected, "{email}");
    }
    let mut past = share(&pet, &bob.email, Role::Viewer);
    past.expire_time = Some(harness.clock.now().into());
    assert_eq!(fields(create(&harness, &ada, past).await), ["expire_time"]);
    let nobody = create(&harness, &ada, share(&pet, "nobody@example.org", Role::Viewer)).await;
    assert_eq!(refusal(nobody), (Code::NotFound, "ACCOUNT_NOT_FOUND".to_owned()));
    let stranger = create(&harness, &bob, share(&pet, &bob.email, Role::Viewer)).await;
    assert_eq!(refusal(stranger), (Code::NotFound, "PET_NOT_FOUND".to_owned()));
    assert_eq!(harness.value("SELECT count(*) FROM shares").await, "0");
}
