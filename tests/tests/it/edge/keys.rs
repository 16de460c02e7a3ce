//! `Idempotency-Key`: one effect, whatever is killed while it is had, and whatever Redis knows of it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::join_all;
use petty_chassis::types::Entropy;
use petty_scenarios::chance::Chance;
use petty_tests::mesh::Mesh;
use petty_tests::rest::{Account, Answer, Client};
use petty_tests::tables::Tables;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::Instant;

/// So often something is killed while a key is used.
const ROUNDS: usize = 20;
/// So often at the most, until what was killed had requests under way.
const MOST_ROUNDS: usize = 60;
/// In so many rounds requests must have been cut.
const CUT: usize = 3;
/// So many send the same at once.
const SENDINGS: usize = 100;
/// A seed to be tried again: what was printed by a run that failed.
const SEED: Option<u64> = None;

/// A key that many use at once, each until somebody says that its pet was made.
struct Round<'a> {
    gateways: &'a [Client; 2],
    owner: &'a Account,
    key: String,
    /// How many requests are not answered yet.
    under_way: AtomicUsize,
    /// How many were sent, and never answered.
    cut: AtomicUsize,
}

impl<'a> Round<'a> {
    fn new(gateways: &'a [Client; 2], owner: &'a Account, key: String) -> Self {
        Self { gateways, owner, key, under_way: AtomicUsize::new(0), cut: AtomicUsize::new(0) }
    }

    /// All at once; what they were answered.
    async fn send(&self) -> Vec<Value> {
        join_all((0..SENDINGS).map(|turn| self.make(turn))).await
    }

    /// At one gateway or the other.
    async fn make(&self, turn: usize) -> Value {
        let deadline = Instant::now() + Duration::from_secs(90);
        for attempt in turn.. {
            assert!(Instant::now() < deadline, "{}: no answer in time", self.key);
            let client = &self.gateways[attempt % 2];
            let request = client
                .request(Method::POST, "/v1/pets", Some(&self.owner.token))
                .header("idempotency-key", &self.key)
                .json(&json!({"name": self.key, "species": "DOG"}));
            self.under_way.fetch_add(1, Ordering::SeqCst);
            let answer = client.try_send(request).await;
            self.under_way.fetch_sub(1, Ordering::SeqCst);
            match answer {
                Ok(answer) if answer.status.as_u16() == 201 => return answer.body,
                // Running still, or the service is away; or nobody answers there.
                Ok(answer) => assert!([409, 503, 504].contains(&answer.status.as_u16()), "{}", answer.text),
                Err(error) => {
                    assert!(!error.is_timeout(), "{error:?}");
                    if !error.is_connect() {
                        self.cut.fetch_add(1, Ordering::SeqCst);
                    }
                }
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        unreachable!("the turns have no end")
    }

    async fn had_one_effect(&self, pets: &[Value], auth: &Tables, told: &str) {
        assert!(pets.iter().all(|pet| *pet == pets[0]), "{told}: all were answered the same");
        let count = format!("SELECT count(*) FROM pets WHERE name = '{}'", self.key);
        assert_eq!(auth.count(&count).await, 1, "{told}");
    }
}

/// A hundred at once; in between, at a moment that nobody chose, what they go through is killed.
pub(super) async fn have_one_effect(mesh: &mut Mesh, gateways: &[Client; 2], owner: &Account) -> String {
    let seed = SEED.unwrap_or_else(|| u64::from_be_bytes(Entropy.bytes()));
    let mut rounds = Vec::new();
    let mut chance = Chance::of(&[seed]);
    let auth = Tables::of(&mesh.stack, "auth").await;
    let mut span = Duration::ZERO;
    // The first has connections to make.
    for key in ["undisturbed", "undisturbed-again"] {
        let round = Round::new(gateways, owner, key.to_owned());
        let began = Instant::now();
        let pets = round.send().await;
        span = began.elapsed();
        round.had_one_effect(&pets, &auth, key).await;
    }
    // Rounds in which what was killed was asked for something, by what that was; and those of them in which clients noticed.
    let (mut amid, mut cut, mut nth) = ([0, 0], 0, 0);
    while nth < ROUNDS || ((cut < CUT || amid.contains(&0)) && nth < MOST_ROUNDS) {
        let victim = nth % 2;
        let service = ["gateway", "auth"][victim];
        let replica = usize::from(chance.happens(0.5));
        // Most of it happens at the beginning.
        let moment = span.mul_f64(chance.unit().powi(2));
        let round = Round::new(gateways, owner, format!("round-{nth}"));
        let striking = async {
            tokio::time::sleep(moment).await;
            let under_way = round.under_way.load(Ordering::SeqCst);
            mesh.kill(service, replica);
            mesh.spawn(service, replica);
            under_way
        };
        let (pets, under_way) = tokio::join!(round.send(), striking);
        let lost = round.cut.load(Ordering::SeqCst);
        let told = format!(
            "seed {seed}, round {nth}: {service}-{replica} after {moment:?} of {span:?}, {under_way} under way, {lost} cut"
        );
        round.had_one_effect(&pets, &auth, &told).await;
        rounds.push(told);
        amid[victim] += usize::from(under_way > 0);
        cut += usize::from(lost > 0);
        nth += 1;
        mesh.ready().await;
    }
    let told = rounds.join("\n");
    assert!(cut >= CUT && !amid.contains(&0), "blows fall amid the work: {amid:?}, {cut} of {nth}\n{told}");
    told
}

/// A write, and another one with the same key.
struct Write {
    service: &'static str,
    key: String,
    path: String,
    body: Value,
    other: Value,
    /// Counts its effects.
    count: String,
}

/// One of each of three services that keep answers; `nth` tells them from others.
fn writes(pet: &str, nth: u32) -> [Write; 3] {
    let name = format!("unaided-{nth}");
    let weight = 20.0 + f64::from(nth) / 8.0;
    let circle = |radius: u32| {
        let center = json!({"latitude": 52.5, "longitude": 13.4});
        json!({"name": name, "circle": {"center": center, "radius_m": radius}})
    };
    [
        Write {
            service: "auth",
            key: name.clone(),
            path: "/v1/pets".to_owned(),
            body: json!({"name": name, "species": "DOG"}),
            other: json!({"name": name, "species": "CAT"}),
            count: format!("SELECT count(*) FROM pets WHERE name = '{name}'"),
        },
        Write {
            service: "nutrition",
            key: name.clone(),
            path: format!("/v1/pets/{pet}/weights"),
            body: json!({"weight_kg": weight}),
            other: json!({"weight_kg": 50}),
            count: format!("SELECT count(*) FROM weights WHERE weight_kg IN ({weight}, 50)"),
        },
        Write {
            service: "behavior",
            key: name.clone(),
            path: format!("/v1/pets/{pet}/safe-zones"),
            body: circle(50),
            other: circle(60),
            count: format!("SELECT count(*) FROM safe_zones WHERE name = '{name}'"),
        },
    ]
}

/// What Redis knows of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Redis {
    /// It forgot everything between one sending and the next.
    Flushed,
    /// It ended between one sending and the next.
    Gone,
    /// It was gone before the first.
    Away,
}

/// The owning service's own record is enough: the same request is answered as before, and another one is not, by either gateway.
pub(super) async fn have_one_effect_without_redis(mesh: &Mesh, gateways: &[Client; 2], owner: &Account) {
    let pet = gateways[0].pet(owner, "Rex", "DOG").await;
    let redis = mesh.stack.redis();
    for (nth, case) in (0..).zip([Redis::Flushed, Redis::Gone, Redis::Away]) {
        let writes = writes(&pet, nth);
        let mut firsts = Vec::new();
        if case == Redis::Away {
            redis.kill();
        }
        for write in &writes {
            // Many at once where nobody else could tell them apart.
            let many = if case == Redis::Away { 20 } else { 1 };
            let sent = (0..many).map(|turn| send(&gateways[turn % 2], owner, write, &write.body));
            let mut answers = join_all(sent).await;
            let first = answers.remove(0);
            assert!(first.status.is_success(), "{case:?}, {}: {}", write.service, first.text);
            for again in answers {
                assert_eq!(
                    (again.status, &again.body),
                    (first.status, &first.body),
                    "{case:?}, {}",
                    write.service
                );
            }
            firsts.push(first);
        }
        match case {
            Redis::Flushed => redis.flushall().await.unwrap(),
            Redis::Gone => redis.kill(),
            Redis::Away => {}
        }
        still_have_their_effects(mesh, gateways, owner, (&writes, &firsts), case).await;
        if case != Redis::Flushed {
            redis.restart().await.unwrap();
            mesh.ready().await;
            // It has come back, and knows nothing.
            still_have_their_effects(mesh, gateways, owner, (&writes, &firsts), case).await;
        }
    }
}

async fn still_have_their_effects(
    mesh: &Mesh,
    gateways: &[Client; 2],
    owner: &Account,
    (writes, firsts): (&[Write], &[Answer]),
    case: Redis,
) {
    for (write, first) in writes.iter().zip(firsts) {
        let told = format!("{case:?}, {}", write.service);
        for gateway in gateways {
            let other = send(gateway, owner, write, &write.other).await;
            other.is_problem(422, "IDEMPOTENCY_KEY_REUSED");
            let again = send(gateway, owner, write, &write.body).await;
            assert_eq!((again.status, &again.body), (first.status, &first.body), "{told}: {}", again.text);
            let replayed = again.headers.get("idempotency-replayed").map(|value| value.as_bytes().to_vec());
            assert_eq!(replayed.as_deref(), Some(&b"true"[..]), "{told}");
        }
        let effects = Tables::of(&mesh.stack, write.service).await.count(&write.count).await;
        assert_eq!(effects, 1, "{told}");
    }
}

/// Sends a write, with this body, until it is answered. A key that was taken is let go beside the answer, a moment later.
async fn send(client: &Client, owner: &Account, write: &Write, body: &Value) -> Answer {
    let request = || {
        let request = client.request(Method::POST, &write.path, Some(&owner.token));
        request.header("idempotency-key", &write.key).json(body)
    };
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let answer = client.settled(request).await;
        if answer.body["code"] != "REQUEST_IN_PROGRESS" {
            return answer;
        }
        assert!(Instant::now() < deadline, "the key is held: {}", answer.text);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
