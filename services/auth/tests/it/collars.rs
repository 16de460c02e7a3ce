//! Pairings, secrets, device tokens.

use futures::future::join_all;
use jiff::{SignedDuration, Timestamp};
use petty_proto::auth::v1 as wire;
use petty_proto::events::v1::CollarUnpaired;
use tonic::Code;

use crate::harness::{Harness, User, fields, refusal};
use crate::pets::events;

const COLLAR: &str = "SN-1A4B7C-9Z";

fn paired() -> (Code, String) {
    (Code::AlreadyExists, "COLLAR_PAIRED".to_owned())
}

fn ended() -> (Code, String) {
    (Code::Unauthenticated, "SESSION_ENDED".to_owned())
}

async fn unpair(
    harness: &Harness,
    owner: &User,
    pet: &wire::Pet,
    end: Option<Timestamp>,
) -> Result<wire::Collar, tonic::Status> {
    let request = wire::UnpairCollarRequest {
        pet_id: pet.pet_id.clone(),
        collar_id: COLLAR.to_owned(),
        end_time: end.map(Into::into),
    };
    let answer = harness.pets().unpair_collar(harness.with(&owner.token, request)).await?;
    Ok(answer.into_inner().collar.unwrap())
}

fn at(collar: &wire::Collar) -> (Timestamp, Option<Timestamp>) {
    let read = |time: petty_proto::wkt::Timestamp| Timestamp::try_from(time).unwrap();
    (read(collar.start_time.unwrap()), collar.end_time.map(read))
}

#[tokio::test]
async fn a_collar_gets_a_token_for_the_secret_its_pairing_showed() {
    let harness = Harness::start().await;
    let ada = harness.user("ada").await;
    let pet = harness.pet(&ada, "Rex").await;
    let secret = harness.pair(&ada, &pet, COLLAR).await.secret;
    assert_eq!(secret.len(), 43);
    let device = harness.device(COLLAR, &secret).await.unwrap();
    assert_eq!((device.expires_in, device.pet_id.as_str()), (3_600, pet.pet_id.as_str()));
    assert_eq!(device.scope, "readings:write pets:read");

    let bad = (Code::Unauthenticated, "BAD_CREDENTIALS".to_owned());
    assert_eq!(refusal(harness.device(COLLAR, "wrong").await), bad);
    assert_eq!(refusal(harness.device("unknown-collar", &secret).await), bad);
    assert_eq!(fields(harness.device("x", "").await), ["collar_id", "secret"]);
    assert_eq!(fields(harness.device(COLLAR, &"x".repeat(10_000)).await), ["secret"]);

    // A collar's token is nobody's account.
    let request = harness.with(&device.access_token, wire::ListPetsRequest::default());
    assert_eq!(
        refusal(harness.pets().list_pets(request).await),
        (Code::PermissionDenied, "DEVICE_NOT_ALLOWED".to_owned())
    );
}

#[tokio::test]
async fn a_secret_is_shown_once() {
    let harness = Harness::start().await;
    let ada = harness.user("ada").await;
    let pet = harness.pet(&ada, "Rex").await;
    let request = wire::PairCollarRequest {
        pet_id: pet.pet_id.clone(),
        collar_id: COLLAR.to_owned(),
        start_time: None,
        request_id: "key-1".to_owned(),
    };
    let first =
        harness.pets().pair_collar(harness.with(&ada.token, request.clone())).await.unwrap().into_inner();
    harness.pass(1);
    let again = harness.pets().pair_collar(harness.with(&ada.token, request)).await;
    let shown = (Code::AlreadyExists, "SECRET_ALREADY_SHOWN".to_owned());
    assert_eq!(refusal(again), shown);
    harness.device(COLLAR, &first.secret).await.unwrap();
    assert_eq!(harness.value("SELECT count(*) FROM pairings").await, "1");

    let request = wire::RotateCollarSecretRequest {
        pet_id: pet.pet_id.clone(),
        collar_id: COLLAR.to_owned(),
        overlap_seconds: Some(0),
        request_id: "key-2".to_owned(),
    };
    let old = harness.device(COLLAR, &first.secret).await.unwrap().access_token;
    let rotated =
        harness.pets().rotate_collar_secret(harness.with(&ada.token, request.clone())).await.unwrap();
    let again = harness.pets().rotate_collar_secret(harness.with(&ada.token, request)).await;
    assert_eq!(refusal(again), shown);
    assert_eq!(refusal(harness.device(COLLAR, &first.secret).await).0, Code::Unauthenticated);
    assert_eq!(refusal(harness.check_pet(&old, &pet).await), ended());
    let new = harness.device(COLLAR, &rotated.into_inner().secret).await.unwrap();
    harness.check_pet(&new.access_token, &pet).await.unwrap();
}

#[tokio::test]
async fn a_collar_moves_between_an_accounts_own_pets_and_its_old_token_is_dead() {
    let harness = Harness::start().await;
    let ada = harness.user("ada").await;
    let (rex, tom) = (harness.pet(&ada, "Rex").await, harness.pet(&ada, "Tom").await);
    let first = harness.pair(&ada, &rex, COLLAR).await;
    let old = harness.device(COLLAR, &first.secret).await.unwrap().access_token;
    // A pairing without a stated start begins with its second.
    let begun = jiff::Timestamp::from_second(harness.clock.now().as_second()).unwrap();
    let moved_at = harness.pass(300) - SignedDuration::from_secs(60);
    let second = harness.try_pair(&ada, &tom, COLLAR, Some(moved_at)).await.unwrap();
    assert_eq!(refusal(harness.check_pet(&old, &rex).await), ended());
    assert_eq!(refusal(harness.device(COLLAR, &first.secret).await).0, Code::Unauthenticated);

    let new = harness.device(COLLAR, &second.secret).await.unwrap();
    assert_eq!(new.pet_id, tom.pet_id);
    // What was measured before the move is still the first pet's, and may still be sent.
    let pairings = harness.check_collar(&new.access_token, COLLAR).await.unwrap().pairings;
    assert_eq!(
        pairings.iter().map(|pairing| &pairing.pet_id).collect::<Vec<_>>(),
        [&rex.pet_id, &tom.pet_id]
    );
    assert_eq!(pairings[0].end_time, pairings[1].start_time);
    assert_eq!(refusal(harness.check_pet(&new.access_token, &rex).await).1, "PET_NOT_FOUND");

    let request = wire::ListCollarsRequest { pet_id: rex.pet_id, ..Default::default() };
    let collars =
        harness.pets().list_collars(harness.with(&ada.token, request)).await.unwrap().into_inner().collars;
    let micros = petty_chassis::types::micros;
    assert_eq!(collars.iter().map(at).collect::<Vec<_>>(), [(micros(begun), Some(micros(moved_at)))]);
}

#[tokio::test]
async fn whoever_wears_a_collar_no_more_is_told_of_with_how_many_others_it_wears() {
    let harness = Harness::start().await;
    let ada = harness.user("ada").await;
    let (rex, tom) = (harness.pet(&ada, "Rex").await, harness.pet(&ada, "Tom").await);
    for collar in [COLLAR, "collar-2", "collar-3"] {
        harness.pair(&ada, &rex, collar).await;
    }
    harness.pass(60);
    // Moved to another pet, to the same anew, and taken off at once.
    harness.try_pair(&ada, &tom, COLLAR, None).await.unwrap();
    harness.pass(60);
    harness.try_pair(&ada, &tom, COLLAR, None).await.unwrap();
    let off = ["collar-2", "collar-3"].map(|collar_id| {
        let request = wire::UnpairCollarRequest {
            pet_id: rex.pet_id.clone(),
            collar_id: collar_id.to_owned(),
            ..Default::default()
        };
        let (mut client, request) = (harness.pets(), harness.with(&ada.token, request));
        async move { client.unpair_collar(request).await.unwrap() }
    });
    join_all(off).await;
    let told: Vec<(i64, CollarUnpaired)> = events(&harness, "collar.unpaired").await;
    assert!(told.iter().all(|(_, event)| event.end_time.is_some()));
    let told: Vec<(bool, i32)> =
        told.iter().map(|(_, event)| (event.pet_id == rex.pet_id, event.worn)).collect();
    assert_eq!(told, [(true, 2), (false, 1), (true, 1), (true, 0)]);
}

#[tokio::test]
async fn pairings_of_one_collar_never_overlap() {
    let harness = Harness::start().await;
    let (ada, bob) = (harness.user("ada").await, harness.user("bob").await);
    let (rex, tom) = (harness.pet(&ada, "Rex").await, harness.pet(&bob, "Tom").await);
    harness.pair(&ada, &rex, COLLAR).await;
    let noon = harness.pass(300);
    assert_eq!(refusal(harness.try_pair(&bob, &tom, COLLAR, None).await), paired());
    // One's own that began later does not make room for one before it.
    let before = noon - SignedDuration::from_secs(600);
    assert_eq!(refusal(harness.try_pair(&ada, &rex, COLLAR, Some(before)).await), paired());

    harness.pass(300);
    unpair(&harness, &ada, &rex, Some(noon)).await.unwrap();
    let early = noon - SignedDuration::from_secs(1);
    assert_eq!(refusal(harness.try_pair(&bob, &tom, COLLAR, Some(early)).await), paired());
    harness.try_pair(&bob, &tom, COLLAR, Some(noon)).await.unwrap();

    // Each owner sees only their own pet's time.
    for (user, pet) in [(&ada, &rex), (&bob, &tom)] {
        let pairings = harness.check_collar(&user.token, COLLAR).await.unwrap().pairings;
        assert_eq!(pairings.iter().map(|pairing| &pairing.pet_id).collect::<Vec<_>>(), [&pet.pet_id]);
    }
}

#[tokio::test]
async fn of_many_pairings_at_once_one_wins() {
    let harness = Harness::start().await;
    let mut owners = Vec::new();
    for name in ["ada", "bob", "cyd", "dan"] {
        let user = harness.user(name).await;
        let pet = harness.pet(&user, "Rex").await;
        owners.push((user, pet));
    }
    let storm = owners.iter().map(|(user, pet)| harness.try_pair(user, pet, COLLAR, None));
    let answers = join_all(storm).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
    for answer in answers.into_iter().filter(Result::is_err) {
        assert_eq!(refusal(answer), paired());
    }
    assert_eq!(harness.value("SELECT count(*) FROM pairings").await, "1");
}

#[tokio::test]
async fn unpairing_ends_the_token_and_may_be_sent_again() {
    let harness = Harness::start().await;
    let ada = harness.user("ada").await;
    let pet = harness.pet(&ada, "Rex").await;
    let started = jiff::Timestamp::from_second(harness.clock.now().as_second()).unwrap();
    let secret = harness.pair(&ada, &pet, COLLAR).await.secret;
    let token = harness.device(COLLAR, &secret).await.unwrap().access_token;
    harness.check_pet(&token, &pet).await.unwrap();
    let end = harness.pass(60);
    assert_eq!(fields(unpair(&harness, &ada, &pet, Some(started)).await), ["end_time"]);
    assert_eq!(
        fields(unpair(&harness, &ada, &pet, Some(end + SignedDuration::from_secs(60))).await),
        ["end_time"]
    );
    let once = unpair(&harness, &ada, &pet, Some(end)).await.unwrap();
    harness.pass(60);
    let again = unpair(&harness, &ada, &pet, None).await.unwrap();
    assert_eq!(once, again);
    assert_eq!(at(&once).1, Some(petty_chassis::types::micros(end)));
    assert_eq!(refusal(harness.check_pet(&token, &pet).await), ended());
    assert_eq!(refusal(harness.device(COLLAR, &secret).await).0, Code::Unauthenticated);
    let told = "SELECT count(*) FROM event_outbox WHERE topic = 'access.changed' AND sent_at IS NOT NULL";
    assert_eq!(harness.value(told).await, "2");

    let other = harness.pet(&ada, "Tom").await;
    let not_found = (Code::NotFound, "COLLAR_NOT_FOUND".to_owned());
    assert_eq!(refusal(unpair(&harness, &ada, &other, None).await), not_found);
}

#[tokio::test]
async fn bad_pairings_name_their_fields() {
    let harness = Harness::start().await;
    let ada = harness.user("ada").await;
    let pet = harness.pet(&ada, "Rex").await;
    let now = harness.clock.now();
    for (collar, start, field) in [
        ("", None, "collar_id"),
        ("x", None, "collar_id"),
        (COLLAR, Some(now + SignedDuration::from_secs(60)), "start_time"),
        (COLLAR, Some(now - SignedDuration::from_hours(24 * 31)), "start_time"),
    ] {
        assert_eq!(fields(harness.try_pair(&ada, &pet, collar, start).await), [field], "{collar} {start:?}");
    }
    let odd = petty_proto::wkt::Timestamp { seconds: i64::MAX, nanos: -1 };
    let request = wire::PairCollarRequest {
        pet_id: pet.pet_id.clone(),
        collar_id: COLLAR.to_owned(),
        start_time: Some(odd),
        request_id: String::new(),
    };
    assert_eq!(fields(harness.pets().pair_collar(harness.with(&ada.token, request)).await), ["start_time"]);
    assert_eq!(harness.value("SELECT count(*) FROM pairings").await, "0");
}
