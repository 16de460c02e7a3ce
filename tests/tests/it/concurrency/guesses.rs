//! A hundred wrong passphrases at once, from everywhere.

use futures::future::join_all;
use petty_tests::mesh::Mesh;
use petty_tests::rest::{Answer, Client, PASSWORD};
use reqwest::Method;
use serde_json::{Value, json};

/// So many in a row may fail without a pause (`services/auth/src/domain/throttle.rs`).
const FREE: usize = 10;

async fn log_in(client: &Client, from: &str, body: &Value) -> Answer {
    let request = client.request(Method::POST, "/v1/auth/login", None).header("x-forwarded-for", from);
    client.send(request.json(body)).await
}

/// Again while there is too much at once, as a client does.
async fn log_in_patiently(client: &Client, from: &str, body: &Value) -> Answer {
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(20);
    loop {
        let answer = log_in(client, from, body).await;
        let busy = answer.body["code"] == "SIGN_IN_BUSY" || answer.status.as_u16() > 500;
        if !busy || tokio::time::Instant::now() > deadline {
            return answer;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
}

/// Guesses on until the next attempt has to wait for so long that nothing which comes at once can be late.
async fn wait_for_a_pause(client: &Client, email: &str) {
    let guess = json!({"email": email, "password": "another wrong passphrase"});
    for nth in 0..60 {
        let answer = log_in(client, &format!("198.51.101.{nth}"), &guess).await;
        let wait = answer.headers.get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok());
        match wait {
            Some(seconds) if answer.body["code"] == "TOO_MANY_ATTEMPTS" && seconds >= 8 => return,
            Some(seconds) => tokio::time::sleep(std::time::Duration::from_secs(seconds)).await,
            None => assert_eq!(answer.status.as_u16(), 401, "{}", answer.text),
        }
    }
    panic!("there is no pause");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_hundred_wrong_passphrases_at_once_few_are_tried_and_the_owner_gets_in() {
    let settings = [("PETTY_TRUSTED_PROXIES", "127.0.0.1/32")];
    let mesh = Mesh::start_set(crate::NODE, &[("auth", 2)], &settings).await;
    let client = mesh.client();
    let (owner, neighbour) = (client.sign_up().await, client.sign_up().await);
    let right = json!({"email": owner.email, "password": PASSWORD});
    let known = log_in(&client, "192.0.2.1", &right).await.good();
    let device = known["device_token"].as_str().expect("a device's token").to_owned();
    let guesses = (0..100).map(|nth| {
        let (client, email) = (&client, &owner.email);
        async move {
            let guess = json!({"email": email, "password": format!("a wrong passphrase, number {nth}")});
            log_in(client, &format!("198.51.100.{nth}"), &guess).await
        }
    });
    let meanwhile = async {
        let with_device = json!({"email": owner.email, "password": PASSWORD, "device_token": device});
        let owner = log_in_patiently(&client, "192.0.2.1", &with_device).await;
        let body = json!({"email": neighbour.email, "password": PASSWORD});
        (owner, log_in_patiently(&client, "192.0.2.2", &body).await)
    };
    let (guesses, (of_owner, of_neighbour)) = tokio::join!(join_all(guesses), meanwhile);
    let count = |status: u16| guesses.iter().filter(|answer| answer.status.as_u16() == status).count();
    assert!(guesses.iter().all(|answer| !answer.status.is_success()), "nobody guessed");
    // Two cores that run several meshes may answer some too late.
    assert!(count(429) > 50, "{:?}", guesses.iter().map(|answer| answer.status).collect::<Vec<_>>());
    // A pause or two may pass while the hundred come in.
    assert!(count(401) <= FREE + 4, "{} were tried", count(401));
    of_owner.good();
    of_neighbour.good();
    // From a device that is not known, not even the right passphrase is tried while there is a pause; from the owner's it is.
    wait_for_a_pause(&client, &owner.email).await;
    let stranger = log_in(&client, "203.0.113.1", &right).await;
    assert_eq!(stranger.status.as_u16(), 429, "{}", stranger.text);
    assert!(stranger.headers.contains_key("retry-after"), "when to come again");
    let with_device = json!({"email": owner.email, "password": PASSWORD, "device_token": device});
    log_in_patiently(&client, "192.0.2.1", &with_device).await.good();
}
