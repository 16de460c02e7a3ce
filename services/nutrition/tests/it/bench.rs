//! What the tests stand on: a bench with the nutrition service's worker, handler and daily work, and pets that auth knows.

use std::ops::Deref;
use std::sync::Arc;

use jiff::civil::Date;
use petty_chassis::ApiError;
use petty_chassis::access::{AccessSource as _, Asker, Target, allows};
use petty_chassis::events::{Event, topics};
use petty_chassis::grpc::gate::{Call, Guarded};
use petty_chassis::types::{AccountId, PetId};
use petty_nutrition::daily::Daily;
use petty_nutrition::grpc::Grpc;
use petty_nutrition::migrations;
use petty_nutrition::planning::Planner;
use petty_nutrition::worker::Worker;
use petty_nutrition::writers::Writers;
use petty_proto::auth::v1 as auth;
use petty_proto::behavior::v1::episode::Behavior;
use petty_proto::events::v1::day_closed::Share;
use petty_proto::events::v1::{DayClosed, PlanChanged};
use petty_proto::nutrition::v1 as wire;
use petty_proto::nutrition::v1::nutrition_service_server::NutritionService as _;
use petty_proto::policy::Need;
use petty_testbench::{Pets, Plan, SHARDS, Table, Written, a_dog};

pub(crate) struct Bench {
    bench: petty_testbench::Bench,
    pub(crate) pets: Pets,
    pub(crate) grpc: Guarded<Grpc>,
    pub(crate) daily: Daily,
}

impl Deref for Bench {
    type Target = petty_testbench::Bench;

    fn deref(&self) -> &Self::Target {
        &self.bench
    }
}

/// What auth answers of pets that a request does not name.
struct Asked(Table);

#[tonic::async_trait]
impl Writers for Asked {
    async fn may_write(&self, call: &Call, pet: PetId) -> Result<bool, ApiError> {
        let token = String::new().into();
        let asker = Asker {
            caller: call.claimed_caller()?,
            token: &token,
            request_id: call.request_id(),
            deadline: call.deadline(),
            client_address: None,
            reason: None,
        };
        let decision = self.0.check(&asker, &Target::Pet(pet)).await?;
        Ok(decision.role.is_some_and(|role| allows(role, Need::Write)))
    }
}

/// What a bench of this service is laid from.
pub(crate) fn plan() -> Plan {
    Plan::new("nutrition", migrations())
}

/// A neutered bitch of five and a half years, at a version.
pub(crate) fn rex(pet: PetId, version: i64) -> auth::Pet {
    auth::Pet {
        sex: auth::pet::Sex::Female.into(),
        neutered: Some(true),
        birth_date: Some("2020-07-01".to_owned()),
        ..a_dog(pet, version)
    }
}

impl Bench {
    /// One with a database of this name, whose events are applied by hand.
    pub(crate) async fn new(name: &str) -> Self {
        Self::on(plan().lay(name).await)
    }

    /// One that can consume.
    pub(crate) async fn consuming(name: &str) -> Self {
        Self::on(plan().consuming().lay(name).await)
    }

    fn on(mut bench: petty_testbench::Bench) -> Self {
        let pets = Pets::default();
        let planner = Planner::new(bench.clock.clone(), SHARDS, Arc::new(pets.clone()));
        bench.employ(Arc::new(Worker::new(planner.clone())));
        let writers = Arc::new(Asked(bench.access.clone()));
        let grpc = bench.guard(Grpc::new(bench.base.db.clone(), planner.clone(), writers));
        let daily = Daily::new(bench.base.db.clone(), planner);
        Self { bench, pets, grpc, daily }
    }

    /// A dog that auth knows of, and its owner.
    pub(crate) fn dog(&self) -> (PetId, AccountId) {
        let pet = self.pet_id();
        self.pets.say(rex(pet, 1));
        (pet, self.owner_of(pet))
    }

    /// A dog of ten kilograms.
    pub(crate) async fn weighed_dog(&self) -> (PetId, AccountId) {
        let (pet, owner) = self.dog();
        self.put_profile(owner, wire::UpdateNutritionProfileRequest { weight_kg: Some(10.0), ..of(pet) })
            .await;
        (pet, owner)
    }

    pub(crate) async fn put_profile(
        &self,
        account: AccountId,
        request: wire::UpdateNutritionProfileRequest,
    ) -> wire::NutritionProfile {
        self.grpc.update_nutrition_profile(self.request(account, request)).await.unwrap().into_inner()
    }

    pub(crate) async fn plan(&self, account: AccountId, pet: PetId) -> wire::Plan {
        let request = wire::GetPlanRequest { pet_id: pet.to_string() };
        self.grpc.get_plan(self.request(account, request)).await.unwrap().into_inner()
    }

    pub(crate) async fn food(&self, account: AccountId, request: wire::CreateFoodRequest) -> wire::Food {
        self.grpc.create_food(self.request(account, request)).await.unwrap().into_inner()
    }

    /// What was told of plans, of all pets.
    pub(crate) async fn told(&self) -> Vec<Written<PlanChanged>> {
        self.outbox::<PlanChanged>(&topics::PLAN_CHANGED).await
    }

    /// The versions that were told of a pet's plan.
    pub(crate) async fn versions(&self, pet: PetId) -> Vec<i64> {
        let told = self.told().await.into_iter().filter(|told| told.subject == pet.0);
        told.map(|told| told.version).collect()
    }

    /// A day of 20 hours with readings, 19 of which say what it did; so many minutes of these on its feet.
    pub(crate) fn day(&self, pet: PetId, date: Date, version: i32, active: f64) -> Event {
        let shares = [
            (Behavior::DeepSleep, 1_140.0 - active),
            (Behavior::Unknown, 60.0),
            (Behavior::Walking, active / 2.0),
            (Behavior::Running, active / 4.0),
            (Behavior::PlayingFetch, active / 8.0),
            (Behavior::AnxiousPacing, active / 8.0),
        ];
        self.day_of(pet, date, version, &shares, None)
    }

    /// A day of 20 hours with readings, what it did in them, and over how many minutes of that its collar told whether it moved.
    pub(crate) fn day_of(
        &self,
        pet: PetId,
        date: Date,
        version: i32,
        shares: &[(Behavior, f64)],
        motion_minutes: Option<f64>,
    ) -> Event {
        let share = |(behavior, minutes): &(Behavior, f64)| Share {
            behavior: (*behavior).into(),
            minutes: *minutes,
            episodes: 1,
        };
        let closed = DayClosed {
            pet_id: pet.to_string(),
            date: date.to_string(),
            time_zone: "Europe/Berlin".to_owned(),
            version,
            covered_minutes: 1_200.0,
            behaviors: shares.iter().map(share).collect(),
            motion_minutes,
            rule_version: "spine/1".to_owned(),
            ..DayClosed::default()
        };
        self.event(&topics::BEHAVIOR_DAY_CLOSED, pet, version.into(), &closed)
    }

    /// Closes the last days before the bench's first one, each as active as the other.
    pub(crate) async fn close_days(&self, pet: PetId, days: i8, active: f64) {
        for day in 1..=days {
            let date = jiff::civil::date(2026, 1, 10 - day);
            self.apply(&self.day(pet, date, 1, active)).await.unwrap();
        }
    }
}

/// A profile of a pet, with nothing in it.
pub(crate) fn of(pet: PetId) -> wire::UpdateNutritionProfileRequest {
    wire::UpdateNutritionProfileRequest { pet_id: pet.to_string(), ..Default::default() }
}

/// A weight of a pet, measured now.
pub(crate) fn weight(pet: PetId, weight_kg: f64) -> wire::CreateWeightRequest {
    wire::CreateWeightRequest { pet_id: pet.to_string(), weight_kg, ..Default::default() }
}

/// Kibble of 350 kcal per 100 g.
pub(crate) fn kibble() -> wire::CreateFoodRequest {
    wire::CreateFoodRequest {
        name: "Kibble".to_owned(),
        kind: wire::food::Kind::Dry.into(),
        label_kcal_per_100g: Some(350.0),
        ingredients: vec!["Chicken".to_owned(), "rice".to_owned()],
        ..Default::default()
    }
}

/// A food chosen for all of the meals.
pub(crate) fn only(food: &wire::Food) -> Vec<wire::FoodChoice> {
    vec![wire::FoodChoice { food_id: food.food_id.clone(), share: 0.0 }]
}
