//! One `Idempotency-Key`, sent more than once, before services that keep no record of their own: what the edge itself knows.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use petty_chassis::events::redis::Connector;
use petty_gateway::{Limits, Sendings, Upstreams};
use petty_proto::auth::v1::pet_service_server::PetServiceServer;
use petty_provision::Stack;
use tokio::sync::Semaphore;
use tower::Service as _;

use crate::stand_in::StandIn;
use crate::world::{Reply, World, eventually};

const PET: &str = r#"{"name":"Rex"}"#;

/// What holds auth's answers up.
#[derive(Clone)]
struct Gate {
    open: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
}

impl Gate {
    fn closed() -> Self {
        Self { open: Arc::new(Semaphore::new(0)), waiting: Arc::default() }
    }

    fn before(&self, services: &StandIn) -> Upstreams {
        let (gate, auth) = (self.clone(), PetServiceServer::new(services.clone()));
        let held = tower::service_fn(move |request: http::Request<tonic::body::Body>| {
            let (gate, mut auth) = (gate.clone(), auth.clone());
            async move {
                gate.waiting.fetch_add(1, Ordering::SeqCst);
                // Nobody closes it.
                gate.open.acquire().await.unwrap().forget();
                auth.call(request).await
            }
        });
        services.upstreams().with("auth", held)
    }
}

/// However busy the machine, Redis is waited for: what is done without its answer is a test of its own.
const PATIENT: Duration = Duration::from_secs(20);

async fn world(gate: &Gate, stack: &Stack, patience: Duration) -> World {
    let redis = Connector::new(&stack.redis().url()).unwrap();
    let gate = gate.clone();
    World::dressed(
        Limits::default(),
        move |services| gate.before(services),
        move |edge, tasks, _| edge.recording(Sendings::recorded_within(&redis, tasks, patience)),
    )
    .await
}

async fn create(world: &World, token: &str, key: &str, body: &'static str) -> Reply {
    world.send("POST", "/v1/pets", &[("authorization", token), ("idempotency-key", key)], body).await
}

#[tokio::test]
async fn of_a_hundred_at_once_one_goes_on_and_the_others_are_told() {
    let (gate, stack) = (Gate::closed(), petty_provision::shared().await.unwrap());
    let world = world(&gate, stack, PATIENT).await;
    let token = world.account("write");
    let all = futures::future::join_all((0..100).map(|_| async {
        let reply = create(&world, &token, "k-1", PET).await;
        if reply.status == 409 {
            assert_eq!(reply.problem().1, "REQUEST_IN_PROGRESS");
            assert_eq!(reply.header("retry-after"), "1");
            // The last of those that were told lets the first go on.
            return (409, 1);
        }
        (reply.status, 0)
    }));
    let told = async {
        eventually(|| gate.waiting.load(Ordering::SeqCst) == 1).await;
        let other = create(&world, &token, "k-1", r#"{"name":"Mia"}"#).await;
        // Whose key it is is known once somebody had the effect.
        assert_eq!(other.problem(), (409, "REQUEST_IN_PROGRESS".to_owned()), "another body, still running");
        let another = world.account("write");
        gate.open.add_permits(2);
        assert_eq!(create(&world, &another, "k-1", PET).await.status, 201, "a key is its caller's own");
    };
    let (all, ()) = tokio::join!(all, told);
    let made = all.iter().filter(|(status, _)| *status == 201).count();
    let in_progress: usize = all.iter().map(|(_, told)| told).sum();
    // Who came after the first was answered is passed on: the service answers from its record.
    assert_eq!(made + in_progress, 100, "{all:?}");
    assert!(in_progress > 0 && world.services.calls("create_pet").len() == made + 1);

    let other = create(&world, &token, "k-1", r#"{"name":"Mia"}"#).await;
    assert_eq!(other.problem(), (422, "IDEMPOTENCY_KEY_REUSED".to_owned()), "another body, answered");
    gate.open.add_permits(1);
    let spelled = create(&world, &token, "k-1", r#"{ "name" : "Re\u0078" }"#).await;
    assert_eq!(spelled.status, 201, "the same request in other letters is the same");
}

#[tokio::test]
async fn what_failed_or_was_given_up_holds_no_key() {
    let (gate, stack) = (Gate::closed(), petty_provision::shared().await.unwrap());
    let world = world(&gate, stack, PATIENT).await;
    let token = world.account("write");
    // A client that is gone.
    let gone = tokio::time::timeout(Duration::from_millis(300), create(&world, &token, "k-2", PET)).await;
    assert!(gone.is_err());
    gate.open.add_permits(10);
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    loop {
        let reply = create(&world, &token, "k-2", PET).await;
        if reply.status == 201 {
            break;
        }
        assert_eq!(reply.status, 409);
        assert!(tokio::time::Instant::now() < deadline, "the key is held");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // A failure.
    for _ in 0..3 {
        let mut status = 409;
        // The key is let go beside the answer.
        while status == 409 {
            status = create(&world, &token, "k-3", r#"{"name":"AWAY"}"#).await.status;
        }
        assert_eq!(status, 503);
    }
    let calls = world.services.calls("create_pet");
    assert!(calls.len() >= 4, "each went through to the service");
}

#[tokio::test]
async fn without_redis_the_service_decides() {
    let (gate, stack) = (Gate::closed(), Stack::temporary().await.unwrap());
    gate.open.add_permits(100);
    let world = world(&gate, &stack, Duration::from_millis(100)).await;
    let token = world.account("write");
    assert_eq!(create(&world, &token, "k-4", PET).await.status, 201);
    stack.redis().pause();
    for _ in 0..3 {
        assert_eq!(create(&world, &token, "k-4", PET).await.status, 201);
    }
    stack.redis().resume();
    stack.redis().flushall().await.unwrap();
    assert_eq!(create(&world, &token, "k-4", r#"{"name":"Mia"}"#).await.status, 201);
    let ids: Vec<String> =
        world.services.calls("create_pet").into_iter().map(|call| call.request_id).collect();
    assert_eq!(ids.len(), 5);
    assert!(ids.iter().all(|id| *id == ids[0]), "the service is told that it is one request");
}
