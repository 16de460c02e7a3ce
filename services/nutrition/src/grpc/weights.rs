//! NutritionService: weights.

use jiff::SignedDuration;
use petty_chassis::ApiError;
use petty_chassis::grpc::gate::Call;
use petty_chassis::page::{Asked, Page, Place};
use petty_chassis::postgres::requests;
use petty_chassis::types::EventId;
use petty_proto::nutrition::v1 as wire;
use uuid::Uuid;

use super::fields::Fields;
use super::{Grpc, convert};
use crate::domain::{WeightPoint, profile};
use crate::planning::Cause;
use crate::store::weights::{self, Removed, Weight};

/// Where `start_time` of a list is absent.
const DEFAULT_SPAN: SignedDuration = SignedDuration::from_hours(365 * 24);

pub(super) async fn create(
    grpc: &Grpc,
    call: &Call,
    request: &wire::CreateWeightRequest,
) -> Result<wire::Weight, ApiError> {
    let now = grpc.now();
    let mut fields = Fields::default();
    let measured_at = convert::time(&mut fields, "measure_time", request.measure_time);
    let point = measured_at.and_then(|at| fields.take(profile::weight(request.weight_kg, at, now)));
    fields.request_id(&request.request_id);
    let WeightPoint { kg, at } = fields.whole(point)?;
    let pet = call.pet().await?.pet_id;
    grpc.planner.know(&grpc.db, pet).await?;
    let weight = &Weight { id: new_id(grpc), pet, kg, measured_at: at, created_at: now };
    grpc.db
        .transaction("create_weight", |tx| async move {
            Grpc::lock(&tx, pet).await?;
            let clock = grpc.planner.clock();
            let work = Box::pin(async {
                weights::insert(&tx, weight).await?;
                grpc.planner.replan(&tx, pet, Cause::WeightNoted).await?;
                Ok(convert::weight(weight))
            });
            requests::once(&tx, clock, (&request.request_id, "CreateWeight"), request, work).await
        })
        .await
}

pub(super) async fn list(
    grpc: &Grpc,
    call: &Call,
    request: &wire::ListWeightsRequest,
) -> Result<wire::ListWeightsResponse, ApiError> {
    let asked = Asked {
        start_time: request.start_time,
        end_time: request.end_time,
        page_size: request.page_size,
        page_token: &request.page_token,
    };
    let list = format!("pets/{}/weights", request.pet_id);
    let page = &Page::read_span(list, &asked, DEFAULT_SPAN, grpc.now())?;
    let pet = call.pet().await?.pet_id;
    let mut found =
        grpc.db.read("list_weights", |tx| async move { weights::list(&tx, pet, page).await }).await?;
    let next_page_token = page.cut(&mut found, |weight| Place { time: weight.measured_at, id: weight.id });
    Ok(wire::ListWeightsResponse { weights: found.iter().map(convert::weight).collect(), next_page_token })
}

pub(super) async fn delete(
    grpc: &Grpc,
    call: &Call,
    request: &wire::DeleteWeightRequest,
) -> Result<wire::DeleteWeightResponse, ApiError> {
    let mut fields = Fields::default();
    let id = fields.id("weight_id", &request.weight_id);
    let id = fields.whole(id)?;
    let pet = call.pet().await?.pet_id;
    grpc.planner.know(&grpc.db, pet).await?;
    let now = grpc.now();
    grpc.db
        .transaction("delete_weight", |tx| async move {
            Grpc::lock(&tx, pet).await?;
            let removed = weights::remove(&tx, pet, id, now).await?;
            // Sent again, it changes nothing.
            if removed.ok_or_else(weight_not_found)? == Removed::Now {
                grpc.planner.replan(&tx, pet, Cause::WeightRemoved).await?;
            }
            Ok::<_, ApiError>(wire::DeleteWeightResponse { success: true })
        })
        .await
}

/// A new id of a row of ours (UUIDv7).
pub(super) fn new_id(grpc: &Grpc) -> Uuid {
    EventId::new(grpc.planner.clock()).0
}

fn weight_not_found() -> ApiError {
    ApiError::not_found("WEIGHT_NOT_FOUND", "the pet has no such weight")
}
