//! NutritionService: plans, and what follows from them. Made when they are asked for, of what is known and as of today.

use petty_chassis::ApiError;
use petty_chassis::access::{allows, collar_not_found, pet_not_found};
use petty_chassis::grpc::gate::Call;
use petty_chassis::types::PetId;
use petty_proto::nutrition::v1 as wire;
use petty_proto::policy::Need;

use super::Grpc;
use super::convert;
use crate::domain::{self, Severity};
use crate::planning::Known;
use crate::store;

pub(super) async fn get(grpc: &Grpc, call: &Call) -> Result<wire::Plan, ApiError> {
    let pet = call.pet().await?.pet_id;
    let known = grpc.known(pet).await?;
    Ok(convert::plan(pet, domain::plan(&known.inputs), known.told.as_ref()))
}

pub(super) async fn of_collar(grpc: &Grpc, call: &Call) -> Result<wire::GetPetPlanResponse, ApiError> {
    let access = call.collar().await?;
    let now = grpc.now();
    // The newest that covers now: pairings come oldest first.
    let mut pairings = access.pairings.iter().rev();
    let worn = pairings.find(|pairing| pairing.covers(now) && allows(pairing.role, Need::Read));
    let pet = worn.ok_or_else(collar_not_found)?.pet_id;
    // A pet that is gone wears no collar.
    let known = grpc
        .known(pet)
        .await
        .map_err(|error| if error.reason == pet_not_found().reason { collar_not_found() } else { error })?;
    let plan = domain::plan(&known.inputs);
    let goals = convert::goals(domain::goals(&known.inputs, &plan));
    let recommendations = domain::recommendations(&known.inputs);
    let alerts: Vec<_> =
        recommendations.iter().filter(|found| found.severity == Severity::SeeAVet).cloned().collect();
    Ok(wire::GetPetPlanResponse {
        collar_id: access.collar_id.to_string(),
        daily_goals: Some(goals),
        nutrition_plan: Some(convert::plan(pet, plan, known.told.as_ref())),
        health_recommendations: recommendations.into_iter().map(convert::recommendation).collect(),
        health_alerts: alerts.into_iter().map(convert::recommendation).collect(),
    })
}

pub(super) async fn recommendations(
    grpc: &Grpc,
    call: &Call,
) -> Result<wire::ListRecommendationsResponse, ApiError> {
    let pet = call.pet().await?.pet_id;
    let known = grpc.known(pet).await?;
    let recommendations = domain::recommendations(&known.inputs);
    let recommendations = recommendations.into_iter().map(convert::recommendation).collect();
    Ok(wire::ListRecommendationsResponse { recommendations })
}

impl Grpc {
    /// All that is known of a pet, of one moment.
    async fn known(&self, pet: PetId) -> Result<Known, ApiError> {
        if let Some(known) = self.look_up(pet).await? {
            return Ok(known);
        }
        self.planner.know(&self.db, pet).await?;
        self.look_up(pet).await?.ok_or_else(pet_not_found)
    }

    async fn look_up(&self, pet: PetId) -> Result<Option<Known>, ApiError> {
        let known = self.db.read("known", |tx| async move {
            store::one_moment(&tx).await?;
            self.planner.known(&tx, pet).await
        });
        Ok(known.await?)
    }
}
