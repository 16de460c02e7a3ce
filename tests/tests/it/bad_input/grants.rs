//! Personal access tokens and platform roles.

use petty_chassis::types::Clock;
use petty_tests::rest::PASSWORD;
use reqwest::Method;
use serde_json::{Value, json};

use super::{Case, get, post};

pub(super) fn tokens() -> Vec<Case> {
    let day = jiff::SignedDuration::from_hours(24);
    let (soon, late) = (Clock::system().now() + day, Clock::system().now() + day * 367);
    let token = |name: &str, scope: &str, expire_time: Value| json!({"name": name, "scope": scope, "expire_time": expire_time, "password": PASSWORD});
    let create = |body: Value, field: &'static str| post("CreatePersonalToken", "/v1/me/tokens", body, field);
    let soon = json!(soon.to_string());
    vec![
        create(token("", "read", soon.clone()), "name"),
        create(token(&"n".repeat(101), "read", soon.clone()), "name"),
        create(token("ci", "", soon.clone()), "scope"),
        create(token("ci", "everything", soon.clone()), "scope"),
        create(token("ci", "read staff", soon.clone()), "scope"),
        create(json!({"name": "ci", "scope": "read", "expire_time": soon}), "password"),
        create(
            json!({"name": "ci", "scope": "read", "expire_time": soon, "password": PASSWORD, "otp": "1"}),
            "otp",
        ),
        create(token("ci", "read", Value::Null), "expire_time"),
        create(token("ci", "read", json!(late.to_string())), "expire_time"),
        create(token("ci", "read", json!("2020-01-01T00:00:00Z")), "expire_time"),
        get("ListPersonalTokens", "/v1/me/tokens?verbose=1", "verbose"),
        get("ListPersonalTokens", "/v1/me/tokens?page_size=1001", "page_size"),
        Case {
            rpc: "DeletePersonalToken",
            method: Method::DELETE,
            path: "/v1/me/tokens/mine".to_owned(),
            body: None,
            field: "token_id",
        },
    ]
}

pub(super) fn links(pet: &str) -> Vec<Case> {
    let links = format!("/v1/pets/{pet}/shares:createLink");
    let accept = |token: &str| post("AcceptShare", "/v1/shares:accept", json!({"token": token}), "token");
    let ended = json!({"role": "VET", "expire_time": "2020-01-01T00:00:00Z"});
    vec![
        post("CreateShareLink", &links, json!({}), "role"),
        post("CreateShareLink", &links, json!({"role": "STAFF"}), "role"),
        post("CreateShareLink", &links, json!({"role": "VET", "email": "a@example.com"}), "email"),
        post("CreateShareLink", &links, ended, "expire_time"),
        accept(""),
        accept(&"x".repeat(257)),
        get("ListAccesses", format!("/v1/pets/{pet}/accesses?page_size=1001"), "page_size"),
        get("ListAccesses", "/v1/pets/rex/accesses", "pet_id"),
    ]
}

pub(super) fn roles() -> Vec<Case> {
    let somebody = "01a1fddd-8dc2-7617-a8de-bacd039823d1";
    let mut cases = vec![
        get("ListStaff", "/v1/staff?role=ADMIN", "role"),
        get("ListStaff", "/v1/staff?page_size=1001", "page_size"),
    ];
    for (rpc, verb) in [("GrantRole", "grantRole"), ("WithdrawRole", "withdrawRole")] {
        let at = |account: &str| format!("/v1/staff/{account}:{verb}");
        cases.push(post(rpc, at("ada"), json!({"role": "ADMIN"}), "account_id"));
        cases.push(post(rpc, at(somebody), json!({}), "role"));
        cases.push(post(rpc, at(somebody), json!({"role": "OWNER"}), "role"));
    }
    cases
}
