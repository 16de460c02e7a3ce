//! What the behavior service answers.

mod alerts;
pub(crate) mod convert;
mod fields;
mod insights;
mod zones;

use jiff::SignedDuration;
use petty_chassis::grpc::gate::{BehaviorServiceHandler, Call};
use petty_chassis::page::{Asked, Page, Place};
use petty_chassis::postgres::Db;
use petty_chassis::types::{Clock, TimelineEventId};
use petty_chassis::{ApiError, FieldError};
use petty_proto::behavior::v1 as wire;
use uuid::Uuid;

use crate::store::episodes;

/// Where `start_time` of a list is absent.
const DEFAULT_SPAN: SignedDuration = SignedDuration::from_hours(7 * 24);

/// Answers `BehaviorService`, `AlertService` and `SafeZoneService`.
#[derive(Debug)]
pub struct Grpc {
    db: Db,
    clock: Clock,
    shards: i16,
}

impl Grpc {
    /// From the service's own database, telling into so many shards.
    #[must_use]
    pub fn new(db: Db, clock: Clock, shards: i16) -> Self {
        Self { db, clock, shards }
    }
}

#[tonic::async_trait]
impl BehaviorServiceHandler for Grpc {
    async fn list_behaviors(
        &self,
        call: Call,
        request: wire::ListBehaviorsRequest,
    ) -> Result<wire::ListBehaviorsResponse, ApiError> {
        let asked = Asked {
            start_time: request.start_time,
            end_time: request.end_time,
            page_size: request.page_size,
            page_token: &request.page_token,
        };
        let list = format!("pets/{}/behaviors", request.pet_id);
        let page = &Page::read_span(list, &asked, DEFAULT_SPAN, self.clock.now())?;
        let access = call.pet().await?;
        let mut found = self
            .db
            .read("list_behaviors", |tx| async move {
                episodes::list(&tx, access.pet_id, page).await.map_err(ApiError::from)
            })
            .await?;
        let next_page_token =
            page.cut(&mut found, |episode| Place { time: episode.start_at, id: episode.id });
        Ok(wire::ListBehaviorsResponse {
            episodes: found.into_iter().map(convert::episode).collect(),
            next_page_token,
        })
    }

    async fn get_behavior(
        &self,
        call: Call,
        request: wire::GetBehaviorRequest,
    ) -> Result<wire::Episode, ApiError> {
        let id = episode_id(&request.episode_id)?;
        let access = call.pet().await?;
        let found = self
            .db
            .read("get_behavior", |tx| async move {
                episodes::find(&tx, access.pet_id, id).await.map_err(ApiError::from)
            })
            .await?;
        found.map(convert::episode).ok_or_else(no_such_episode)
    }

    async fn get_baseline(
        &self,
        call: Call,
        _request: wire::GetBaselineRequest,
    ) -> Result<wire::Baseline, ApiError> {
        insights::baseline(self, call.pet().await?.pet_id).await
    }

    async fn get_health_score(
        &self,
        call: Call,
        _request: wire::GetHealthScoreRequest,
    ) -> Result<wire::HealthScore, ApiError> {
        insights::health_score(self, call.pet().await?.pet_id).await
    }

    async fn get_forecast(
        &self,
        call: Call,
        _request: wire::GetForecastRequest,
    ) -> Result<wire::Forecast, ApiError> {
        insights::forecast(self, call.pet().await?.pet_id).await
    }

    async fn analyze_readings(
        &self,
        call: Call,
        request: wire::AnalyzeReadingsRequest,
    ) -> Result<wire::AnalyzeReadingsResponse, ApiError> {
        let (params, readings) = insights::readings(&request)?;
        call.caller().await?;
        Ok(insights::analyze(&params, &readings))
    }

    async fn describe_episode(
        &self,
        _call: Call,
        request: wire::DescribeEpisodeRequest,
    ) -> Result<wire::Episode, ApiError> {
        let id = episode_id(&request.episode_id)?;
        let found = self
            .db
            .read("describe_episode", |tx| async move {
                let Some(pet) = episodes::pet_of(&tx, id).await? else { return Ok(None) };
                episodes::find(&tx, pet, id).await.map_err(ApiError::from)
            })
            .await?;
        found.map(convert::episode).ok_or_else(no_such_episode)
    }
}

fn episode_id(text: &str) -> Result<Uuid, FieldError> {
    if text.is_empty() {
        return Err(FieldError::required("episode_id"));
    }
    let id = text.parse().map(|TimelineEventId(id)| id);
    id.map_err(|malformed| FieldError::malformed("episode_id", malformed.to_string()))
}

fn no_such_pet() -> ApiError {
    ApiError::not_found("PET_NOT_FOUND", "no such pet")
}

fn no_such_episode() -> ApiError {
    ApiError::not_found("EPISODE_NOT_FOUND", "no such episode")
}
