//! NutritionService: profiles.

use jiff::Timestamp;
use petty_chassis::ApiError;
use petty_chassis::access::pet_not_found;
use petty_chassis::grpc::gate::Call;
use petty_chassis::postgres::Tx;
use petty_chassis::types::{AccountId, PetId};
use petty_proto::nutrition::v1 as wire;
use uuid::Uuid;

use super::fields::{Fields, refused};
use super::foods::food_not_found;
use super::weights::new_id;
use super::{Grpc, convert};
use crate::domain::{FoodChoice, Profile, ProfileChange, WeightPoint};
use crate::planning::{Cause, Known};
use crate::store::profiles::{self, Filled};
use crate::store::weights::{self, Weight};
use crate::store::{self, foods, pets};

pub(super) async fn get(grpc: &Grpc, call: &Call) -> Result<wire::NutritionProfile, ApiError> {
    let pet = call.pet().await?.pet_id;
    grpc.planner.know(&grpc.db, pet).await?;
    grpc.db
        .read("get_profile", |tx| async move {
            store::one_moment(&tx).await?;
            answer(&tx, pet).await
        })
        .await
}

pub(super) async fn update(
    grpc: &Grpc,
    call: &Call,
    request: &wire::UpdateNutritionProfileRequest,
) -> Result<wire::NutritionProfile, ApiError> {
    let mut fields = Fields::default();
    let change = convert::profile_input(&mut fields, request);
    let change = change.and_then(|input| fields.take(input.parse()));
    let read_at = convert::time(&mut fields, "weight_time", request.weight_time);
    let ProfileChange { weight_kg, profile } = &fields.whole(change)?;
    let read_at = read_at.flatten();
    let pet = call.pet().await?.pet_id;
    let account = call.claimed_caller()?.account_id();
    grpc.planner.know(&grpc.db, pet).await?;
    grpc.db
        .transaction("update_profile", |tx| async move {
            Grpc::lock(&tx, pet).await?;
            let known = grpc.planner.known(&tx, pet).await?.ok_or_else(pet_not_found)?;
            let before = known.filled.as_ref().map(|filled| &filled.profile);
            let animal = &known.inputs.animal;
            profile.suits(before, animal, known.inputs.today).map_err(refused)?;
            let profile = &profile.clone().beside(before, animal);
            // Sent again, it changes nothing, and there is nothing to make anew.
            let mut changed = before != Some(profile);
            if changed {
                let chosen = before.map(|profile| profile.foods.as_slice()).unwrap_or_default();
                hold_new(&tx, account, chosen, &profile.foods).await?;
                put(&tx, pet, profile, &known).await?;
            }
            if let Some(kg) = *weight_kg {
                changed |= grpc.weighed(&tx, pet, (kg, read_at), &known).await?;
            }
            if changed {
                grpc.planner.replan(&tx, pet, Cause::ProfileChanged).await?;
            }
            answer(&tx, pet).await
        })
        .await
}

impl Grpc {
    /// Notes a weight as of now. False where it is the last one, or the one of the time that it was read with, put back with the rest of
    /// the profile: nobody weighed the pet.
    async fn weighed(
        &self,
        tx: &Tx,
        pet: PetId,
        (kg, read_at): (f64, Option<Timestamp>),
        known: &Known,
    ) -> Result<bool, ApiError> {
        let last = weights::last(tx, pet).await?;
        let now = known.inputs.now;
        if last.as_ref().is_some_and(|last| last.kg.total_cmp(&kg).is_eq()) {
            return Ok(false);
        }
        if let Some(at) = read_at
            && weights::is_noted(tx, pet, WeightPoint { kg, at }).await?
        {
            return Ok(false);
        }
        // It is the last one from now on, whatever the clocks of two replicas say.
        let measured_at = last.map_or(now, |last| last.measured_at.max(now));
        let weight = Weight { id: new_id(self), pet, kg, measured_at, created_at: now };
        weights::insert(tx, &weight).await?;
        Ok(true)
    }
}

/// Sees that the foods that were not chosen before are the caller's own, and stay there until the transaction ends.
async fn hold_new(
    tx: &Tx,
    account: AccountId,
    before: &[FoodChoice],
    chosen: &[FoodChoice],
) -> Result<(), ApiError> {
    let is_new = |id: &Uuid| before.iter().all(|choice| choice.food_id != *id);
    let new: Vec<Uuid> = chosen.iter().map(|choice| choice.food_id).filter(is_new).collect();
    let held = foods::hold(tx, account, &new).await?;
    if new.iter().all(|id| held.contains(id)) { Ok(()) } else { Err(food_not_found()) }
}

async fn put(tx: &Tx, pet: PetId, profile: &Profile, known: &Known) -> Result<(), ApiError> {
    // Times of one profile go forward, whatever the clocks of two replicas say.
    let now = known.inputs.now;
    let updated_at = known.filled.as_ref().map_or(now, |filled| filled.updated_at.max(now));
    profiles::put(tx, pet, &Filled { profile: profile.clone(), updated_at }).await?;
    Ok(())
}

/// What is known of a pet's body and diet.
async fn answer(tx: &Tx, pet: PetId) -> Result<wire::NutritionProfile, ApiError> {
    let about = pets::get(tx, pet).await?.ok_or_else(pet_not_found)?;
    let (filled, last) = (profiles::get(tx, pet).await?, weights::last(tx, pet).await?);
    Ok(convert::profile(pet, &about.animal, filled, last))
}
