//! What is being done when the blow falls.

use petty_tests::rest::{Account, Answer, Client, PASSWORD};
use reqwest::Method;
use serde_json::{Value, json};

/// What is known of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known<T> {
    /// It was answered as done.
    Acknowledged(T),
    /// It was not answered, or by somebody who does not know.
    Unknown,
}

/// What an answer says. One that is a client's fault would be ours: the requests are good.
fn known(answer: Result<Answer, reqwest::Error>) -> Known<Value> {
    match answer {
        Ok(answer) if answer.status.is_success() => Known::Acknowledged(answer.body),
        Ok(answer) => {
            let status = answer.status.as_u16();
            assert!([429, 500, 502, 503, 504].contains(&status), "{status} {}", answer.text);
            Known::Unknown
        }
        Err(_) => Known::Unknown,
    }
}

async fn post(client: &Client, path: &str, token: Option<&str>, body: &Value) -> Known<Value> {
    known(client.try_send(client.request(Method::POST, path, token).json(body)).await)
}

pub(super) async fn sign_up(client: &Client, email: &str) -> Known<Value> {
    post(client, "/v1/auth/signup", None, &json!({"email": email, "password": PASSWORD})).await
}

pub(super) async fn log_out(client: &Client, account: &Account) -> Known<()> {
    match post(client, "/v1/auth/logout", Some(&account.token), &json!({})).await {
        Known::Acknowledged(_) => Known::Acknowledged(()),
        Known::Unknown => Known::Unknown,
    }
}

pub(super) async fn refresh(client: &Client, account: &Account) -> Known<Value> {
    post(client, "/v1/auth/refresh", None, &json!({"refresh_token": account.refresh})).await
}
