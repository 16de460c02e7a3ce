//! Personal access tokens at the edge, and what staff says of why it looks.

use futures::future::join_all;
use jiff::SignedDuration;
use petty_chassis::caller::personal;
use petty_chassis::types::Entropy;
use secrecy::ExposeSecret as _;

use crate::world::World;

const EXCHANGE: &str = "exchange_personal_token";

fn token() -> String {
    personal::generate(Entropy).expose_secret().to_owned()
}

/// A world in which a token was given out, and its header.
async fn world(scope: &str) -> (World, String, String) {
    let world = World::new().await;
    let (token, access) = (token(), world.integration(scope));
    world.services.ticket(&token, access.strip_prefix("Bearer ").unwrap());
    (world, format!("Bearer {token}"), access)
}

impl World {
    async fn pets(&self, header: &str) -> crate::world::Reply {
        self.send("GET", "/v1/pets", &[("authorization", header)], "").await
    }

    fn pass(&self, seconds: i64) {
        self.clock.set(self.clock.now() + SignedDuration::from_secs(seconds));
    }
}

#[tokio::test]
async fn services_see_an_access_token_and_auth_is_asked_once_a_minute() {
    let (world, header, access) = world("pets:read").await;
    for _ in 0..5 {
        assert_eq!(world.pets(&header).await.status, 200);
    }
    for seen in world.services.calls("list_pets") {
        assert_eq!(seen.metadata("authorization"), Some(access.as_str()), "nobody else sees the token");
    }
    assert_eq!(world.services.calls(EXCHANGE).len(), 1);
    assert_eq!(world.services.calls(EXCHANGE)[0].metadata("authorization"), None);
    world.pass(61);
    assert_eq!(world.pets(&header).await.status, 200);
    assert_eq!(world.services.calls(EXCHANGE).len(), 2);
}

#[tokio::test]
async fn many_who_come_at_once_make_one_exchange() {
    let (world, header, _) = world("pets:read").await;
    let replies = join_all((0..50).map(|_| world.pets(&header))).await;
    assert!(replies.iter().all(|reply| reply.status == 200));
    assert_eq!(world.services.calls(EXCHANGE).len(), 1);
}

#[tokio::test]
async fn a_wrong_checksum_asks_nobody_and_an_unknown_token_asks_once() {
    let (world, header, _) = world("pets:read").await;
    let invalid = (401, "TOKEN_INVALID".to_owned());
    let mut slip = header.clone();
    slip.pop();
    for wrong in [format!("{slip}!"), slip, format!("{header}0"), "Bearer petty_pat_".to_owned()] {
        let reply = world.pets(&wrong).await;
        assert_eq!(reply.problem(), invalid);
        assert!(reply.header("www-authenticate").contains("invalid_token"));
    }
    assert!(world.services.calls(EXCHANGE).is_empty());

    let unknown = format!("Bearer {}", token());
    for _ in 0..5 {
        assert_eq!(world.pets(&unknown).await.problem(), invalid);
    }
    assert_eq!(world.services.calls(EXCHANGE).len(), 1);
    world.pass(11);
    assert_eq!(world.pets(&unknown).await.problem(), invalid);
    assert_eq!(world.services.calls(EXCHANGE).len(), 2, "it may have been made meanwhile");
    assert!(world.services.calls("list_pets").is_empty());
}

#[tokio::test]
async fn what_auth_could_not_answer_is_not_kept() {
    let world = World::new().await;
    let token = token();
    world.services.ticket(&token, "away");
    let header = format!("Bearer {token}");
    assert_eq!(world.pets(&header).await.problem().0, 503);
    let access = world.integration("pets:read");
    world.services.ticket(&token, access.strip_prefix("Bearer ").unwrap());
    assert_eq!(world.pets(&header).await.status, 200);
}

#[tokio::test]
async fn it_is_held_to_the_methods_policies_before_a_body_is_read() {
    let (world, header, _) = world("pets:read").await;
    let headers = [("authorization", header.as_str())];
    for (method, target, code) in [
        ("POST", "/v1/me/tokens", "PERSONAL_TOKEN_NOT_ALLOWED"),
        ("GET", "/v1/me/tokens", "PERSONAL_TOKEN_NOT_ALLOWED"),
        ("POST", "/v1/auth/logout", "PERSONAL_TOKEN_NOT_ALLOWED"),
        ("POST", "/v1/stream/ticket", "PERSONAL_TOKEN_NOT_ALLOWED"),
        ("POST", "/v1/pets/p-1/shares", "PERSONAL_TOKEN_NOT_ALLOWED"),
        ("POST", "/v1/pets", "SCOPE_MISSING"),
    ] {
        let body = if method == "POST" { "{" } else { "" };
        let reply = world.send(method, target, &headers, body).await;
        assert_eq!(reply.problem(), (403, code.to_owned()), "{method} {target}");
    }
}

#[tokio::test]
async fn roles_are_asked_for_at_the_edge_before_a_body_is_read() {
    let world = World::new().await;
    let target = "/v1/staff/a-1:grantRole";
    for (scope, roles, status, code) in [
        ("read write", &["admin"][..], 403, "SCOPE_MISSING"),
        ("staff", &[], 403, "ROLE_MISSING"),
        ("staff", &["support"], 403, "ROLE_MISSING"),
        ("staff", &["admin"], 400, "MALFORMED_JSON"),
    ] {
        let header = world.staff(scope, roles);
        let reply = world.send_to_admin("POST", target, &[("authorization", &header)], "{").await;
        assert_eq!(reply.problem(), (status, code.to_owned()), "{scope} {roles:?}");
    }
    let support = world.staff("staff", &["support"]);
    let reply = world.send_to_admin("GET", "/v1/feedback/stats", &[("authorization", &support)], "").await;
    assert_eq!(reply.status, 200);
}
