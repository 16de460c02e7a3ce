//! Callers, and what the table makes of them.

use jiff::SignedDuration;
use petty_chassis::access::Role;
use petty_chassis::types::PetId;
use petty_proto::timeline::v1::timeline_service_client::TimelineServiceClient;
use petty_proto::timeline::v1::timeline_service_server::{TimelineService as _, TimelineServiceServer};
use petty_proto::timeline::v1::{GetPetTimelineRequest, ListTimelineRequest, StreamTimelineRequest};
use petty_testbench::{Badge, Bench, at, field, now, reason};
use tokio::time::timeout;
use tonic::{Code, Status};

use crate::echo::{SOON, bench, guarded, plan};

const COLLAR: &str = "SN-1A4B7C-9Z";

async fn role(bench: &Bench, badge: &Badge, pet: PetId) -> Result<String, Status> {
    let request = ListTimelineRequest { pet_id: pet.to_string(), ..Default::default() };
    let answer = guarded(bench).list_timeline(bench.request_of(badge, request)).await?;
    Ok(answer.into_inner().next_page_token)
}

async fn pairings(bench: &Bench, badge: &Badge) -> Result<String, Status> {
    let request = GetPetTimelineRequest { collar_id: COLLAR.to_owned(), ..Default::default() };
    let answer = guarded(bench).get_pet_timeline(bench.request_of(badge, request)).await?;
    Ok(answer.into_inner().collar_id)
}

#[tokio::test]
async fn an_account_is_to_a_pet_what_was_said_last() {
    let bench = bench("roles").await;
    let (pet, other) = (bench.pet_id(), bench.account_id());
    let owner = bench.owner_of(pet);
    assert_eq!(bench.owner_of(pet), owner);
    let (owner, badge) = (Badge::account(owner), Badge::account(other));
    assert_eq!(role(&bench, &owner, pet).await.unwrap(), "OWNER");
    assert_eq!(reason(&role(&bench, &badge, pet).await.unwrap_err()), "PET_NOT_FOUND");
    bench.access.share(pet, other, Role::Vet);
    assert_eq!(role(&bench, &badge, pet).await.unwrap(), "VET");
    bench.access.unshare(pet, other);
    assert_eq!(reason(&role(&bench, &badge, pet).await.unwrap_err()), "PET_NOT_FOUND");
    bench.access.give(pet, other);
    assert_eq!(role(&bench, &badge, pet).await.unwrap(), "OWNER");
    assert_eq!(reason(&role(&bench, &owner, pet).await.unwrap_err()), "PET_NOT_FOUND");
}

#[tokio::test]
async fn a_token_is_worth_what_it_says_while_its_session_stands() {
    let bench = bench("tokens").await;
    let pet = bench.pet_id();
    let badge = Badge::account(bench.owner_of(pet));
    let status = role(&bench, &badge.clone().scope("account"), pet).await.unwrap_err();
    assert_eq!((status.code(), reason(&status)), (Code::PermissionDenied, "SCOPE_MISSING".to_owned()));
    let brief = badge.clone().lasting(SignedDuration::from_secs(-60));
    assert_eq!(reason(&role(&bench, &brief, pet).await.unwrap_err()), "TOKEN_EXPIRED");
    bench.access.set_away(true);
    assert_eq!(role(&bench, &badge, pet).await.unwrap_err().code(), Code::Unavailable);
    bench.access.set_away(false);
    bench.access.end_session(badge.session_id());
    assert_eq!(reason(&role(&bench, &badge, pet).await.unwrap_err()), "SESSION_ENDED");
    let elsewhere = badge.session(petty_chassis::types::SessionId::new(&bench.clock));
    assert_eq!(role(&bench, &elsewhere, pet).await.unwrap(), "OWNER");
    let request = bench.request(bench.account_id(), ListTimelineRequest::default());
    assert_eq!(field(&guarded(&bench).list_timeline(request).await.unwrap_err()), "pet_id");
}

#[tokio::test]
async fn a_collar_shows_pairings_with_the_pets_one_may_see() {
    let bench = bench("collars").await;
    let (first, second) = (bench.pet_id(), bench.pet_id());
    let (account, other) = (bench.owner_of(first), bench.owner_of(second));
    bench.access.wear(&bench.clock, COLLAR, second, at(-60), None);
    bench.access.wear(&bench.clock, COLLAR, first, at(-120), Some(at(-60)));
    bench.access.wear(&bench.clock, "another-collar", first, at(-60), None);
    bench.access.share(second, account, Role::Viewer);
    let seen = pairings(&bench, &Badge::account(account)).await.unwrap();
    assert_eq!(seen, format!("{first} OWNER, {second} VIEWER"), "oldest first");
    let device = Badge::collar(COLLAR, second, other);
    assert_eq!(pairings(&bench, &device).await.unwrap(), format!("{second} CAREGIVER"));
    let another = Badge::collar("another-collar", first, account);
    assert_eq!(reason(&pairings(&bench, &another).await.unwrap_err()), "COLLAR_NOT_FOUND");
}

#[tokio::test]
async fn a_clock_stands_where_the_plan_says() {
    assert_eq!(bench("noon").await.clock.now(), now());
    let later = plan().starting(at(5)).lay("later").await;
    assert_eq!(later.clock.now(), at(5));
    later.clock.set(at(9));
    assert_eq!(later.base.context.clock.now(), at(9));
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_are_seen_by_a_real_client_until_the_drain() {
    let bench = bench("streams").await;
    let pet = bench.pet_id();
    let account = bench.owner_of(pet);
    let channel = bench.serve(TimelineServiceServer::new(guarded(&bench)));
    let mut client = TimelineServiceClient::new(channel);
    let request = || StreamTimelineRequest { pet_id: pet.to_string(), ..Default::default() };
    let status = client.stream_timeline(bench.request(bench.account_id(), request())).await.unwrap_err();
    assert_eq!(reason(&status), "PET_NOT_FOUND");
    let mut stream = client.stream_timeline(bench.request(account, request())).await.unwrap().into_inner();
    let first = timeout(SOON, stream.message()).await.unwrap().unwrap().unwrap();
    assert_eq!(first.id, "7");
    bench.drain();
    let end = timeout(SOON, stream.message()).await.unwrap().unwrap_err();
    assert_eq!(end.code(), Code::Unavailable);
    assert!(client.stream_timeline(bench.request(account, request())).await.is_err());
}
