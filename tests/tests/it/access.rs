//! Who may see what, and how soon that ends.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use petty_chassis::types::Clock;
use petty_tests::mesh::Mesh;
use petty_tests::rest::{Account, Client};
use serde_json::{Value, json};
use tokio::time::Instant;

/// How soon a withdrawal must be in force.
const IN_FORCE: Duration = Duration::from_secs(5);
/// Several more calls than there are replicas, so that each of them is asked.
const CALLS: usize = 6;

fn minutes_ago(minutes: i64) -> Timestamp {
    Clock::system().now() - SignedDuration::from_mins(minutes)
}

fn reading(collar: &str, at: Timestamp) -> Value {
    json!({"collar_id": collar, "timestamp": at.to_string(), "heart_rate": 70})
}

/// An answer of a replica about the pet, and when it was asked.
#[derive(Debug)]
struct Told {
    path: String,
    sent: Instant,
    status: u16,
}

/// Asks every service about the pet, so that each replica has something to remember.
async fn asked(client: &Client, token: &str, pet: &str, collar: &str) -> Vec<Told> {
    let mut told = Vec::new();
    let paths = [
        format!("/v1/pets/{pet}"),
        format!("/v1/pets/{pet}/readings"),
        format!("/v1/pets/{pet}/behaviors"),
        format!("/v1/pets/{pet}/timeline"),
        format!("/v1/realtime?collar_id={collar}"),
        format!("/v1/pet-timeline?collar_id={collar}"),
    ];
    for path in &paths {
        for _ in 0..CALLS {
            let sent = Instant::now();
            let status = client.get(path, token).await.status.as_u16();
            told.push(Told { path: path.clone(), sent, status });
        }
    }
    told
}

async fn statuses(client: &Client, token: &str, pet: &str, collar: &str) -> Vec<u16> {
    asked(client, token, pet, collar).await.into_iter().map(|told| told.status).collect()
}

/// Refused everywhere by then, and from then on. What counts is when one was asked: an answer may take its time.
async fn refused_within(client: &Client, token: &str, pet: &str, collar: &str, since: Instant) {
    loop {
        let told = asked(client, token, pet, collar).await;
        let Some(last) = told.iter().rfind(|told| told.status == 200) else { break };
        let after = last.sent.duration_since(since);
        assert!(after < IN_FORCE, "{} was allowed when asked after {after:?}", last.path);
    }
    tokio::time::sleep_until(since + IN_FORCE).await;
    let last = asked(client, token, pet, collar).await;
    assert!(last.iter().all(|told| [401, 403, 404].contains(&told.status)), "{last:?}");
}

struct Scene {
    mesh: Mesh,
    client: Client,
    owner: Account,
    friend: Account,
    pet: String,
    share: String,
    device: String,
}

const COLLAR: &str = "collar-shared";

impl Scene {
    async fn new() -> Self {
        let mesh =
            Mesh::start_with(crate::NODE, &[("ingest", 2), ("behavior", 2), ("timeline", 2), ("auth", 2)])
                .await;
        let client = mesh.client();
        let (owner, friend) = (client.sign_up().await, client.sign_up().await);
        let pet = client.pet(&owner, "Rex", "DOG").await;
        let device = client.pair(&owner, &pet, COLLAR, Some(minutes_ago(60))).await;
        client.post("/v1/ingest", &device, &reading(COLLAR, minutes_ago(1))).await.good();
        let before = statuses(&client, &friend.token, &pet, COLLAR).await;
        assert!(before.iter().all(|status| *status == 404), "nothing before the share: {before:?}");
        let body = json!({"email": friend.email, "role": "VIEWER"});
        let share = client.post(&format!("/v1/pets/{pet}/shares"), &owner.token, &body).await.good();
        let share = share["share_id"].as_str().unwrap().to_owned();
        let scene = Self { mesh, client, owner, friend, pet, share, device };
        petty_tests::eventually("the share is seen everywhere", Duration::from_secs(10), || async {
            statuses(&scene.client, &scene.friend.token, &scene.pet, COLLAR)
                .await
                .iter()
                .all(|status| *status == 200)
        })
        .await;
        scene
    }

    async fn withdraw_share(&self) -> u16 {
        let path = format!("/v1/pets/{}/shares/{}", self.pet, self.share);
        self.client.delete(&path, &self.owner.token).await.status.as_u16()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_withdrawn_share_is_refused_by_every_replica_within_5_s() {
    let scene = Scene::new().await;
    let since = Instant::now();
    assert_eq!(scene.withdraw_share().await, 200);
    refused_within(&scene.client, &scene.friend.token, &scene.pet, COLLAR, since).await;
    let own = statuses(&scene.client, &scene.owner.token, &scene.pet, COLLAR).await;
    assert!(own.iter().all(|status| *status == 200), "the owner goes on: {own:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_withdrawn_share_is_refused_within_5_s_with_redis_paused() {
    let scene = Scene::new().await;
    scene.mesh.stack.redis().pause();
    let since = Instant::now();
    // It cannot be told to everybody, so it is not answered as done; it is in force all the same.
    let withdrawn = async {
        let status = scene.withdraw_share().await;
        assert!([200, 503, 504].contains(&status), "{status}");
    };
    let refused = refused_within(&scene.client, &scene.friend.token, &scene.pet, COLLAR, since);
    tokio::join!(withdrawn, refused);
    scene.mesh.stack.redis().resume();
    petty_tests::eventually(
        "the withdrawal is confirmed once Redis is back",
        Duration::from_secs(20),
        || async { scene.withdraw_share().await == 200 },
    )
    .await;
}

/// Signs an account in once more.
async fn another_session(client: &Client, account: &Account) -> String {
    let body = json!({"email": account.email, "password": petty_tests::rest::PASSWORD});
    let answer = client.request(reqwest::Method::POST, "/v1/auth/login", None).json(&body);
    client.send(answer).await.good()["access_token"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_out_outlives_a_redis_that_is_killed_and_loses_all_it_held() {
    let scene = Scene::new().await;
    let Scene { mesh, client, owner, pet, .. } = &scene;
    let (first, second) = (another_session(client, owner).await, another_session(client, owner).await);
    for token in [&first, &second] {
        let before = statuses(client, token, pet, COLLAR).await;
        assert!(before.iter().all(|status| *status == 200), "{before:?}");
    }
    // Told, and then lost by those who were to remember it.
    let since = Instant::now();
    client.post("/v1/auth/logout", &first, &json!({})).await.good();
    mesh.stack.redis().kill();
    mesh.stack.redis().restart().await.unwrap();
    mesh.stack.redis().flushall().await.unwrap();
    refused_within(client, &first, pet, COLLAR, since).await;

    // Not to be told at all: in force all the same, and confirmed once it can be.
    mesh.stack.redis().kill();
    let since = Instant::now();
    let log_out = || async { client.post("/v1/auth/logout", &second, &json!({})).await };
    let logged_out = async { log_out().await.is_problem(503, "REVOCATION_PENDING") };
    tokio::join!(logged_out, refused_within(client, &second, pet, COLLAR, since));
    mesh.stack.redis().restart().await.unwrap();
    mesh.stack.redis().flushall().await.unwrap();
    petty_tests::eventually("it is confirmed once Redis is back", Duration::from_secs(20), || async {
        log_out().await.status == 200
    })
    .await;
    refused_within(client, &second, pet, COLLAR, Instant::now()).await;
    petty_tests::eventually("the session that stands is believed", Duration::from_secs(20), || async {
        statuses(client, &owner.token, pet, COLLAR).await.iter().all(|status| *status == 200)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_withdrawn_pairing_ends_its_tokens_within_5_s_with_redis_running_and_paused() {
    for paused in [false, true] {
        let scene = Scene::new().await;
        for _ in 0..CALLS {
            let answer =
                scene.client.post("/v1/ingest", &scene.device, &reading(COLLAR, minutes_ago(1))).await;
            assert_eq!(answer.status.as_u16(), 201, "{}", answer.text);
        }
        if paused {
            scene.mesh.stack.redis().pause();
        }
        let since = Instant::now();
        let unpaired = async {
            let path = format!("/v1/pets/{}/collars/{COLLAR}", scene.pet);
            let status = scene.client.delete(&path, &scene.owner.token).await.status.as_u16();
            assert!(status == 200 || paused && [503, 504].contains(&status), "{status}");
        };
        let refused = async {
            // When the last that was accepted was sent.
            let post = || async {
                let mut accepted = None;
                for _ in 0..CALLS {
                    let sent = Instant::now();
                    let answer = scene
                        .client
                        .post("/v1/ingest", &scene.device, &reading(COLLAR, minutes_ago(1)))
                        .await;
                    if answer.status.is_success() {
                        accepted = Some(sent);
                    }
                }
                accepted
            };
            while let Some(sent) = post().await {
                assert!(sent < since + IN_FORCE, "still accepted after 5 s");
            }
            tokio::time::sleep_until(since + IN_FORCE).await;
            assert_eq!(post().await, None, "accepted again");
        };
        tokio::join!(unpaired, refused);
        scene.mesh.stack.redis().resume();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collar_moved_at_noon_leaves_each_reading_with_the_right_pet_and_owner() {
    let mesh = Mesh::start(crate::NODE).await;
    let client = mesh.client();
    let (first, second) = (client.sign_up().await, client.sign_up().await);
    let (rex, tom) = (client.pet(&first, "Rex", "DOG").await, client.pet(&second, "Tom", "CAT").await);
    // Two hours that span the last noon.
    let today = Clock::system().now().to_zoned(jiff::tz::TimeZone::UTC).date();
    let noon =
        (today.yesterday().unwrap()).at(12, 0, 0, 0).to_zoned(jiff::tz::TimeZone::UTC).unwrap().timestamp();
    let at = |minutes: i64| noon + SignedDuration::from_mins(minutes);
    let collar = "collar-moved";
    let old = client.pair(&first, &rex, collar, Some(at(-120))).await;
    for minute in [-60, -30, -1] {
        client.post("/v1/ingest", &old, &reading(collar, at(minute))).await.good();
    }
    // While it is the first owner's, nobody else can have it.
    let body = json!({"collar_id": collar, "start_time": at(0).to_string()});
    client
        .post(&format!("/v1/pets/{tom}/collars"), &second.token, &body)
        .await
        .is_problem(409, "COLLAR_PAIRED");
    client.delete(&format!("/v1/pets/{rex}/collars/{collar}?end_time={}", at(0)), &first.token).await.good();
    let overlapping = json!({"collar_id": collar, "start_time": at(-1).to_string()});
    client
        .post(&format!("/v1/pets/{tom}/collars"), &second.token, &overlapping)
        .await
        .is_problem(409, "COLLAR_PAIRED");
    let new = client.pair(&second, &tom, collar, Some(at(0))).await;
    for minute in [0, 30, 60] {
        client.post("/v1/ingest", &new, &reading(collar, at(minute))).await.good();
    }
    // A late reading from before noon is not the new owner's to send; the old token is dead.
    let late = client.post("/v1/ingest", &new, &reading(collar, at(-10))).await;
    late.names("timestamp");
    let dead = client.post("/v1/ingest", &old, &reading(collar, at(-10))).await;
    assert!([401, 404].contains(&dead.status.as_u16()), "{}", dead.text);

    let span = format!("start_time={}&end_time={}", at(-180), at(180));
    let times = |values: Vec<Value>| -> Vec<String> {
        values.iter().rev().map(|value| value["timestamp"].as_str().unwrap().to_owned()).collect()
    };
    let of_rex = client.all(&format!("/v1/pets/{rex}/readings?{span}"), &first.token, "readings").await;
    assert_eq!(times(of_rex), [-60, -30, -1].map(|minute| at(minute).to_string()));
    let of_tom = client.all(&format!("/v1/pets/{tom}/readings?{span}"), &second.token, "readings").await;
    assert_eq!(times(of_tom), [0, 30, 60].map(|minute| at(minute).to_string()));
    client
        .get(&format!("/v1/pets/{tom}/readings?{span}"), &first.token)
        .await
        .is_problem(404, "PET_NOT_FOUND");
    client
        .get(&format!("/v1/pets/{rex}/readings?{span}"), &second.token)
        .await
        .is_problem(404, "PET_NOT_FOUND");
    let newest = client.get(&format!("/v1/realtime?collar_id={collar}"), &first.token).await.good();
    assert_eq!(
        (newest["pet_id"].as_str(), newest["timestamp"].as_str()),
        (Some(rex.as_str()), Some(at(-1).to_string().as_str()))
    );
    let newest = client.get(&format!("/v1/realtime?collar_id={collar}"), &second.token).await.good();
    assert_eq!(
        (newest["pet_id"].as_str(), newest["timestamp"].as_str()),
        (Some(tom.as_str()), Some(at(60).to_string().as_str()))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_share_says_what_may_be_done_and_a_session_ends_with_its_log_out() {
    let mesh = Mesh::start(crate::NODE).await;
    let client = mesh.client();
    let (owner, friend) = (client.sign_up().await, client.sign_up().await);
    let pet = client.pet(&owner, "Rex", "DOG").await;
    let device = client.pair(&owner, &pet, "collar-role", Some(minutes_ago(60))).await;
    let place = json!({"collar_id": "collar-role", "timestamp": minutes_ago(1).to_string(), "heart_rate": 70,
                       "location": {"coordinates": [13.987654, 52.123457]}});
    client.post("/v1/ingest", &device, &place).await.good();
    let body = json!({"email": friend.email, "role": "VIEWER"});
    client.post(&format!("/v1/pets/{pet}/shares"), &owner.token, &body).await.good();
    let seen = client.get("/v1/realtime?collar_id=collar-role", &friend.token).await.good();
    assert_eq!(seen["location"]["coordinates"], json!([13.988, 52.123]), "a viewer sees three decimals");
    let seen = client.get("/v1/realtime?collar_id=collar-role", &owner.token).await.good();
    assert_eq!(seen["location"]["coordinates"], json!([13.98765, 52.12346]), "an owner sees five");
    client
        .post("/v1/ingest", &friend.token, &reading("collar-role", minutes_ago(2)))
        .await
        .is_problem(403, "PERMISSION_DENIED");
    client.delete(&format!("/v1/pets/{pet}"), &friend.token).await.is_problem(403, "PERMISSION_DENIED");
    client.get(&format!("/v1/pets/{pet}"), &device).await.is_problem(403, "DEVICE_NOT_ALLOWED");

    client.post("/v1/auth/logout", &friend.token, &json!({})).await.good();
    let since = Instant::now();
    refused_within(&client, &friend.token, &pet, "collar-role", since).await;
    let again = client
        .request(reqwest::Method::POST, "/v1/auth/refresh", None)
        .json(&json!({"refresh_token": friend.refresh}));
    assert_eq!(client.send(again).await.status.as_u16(), 401);
}
