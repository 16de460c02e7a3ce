//! Who is let in otherwise than by an account's own log-in: integrations, whoever has a link, the staff. In every service, and
//! out again within five seconds.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use petty_chassis::types::Clock;
use petty_tests::mesh::Mesh;
use petty_tests::rest::{Account, Answer, Client, PASSWORD};
use petty_tests::tables::Tables;
use reqwest::Method;
use serde_json::{Value, json};

/// How soon an end must be in force.
const IN_FORCE: Duration = Duration::from_secs(5);
const COLLAR: &str = "collar-granted";
const REASON: &str = "ticket 4711: Ada says that no positions arrive";

struct Scene {
    mesh: Mesh,
    client: Client,
    owner: Account,
    pet: String,
}

impl Scene {
    async fn new() -> Self {
        let mesh = Mesh::start_with(crate::NODE, &[("ingest", 2), ("timeline", 2)]).await;
        let client = mesh.client();
        let owner = client.sign_up().await;
        let pet = client.pet(&owner, "Rex", "DOG").await;
        let ago = |minutes: i64| -> Timestamp { Clock::system().now() - SignedDuration::from_mins(minutes) };
        let device = client.pair(&owner, &pet, COLLAR, Some(ago(60))).await;
        let reading = json!({"collar_id": COLLAR, "timestamp": ago(1).to_string(), "heart_rate": 70,
            "location": {"coordinates": [13.404_954, 52.520_008]}});
        client.post("/v1/ingest", &device, &reading).await.good();
        Self { mesh, client, owner, pet }
    }

    fn at(&self, rest: &str) -> String {
        format!("/v1/pets/{}{rest}", self.pet)
    }

    /// What every service says of the pet, each asked so often that every replica is.
    async fn statuses(&self, token: &str, reason: Option<&str>) -> Vec<u16> {
        let paths = [
            self.at(""),
            self.at("/readings"),
            self.at("/behaviors"),
            self.at("/timeline"),
            self.at("/plan"),
            format!("/v1/realtime?collar_id={COLLAR}"),
            format!("/v1/pet-timeline?collar_id={COLLAR}"),
        ];
        let mut statuses = Vec::new();
        for path in paths {
            for _ in 0..4 {
                statuses.push(self.get(&path, token, reason).await.status.as_u16());
            }
        }
        statuses
    }

    async fn get(&self, path: &str, token: &str, reason: Option<&str>) -> Answer {
        let mut request = self.client.request(Method::GET, path, Some(token));
        if let Some(reason) = reason {
            request = request.header("x-access-reason", reason);
        }
        self.client.send(request).await
    }

    /// Is let in everywhere.
    async fn allowed(&self, token: &str, reason: Option<&str>) {
        petty_tests::eventually("it is let in everywhere", Duration::from_secs(10), || async {
            self.statuses(token, reason).await.iter().all(|status| *status == 200)
        })
        .await;
    }

    /// Is refused everywhere within five seconds from then on.
    async fn refused(&self, token: &str, reason: Option<&str>, since: tokio::time::Instant) {
        while self.statuses(token, reason).await.contains(&200) {
            assert!(since.elapsed() < IN_FORCE + Duration::from_secs(2), "still let in somewhere after 5 s");
        }
        tokio::time::sleep_until(since + IN_FORCE).await;
        let last = self.statuses(token, reason).await;
        assert!(last.iter().all(|status| [401, 403, 404].contains(status)), "{last:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_personal_access_token_is_let_in_for_its_scopes_and_out_at_once() {
    let scene = Scene::new().await;
    let (client, owner) = (&scene.client, &scene.owner);
    let soon = Clock::system().now() + SignedDuration::from_hours(1);
    let body =
        json!({"name": "clinic", "scope": "read", "expire_time": soon.to_string(), "password": PASSWORD});
    let made = client.post("/v1/me/tokens", &owner.token, &body).await.good();
    let (token, id) = (made["token"].as_str().unwrap(), made["personal_token"]["token_id"].as_str().unwrap());
    scene.allowed(token, None).await;
    let write = client.post("/v1/pets", token, &json!({"name": "Tom", "species": "CAT"})).await;
    write.is_problem(403, "SCOPE_MISSING");
    client.get("/v1/me/tokens", token).await.is_problem(403, "PERSONAL_TOKEN_NOT_ALLOWED");
    let listed = client.get("/v1/me/tokens", &owner.token).await.good();
    assert!(listed["personal_tokens"][0]["last_use_time"].is_string(), "{listed}");
    assert!(!listed.to_string().contains(token));

    let since = tokio::time::Instant::now();
    client.delete(&format!("/v1/me/tokens/{id}"), &owner.token).await.good();
    scene.refused(token, None, since).await;
    scene.allowed(&owner.token, None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_of_many_with_a_link_gets_the_share_until_it_is_withdrawn() {
    let scene = Scene::new().await;
    let (client, owner) = (&scene.client, &scene.owner);
    let made =
        client.post(&scene.at("/shares:createLink"), &owner.token, &json!({"role": "VET"})).await.good();
    let (token, share) = (json!({"token": made["token"]}), made["share"]["share_id"].as_str().unwrap());
    let mut friends = Vec::new();
    for _ in 0..5 {
        friends.push(client.sign_up().await);
    }
    let tries = friends.iter().map(|friend| client.post("/v1/shares:accept", &friend.token, &token));
    let answers = futures::future::join_all(tries).await;
    let mut winners = Vec::new();
    for (friend, answer) in friends.iter().zip(answers) {
        if answer.status.is_success() {
            assert_eq!(answer.good()["role"], "VET");
            winners.push(friend);
        } else {
            answer.is_problem(404, "SHARE_LINK_INVALID");
            assert!(!scene.statuses(&friend.token, None).await.contains(&200));
        }
    }
    let [winner] = winners.as_slice() else { panic!("{} have it", winners.len()) };
    scene.allowed(&winner.token, None).await;
    let shares = client.get(&scene.at("/shares"), &owner.token).await.good();
    assert_eq!(shares["shares"][0]["email"], winner.email.as_str(), "the owner sees who has it");

    let since = tokio::time::Instant::now();
    client.delete(&scene.at(&format!("/shares/{share}")), &owner.token).await.good();
    scene.refused(&winner.token, None, since).await;
    client.post("/v1/shares:accept", &winner.token, &token).await.is_problem(404, "SHARE_LINK_INVALID");
}

#[tokio::test(flavor = "multi_thread")]
async fn staff_looks_for_a_reason_coarsely_and_the_owner_sees_it() {
    let scene = Scene::new().await;
    let (client, owner) = (&scene.client, &scene.owner);
    // An admin makes somebody support, who signs in anew.
    let admin = client.staff().await;
    let support = client.sign_up().await;
    let me = client.get("/v1/me", &support.token).await.good();
    let role = |verb: &str| format!("/v1/staff/{}:{verb}", me["account_id"].as_str().unwrap());
    client.post(&role("grantRole"), &admin.token, &json!({"role": "SUPPORT"})).await.good();
    let support = client.log_in(&support.email).await;

    // Without a reason, and with one but without the role, it is a stranger's pet, the same as none.
    let nobody = "00000000-0000-7000-8000-000000000007";
    let missing = scene.get(&format!("/v1/pets/{nobody}"), &support.token, None).await;
    let stranger = client.sign_up().await;
    for (token, reason) in [(&support.token, None), (&stranger.token, Some(REASON))] {
        let statuses = scene.statuses(token, reason).await;
        assert!(statuses.iter().all(|status| *status == 404), "{statuses:?}");
        let refused = scene.get(&scene.at(""), token, reason).await;
        let told = |answer: &Answer| {
            let mut body = answer.body.clone();
            body["request_id"] = Value::Null;
            (answer.status, body)
        };
        assert_eq!(told(&refused), told(&missing));
    }
    let none = scene.get(&format!("/v1/pets/{nobody}"), &support.token, Some(REASON)).await;
    none.is_problem(404, "PET_NOT_FOUND");
    scene.get(&scene.at(""), &support.token, Some("because")).await.names("X-Access-Reason");
    let accesses = client.get(&scene.at("/accesses"), &owner.token).await.good();
    assert_eq!(accesses["accesses"], json!([]), "nothing was seen so far");

    scene.allowed(&support.token, Some(REASON)).await;
    let pet = scene.get(&scene.at(""), &support.token, Some(REASON)).await.good();
    assert_eq!(pet["role"], "STAFF");
    let seen = scene.get(&format!("/v1/realtime?collar_id={COLLAR}"), &support.token, Some(REASON)).await;
    assert_eq!(seen.good()["location"]["coordinates"], json!([13.405, 52.52]));
    // It reads, and that is all.
    let change = client
        .request(Method::PATCH, &scene.at(""), Some(&support.token))
        .header("x-access-reason", REASON)
        .json(&json!({"name": "Max"}));
    client.send(change).await.is_problem(403, "PERMISSION_DENIED");
    scene
        .get(&scene.at("/accesses"), &support.token, Some(REASON))
        .await
        .is_problem(403, "PERMISSION_DENIED");

    let accesses = client.all(&scene.at("/accesses"), &owner.token, "accesses").await;
    assert!(accesses.iter().all(|look| look["reason"] == REASON && look["account_id"] == me["account_id"]));
    let services: std::collections::BTreeSet<_> =
        accesses.iter().filter_map(|look| look["service"].as_str()).collect();
    let expected = ["auth", "behavior", "ingest", "nutrition", "timeline"];
    assert!(expected.iter().all(|service| services.contains(service)), "{services:?}");
    let auth = Tables::of(&scene.mesh.stack, "auth").await;
    let written = auth.count("SELECT count(*) FROM audit_log WHERE action = 'STAFF_ACCESS'").await;
    assert_eq!(usize::try_from(written).unwrap(), accesses.len(), "each in the audit log, too");
    let plain = format!("SELECT count(*) FROM audit_log WHERE detail::text LIKE '%{REASON}%'");
    assert_eq!(auth.count(&plain).await, 0, "but not in its words");

    // Open streams, too, end with the role.
    let stream = client
        .request(Method::GET, &scene.at("/stream"), Some(&support.token))
        .header("accept", "text/event-stream")
        .header("x-access-reason", REASON)
        .timeout(Duration::from_secs(60))
        .send()
        .await
        .unwrap();
    assert_eq!(stream.status(), 200);
    let since = tokio::time::Instant::now();
    client.post(&role("withdrawRole"), &admin.token, &json!({"role": "SUPPORT"})).await.good();
    let ended = tokio::time::timeout(IN_FORCE + Duration::from_secs(1), stream.text()).await;
    assert!(ended.is_ok(), "the stream goes on");
    scene.refused(&support.token, Some(REASON), since).await;
}
