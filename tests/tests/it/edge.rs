//! Two gateways before one mesh: what they know together, what services know without them, and how one after the other is
//! replaced while all is used.

mod follower;
mod keys;
mod rolling;
mod traffic;

use petty_tests::mesh::Mesh;
use petty_tests::rest::Client;

/// How long a gateway goes on after it said that it goes: shorter than by default, for who balances here looks more often.
const PAUSE: &str = "500ms";

#[tokio::test(flavor = "multi_thread")]
async fn keys_have_one_effect_and_rolling_restarts_lose_no_request() {
    let settings =
        [("PETTY_HTTP_DRAIN_PAUSE", PAUSE), ("PETTY_RATE_READ", "off"), ("PETTY_RATE_WRITE", "off")];
    let mut mesh = Mesh::start_set(crate::NODE, &[("gateway", 2), ("auth", 2)], &settings).await;
    let gateways = [0, 1].map(|replica| Client::new(format!("http://{}", mesh.http(replica))));
    let owner = gateways[0].sign_up().await;
    println!("{}", keys::have_one_effect(&mut mesh, &gateways, &owner).await);
    keys::have_one_effect_without_redis(&mesh, &gateways, &owner).await;
    println!("{}", rolling::restarts_lose_nothing(&mut mesh, &gateways).await);
    assert!(!mesh.logs().contains("panicked"), "nothing panicked");
}
