//! Where an account is signed in, and ending that.

use futures::future::join_all;
use petty_proto::auth::v1 as wire;
use petty_proto::auth::v1::session_service_client::SessionServiceClient;
use tonic::transport::Channel;
use tonic::{Code, Status};

use crate::harness::{Harness, PASSWORD, fields, refusal};

impl Harness {
    fn sessions(&self) -> SessionServiceClient<Channel> {
        SessionServiceClient::new(self.channel())
    }

    pub(crate) async fn list(&self, token: &str) -> Vec<wire::Session> {
        let request = self.with(token, wire::ListSessionsRequest::default());
        self.sessions().list_sessions(request).await.unwrap().into_inner().sessions
    }

    async fn end(&self, token: &str, session: &str) -> Result<bool, Status> {
        let request = self.with(token, wire::EndSessionRequest { session_id: session.to_owned() });
        Ok(self.sessions().end_session(request).await?.into_inner().success)
    }

    async fn again(&self, email: &str) -> wire::TokenResponse {
        let request = wire::LogInRequest {
            email: email.to_owned(),
            password: PASSWORD.to_owned(),
            ..Default::default()
        };
        self.tokens().log_in(self.anonymous(request)).await.unwrap().into_inner()
    }
}

#[tokio::test]
async fn sessions_are_listed_newest_first_with_their_last_use() {
    let harness = Harness::start().await;
    let user = harness.user("ada").await;
    harness.user("bob").await;
    let begun = harness.pass(60);
    let second = harness.again(&user.email).await;
    let used = harness.pass(60);
    let refreshed = harness.refresh(&user.refresh).await.unwrap();
    let listed = harness.list(&refreshed.access_token).await;
    assert_eq!(listed.iter().map(|session| session.current).collect::<Vec<_>>(), [false, true]);
    assert_eq!(listed[0].create_time, Some(petty_chassis::types::micros(begun).into()));
    assert_eq!(listed[0].last_used_time, listed[0].create_time);
    assert_eq!(listed[1].last_used_time, Some(petty_chassis::types::micros(used).into()));
    let page = harness
        .with(&second.access_token, wire::ListSessionsRequest { page_size: 1, page_token: String::new() });
    let page = harness.sessions().list_sessions(page).await.unwrap().into_inner();
    assert_eq!(page.sessions.len(), 1);
    assert!(page.sessions[0].current && !page.next_page_token.is_empty());
    let bad =
        harness.with(&second.access_token, wire::ListSessionsRequest { page_size: -1, ..Default::default() });
    assert_eq!(fields(harness.sessions().list_sessions(bad).await), ["page_size"]);
    // Expired and ended ones are not sessions any more.
    harness.pass(8 * 24 * 60 * 60);
    let third = harness.again(&user.email).await;
    assert_eq!(harness.list(&third.access_token).await.len(), 1);
}

#[tokio::test]
async fn one_session_or_all_others_are_ended_by_their_account_alone() {
    let harness = Harness::start().await;
    let (ada, bob) = (harness.user("ada").await, harness.user("bob").await);
    let (second, third) = (harness.again(&ada.email).await, harness.again(&ada.email).await);
    let theirs = harness.list(&bob.token).await[0].session_id.clone();
    let missing = (Code::NotFound, "SESSION_NOT_FOUND".to_owned());
    assert_eq!(refusal(harness.end(&ada.token, &theirs).await), missing);
    assert_eq!(refusal(harness.end(&ada.token, "018f3b2e-7c1a-7d60-9c1b-1f4e5a6b7c8d").await), missing);
    assert_eq!(fields(harness.end(&ada.token, "mine").await), ["session_id"]);
    let listed = harness.list(&second.access_token).await;
    let id = &listed.iter().find(|session| session.current).unwrap().session_id;
    for _ in 0..2 {
        assert!(harness.end(&ada.token, id).await.unwrap());
    }
    assert_eq!(refusal(harness.me(&second.access_token).await).1, "SESSION_ENDED");
    harness.me(&third.access_token).await.unwrap();
    for _ in 0..2 {
        let request = harness.with(&ada.token, wire::EndOtherSessionsRequest {});
        assert!(harness.sessions().end_other_sessions(request).await.unwrap().into_inner().success);
    }
    assert_eq!(refusal(harness.me(&third.access_token).await).1, "SESSION_ENDED");
    harness.me(&ada.token).await.unwrap();
    harness.me(&bob.token).await.unwrap();
    assert_eq!(harness.list(&ada.token).await.len(), 1);
    let told = "SELECT count(*) FROM event_outbox WHERE topic = 'access.changed' AND sent_at IS NOT NULL";
    assert_eq!(harness.value(told).await, "2");
}

#[tokio::test]
async fn of_a_hundred_sessions_those_not_used_for_longest_make_room_for_others() {
    let harness = Harness::start().await;
    let (ada, bob) = (harness.user("ada").await, harness.user("bob").await);
    let unused = harness.again(&ada.email).await;
    // The oldest of all, which is in use.
    harness.pass(10 * 60);
    let used = harness.refresh(&ada.refresh).await.unwrap();
    // With these it is a hundred; the higher the number, the longer ago they were used.
    let now = harness.clock.now();
    let more = format!(
        "WITH made AS (
             INSERT INTO sessions (session_id, account_id, scope, created_at, expires_at, ends_at)
             SELECT ('00000000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, '{}', 'pets:read',
                    timestamptz '{now}' - interval '1 hour', timestamptz '{now}' + interval '1 day', timestamptz '{now}' + interval '1 day'
             FROM generate_series(1, 98) n RETURNING session_id
         )
         INSERT INTO refresh_tokens (token_hash, session_id, generation, created_at)
         SELECT sha256(session_id::text::bytea), session_id, 1,
                timestamptz '{now}' - make_interval(secs => right(session_id::text, 12)::int) FROM made",
        ada.account_id
    );
    harness.rows(&more).await.unwrap();
    let standing =
        format!("SELECT count(*) FROM sessions WHERE account_id = '{}' AND ended_at IS NULL", ada.account_id);
    assert_eq!(harness.value(&standing).await, "100");

    let begun = join_all((0..4).map(|_| harness.again(&ada.email))).await;
    assert_eq!(harness.value(&standing).await, "100");
    for session in begun.iter().chain([&used]) {
        harness.me(&session.access_token).await.unwrap();
    }
    assert_eq!(refusal(harness.me(&unused.access_token).await).1, "SESSION_ENDED");
    harness.me(&bob.token).await.unwrap();
    let ended = "SELECT right(s.session_id::text, 2), s.end_reason, l.action, l.subject = s.account_id::text, o.topic
                 FROM sessions s JOIN audit_log l ON l.detail->>'session_id' = s.session_id::text
                 JOIN event_outbox o ON o.id = s.ended_event
                 WHERE s.ended_at IS NOT NULL AND l.action <> 'LOG_IN' AND s.session_id::text LIKE '0000%' ORDER BY s.session_id";
    let expected = ["96", "97", "98"].map(|id| [id, "SURPLUS", "END_SURPLUS_SESSION", "t", "access.changed"]);
    assert_eq!(harness.rows(ended).await.unwrap(), expected);
    let noted = "SELECT count(*) FROM audit_log WHERE action = 'END_SURPLUS_SESSION'";
    assert_eq!(harness.value(noted).await, "4");
}

#[tokio::test]
async fn a_profile_is_changed_field_by_field() {
    let harness = Harness::start().await;
    let user = harness.user("ada").await;
    let update = |name: Option<&str>, zone: Option<&str>| {
        let request =
            wire::UpdateMeRequest { name: name.map(str::to_owned), time_zone: zone.map(str::to_owned) };
        let (mut client, request) = (harness.accounts(), harness.with(&user.token, request));
        async move { client.update_me(request).await.map(tonic::Response::into_inner) }
    };
    let me = update(Some("Ada"), None).await.unwrap();
    assert_eq!((me.name.as_deref(), me.time_zone.as_str()), (Some("Ada"), "UTC"));
    let me = update(None, Some("Europe/Berlin")).await.unwrap();
    assert_eq!((me.name.as_deref(), me.time_zone.as_str()), (Some("Ada"), "Europe/Berlin"));
    let me = update(Some(""), None).await.unwrap();
    assert_eq!((me.name.as_deref(), me.time_zone.as_str()), (None, "Europe/Berlin"));
    assert_eq!(harness.me(&user.token).await.unwrap(), me);
    assert_eq!(fields(update(Some(&"n".repeat(101)), Some("Mars/Base")).await), ["name", "time_zone"]);
}
