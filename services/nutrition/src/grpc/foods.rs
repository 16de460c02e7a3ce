//! NutritionService: foods. They are an account's; to others they do not exist.
//!
//! Invariant: what an account does to its foods reaches no pet that it may not write of at that time. Such a pet eats on what it ate
//! ([`kept`]), however it came to be chosen.

use petty_chassis::ApiError;
use petty_chassis::access::session_ended;
use petty_chassis::grpc::gate::Call;
use petty_chassis::page::{Page, Place};
use petty_chassis::postgres::Tx;
use petty_chassis::postgres::requests;
use petty_chassis::types::{AccountId, PetId, micros};
use petty_proto::nutrition::v1 as wire;
use uuid::Uuid;

use super::fields::{Fields, refused};
use super::weights::new_id;
use super::{Grpc, convert};
use crate::domain::NewFood;
use crate::planning::Cause;
use crate::store;
use crate::store::foods::{self, Food};
use crate::store::kept;

pub(super) async fn create(
    grpc: &Grpc,
    call: &Call,
    request: &wire::CreateFoodRequest,
) -> Result<wire::Food, ApiError> {
    let now = grpc.now();
    let mut fields = Fields::default();
    let facts = convert::new_food(&mut fields, request);
    fields.request_id(&request.request_id);
    let facts = fields.whole(facts)?;
    let account = call.caller().await?.account_id();
    let food = &Food {
        id: new_id(grpc),
        account,
        facts,
        created_at: now,
        updated_at: now,
        version: 1,
        deleted_at: None,
    };
    grpc.db
        .transaction("create_food", |tx| async move {
            let clock = grpc.planner.clock();
            let work = async {
                // Beside the forgetting of the account nothing is written of it.
                if !store::lock(&tx, PetId(account.0)).await? {
                    return Err(session_ended());
                }
                foods::insert(&tx, food).await?;
                Ok(convert::food(food))
            };
            requests::once(&tx, clock, (&request.request_id, "CreateFood"), request, work).await
        })
        .await
}

pub(super) async fn list(
    grpc: &Grpc,
    call: &Call,
    request: &wire::ListFoodsRequest,
) -> Result<wire::ListFoodsResponse, ApiError> {
    // The caller's own: in somebody else's hands the token would be of a place in theirs.
    let page = &Page::read("foods".to_owned(), request.page_size, &request.page_token)?;
    let account = call.caller().await?.account_id();
    let mut found =
        grpc.db.read("list_foods", |tx| async move { foods::list(&tx, account, page).await }).await?;
    let next_page_token = page.cut(&mut found, |food| Place { time: food.created_at, id: food.id });
    Ok(wire::ListFoodsResponse { foods: found.iter().map(convert::food).collect(), next_page_token })
}

pub(super) async fn get(
    grpc: &Grpc,
    call: &Call,
    request: &wire::GetFoodRequest,
) -> Result<wire::Food, ApiError> {
    let id = food_id(&request.food_id)?;
    let account = call.caller().await?.account_id();
    let found = grpc.db.read("get_food", |tx| async move { foods::get(&tx, account, id).await }).await?;
    let food = found.filter(|food| food.deleted_at.is_none()).ok_or_else(food_not_found)?;
    Ok(convert::food(&food))
}

pub(super) async fn update(
    grpc: &Grpc,
    call: &Call,
    request: &wire::UpdateFoodRequest,
) -> Result<wire::Food, ApiError> {
    let mut fields = Fields::default();
    let id = fields.id("food_id", &request.food_id);
    let patch = convert::food_patch(&mut fields, request);
    let (id, patch) = &fields.whole(id.zip(patch))?;
    patch.check().map_err(refused)?;
    let account = call.caller().await?.account_id();
    let beyond = &grpc.beyond(call, account, *id).await?;
    let food = grpc
        .db
        .transaction("update_food", |tx| async move {
            let change = |food: &Food| -> Result<Option<Food>, ApiError> {
                if food.deleted_at.is_some() {
                    return Err(food_not_found());
                }
                let facts: NewFood = patch.clone().apply(&food.facts).map_err(refused)?;
                // Sent again, it changes nothing, and there is nothing to make anew.
                Ok((facts != food.facts).then(|| Food { facts, ..food.clone() }))
            };
            grpc.change_food(&tx, account, *id, beyond, Cause::FoodChanged, change).await
        })
        .await?;
    Ok(convert::food(&food))
}

pub(super) async fn delete(
    grpc: &Grpc,
    call: &Call,
    request: &wire::DeleteFoodRequest,
) -> Result<wire::DeleteFoodResponse, ApiError> {
    let id = food_id(&request.food_id)?;
    let account = call.caller().await?.account_id();
    let beyond = &grpc.beyond(call, account, id).await?;
    let now = grpc.now();
    grpc.db
        .transaction("delete_food", |tx| async move {
            let remove = |food: &Food| -> Result<Option<Food>, ApiError> {
                Ok(food.deleted_at.is_none().then(|| Food { deleted_at: Some(now), ..food.clone() }))
            };
            grpc.change_food(&tx, account, id, beyond, Cause::FoodRemoved, remove).await
        })
        .await?;
    Ok(wire::DeleteFoodResponse { success: true })
}

impl Grpc {
    /// The pets that eat one of the account's foods and that it may not write of. Before the transaction: no lock waits for another
    /// service's answer. A pet that comes to eat it after that was given it by the account, which may write of it then.
    async fn beyond(&self, call: &Call, account: AccountId, id: Uuid) -> Result<Vec<PetId>, ApiError> {
        let eaters = self.db.read("eaters", |tx| async move {
            // Whose food it is first: for a stranger nobody is asked about.
            foods::get(&tx, account, id).await?.ok_or_else(food_not_found)?;
            Ok::<_, ApiError>(foods::eaters(&tx, id).await?)
        });
        let mut beyond = Vec::new();
        for pet in eaters.await? {
            if !self.writers.may_write(call, pet).await? {
                beyond.push(pet);
            }
        }
        Ok(beyond)
    }

    /// Changes a food as `change` says, and makes the plans of the pets that eat it anew, but for those that are beyond its account's
    /// reach; the food afterwards.
    async fn change_food(
        &self,
        tx: &Tx,
        account: AccountId,
        id: Uuid,
        beyond: &[PetId],
        cause: Cause,
        change: impl Fn(&Food) -> Result<Option<Food>, ApiError>,
    ) -> Result<Food, ApiError> {
        // Whose food it is first: a stranger must not keep pets waiting.
        foods::get(tx, account, id).await?.ok_or_else(food_not_found)?;
        let mut locked = Vec::new();
        for pet in foods::eaters(tx, id).await? {
            store::lock(tx, pet).await?;
            locked.push(pet);
        }
        let food = foods::lock(tx, account, id).await?.ok_or_else(food_not_found)?;
        let Some(changed) = change(&food)? else { return Ok(food) };
        // Times of one food go forward, whatever the clocks of two replicas say.
        let updated_at = micros(self.now().max(food.updated_at));
        let changed = Food { updated_at, version: food.version + 1, ..changed };
        kept::keep(tx, id, beyond, updated_at).await?;
        kept::renew(tx, id, beyond).await?;
        foods::update(tx, &changed).await?;
        // A pet that chose it meanwhile is locked only now, out of order: of two that wait for each other so, the database
        // lets one begin again.
        for pet in foods::eaters(tx, id).await?.into_iter().filter(|pet| !beyond.contains(pet)) {
            if locked.contains(&pet) || store::lock(tx, pet).await? {
                self.planner.replan(tx, pet, cause).await?;
            }
        }
        Ok(changed)
    }
}

fn food_id(text: &str) -> Result<Uuid, ApiError> {
    let mut fields = Fields::default();
    let id = fields.id("food_id", text);
    fields.whole(id)
}

/// The answer for a food that is not there, or not the caller's.
pub(super) fn food_not_found() -> ApiError {
    ApiError::not_found("FOOD_NOT_FOUND", "you have no such food")
}
