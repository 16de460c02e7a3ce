//! A household with everything that a request could be about, and everybody who could ask.

use std::time::Duration;

use futures::future::join_all;
use jiff::SignedDuration;
use petty_chassis::types::Clock;
use petty_proto::auth::v1::ExchangePersonalTokenResponse;
use petty_tests::eventually;
use petty_tests::grpc::{Credentials, Grpc, service_token};
use petty_tests::mesh::Mesh;
use petty_tests::methods;
use petty_tests::rest::{Account, Client};
use petty_tests::tables::Tables;
use prost_reflect::prost::Message as _;
use reqwest::Method;
use serde_json::{Value, json};

use super::samples::{personal_token, zone};

/// The collar of the household's pet.
pub(crate) const COLLAR: &str = "collar-own";
const OTHERS: &str = "collar-others";
/// The tables that move by themselves, mail on its way among them, and where refusals are kept and counted: the chains of
/// the audit log, the throttles.
const RESTLESS: &[&str] = &[
    "event_relay_shards",
    "event_consumers",
    "event_consumer_shards",
    "audit_heads",
    "audit_links",
    "throttles",
    "mails",
];

/// Everything there is.
pub(crate) struct Scene {
    pub(crate) mesh: Mesh,
    pub(crate) client: Client,
    pub(crate) grpc: Grpc,
    pub(crate) owner: Account,
    pub(crate) caregiver: Account,
    pub(crate) viewer: Account,
    pub(crate) vet: Account,
    pub(crate) other: Account,
    pub(crate) staff: Account,
    /// The owner's pet, which the others have shares of.
    pub(crate) pet: String,
    /// A share of it, with nobody of the above.
    pub(crate) share: String,
    pub(crate) secret: String,
    pub(crate) device: String,
    pub(crate) others_device: String,
    /// The owner's personal access token, and its id.
    pub(crate) personal: String,
    pub(crate) personal_id: String,
    /// One that was ended.
    pub(crate) ended_personal: String,
    pub(crate) other_id: String,
    /// Of a collar that has since been taken off.
    pub(crate) ended_device: String,
    pub(crate) event: String,
    pub(crate) weight: String,
    pub(crate) food: String,
    pub(crate) zone: String,
    pub(crate) alert: String,
}

impl Scene {
    pub(crate) async fn set() -> Self {
        let mesh = Mesh::start(crate::NODE).await;
        let client = mesh.client();
        let grpc = Grpc::of(&mesh.plan);
        let [owner, caregiver, viewer, vet, other, guest] =
            join_all((0..6).map(|_| client.sign_up())).await.try_into().unwrap();
        let staff = client.staff().await;
        let pet = client.pet(&owner, "Rex", "DOG").await;
        let begin = Clock::system().now() - SignedDuration::from_mins(30);
        let secret = pair(&client, &owner, &pet, COLLAR, begin).await;
        let device = client.device_token(COLLAR, &secret).await;
        let others_pet = client.pet(&other, "Tom", "CAT").await;
        let others_device = client.pair(&other, &others_pet, OTHERS, Some(begin)).await;
        let ended_device = client.pair(&other, &others_pet, "collar-once", None).await;
        client.delete(&format!("/v1/pets/{others_pet}/collars/collar-once"), &other.token).await.good();
        let mut share = String::new();
        for (with, role) in
            [(&caregiver, "CAREGIVER"), (&viewer, "VIEWER"), (&vet, "VET"), (&guest, "VIEWER")]
        {
            share = give(&client, &owner, &pet, &with.email, role).await;
        }
        for minute in 1..=4 {
            let at = begin + SignedDuration::from_mins(minute);
            let reading = json!({"collar_id": COLLAR, "timestamp": at.to_string(), "heart_rate": 60, "activity_level": 0, "battery_level": 10});
            client.post("/v1/ingest", &device, &reading).await.good();
        }
        let weights = format!("/v1/pets/{pet}/weights");
        let weight = client.post(&weights, &owner.token, &json!({"weight_kg": 20})).await.good();
        let food = json!({"name": "Kibble", "kind": "DRY", "label_kcal_per_100g": 380});
        let food = client.post("/v1/foods", &owner.token, &food).await.good();
        let me = client.get("/v1/me", &other.token).await.good();
        let personal = client.post("/v1/me/tokens", &owner.token, &personal_token()).await.good();
        let ended = client.post("/v1/me/tokens", &owner.token, &personal_token()).await.good();
        let path = format!("/v1/me/tokens/{}", ended["personal_token"]["token_id"].as_str().unwrap());
        client.delete(&path, &owner.token).await.good();
        let event = first_event(&client, &owner).await;
        let mut zone = zone(&pet);
        zone.as_object_mut().unwrap().remove("pet_id");
        let zone = client.post(&format!("/v1/pets/{pet}/safe-zones"), &owner.token, &zone).await.good();
        // That the collars stop is noticed by itself, while what is there must stand still.
        let put_off = "UPDATE collar_watches SET look_at = now() + interval '1 day'";
        assert_eq!(Tables::of(&mesh.stack, "ingest").await.refused(put_off).await, None);
        // Its battery was low from the beginning, so that the alert came before the behaviour.
        let alerts = client.all(&format!("/v1/pets/{pet}/alerts"), &owner.token, "alerts").await;
        let text = |value: &Value, field: &str| value[field].as_str().unwrap().to_owned();
        let (weight, food) = (text(&weight, "weight_id"), text(&food, "food_id"));
        Self {
            mesh,
            client,
            grpc,
            owner,
            caregiver,
            viewer,
            vet,
            other,
            staff,
            pet,
            share,
            secret,
            device,
            others_device,
            personal: text(&personal, "token"),
            personal_id: text(&personal["personal_token"], "token_id"),
            ended_personal: text(&ended, "token"),
            other_id: text(&me, "account_id"),
            ended_device,
            event,
            weight,
            food,
            zone: text(&zone, "zone_id"),
            alert: text(&alerts[0], "alert_id"),
        }
    }

    /// What stands in all databases, once nothing moves any more: a text for each table.
    pub(crate) async fn snapshot(&self) -> Vec<(String, String)> {
        let ingest = Tables::of(&self.mesh.stack, "ingest").await;
        eventually("the rollups to be written", Duration::from_secs(30), || async {
            ingest.count("SELECT count(*) FROM readings_dirty").await == 0
        })
        .await;
        let mut before = self.read().await;
        let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
        loop {
            tokio::time::sleep(Duration::from_millis(400)).await;
            let now = self.read().await;
            if now == before {
                return now;
            }
            let late = tokio::time::Instant::now() > deadline;
            assert!(!late, "the databases do not come to rest: {:?}", changed(&before, &now));
            before = now;
        }
    }

    async fn read(&self) -> Vec<(String, String)> {
        let mut all = Vec::new();
        for service in petty::mesh::SERVICES {
            let tables = Tables::of(&self.mesh.stack, service).await;
            all.extend(
                tables
                    .digests(RESTLESS)
                    .await
                    .into_iter()
                    .map(|(table, digest)| (format!("{service}.{table}"), digest)),
            );
        }
        all
    }

    /// The access token that the gateway gets for a personal one.
    pub(crate) async fn exchange(&self, personal: &str) -> String {
        let method = methods::all()
            .into_iter()
            .find(|method| method.policy.method == "ExchangePersonalToken")
            .unwrap();
        let proof = service_token(&self.mesh, "gateway", "auth");
        let credentials = Credentials { service: Some(&proof), authorization: None };
        let message = method.protobuf(&json!({"token": personal}));
        let outcome = self.grpc.call_patiently(("auth", method.policy), credentials, message).await;
        ExchangePersonalTokenResponse::decode(outcome.answer).unwrap().access_token
    }

    /// A new session of an account's.
    pub(crate) async fn log_in(&self, account: &Account) -> Value {
        let body = json!({"email": account.email, "password": petty_tests::rest::PASSWORD});
        self.client.send(self.client.request(Method::POST, "/v1/auth/login", None).json(&body)).await.good()
    }
}

/// The tables that differ between two snapshots.
pub(crate) fn changed<'a>(before: &'a [(String, String)], after: &'a [(String, String)]) -> Vec<&'a str> {
    let differs = |(old, new): &(&(String, String), &(String, String))| old != new;
    before.iter().zip(after).filter(differs).map(|(old, _)| old.0.as_str()).collect()
}

/// Pairs a collar; its secret.
pub(crate) async fn pair(
    client: &Client,
    owner: &Account,
    pet: &str,
    collar: &str,
    start: jiff::Timestamp,
) -> String {
    let body = json!({"collar_id": collar, "start_time": start.to_string()});
    let paired = client.post(&format!("/v1/pets/{pet}/collars"), &owner.token, &body).await.good();
    paired["secret"].as_str().unwrap().to_owned()
}

/// Shares a pet; the share's id.
pub(crate) async fn give(client: &Client, owner: &Account, pet: &str, email: &str, role: &str) -> String {
    let body = json!({"email": email, "role": role});
    let share = client.post(&format!("/v1/pets/{pet}/shares"), &owner.token, &body).await.good();
    share["share_id"].as_str().unwrap().to_owned()
}

/// The first behaviour of the pet, once feedback may be given on it.
async fn first_event(client: &Client, owner: &Account) -> String {
    let path = format!("/v1/pet-timeline?collar_id={COLLAR}&hours=24");
    let found = std::sync::Mutex::new(String::new());
    eventually("a behaviour that can be spoken of", Duration::from_secs(30), || async {
        let timeline = client.get(&path, &owner.token).await.good();
        let Some(event) = timeline["timeline"][0]["event_id"].as_str().map(str::to_owned) else {
            return false;
        };
        let spoken = client.get(&format!("/v1/events/{event}/feedback"), &owner.token).await;
        *found.lock().unwrap() = event;
        spoken.status.is_success()
    })
    .await;
    found.into_inner().unwrap()
}
