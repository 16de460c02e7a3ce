//! Tokens as others hold them: revoked (RFC 7009), introspected (RFC 7662), and where that is done (RFC 8414).

use petty_proto::auth::v1 as wire;
use petty_provision::Stack;
use tonic::{Code, Status};

use crate::harness::{Harness, refusal};

async fn revoke(harness: &Harness, token: &str) -> Result<(), Status> {
    let message = wire::RevokeTokenRequest { token: token.to_owned(), token_type_hint: None };
    harness.tokens().revoke_token(harness.anonymous(message)).await.map(drop)
}

async fn introspect(harness: &Harness, token: &str) -> wire::IntrospectTokenResponse {
    let message = wire::IntrospectTokenRequest { token: token.to_owned(), token_type_hint: None };
    harness.tokens().introspect_token(harness.by("ingest", message)).await.unwrap().into_inner()
}

fn ended() -> (Code, String) {
    (Code::Unauthenticated, "SESSION_ENDED".to_owned())
}

#[tokio::test]
async fn either_token_ends_the_session_everywhere() {
    let harness = Harness::start().await;
    let replica = harness.replica().await;
    for kind in ["access", "refresh", "a used refresh"] {
        let user = harness.user(&kind.replace(' ', "-")).await;
        let next = harness.refresh(&user.refresh).await.unwrap();
        let token = match kind {
            "access" => &user.token,
            "refresh" => &next.refresh_token,
            _ => &user.refresh,
        };
        for _ in 0..2 {
            revoke(&harness, token).await.unwrap();
        }
        for harness in [&harness, &replica] {
            assert_eq!(refusal(harness.me(&user.token).await), ended(), "by {kind}");
            assert_eq!(refusal(harness.me(&next.access_token).await), ended());
            assert_eq!(refusal(harness.refresh(&next.refresh_token).await).1, "REFRESH_TOKEN_INVALID");
        }
    }
    // One event and one entry for each session.
    let entries = "SELECT count(*) FROM audit_log WHERE action = 'REVOKE_TOKEN'";
    assert_eq!(harness.value(entries).await, "3");
    let sent = "SELECT count(*) FROM event_outbox WHERE topic = 'access.changed' AND sent_at IS NOT NULL";
    assert_eq!(harness.value(sent).await, "3");
}

#[tokio::test]
async fn what_is_no_token_is_answered_like_one_and_changes_nothing() {
    let harness = Harness::start().await;
    let user = harness.user("ada").await;
    let forged = format!("{}.AAAA", user.token.rsplit_once('.').unwrap().0);
    for token in ["garbage", "a.b.c", "..", &forged, &"x".repeat(8_192)] {
        revoke(&harness, token).await.unwrap();
        assert_eq!(introspect(&harness, token).await, wire::IntrospectTokenResponse::default());
    }
    harness.me(&user.token).await.unwrap();
    assert_eq!(refusal(revoke(&harness, "").await).0, Code::InvalidArgument);
    assert_eq!(refusal(revoke(&harness, &"x".repeat(8_193)).await).0, Code::InvalidArgument);
    let pet = harness.pet(&user, "Rex").await;
    let secret = harness.pair(&user, &pet, "collar-1").await.secret;
    let device = harness.device("collar-1", &secret).await.unwrap().access_token;
    let refused = (Code::InvalidArgument, "UNSUPPORTED_TOKEN_TYPE".to_owned());
    assert_eq!(refusal(revoke(&harness, &device).await), refused);
    harness.check(&device, None).await.unwrap();
}

#[tokio::test]
async fn services_are_told_what_a_token_is() {
    let harness = Harness::start().await;
    let user = harness.user("ada").await;
    let pet = harness.pet(&user, "Rex").await;
    let secret = harness.pair(&user, &pet, "collar-1").await.secret;
    let device = harness.device("collar-1", &secret).await.unwrap().access_token;
    let now = harness.clock.now().as_second();
    let scope = "pets:read pets:write readings:write feedback:write";

    let said = introspect(&harness, &user.token).await;
    assert!(said.active && said.roles.is_empty() && said.pet_id.is_none());
    assert_eq!((said.token_type.as_str(), said.scope.as_str()), ("access_token", scope));
    assert_eq!((said.sub, said.iss, said.aud), (user.account_id.clone(), "petty".into(), "petty".into()));
    assert!((now + 890..=now + 900).contains(&said.exp));

    let of_collar = introspect(&harness, &device).await;
    assert!(of_collar.active);
    assert_eq!((of_collar.sub.as_str(), of_collar.pet_id), ("collar-1", Some(pet.pet_id)));

    let refresh = introspect(&harness, &user.refresh).await;
    assert!(refresh.active);
    assert_eq!((refresh.token_type.as_str(), refresh.sid), ("refresh_token", said.sid));

    // Used up, expired, ended: not active, and nothing else is said.
    let inactive = wire::IntrospectTokenResponse::default();
    let next = harness.refresh(&user.refresh).await.unwrap();
    assert_eq!(introspect(&harness, &user.refresh).await, inactive);
    harness.pass(906);
    assert_eq!(introspect(&harness, &user.token).await, inactive);
    assert!(introspect(&harness, &next.refresh_token).await.active);
    let last = harness.refresh(&next.refresh_token).await.unwrap();
    revoke(&harness, &last.refresh_token).await.unwrap();
    for token in [&last.access_token, &last.refresh_token] {
        assert_eq!(introspect(&harness, token).await, inactive);
    }
}

#[tokio::test]
async fn a_revocation_outlives_the_loss_of_redis_and_all_it_held() {
    let stack = Stack::temporary().await.unwrap();
    let harness = Harness::start_with(&stack, &[]).await;
    let (gone, stays) = (harness.user("ada").await, harness.user("bob").await);
    revoke(&harness, &gone.refresh).await.unwrap();
    stack.redis().flushall().await.unwrap();
    assert_eq!(refusal(harness.me(&gone.token).await), ended());
    harness.me(&stays.token).await.unwrap();
    // And the next one is told of as well.
    revoke(&harness, &stays.refresh).await.unwrap();
    assert_eq!(refusal(harness.me(&stays.token).await), ended());
}

#[tokio::test]
async fn the_metadata_says_where_what_is() {
    let stack = petty_provision::shared().await.unwrap();
    for (more, issuer, base) in [
        (&[][..], "petty", ""),
        (&[("PETTY_PUBLIC_URL", "https://petty.example/")], "petty", "https://petty.example"),
        (&[("PETTY_TOKEN_ISSUER", "https://id.example")], "https://id.example", "https://id.example"),
    ] {
        let harness = Harness::start_with(stack, more).await;
        let request = harness.anonymous(wire::GetServerMetadataRequest {});
        let said = harness.tokens().get_server_metadata(request).await.unwrap().into_inner();
        assert_eq!(said.issuer, issuer);
        assert_eq!(said.jwks_uri, format!("{base}/.well-known/jwks.json"));
        assert_eq!(said.revocation_endpoint, format!("{base}/v1/auth/revoke"));
        assert!(said.scopes_supported.iter().any(|scope| scope == "pets:read"));
        assert!(said.grant_types_supported.is_empty() && said.response_types_supported.is_empty());
    }
}
