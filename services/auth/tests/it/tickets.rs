//! Tickets for streams.

use futures::future::join_all;
use petty_proto::auth::v1 as wire;
use tonic::{Code, Response, Status};

use crate::harness::{Harness, refusal};

async fn ticket(harness: &Harness, token: &str) -> Result<String, Status> {
    let request = harness.with(token, wire::IssueStreamTicketRequest {});
    let answer = harness.tokens().issue_stream_ticket(request).await?.into_inner();
    assert_eq!(answer.expires_in, 30);
    Ok(answer.ticket)
}

async fn redeem_by(
    harness: &Harness,
    service: &str,
    ticket: &str,
) -> Result<wire::RedeemStreamTicketResponse, Status> {
    let request = wire::RedeemStreamTicketRequest { ticket: ticket.to_owned() };
    harness.tokens().redeem_stream_ticket(harness.by(service, request)).await.map(Response::into_inner)
}

async fn redeem(harness: &Harness, ticket: &str) -> Result<wire::RedeemStreamTicketResponse, Status> {
    redeem_by(harness, "gateway", ticket).await
}

fn invalid() -> (Code, String) {
    (Code::Unauthenticated, "TICKET_INVALID".to_owned())
}

#[tokio::test]
async fn a_ticket_gives_a_token_of_its_session_that_may_read_and_no_more() {
    let harness = Harness::start().await;
    let user = harness.user("ada").await;
    let pet = harness.pet(&user, "Rex").await;
    let ticket = ticket(&harness, &user.token).await.unwrap();
    let answer = redeem(&harness, &ticket).await.unwrap();
    assert_eq!(answer.expires_in, 900);
    harness.check_pet(&answer.access_token, &pet).await.unwrap();
    let get = wire::GetPetRequest { pet_id: pet.pet_id.clone() };
    harness.pets().get_pet(harness.with(&answer.access_token, get)).await.unwrap();
    let update = wire::UpdatePetRequest { pet_id: pet.pet_id.clone(), ..Default::default() };
    let refused = harness.pets().update_pet(harness.with(&answer.access_token, update)).await;
    assert_eq!(refusal(refused), (Code::PermissionDenied, "SCOPE_MISSING".to_owned()));

    // The token ends with the session.
    harness.tokens().log_out(harness.with(&user.token, wire::LogOutRequest {})).await.unwrap();
    assert_eq!(refusal(harness.check_pet(&answer.access_token, &pet).await).1, "SESSION_ENDED");
}

#[tokio::test]
async fn of_many_uses_at_once_one_finds_the_ticket() {
    let harness = Harness::start().await;
    let replica = harness.replica().await;
    let user = harness.user("ada").await;
    for _ in 0..3 {
        let ticket = &ticket(&harness, &user.token).await.unwrap();
        let uses = (0..16).map(|turn| redeem(if turn % 2 == 0 { &harness } else { &replica }, ticket));
        let (good, bad): (Vec<_>, Vec<_>) = join_all(uses).await.into_iter().partition(Result::is_ok);
        assert_eq!((good.len(), bad.len()), (1, 15));
        for refused in bad {
            assert_eq!(refusal(refused), invalid());
        }
    }
    assert_eq!(harness.value("SELECT count(*) FROM stream_tickets").await, "0");
}

#[tokio::test]
async fn a_ticket_serves_for_thirty_seconds() {
    let harness = Harness::start().await;
    let user = harness.user("ada").await;
    let (first, second) =
        (ticket(&harness, &user.token).await.unwrap(), ticket(&harness, &user.token).await.unwrap());
    harness.pass(29);
    redeem(&harness, &first).await.unwrap();
    harness.pass(1);
    assert_eq!(refusal(redeem(&harness, &second).await), invalid());
    for nonsense in ["", "no such ticket", &user.token, &user.refresh, &"x".repeat(10_000)] {
        assert_eq!(refusal(redeem(&harness, nonsense).await), invalid(), "{nonsense:.20}");
    }
}

#[tokio::test]
async fn an_ended_or_expired_sessions_ticket_is_worth_nothing() {
    let harness = Harness::start().await;
    let (ada, bob) = (harness.user("ada").await, harness.user("bob").await);
    let of_ended = ticket(&harness, &ada.token).await.unwrap();
    let of_standing = ticket(&harness, &bob.token).await.unwrap();
    harness.tokens().log_out(harness.with(&ada.token, wire::LogOutRequest {})).await.unwrap();
    assert_eq!(refusal(redeem(&harness, &of_ended).await), invalid());
    redeem(&harness, &of_standing).await.unwrap();
    assert_eq!(refusal(ticket(&harness, &ada.token).await).1, "SESSION_ENDED");

    let of_expired = ticket(&harness, &bob.token).await.unwrap();
    harness.rows("UPDATE sessions SET expires_at = now() - interval '1 hour'").await.unwrap();
    assert_eq!(refusal(redeem(&harness, &of_expired).await), invalid());
}

#[tokio::test]
async fn tickets_are_for_accounts_and_redeemed_by_the_gateway_alone() {
    let harness = Harness::start().await;
    let user = harness.user("ada").await;
    let pet = harness.pet(&user, "Rex").await;
    let secret = harness.pair(&user, &pet, "collar-1").await.secret;
    let device = harness.device("collar-1", &secret).await.unwrap().access_token;
    assert_eq!(refusal(ticket(&harness, &device).await).1, "DEVICE_NOT_ALLOWED");
    let anonymous =
        harness.tokens().issue_stream_ticket(harness.anonymous(wire::IssueStreamTicketRequest {})).await;
    assert_eq!(refusal(anonymous).0, Code::Unauthenticated);

    let ticket = ticket(&harness, &user.token).await.unwrap();
    let refused = redeem_by(&harness, "ingest", &ticket).await;
    assert_eq!(refusal(refused), (Code::PermissionDenied, "SERVICE_NOT_ALLOWED".to_owned()));
    redeem(&harness, &ticket).await.unwrap();
}

#[tokio::test]
async fn tickets_are_kept_as_hashes_and_no_longer_than_needed() {
    let harness = Harness::start().await;
    let (ada, bob) = (harness.user("ada").await, harness.user("bob").await);
    let first = ticket(&harness, &ada.token).await.unwrap();
    ticket(&harness, &bob.token).await.unwrap();
    let whole = harness.value("SELECT string_agg(t::text, ' ') FROM stream_tickets t").await;
    let hex: String = first.bytes().map(|byte| format!("{byte:02x}")).collect();
    assert!(!whole.contains(&first) && !whole.contains(&hex));

    // Another ticket of the session's sweeps its old ones; a boot sweeps everybody's.
    harness.pass(31);
    ticket(&harness, &ada.token).await.unwrap();
    assert_eq!(harness.value("SELECT count(*) FROM stream_tickets").await, "2");
    let _replica = harness.replica().await;
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(20);
    while harness.value("SELECT count(*) FROM stream_tickets").await != "1" {
        assert!(tokio::time::Instant::now() < deadline, "it was not forgotten");
        tokio::task::yield_now().await;
    }
}
