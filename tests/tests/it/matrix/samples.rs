//! A good request of every method.
//!
//! A new method needs its own here; the matrices say so. What a request uses up (a pet that it deletes, a ticket that it
//! redeems) is made anew where it will be allowed, and is the household's own where it must be refused.

use std::sync::atomic::{AtomicU64, Ordering};

use jiff::SignedDuration;
use petty_chassis::types::Clock;
use petty_proto::policy::MethodPolicy;
use petty_tests::rest::{Account, PASSWORD};
use serde_json::{Value, json};

use super::scene::{COLLAR, Scene, give, pair};

/// What will become of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// It must be refused: what it is about must be there, and stay.
    Refused,
    /// It will be allowed, once.
    Allowed,
}

/// A number that no other request has.
pub(super) fn fresh() -> u64 {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    COUNT.fetch_add(1, Ordering::Relaxed)
}

impl Scene {
    /// A good request of a method; `None` where nobody has written one.
    pub(crate) async fn sample(
        &self,
        policy: &MethodPolicy,
        purpose: Purpose,
        account: &Account,
    ) -> Option<Value> {
        if let Some(sample) = self.of_the_account(policy, purpose, account).await {
            return Some(sample);
        }
        if let Some(sample) = self.of_events(policy).await {
            return Some(sample);
        }
        let allowed = purpose == Purpose::Allowed;
        let pet = &self.pet;
        Some(match policy.method {
            "SignUp" => json!({"email": format!("new{}@example.com", fresh()), "password": PASSWORD}),
            "LogIn" => json!({"email": self.owner.email, "password": PASSWORD}),
            "Refresh" => json!({"refresh_token": self.log_in(&self.owner).await["refresh_token"]}),
            "IssueCollarToken" => json!({"collar_id": COLLAR, "secret": self.secret}),
            "RedeemStreamTicket" if allowed => {
                let ticket =
                    self.client.post("/v1/stream/ticket", &self.owner.token, &json!({})).await.good();
                json!({"ticket": ticket["ticket"]})
            }
            "RedeemStreamTicket" => json!({"ticket": "x".repeat(43)}),
            "CreatePersonalToken" => personal_token(),
            "DeletePersonalToken" if allowed => {
                json!({"token_id": self.personal_token().await["personal_token"]["token_id"]})
            }
            "DeletePersonalToken" => json!({"token_id": self.personal_id}),
            "ExchangePersonalToken" => json!({"token": self.personal}),
            "GrantRole" | "WithdrawRole" if allowed => {
                let account = self.client.sign_up().await;
                let me = self.client.get("/v1/me", &account.token).await.good();
                let asked = json!({"account_id": me["account_id"], "role": "SUPPORT"});
                if policy.method == "WithdrawRole" {
                    let path = format!("/v1/staff/{}:grantRole", me["account_id"].as_str().unwrap());
                    self.client.post(&path, &self.staff.token, &json!({"role": "SUPPORT"})).await.good();
                }
                asked
            }
            "GrantRole" | "WithdrawRole" => json!({"account_id": self.other_id, "role": "SUPPORT"}),
            "ListPersonalTokens" | "ListStaff" | "GetJwks" | "GetMe" | "LogOut" | "IssueStreamTicket"
            | "ListPets" | "ListFoods" | "GetFeedbackStats" => {
                json!({})
            }
            "CreatePet" => json!({"name": "Bello", "species": "DOG"}),
            "CheckAccess"
            | "DescribePet"
            | "GetPet"
            | "ListAccesses"
            | "ListCollars"
            | "ListShares"
            | "ListBehaviors"
            | "ListAlerts"
            | "GetBaseline"
            | "GetHealthScore"
            | "GetForecast"
            | "GetAlertSettings"
            | "ListSafeZones"
            | "ListReadings"
            | "GetPlan"
            | "GetNutritionProfile"
            | "ListWeights"
            | "ListRecommendations"
            | "ListTimeline"
            | "StreamTimeline" => json!({"pet_id": pet}),
            "UpdatePet" => json!({"pet_id": pet, "breed": format!("Breed {}", fresh())}),
            "DeletePet" if allowed => json!({"pet_id": self.spare_pet().await}),
            "DeletePet" => json!({"pet_id": pet}),
            "PairCollar" if allowed => {
                json!({"pet_id": self.spare_pet().await, "collar_id": format!("collar-{}", fresh())})
            }
            "PairCollar" => json!({"pet_id": pet, "collar_id": "collar-unpaired"}),
            "UnpairCollar" | "RotateCollarSecret" if allowed => {
                let (pet, collar) = (self.spare_pet().await, format!("collar-{}", fresh()));
                let begin = Clock::system().now() - SignedDuration::from_mins(1);
                pair(&self.client, &self.owner, &pet, &collar, begin).await;
                json!({"pet_id": pet, "collar_id": collar})
            }
            "UnpairCollar" | "RotateCollarSecret" => json!({"pet_id": pet, "collar_id": COLLAR}),
            "CreateShare" if allowed => {
                json!({"pet_id": self.spare_pet().await, "email": self.other.email, "role": "VIEWER"})
            }
            "CreateShare" => json!({"pet_id": pet, "email": self.other.email, "role": "VIEWER"}),
            "CreateShareLink" if allowed => json!({"pet_id": self.spare_pet().await, "role": "VIEWER"}),
            "CreateShareLink" => json!({"pet_id": pet, "role": "VIEWER"}),
            "AcceptShare" => {
                let stranger = self.client.sign_up().await;
                let pet = self.client.pet(&stranger, "Strange", "DOG").await;
                let path = format!("/v1/pets/{pet}/shares:createLink");
                let link = self.client.post(&path, &stranger.token, &json!({"role": "VIEWER"})).await.good();
                json!({"token": link["token"]})
            }
            "DeleteShare" if allowed => {
                let pet = self.spare_pet().await;
                let share = give(&self.client, &self.owner, &pet, &self.other.email, "VIEWER").await;
                json!({"pet_id": pet, "share_id": share})
            }
            "DeleteShare" => json!({"pet_id": pet, "share_id": self.share}),
            "GetBehavior" => json!({"pet_id": pet, "episode_id": self.event}),
            "AnalyzeReadings" => {
                let readings = json!([{"timestamp": "2026-01-10T12:00:00Z", "heart_rate": 60}]);
                json!({"species": "DOG", "readings": readings})
            }
            "AcknowledgeAlert" => json!({"alert_id": self.alert}),
            "UpdateAlertSettings" => json!({"pet_id": pet, "quiet_start": "22:00", "quiet_end": "07:00"}),
            "CreateSafeZone" => zone(pet),
            "GetSafeZone" => json!({"pet_id": pet, "zone_id": self.zone}),
            "UpdateSafeZone" => {
                let mut zone = zone(pet);
                zone["zone_id"] = json!(self.zone);
                zone
            }
            "DeleteSafeZone" if allowed => {
                let path = format!("/v1/pets/{pet}/safe-zones");
                let mut body = zone(pet);
                body.as_object_mut().unwrap().remove("pet_id");
                let zone = self.client.post(&path, &self.owner.token, &body).await.good();
                json!({"pet_id": pet, "zone_id": zone["zone_id"]})
            }
            "DeleteSafeZone" => json!({"pet_id": pet, "zone_id": self.zone}),
            "DescribeEpisode" => json!({"episode_id": self.event}),
            "ListHeads" => json!({"topic": "pet.changed"}),
            "FetchEvents" => {
                json!({"topic": "pet.changed", "shard": 0, "first_number": "1", "last_number": "1", "limit": 1})
            }
            "SubmitFeedback" => json!({"event_id": self.event, "user_feedback": "positive"}),
            "CreateFeedback" => json!({"event_id": self.event, "verdict": "CORRECT"}),
            "ListFeedback" => json!({"event_id": self.event}),
            "IngestReading" => reading(),
            "StreamReadings" => json!({"number": "1", "readings": [reading()]}),
            "IngestReadings" => json!({"readings": [reading()]}),
            "GetRealtime" | "GetPetPlan" | "GetPetTimeline" => json!({"collar_id": COLLAR}),
            "UpdateNutritionProfile" => json!({"pet_id": pet, "weight_kg": 20}),
            "CreateWeight" => json!({"pet_id": pet, "weight_kg": 21}),
            "DeleteWeight" if allowed => {
                let path = format!("/v1/pets/{pet}/weights");
                let weight =
                    self.client.post(&path, &self.owner.token, &json!({"weight_kg": 22})).await.good();
                json!({"pet_id": pet, "weight_id": weight["weight_id"]})
            }
            "DeleteWeight" => json!({"pet_id": pet, "weight_id": self.weight}),
            "CreateFood" => json!({"name": "Broth", "kind": "WET", "label_kcal_per_100g": 40}),
            "GetFood" => json!({"food_id": self.food}),
            "UpdateFood" => json!({"food_id": self.food, "name": "Better kibble"}),
            "DeleteFood" if allowed => {
                let food = json!({"name": "Old kibble", "kind": "DRY", "label_kcal_per_100g": 380});
                let food = self.client.post("/v1/foods", &self.owner.token, &food).await.good();
                json!({"food_id": food["food_id"]})
            }
            "DeleteFood" => json!({"food_id": self.food}),
            "GetDay" => {
                json!({"pet_id": pet, "date": Clock::system().now().strftime("%Y-%m-%d").to_string()})
            }
            _ => return None,
        })
    }

    /// A new personal token of the owner's.
    pub(crate) async fn personal_token(&self) -> Value {
        self.client.post("/v1/me/tokens", &self.owner.token, &personal_token()).await.good()
    }

    /// A pet that nobody will miss.
    async fn spare_pet(&self) -> String {
        self.client.pet(&self.owner, "Spare", "DOG").await
    }
}

/// What is asked for to get a personal token.
pub(crate) fn personal_token() -> Value {
    let end = Clock::system().now() + SignedDuration::from_hours(1);
    json!({"name": "An integration", "scope": "read write", "expire_time": end.to_string(), "password": PASSWORD})
}

/// A safe zone of a pet's.
pub(crate) fn zone(pet: &str) -> Value {
    let center = json!({"latitude": 52.5, "longitude": 13.4});
    json!({"pet_id": pet, "name": "Home", "circle": {"center": center, "radius_m": 50}})
}

/// A reading of the household's collar that was not there before.
fn reading() -> Value {
    let at = Clock::system().now() - SignedDuration::from_millis(i64::try_from(fresh()).unwrap());
    json!({"collar_id": COLLAR, "timestamp": at.to_string(), "heart_rate": 71})
}
