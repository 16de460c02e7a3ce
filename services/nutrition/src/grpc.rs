//! What the nutrition service answers.
//!
//! Each handler keeps the architecture's order: the rest of the request's shape first, then access, then the store.

pub(crate) mod convert;
mod fields;
mod foods;
mod plans;
mod profiles;
mod weights;

use std::fmt;
use std::sync::Arc;

use petty_chassis::ApiError;
use petty_chassis::access::pet_not_found;
use petty_chassis::grpc::gate::{Call, NutritionServiceHandler};
use petty_chassis::postgres::{Db, Tx};
use petty_chassis::types::PetId;
use petty_proto::nutrition::v1 as wire;

use crate::planning::Planner;
use crate::store;
use crate::writers::Writers;

/// Answers `NutritionService`.
pub struct Grpc {
    db: Db,
    planner: Planner,
    writers: Arc<dyn Writers>,
}

impl fmt::Debug for Grpc {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Grpc").field("planner", &self.planner).finish_non_exhaustive()
    }
}

impl Grpc {
    /// From the service's own database; `writers` say which pets a food's change may reach.
    #[must_use]
    pub fn new(db: Db, planner: Planner, writers: Arc<dyn Writers>) -> Self {
        Self { db, planner, writers }
    }

    /// Now, as the database keeps it.
    fn now(&self) -> jiff::Timestamp {
        petty_chassis::types::micros(self.planner.clock().now())
    }

    /// Takes a pet's lock, to write of it. A pet that is being forgotten is no more.
    async fn lock(tx: &Tx, pet: PetId) -> Result<(), ApiError> {
        if store::lock(tx, pet).await? { Ok(()) } else { Err(pet_not_found()) }
    }
}

#[tonic::async_trait]
impl NutritionServiceHandler for Grpc {
    async fn get_plan(&self, call: Call, _request: wire::GetPlanRequest) -> Result<wire::Plan, ApiError> {
        plans::get(self, &call).await
    }

    async fn get_pet_plan(
        &self,
        call: Call,
        _request: wire::GetPetPlanRequest,
    ) -> Result<wire::GetPetPlanResponse, ApiError> {
        plans::of_collar(self, &call).await
    }

    async fn list_recommendations(
        &self,
        call: Call,
        _request: wire::ListRecommendationsRequest,
    ) -> Result<wire::ListRecommendationsResponse, ApiError> {
        plans::recommendations(self, &call).await
    }

    async fn get_nutrition_profile(
        &self,
        call: Call,
        _request: wire::GetNutritionProfileRequest,
    ) -> Result<wire::NutritionProfile, ApiError> {
        profiles::get(self, &call).await
    }

    async fn update_nutrition_profile(
        &self,
        call: Call,
        request: wire::UpdateNutritionProfileRequest,
    ) -> Result<wire::NutritionProfile, ApiError> {
        profiles::update(self, &call, &request).await
    }

    async fn create_weight(
        &self,
        call: Call,
        request: wire::CreateWeightRequest,
    ) -> Result<wire::Weight, ApiError> {
        weights::create(self, &call, &request).await
    }

    async fn list_weights(
        &self,
        call: Call,
        request: wire::ListWeightsRequest,
    ) -> Result<wire::ListWeightsResponse, ApiError> {
        weights::list(self, &call, &request).await
    }

    async fn delete_weight(
        &self,
        call: Call,
        request: wire::DeleteWeightRequest,
    ) -> Result<wire::DeleteWeightResponse, ApiError> {
        weights::delete(self, &call, &request).await
    }

    async fn create_food(
        &self,
        call: Call,
        request: wire::CreateFoodRequest,
    ) -> Result<wire::Food, ApiError> {
        foods::create(self, &call, &request).await
    }

    async fn list_foods(
        &self,
        call: Call,
        request: wire::ListFoodsRequest,
    ) -> Result<wire::ListFoodsResponse, ApiError> {
        foods::list(self, &call, &request).await
    }

    async fn get_food(&self, call: Call, request: wire::GetFoodRequest) -> Result<wire::Food, ApiError> {
        foods::get(self, &call, &request).await
    }

    async fn update_food(
        &self,
        call: Call,
        request: wire::UpdateFoodRequest,
    ) -> Result<wire::Food, ApiError> {
        foods::update(self, &call, &request).await
    }

    async fn delete_food(
        &self,
        call: Call,
        request: wire::DeleteFoodRequest,
    ) -> Result<wire::DeleteFoodResponse, ApiError> {
        foods::delete(self, &call, &request).await
    }
}
