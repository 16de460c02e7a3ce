//! auth is killed while one signing key takes over from another, and while the next is made.

use std::time::Duration;

use petty_chassis::types::Entropy;
use petty_tests::eventually;
use petty_tests::forge::Draft;
use petty_tests::mesh::Mesh;
use petty_tests::rest::PASSWORD;
use petty_tests::tables::Tables;
use reqwest::Method;
use serde_json::json;

use super::{ROUNDS, checks, victims};

/// The longest a blow is waited with, milliseconds: to take over takes a look at the database, to make the next key a second.
const LONGEST: u64 = 700;
/// Makes the current key due and the next one old enough, as a month would.
const A_MONTH_PASSES: &str = "UPDATE signing_keys SET due_at = CASE WHEN state = 'current' THEN now() - interval '1 second' ELSE due_at END,
    created_at = created_at - interval '10 minutes' WHERE state IN ('current', 'next')";

#[tokio::test(flavor = "multi_thread")]
async fn auth_may_be_killed_in_a_rotation_and_no_token_is_refused_for_it() {
    let settings = [("PETTY_SIGNING_KEY_CHECK", "50ms")];
    let mut mesh = Mesh::start_set(crate::NODE, &[("auth", 2)], &settings).await;
    let client = mesh.client();
    let bystander = client.sign_up().await;
    let pet = client.pet(&bystander, "Rex", "DOG").await;
    let auth = Tables::of(&mesh.stack, "auth").await;
    let retired = "SELECT count(*) FROM signing_keys WHERE state = 'retired'";
    for round in 0..ROUNDS {
        let delay = u64::from(u16::from_be_bytes(Entropy.bytes())) * LONGEST / u64::from(u16::MAX);
        let told = format!("round {round}, {:?} killed after {delay} ms", victims(round));
        assert_eq!(auth.refused(A_MONTH_PASSES).await, None);
        tokio::time::sleep(Duration::from_millis(delay)).await;
        for replica in victims(round) {
            mesh.kill("auth", *replica);
            mesh.spawn("auth", *replica);
        }
        mesh.ready().await;
        checks::keys(&mesh, &client, &bystander, &pet, &told).await;
    }
    // Whatever a blow interrupted is done by the next that looks.
    eventually("there is a next key", Duration::from_secs(20), || async {
        auth.count("SELECT count(*) FROM signing_keys WHERE state = 'next'").await == 1
    })
    .await;
    let rotations = auth.count(retired).await;
    assert!(rotations > i64::try_from(ROUNDS / 4).unwrap(), "keys were replaced: {rotations}");
    // The newest key is believed everywhere, too. Verifiers were given no time to hear of it beforehand.
    let body = json!({"email": bystander.email, "password": PASSWORD});
    let session = client.send(client.request(Method::POST, "/v1/auth/login", None).json(&body)).await.good();
    let token = session["access_token"].as_str().unwrap();
    assert_ne!(Draft::of(token).header["kid"], Draft::of(&bystander.token).header["kid"]);
    for path in checks::everywhere(&pet) {
        eventually("the newest key is believed", Duration::from_secs(30), || async {
            client.get(&path, token).await.status.is_success()
        })
        .await;
    }
}
