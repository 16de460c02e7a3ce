//! A revocation is answered once everybody can hear of it.

use std::time::Duration;

use petty_proto::auth::v1 as wire;
use petty_provision::Stack;
use tonic::Code;

use crate::harness::{Harness, refusal};
use crate::personal;

fn ended() -> (Code, String) {
    (Code::Unauthenticated, "SESSION_ENDED".to_owned())
}

#[tokio::test]
async fn a_session_that_was_logged_out_is_refused_by_every_replica() {
    let harness = Harness::start().await;
    let replica = harness.replica().await;
    let user = harness.user("ada").await;
    replica.me(&user.token).await.unwrap();
    let other = wire::LogInRequest {
        email: user.email.clone(),
        password: crate::harness::PASSWORD.to_owned(),
        ..Default::default()
    };
    let other = harness.tokens().log_in(harness.anonymous(other)).await.unwrap().into_inner();
    for _ in 0..2 {
        let answer =
            harness.tokens().log_out(harness.with(&user.token, wire::LogOutRequest {})).await.unwrap();
        assert!(answer.into_inner().success);
    }
    for harness in [&harness, &replica] {
        assert_eq!(refusal(harness.me(&user.token).await), ended());
        assert_eq!(refusal(harness.check(&user.token, None).await), ended());
        assert_eq!(refusal(harness.refresh(&user.refresh).await).1, "REFRESH_TOKEN_INVALID");
    }
    // The account's other session is another matter.
    harness.me(&other.access_token).await.unwrap();
    let sent = "SELECT count(*) FROM event_outbox WHERE topic = 'access.changed' AND sent_at IS NOT NULL AND shard = 0";
    assert_eq!(harness.value(sent).await, "1");
}

#[tokio::test]
async fn with_redis_away_a_log_out_is_pending_and_in_force() {
    let stack = Stack::temporary().await.unwrap();
    let harness = Harness::start_with(&stack, &[]).await;
    let user = harness.user("ada").await;
    stack.redis().pause();
    let mut request = harness.with(&user.token, wire::LogOutRequest {});
    request.set_timeout(Duration::from_millis(1_500));
    let answer = harness.tokens().log_out(request).await;
    assert_eq!(refusal(answer), (Code::Unavailable, "REVOCATION_PENDING".to_owned()));
    assert_eq!(refusal(harness.me(&user.token).await), ended());
    stack.redis().resume();
    // Sent again, it waits for the event it made the first time.
    harness.tokens().log_out(harness.with(&user.token, wire::LogOutRequest {})).await.unwrap();
    assert_eq!(harness.value("SELECT count(*) FROM event_outbox WHERE sent_at IS NOT NULL").await, "1");
    assert_eq!(harness.value("SELECT count(*) FROM event_outbox").await, "1");
}

#[tokio::test]
async fn with_redis_away_the_end_of_a_personal_access_token_is_pending_however_often_it_is_sent() {
    let stack = Stack::temporary().await.unwrap();
    let harness = Harness::start_with(&stack, &[]).await;
    let user = harness.user("ada").await;
    let made = personal::create(&harness, &user.token, personal::request(&harness, "read")).await.unwrap();
    let revoke = |timeout| {
        let message = wire::RevokeTokenRequest { token: made.token.clone(), token_type_hint: None };
        let mut request = harness.anonymous(message);
        request.set_timeout(timeout);
        let mut client = harness.tokens();
        async move { client.revoke_token(request).await }
    };
    stack.redis().pause();
    for _ in 0..2 {
        let answer = revoke(Duration::from_millis(1_500)).await;
        assert_eq!(refusal(answer), (Code::Unavailable, "REVOCATION_PENDING".to_owned()));
    }
    assert_eq!(refusal(personal::exchange(&harness, &made.token).await).1, "TOKEN_INVALID");
    stack.redis().resume();
    revoke(Duration::from_secs(10)).await.unwrap();
    let told = "SELECT count(*) FILTER (WHERE sent_at IS NOT NULL), count(*) FROM event_outbox";
    assert_eq!(harness.rows(told).await.unwrap(), [["1", "1"]]);
    let noted = "SELECT count(*) FROM audit_log WHERE action = 'REVOKE_TOKEN'";
    assert_eq!(harness.value(noted).await, "1");
}
