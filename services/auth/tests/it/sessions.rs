//! Refresh tokens, sessions, signing keys.

use std::collections::HashSet;
use std::time::Duration;

use futures::future::join_all;
use petty_proto::auth::v1 as wire;
use tonic::Code;

use crate::harness::{Harness, refusal};

fn invalid() -> (Code, String) {
    (Code::Unauthenticated, "REFRESH_TOKEN_INVALID".to_owned())
}

#[tokio::test]
async fn each_refresh_token_is_used_once_and_gives_a_successor() {
    let harness = Harness::start().await;
    let mut refresh = harness.user("ada").await.refresh;
    let mut seen = HashSet::new();
    for _ in 0..5 {
        assert!(seen.insert(refresh.clone()));
        harness.pass(60);
        let answer = harness.refresh(&refresh).await.unwrap();
        harness.me(&answer.access_token).await.unwrap();
        refresh = answer.refresh_token;
    }
    assert_eq!(harness.value("SELECT count(*) FROM refresh_tokens").await, "6");
    for token in seen {
        let plain = format!("SELECT count(*) FROM refresh_tokens WHERE token_hash = '{token}'::bytea");
        assert_eq!(harness.value(&plain).await, "0");
    }
    assert_eq!(refusal(harness.refresh("no such token").await), invalid());
    assert_eq!(refusal(harness.refresh("").await).0, Code::InvalidArgument);
    assert_eq!(refusal(harness.refresh(&"x".repeat(10_000)).await).0, Code::InvalidArgument);
}

#[tokio::test]
async fn fifty_refreshes_at_once_leave_one_live_chain() {
    let harness = Harness::start().await;
    let replica = harness.replica().await;
    let user = harness.user("ada").await;
    let storm = (0..50).map(|turn| {
        let harness = if turn % 2 == 0 { &harness } else { &replica };
        harness.refresh(&user.refresh)
    });
    let answers: Vec<wire::TokenResponse> = join_all(storm).await.into_iter().map(Result::unwrap).collect();
    let successors: HashSet<&str> = answers.iter().map(|answer| answer.refresh_token.as_str()).collect();
    assert_eq!(successors.len(), 1);
    assert_eq!(harness.value("SELECT count(*) FROM refresh_tokens").await, "2");
    assert_eq!(harness.value("SELECT count(*) FROM refresh_tokens WHERE used_at IS NULL").await, "1");
    for answer in &answers {
        harness.me(&answer.access_token).await.unwrap();
    }
    harness.pass(1);
    harness.refresh(&answers[0].refresh_token).await.unwrap();
}

#[tokio::test]
async fn a_lost_answer_is_repeated_for_ten_seconds_and_then_ends_the_session() {
    let harness = Harness::start().await;
    let user = harness.user("ada").await;
    let first = harness.refresh(&user.refresh).await.unwrap();
    harness.pass(10);
    let repeated = harness.refresh(&user.refresh).await.unwrap();
    assert_eq!(repeated.refresh_token, first.refresh_token);

    harness.pass(1);
    assert_eq!(refusal(harness.refresh(&user.refresh).await), invalid());
    // The whole family is gone, the newest access token included.
    assert_eq!(refusal(harness.refresh(&first.refresh_token).await), invalid());
    let ended = (Code::Unauthenticated, "SESSION_ENDED".to_owned());
    for token in [&user.token, &first.access_token, &repeated.access_token] {
        assert_eq!(refusal(harness.me(token).await), ended);
    }
    let audit = "SELECT subject FROM audit_log WHERE action = 'END_REUSED_SESSION'";
    assert_eq!(harness.rows(audit).await.unwrap(), [[user.account_id.clone()]]);
    assert_eq!(harness.value("SELECT count(*) FROM event_outbox WHERE topic = 'access.changed'").await, "1");
}

#[tokio::test]
async fn a_predecessor_whose_successor_was_used_ends_the_session_at_once() {
    let harness = Harness::start().await;
    let user = harness.user("ada").await;
    let first = harness.refresh(&user.refresh).await.unwrap();
    let second = harness.refresh(&first.refresh_token).await.unwrap();
    assert_eq!(refusal(harness.refresh(&user.refresh).await), invalid());
    assert_eq!(refusal(harness.refresh(&second.refresh_token).await), invalid());
    assert_eq!(
        harness.value("SELECT count(*) FROM refresh_tokens WHERE successor_sealed IS NOT NULL").await,
        "1"
    );
}

#[tokio::test]
async fn sessions_expire_after_seven_idle_days_and_after_thirty_anyway() {
    const DAY: i64 = 24 * 60 * 60;
    let harness = Harness::start().await;
    let idle = harness.user("ada").await;
    let mut busy = harness.user("bob").await.refresh;
    for _ in 0..4 {
        harness.pass(7 * DAY - 1);
        busy = harness.refresh(&busy).await.unwrap().refresh_token;
    }
    assert_eq!(refusal(harness.refresh(&idle.refresh).await), invalid());
    harness.pass(2 * DAY);
    // Four seconds and a little before the end of thirty days.
    let last = harness.refresh(&busy).await.unwrap();
    assert_eq!(last.expires_in, 4);
    harness.pass(5);
    assert_eq!(refusal(harness.refresh(&last.refresh_token).await), invalid());
}

#[tokio::test]
async fn lifetimes_are_what_they_were_set_to() {
    let stack = petty_provision::shared().await.unwrap();
    let more = [
        ("PETTY_ACCESS_TOKEN_TTL", "2m"),
        ("PETTY_REFRESH_TOKEN_TTL", "10m"),
        ("PETTY_SESSION_LIFETIME", "25m"),
    ];
    let harness = Harness::start_with(stack, &more).await;
    let idle = harness.user("ada").await;
    let busy = harness.user("bob").await;
    harness.pass(119);
    harness.me(&idle.token).await.unwrap();
    harness.pass(8);
    assert_eq!(refusal(harness.me(&idle.token).await), (Code::Unauthenticated, "TOKEN_EXPIRED".to_owned()));
    // A minute is left of ten, then of ten again, and then two of the session's twenty-five.
    let mut refresh = busy.refresh;
    for (seconds, left) in [(413, 120), (540, 120), (300, 120)] {
        harness.pass(seconds);
        let next = harness.refresh(&refresh).await.unwrap();
        assert_eq!(next.expires_in, left);
        refresh = next.refresh_token;
    }
    assert_eq!(refusal(harness.refresh(&idle.refresh).await), invalid());
    harness.pass(119);
    let last = harness.refresh(&refresh).await.unwrap();
    assert_eq!(last.expires_in, 1);
    harness.pass(1);
    assert_eq!(refusal(harness.refresh(&last.refresh_token).await), invalid());
}

#[tokio::test]
async fn a_sealed_successor_is_forgotten_once_its_grace_is_over() {
    let harness = Harness::start().await;
    let user = harness.user("ada").await;
    harness.refresh(&user.refresh).await.unwrap();
    let sealed = "SELECT count(*) FROM refresh_tokens WHERE successor_sealed IS NOT NULL";
    assert_eq!(harness.value(sealed).await, "1");
    harness.pass(11);
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
    while harness.value(sealed).await != "0" {
        assert!(tokio::time::Instant::now() < deadline, "it is kept");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // Whoever shows its predecessor then is still known to have it from somewhere else.
    assert_eq!(refusal(harness.refresh(&user.refresh).await), invalid());
    assert_eq!(
        harness.value("SELECT count(*) FROM audit_log WHERE action = 'END_REUSED_SESSION'").await,
        "1"
    );
}

#[tokio::test]
async fn access_tokens_expire_after_fifteen_minutes() {
    let harness = Harness::start().await;
    let user = harness.user("ada").await;
    harness.pass(899);
    harness.me(&user.token).await.unwrap();
    harness.pass(10);
    assert_eq!(refusal(harness.me(&user.token).await), (Code::Unauthenticated, "TOKEN_EXPIRED".to_owned()));
}

#[tokio::test]
async fn tokens_are_signed_with_one_key_whichever_replica_booted_first_and_whatever_the_algorithm() {
    let stack = petty_provision::shared().await.unwrap();
    for algorithm in ["RS256", "ES256", "EdDSA"] {
        let harness = Harness::start_with(stack, &[("PETTY_TOKEN_ALGORITHM", algorithm)]).await;
        let replica = harness.replica().await;
        let user = harness.user("ada").await;
        replica.me(&user.token).await.unwrap();
        let jwks =
            harness.tokens().get_jwks(harness.anonymous(wire::GetJwksRequest {})).await.unwrap().into_inner();
        assert_eq!(jwks.keys.len(), 2, "{algorithm}: the current one and the next");
        assert!(jwks.keys.iter().all(|key| (key.alg.as_str(), key.r#use.as_str()) == (algorithm, "sig")));
        let other = harness.user("bob").await.token;
        // One token's claims under another's signature.
        let forged =
            format!("{}.{}", user.token.rsplit_once('.').unwrap().0, other.rsplit_once('.').unwrap().1);
        assert_eq!(refusal(harness.me(&forged).await), (Code::Unauthenticated, "TOKEN_INVALID".to_owned()));
    }
}
