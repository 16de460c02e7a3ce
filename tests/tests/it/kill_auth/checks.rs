//! What must be so once auth is back.

use std::collections::BTreeSet;
use std::time::Duration;

use petty_tests::eventually;
use petty_tests::forge::Draft;
use petty_tests::mesh::Mesh;
use petty_tests::rest::{Account, Answer, Client, PASSWORD};
use petty_tests::tables::Tables;
use reqwest::Method;
use serde_json::{Value, json};

use super::work::{self, Known};

/// A withdrawal is in force everywhere within this time of its acknowledgement.
const IN_FORCE: Duration = Duration::from_secs(5);

/// A route of each service, that any account may ask for.
pub(super) fn everywhere(pet: &str) -> [String; 5] {
    [
        "/v1/me".to_owned(),
        "/v1/foods".to_owned(),
        format!("/v1/pets/{pet}/readings"),
        format!("/v1/pets/{pet}/behaviors"),
        format!("/v1/pets/{pet}/timeline"),
    ]
}

async fn log_in(client: &Client, email: &str) -> Answer {
    let body = json!({"email": email, "password": PASSWORD});
    client.settled(|| client.request(Method::POST, "/v1/auth/login", None).json(&body)).await
}

async fn get(client: &Client, path: &str, token: &str) -> u16 {
    client.settled(|| client.request(Method::GET, path, Some(token))).await.status.as_u16()
}

fn signed_in(email: &str, answer: &Value) -> Account {
    let text = |field: &str| answer[field].as_str().unwrap().to_owned();
    Account { email: email.to_owned(), token: text("access_token"), refresh: text("refresh_token") }
}

/// Acknowledged: it is there, whole. Unknown: it is there whole, or not at all and can be opened now.
pub(super) async fn signed_up(
    mesh: &Mesh,
    client: &Client,
    email: &str,
    known: Known<Value>,
    told: &str,
) -> Account {
    let acknowledged = known.acknowledged();
    let mut answer = log_in(client, email).await;
    if acknowledged.is_none() && answer.status.as_u16() == 401 {
        let body = json!({"email": email, "password": PASSWORD});
        let again =
            client.settled(|| client.request(Method::POST, "/v1/auth/signup", None).json(&body)).await;
        assert_eq!(again.status.as_u16(), 201, "{told}: half an account stands in the way: {}", again.text);
        answer = log_in(client, email).await;
    }
    assert_eq!(answer.status.as_u16(), 200, "{told}: {email} cannot log in: {}", answer.text);
    if let Some(acknowledged) = acknowledged {
        assert_eq!(acknowledged["account_id"], answer.body["account_id"], "{told}: {email}");
        let token = acknowledged["access_token"].as_str().unwrap();
        assert_eq!(get(client, "/v1/me", token).await, 200, "{told}: the session that was answered");
    }
    let account = answer.body["account_id"].as_str().unwrap();
    let auth = Tables::of(&mesh.stack, "auth").await;
    let audited =
        format!("SELECT count(*) FROM audit_log WHERE subject = '{account}' AND action = 'OPEN_ACCOUNT'");
    assert_eq!(auth.count(&audited).await, 1, "{told}: {email} is on the audit log, once");
    signed_in(email, &answer.body)
}

/// Acknowledged: refused everywhere. Unknown: refused everywhere or nowhere; and sent again, refused everywhere.
pub(super) async fn logged_out(client: &Client, account: &Account, known: Known<()>, pet: &str, told: &str) {
    if known == Known::Unknown {
        let before = BTreeSet::from([get(client, "/v1/me", &account.token).await]);
        assert!(before.is_subset(&BTreeSet::from([200, 401])), "{told}: {before:?}");
        let again = client
            .settled(|| {
                client.request(Method::POST, "/v1/auth/logout", Some(&account.token)).json(&json!({}))
            })
            .await;
        assert!([200, 401].contains(&again.status.as_u16()), "{told}: {}", again.text);
    }
    for path in everywhere(pet) {
        let what = format!("{told}: {path} refuses whoever has logged out");
        eventually(&what, IN_FORCE, || async { get(client, &path, &account.token).await == 401 }).await;
    }
    let body = json!({"refresh_token": account.refresh});
    let refresh = client.settled(|| client.request(Method::POST, "/v1/auth/refresh", None).json(&body)).await;
    assert_eq!(refresh.status.as_u16(), 401, "{told}: a refresh after the log-out: {}", refresh.text);
}

/// Acknowledged: the successor is good. Unknown: the token is good still, or its successor is given again.
pub(super) async fn refreshed(client: &Client, account: &Account, known: Known<Value>, told: &str) {
    let answered = match known {
        Known::Acknowledged(answer) => answer,
        Known::Unknown => {
            let body = json!({"refresh_token": account.refresh});
            let again =
                client.settled(|| client.request(Method::POST, "/v1/auth/refresh", None).json(&body)).await;
            assert_eq!(again.status.as_u16(), 200, "{told}: the session is lost: {}", again.text);
            again.body
        }
    };
    let next = signed_in(&account.email, &answered);
    assert_eq!(get(client, "/v1/me", &account.token).await, 200, "{told}: the token from before");
    assert_eq!(get(client, "/v1/me", &next.token).await, 200, "{told}: the new token");
    let Known::Acknowledged(_) = work::refresh(client, &next).await else {
        panic!("{told}: the chain goes on");
    };
}

/// One key signs; the tokens of the others are good for as long as they last, in every service.
pub(super) async fn keys(mesh: &Mesh, client: &Client, bystander: &Account, pet: &str, told: &str) {
    let auth = Tables::of(&mesh.stack, "auth").await;
    let current = auth.count("SELECT count(*) FROM signing_keys WHERE state = 'current'").await;
    assert_eq!(current, 1, "{told}: keys that sign");
    let jwks = client.settled(|| client.request(Method::GET, "/.well-known/jwks.json", None)).await.good();
    let published: BTreeSet<&str> =
        jwks["keys"].as_array().unwrap().iter().filter_map(|key| key["kid"].as_str()).collect();
    let kid = Draft::of(&bystander.token).header["kid"].clone();
    assert!(published.contains(kid.as_str().unwrap()), "{told}: the first key is published still");
    for path in everywhere(pet) {
        assert_eq!(get(client, &path, &bystander.token).await, 200, "{told}: {path} by a token from before");
    }
}
