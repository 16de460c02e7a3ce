//! Who may do what.

use petty_proto::auth::v1 as wire;
use petty_proto::auth::v1::pet::Role;
use tonic::Code;

use crate::harness::{Harness, User, refusal};

const COLLAR: &str = "collar-1234";

async fn share(harness: &Harness, owner: &User, pet: &wire::Pet, with: &User, role: Role) {
    let request = wire::CreateShareRequest {
        pet_id: pet.pet_id.clone(),
        email: with.email.clone(),
        role: role.into(),
        expire_time: None,
        request_id: String::new(),
    };
    harness.pets().create_share(harness.with(&owner.token, request)).await.unwrap();
}

#[tokio::test]
async fn everybody_is_to_a_pet_and_its_collar_what_they_were_given() {
    let harness = Harness::start().await;
    let owner = harness.user("owner").await;
    let pet = harness.pet(&owner, "Rex").await;
    let secret = harness.pair(&owner, &pet, COLLAR).await.secret;
    let device = harness.device(COLLAR, &secret).await.unwrap().access_token;
    let mut table = vec![("owner", owner.token.clone(), Some(Role::Owner))];
    for (name, role) in [("caregiver", Role::Caregiver), ("viewer", Role::Viewer), ("vet", Role::Vet)] {
        let user = harness.user(name).await;
        share(&harness, &owner, &pet, &user, role).await;
        table.push((name, user.token, Some(role)));
    }
    let stranger = harness.user("stranger").await;
    let other_pet = harness.pet(&stranger, "Tom").await;
    let other_secret = harness.pair(&stranger, &other_pet, "collar-other").await.secret;
    let other_device = harness.device("collar-other", &other_secret).await.unwrap().access_token;
    table.push(("stranger", stranger.token, None));
    table.push(("own collar", device, Some(Role::Caregiver)));
    table.push(("other collar", other_device, None));

    for (who, token, role) in table {
        harness.check(&token, None).await.unwrap();
        let (to_pet, to_collar) =
            (harness.check_pet(&token, &pet).await, harness.check_collar(&token, COLLAR).await);
        match role {
            Some(role) => {
                let (to_pet, to_collar) = (to_pet.unwrap(), to_collar.unwrap());
                assert_eq!(to_pet.role(), role, "{who}");
                let pairings: Vec<_> =
                    to_collar.pairings.iter().map(|pairing| (&pairing.pet_id, pairing.role())).collect();
                assert_eq!(pairings, [(&pet.pet_id, role)], "{who}");
            }
            None => {
                assert_eq!(refusal(to_pet), (Code::NotFound, "PET_NOT_FOUND".to_owned()), "{who}");
                assert_eq!(refusal(to_collar), (Code::NotFound, "COLLAR_NOT_FOUND".to_owned()), "{who}");
            }
        }
    }
}

#[tokio::test]
async fn what_is_not_there_is_answered_like_what_may_not_be_seen() {
    let harness = Harness::start().await;
    let (ada, bob) = (harness.user("ada").await, harness.user("bob").await);
    let pet = harness.pet(&ada, "Rex").await;
    harness.pair(&ada, &pet, COLLAR).await;
    let nowhere = wire::Pet { pet_id: ada.account_id.clone(), ..Default::default() };
    let hidden = harness.check_pet(&bob.token, &pet).await.unwrap_err();
    let absent = harness.check_pet(&bob.token, &nowhere).await.unwrap_err();
    assert_eq!(
        (hidden.code(), hidden.message(), hidden.details()),
        (absent.code(), absent.message(), absent.details())
    );
    let hidden = harness.check_collar(&bob.token, COLLAR).await.unwrap_err();
    let absent = harness.check_collar(&bob.token, "no-such-collar").await.unwrap_err();
    assert_eq!(
        (hidden.code(), hidden.message(), hidden.details()),
        (absent.code(), absent.message(), absent.details())
    );

    let missing = harness.access().check_access(harness.anonymous(wire::CheckAccessRequest::default())).await;
    assert_eq!(refusal(missing), (Code::Unauthenticated, "TOKEN_MISSING".to_owned()));
    let malformed = wire::Pet { pet_id: "x".to_owned(), ..Default::default() };
    assert_eq!(refusal(harness.check_pet(&ada.token, &malformed).await).0, Code::InvalidArgument);
    assert_eq!(refusal(harness.check_collar(&ada.token, "x").await).0, Code::InvalidArgument);
}

#[tokio::test]
async fn a_pet_is_described_to_services_only() {
    let harness = Harness::start().await;
    let ada = harness.user("ada").await;
    let pet = harness.pet(&ada, "Rex").await;
    let request = wire::DescribePetRequest { pet_id: pet.pet_id.clone() };
    let described =
        harness.access().describe_pet(harness.by("ingest", request.clone())).await.unwrap().into_inner();
    assert_eq!(described.account_id, ada.account_id);
    let described = described.pet.unwrap();
    assert_eq!((described.name.as_str(), described.role()), ("Rex", Role::Unspecified));
    let refused = harness.access().describe_pet(harness.by("gateway", request)).await;
    assert_eq!(refusal(refused), (Code::PermissionDenied, "SERVICE_NOT_ALLOWED".to_owned()));
    let absent = wire::DescribePetRequest { pet_id: ada.account_id };
    let absent = harness.access().describe_pet(harness.by("ingest", absent)).await;
    assert_eq!(refusal(absent), (Code::NotFound, "PET_NOT_FOUND".to_owned()));
}

#[tokio::test]
async fn a_deleted_pets_collar_and_shares_end_with_it() {
    let harness = Harness::start().await;
    let (ada, bob) = (harness.user("ada").await, harness.user("bob").await);
    let pet = harness.pet(&ada, "Rex").await;
    share(&harness, &ada, &pet, &bob, Role::Caregiver).await;
    let secret = harness.pair(&ada, &pet, COLLAR).await.secret;
    let device = harness.device(COLLAR, &secret).await.unwrap().access_token;
    let request = wire::DeletePetRequest { pet_id: pet.pet_id.clone() };
    harness.pets().delete_pet(harness.with(&ada.token, request)).await.unwrap();
    assert_eq!(refusal(harness.check_pet(&bob.token, &pet).await).1, "PET_NOT_FOUND");
    assert_eq!(refusal(harness.check_pet(&device, &pet).await).1, "SESSION_ENDED");
    assert_eq!(refusal(harness.device(COLLAR, &secret).await).1, "BAD_CREDENTIALS");
    assert_eq!(harness.value("SELECT count(*) FROM pairings").await, "0");
    assert_eq!(harness.value("SELECT count(*) FROM shares").await, "0");
    // The collar is free for another.
    let tom = harness.pet(&bob, "Tom").await;
    harness.pair(&bob, &tom, COLLAR).await;
}
