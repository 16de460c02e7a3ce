//! How a gateway goes away.

use std::time::Duration;

use petty_gateway::Limits;

use crate::stand_in::StandIn;
use crate::world::World;

#[tokio::test]
async fn it_says_that_it_goes_before_it_stops_to_accept() {
    let limits = Limits { drain_pause: Duration::from_secs(3), ..Limits::default() };
    let world = World::before(limits, StandIn::upstreams).await;
    assert_eq!(world.send("GET", "/ready", &[], "").await.status, 200);
    let token = world.account("pets:read");
    let began = tokio::time::Instant::now();
    world.shutdown.begin();
    let mut answered = 0;
    // Balancers go by it, and have until then sent on what came.
    while began.elapsed() < Duration::from_secs(2) {
        assert_eq!(world.send("GET", "/ready", &[], "").await.status, 503);
        assert_eq!(world.send_fresh("GET", "/v1/pets", &[("authorization", &token)]).await.unwrap(), 200);
        answered += 1;
    }
    assert!(answered > 0);
    let deadline = began + Duration::from_secs(30);
    while world.send_fresh("GET", "/health", &[]).await.is_some() {
        assert!(tokio::time::Instant::now() < deadline, "it still accepts");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(began.elapsed() >= Duration::from_secs(3));
    assert!(world.tasks.wait(Duration::from_secs(10)).await, "nothing is left");
}
