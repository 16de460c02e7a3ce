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
    assert_eq!((given.email.as_str(), given.role()), ("BOB@example.org", Role::Caregiver));
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
    let stranger = create(&harness, &bob, share(&pet, &bob.email, Role::Viewer)).await;
    assert_eq!(refusal(stranger), (Code::NotFound, "PET_NOT_FOUND".to_owned()));
    assert_eq!(harness.value("SELECT count(*) FROM shares").await, "0");
}

#[tokio::test]
async fn who_has_an_account_is_not_to_be_learnt_by_sharing() {
    let harness = Harness::start().await;
    let (ada, bob) = (harness.user("ada").await, harness.user("bob").await);
    let pet = harness.pet(&ada, "Rex").await;
    let written = "BOB@Example.org";
    let known = create(&harness, &ada, share(&pet, written, Role::Vet)).await.unwrap();
    let unknown = create(&harness, &ada, share(&pet, "Nobody@Example.org", Role::Vet)).await.unwrap();
    assert_eq!((known.email.as_str(), unknown.email.as_str()), (written, "Nobody@Example.org"));
    let shape = |share: &wire::Share| wire::Share {
        share_id: String::new(),
        email: String::new(),
        create_time: None,
        ..share.clone()
    };
    assert_eq!(shape(&known), shape(&unknown));
    let shares = wire::ListSharesRequest { pet_id: pet.pet_id.clone(), ..Default::default() };
    let listed =
        harness.pets().list_shares(harness.with(&ada.token, shares)).await.unwrap().into_inner().shares;
    assert_eq!(listed, [unknown.clone(), known.clone()]);
    for email in [written, "nobody@example.org"] {
        let twice = create(&harness, &ada, share(&pet, email, Role::Vet)).await;
        assert_eq!(refusal(twice), (Code::AlreadyExists, "SHARE_EXISTS".to_owned()));
    }
    // As many rows, events and entries for the one as for the other.
    let counted = "SELECT (SELECT count(*) FROM shares), (SELECT count(*) FROM event_outbox WHERE topic = 'access.changed'),
                          (SELECT count(*) FROM audit_log WHERE action = 'SHARE_PET')";
    assert_eq!(harness.rows(counted).await.unwrap(), [["2", "2", "2"]]);
    assert_eq!(harness.check_pet(&bob.token, &pet).await.unwrap().role(), Role::Vet);
    let kept = "SELECT count(*) FROM shares WHERE encode(email_sealed, 'escape') ILIKE '%example%'
                OR encode(email_index, 'escape') ILIKE '%example%'";
    assert_eq!(harness.value(kept).await, "0", "no address is kept as it is");
    for share in [known, unknown] {
        let delete = wire::DeleteShareRequest { pet_id: pet.pet_id.clone(), share_id: share.share_id };
        for _ in 0..2 {
            harness.pets().delete_share(harness.with(&ada.token, delete.clone())).await.unwrap();
        }
    }
    assert_eq!(refusal(harness.check_pet(&bob.token, &pet).await).1, "PET_NOT_FOUND");
}

#[tokio::test]
async fn a_share_waits_for_its_address_until_it_is_withdrawn_or_ends() {
    let harness = Harness::start().await;
    let ada = harness.user("ada").await;
    let (rex, tom, max) =
        (harness.pet(&ada, "Rex").await, harness.pet(&ada, "Tom").await, harness.pet(&ada, "Max").await);
    create(&harness, &ada, share(&rex, "Bob@example.org", Role::Caregiver)).await.unwrap();
    let withdrawn = create(&harness, &ada, share(&tom, "bob@example.org", Role::Viewer)).await.unwrap();
    let delete = wire::DeleteShareRequest { pet_id: tom.pet_id.clone(), share_id: withdrawn.share_id };
    harness.pets().delete_share(harness.with(&ada.token, delete)).await.unwrap();
    let mut short = share(&max, "bob@example.org", Role::Viewer);
    short.expire_time = Some((harness.clock.now() + SignedDuration::from_secs(60)).into());
    create(&harness, &ada, short).await.unwrap();
    harness.pass(60);
    let bob = harness.user("bob").await;
    assert_eq!(harness.check_pet(&bob.token, &rex).await.unwrap().role(), Role::Caregiver);
    for gone in [&tom, &max] {
        assert_eq!(refusal(harness.check_pet(&bob.token, gone).await).1, "PET_NOT_FOUND");
    }
    let written = "SELECT count(*) FROM audit_log WHERE action = 'TAKE_UP_SHARE'";
    assert_eq!(harness.value(written).await, "1");
}

async fn link(
    harness: &Harness,
    owner: &User,
    request: wire::CreateShareLinkRequest,
) -> Result<wire::CreateShareLinkResponse, tonic::Status> {
    let answer = harness.pets().create_share_link(harness.with(&owner.token, request)).await;
    answer.map(tonic::Response::into_inner)
}

async fn accept(harness: &Harness, user: &User, token: &str) -> Result<wire::Pet, tonic::Status> {
    let request = wire::AcceptShareRequest { token: token.to_owned() };
    let answer = harness.pets().accept_share(harness.with(&user.token, request)).await;
    answer.map(tonic::Response::into_inner)
}

fn invalid() -> (Code, String) {
    (Code::NotFound, "SHARE_LINK_INVALID".to_owned())
}

#[tokio::test]
async fn a_link_is_shown_once_kept_hashed_and_good_for_one_of_fifty_at_once() {
    let harness = Harness::start().await;
    let ada = harness.user("ada").await;
    let pet = harness.pet(&ada, "Rex").await;
    let request = wire::CreateShareLinkRequest {
        pet_id: pet.pet_id.clone(),
        role: Role::Viewer.into(),
        expire_time: None,
        request_id: "key-1".to_owned(),
    };
    let made = link(&harness, &ada, request.clone()).await.unwrap();
    let shown = (Code::AlreadyExists, "SECRET_ALREADY_SHOWN".to_owned());
    assert_eq!(refusal(link(&harness, &ada, request).await), shown);
    let kept = format!("SELECT link_hash = sha256('{}'::bytea) FROM shares", made.token);
    assert_eq!(harness.value(&kept).await, "t");
    let yours = (Code::AlreadyExists, "PET_IS_YOURS".to_owned());
    assert_eq!(refusal(accept(&harness, &ada, &made.token).await), yours);

    let mut users = Vec::new();
    for number in 0..5 {
        users.push(harness.user(&format!("user{number}")).await);
    }
    let tries = (0..50).map(|number| accept(&harness, &users[number % 5], &made.token));
    let answers = futures::future::join_all(tries).await;
    let winners: std::collections::BTreeSet<usize> = answers
        .iter()
        .enumerate()
        .filter(|(_, answer)| answer.is_ok())
        .map(|(number, _)| number % 5)
        .collect();
    let [winner] = winners.into_iter().collect::<Vec<_>>()[..] else { panic!("not one has it") };
    for (number, answer) in answers.into_iter().enumerate() {
        if number % 5 == winner {
            assert_eq!(answer.unwrap().role(), Role::Viewer, "sent again, it is the same");
        } else {
            assert_eq!(refusal(answer), invalid());
            assert_eq!(refusal(harness.check_pet(&users[number % 5].token, &pet).await).1, "PET_NOT_FOUND");
        }
    }
    harness.check_pet(&users[winner].token, &pet).await.unwrap();
    let written = "SELECT count(*) FROM audit_log WHERE action = 'TAKE_UP_SHARE'";
    assert_eq!(harness.value(written).await, "1");
}

#[tokio::test]
async fn a_link_ends_unused_withdrawn_or_with_its_share() {
    let harness = Harness::start().await;
    let (ada, bob) = (harness.user("ada").await, harness.user("bob").await);
    let pet = harness.pet(&ada, "Rex").await;
    let request = |seconds: Option<i64>| wire::CreateShareLinkRequest {
        pet_id: pet.pet_id.clone(),
        role: Role::Viewer.into(),
        expire_time: seconds.map(|s| (harness.clock.now() + SignedDuration::from_secs(s)).into()),
        request_id: String::new(),
    };
    let listed = async || {
        let shares = wire::ListSharesRequest { pet_id: pet.pet_id.clone(), ..Default::default() };
        harness.pets().list_shares(harness.with(&ada.token, shares)).await.unwrap().into_inner().shares
    };
    let withdrawn = link(&harness, &ada, request(None)).await.unwrap();
    assert_eq!(listed().await, [withdrawn.share.clone().unwrap()]);
    let share_id = withdrawn.share.unwrap().share_id;
    let delete = wire::DeleteShareRequest { pet_id: pet.pet_id.clone(), share_id };
    harness.pets().delete_share(harness.with(&ada.token, delete)).await.unwrap();
    assert!(listed().await.is_empty());
    assert_eq!(refusal(accept(&harness, &bob, &withdrawn.token).await), invalid());

    let short = link(&harness, &ada, request(Some(60))).await.unwrap();
    let share = short.share.unwrap();
    assert_eq!(share.accept_before_time, share.expire_time, "no longer than the share");
    let used = link(&harness, &ada, request(Some(120))).await.unwrap();
    accept(&harness, &bob, &used.token).await.unwrap();
    harness.pass(60);
    assert_eq!(refusal(accept(&harness, &bob, &short.token).await), invalid());
    harness.check_pet(&bob.token, &pet).await.unwrap();
    harness.pass(60);
    assert_eq!(refusal(harness.check_pet(&bob.token, &pet).await).1, "PET_NOT_FOUND");
    assert_eq!(refusal(accept(&harness, &bob, &used.token).await), invalid());

    let unused = link(&harness, &ada, request(None)).await.unwrap();
    harness.pass(7 * 24 * 60 * 60);
    let bob = crate::staff::log_in(&harness, &bob.email).await;
    assert_eq!(refusal(accept(&harness, &bob, &unused.token).await), invalid());
    for (token, field) in [("", "token"), ("x".repeat(257).as_str(), "token")] {
        assert_eq!(fields(accept(&harness, &bob, token).await), [field]);
    }
    assert_eq!(refusal(accept(&harness, &bob, "a guess").await), invalid());
}

#[tokio::test]
async fn of_two_shares_of_one_account_the_stronger_counts_while_it_lasts() {
    let harness = Harness::start().await;
    let (ada, bob) = (harness.user("ada").await, harness.user("bob").await);
    let pet = harness.pet(&ada, "Rex").await;
    harness.pair(&ada, &pet, "collar-1").await;
    create(&harness, &ada, share(&pet, &bob.email, Role::Viewer)).await.unwrap();
    let request = wire::CreateShareLinkRequest {
        pet_id: pet.pet_id.clone(),
        role: Role::Caregiver.into(),
        expire_time: Some((harness.clock.now() + SignedDuration::from_secs(60)).into()),
        request_id: String::new(),
    };
    let made = link(&harness, &ada, request).await.unwrap();
    accept(&harness, &bob, &made.token).await.unwrap();
    let roles = async || {
        let list = harness.pets().list_pets(harness.with(&bob.token, wire::ListPetsRequest::default())).await;
        let pets = list.unwrap().into_inner().pets;
        assert_eq!(pets.len(), 1);
        let collar = harness.check_collar(&bob.token, "collar-1").await.unwrap().pairings;
        assert_eq!(collar.len(), 1);
        let pet = harness.check_pet(&bob.token, &pet).await.unwrap();
        [pets[0].role(), collar[0].role(), pet.role()]
    };
    assert_eq!(roles().await, [Role::Caregiver; 3]);
    harness.pass(60);
    assert_eq!(roles().await, [Role::Viewer; 3]);
}
