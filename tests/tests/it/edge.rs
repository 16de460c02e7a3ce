//! Two gateways before one mesh: what they know together, and how one after the other is replaced while all is used.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::join_all;
use petty_tests::mesh::Mesh;
use petty_tests::rest::{Account, Client};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::Instant;

/// So many times a gateway is replaced.
const RESTARTS: usize = 20;
/// How long the old one goes on after it said that it goes.
const PAUSE: &str = "500ms";

/// Makes a pet with this key, at one gateway or the other, until somebody says that it was made.
async fn make(gateways: &[Client; 2], owner: &Account, key: &str, turn: usize) -> Value {
    let deadline = Instant::now() + Duration::from_secs(90);
    for attempt in turn.. {
        assert!(Instant::now() < deadline, "no answer in time");
        let client = &gateways[attempt % 2];
        let request =
            client.request(Method::POST, "/v1/pets", Some(&owner.token)).header("idempotency-key", key);
        match client.try_send(request.json(&json!({"name": "Rex", "species": "DOG"}))).await {
            Ok(answer) if answer.status.as_u16() == 201 => return answer.body,
            // Running still, or the service is away; or nobody answers there.
            Ok(answer) => assert!([409, 503, 504].contains(&answer.status.as_u16()), "{}", answer.text),
            Err(error) => assert!(!error.is_decode(), "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    unreachable!("the turns have no end")
}

/// A hundred at once; in between, what they go through is killed.
async fn one_key_has_one_effect(mesh: &mut Mesh, gateways: &[Client; 2], owner: &Account) {
    for (key, kill) in
        [("undisturbed", None), ("a-gateway-dies", Some("gateway")), ("auth-dies", Some("auth"))]
    {
        let before = count_pets(&gateways[0], owner).await;
        let sent = join_all((0..100).map(|turn| make(gateways, owner, key, turn)));
        let struck = async {
            let Some(service) = kill else { return };
            tokio::time::sleep(Duration::from_millis(30)).await;
            mesh.kill(service, 1);
            tokio::time::sleep(Duration::from_millis(200)).await;
            mesh.spawn(service, 1);
        };
        let (pets, ()) = tokio::join!(sent, struck);
        assert!(pets.iter().all(|pet| *pet == pets[0]), "{key}: all were answered the same");
        assert_eq!(count_pets(&gateways[0], owner).await, before + 1, "{key}");
        mesh.ready().await;
    }
}

async fn count_pets(client: &Client, owner: &Account) -> usize {
    let pets = client.get("/v1/pets", &owner.token).await.good();
    pets["pets"].as_array().unwrap().len()
}

/// What a balancer knows: which gateways said last that they are ready.
struct Balancer {
    ready: [AtomicBool; 2],
    turn: AtomicUsize,
}

impl Balancer {
    fn pick(&self) -> Option<usize> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        [turn % 2, (turn + 1) % 2].into_iter().find(|replica| self.ready[*replica].load(Ordering::SeqCst))
    }

    async fn look(&self, gateways: &[Client; 2], over: &AtomicBool) {
        while !over.load(Ordering::SeqCst) {
            for (gateway, ready) in gateways.iter().zip(&self.ready) {
                ready.store(gateway.is_ready().await, Ordering::SeqCst);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_have_one_effect_and_rolling_restarts_lose_no_request() {
    let settings =
        [("PETTY_HTTP_DRAIN_PAUSE", PAUSE), ("PETTY_RATE_READ", "off"), ("PETTY_RATE_WRITE", "off")];
    let mut mesh = Mesh::start_set(crate::NODE, &[("gateway", 2), ("auth", 2)], &settings).await;
    let gateways = [0, 1].map(|replica| Client::new(format!("http://{}", mesh.http(replica))));
    let owner = gateways[0].sign_up().await;
    one_key_has_one_effect(&mut mesh, &gateways, &owner).await;

    let balancer = Balancer { ready: [true.into(), true.into()], turn: AtomicUsize::new(0) };
    let (over, answered, lost) = (AtomicBool::new(false), AtomicUsize::new(0), Mutex::new(Vec::new()));
    let load = join_all((0..8).map(|_| async {
        while !over.load(Ordering::SeqCst) {
            let Some(replica) = balancer.pick() else {
                lost.lock().unwrap().push("nobody is ready".to_owned());
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            };
            let client = &gateways[replica];
            match client.try_send(client.request(Method::GET, "/v1/pets", Some(&owner.token))).await {
                Ok(answer) if answer.status.as_u16() == 200 => {
                    answered.fetch_add(1, Ordering::SeqCst);
                }
                Ok(answer) => lost.lock().unwrap().push(format!("{replica}: {}", answer.text)),
                Err(error) => lost.lock().unwrap().push(format!("{replica}: {error:?}")),
            }
        }
    }));
    let restarts = async {
        for restart in 0..RESTARTS {
            let replica = restart % 2;
            assert_eq!(mesh.retire("gateway", replica).await, Some(0), "it went in good order");
            mesh.spawn("gateway", replica);
            mesh.ready().await;
            let known = || balancer.ready[replica].load(Ordering::SeqCst);
            petty_tests::eventually("it is known to be ready", Duration::from_secs(10), || async { known() })
                .await;
        }
        over.store(true, Ordering::SeqCst);
    };
    tokio::join!(load, restarts, balancer.look(&gateways, &over));
    let lost = lost.into_inner().unwrap();
    assert!(lost.is_empty(), "{} of {}: {lost:#?}", lost.len(), answered.load(Ordering::SeqCst));
    assert!(answered.load(Ordering::SeqCst) > 100, "there was load");
}
