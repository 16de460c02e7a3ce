//! What the timeline service answers.

pub(crate) mod convert;

use jiff::SignedDuration;
use petty_chassis::access::allows;
use petty_chassis::grpc::gate::{Call, TimelineServiceHandler};
use petty_chassis::page::{Asked, Page, Place};
use petty_chassis::postgres::Db;
use petty_chassis::types::{Clock, micros};
use petty_chassis::{ApiError, FieldError};
use petty_proto::policy::Need;
use petty_proto::timeline::v1 as wire;
use petty_proto::timeline::v1::get_pet_timeline_response::Metadata;

use crate::domain::{Wearing, poll_after_seconds, seen_by};
use crate::store;

/// Where `start_time` of a list is absent.
const DEFAULT_SPAN: SignedDuration = SignedDuration::from_hours(7 * 24);
/// Where `hours` is absent.
const DEFAULT_HOURS: i32 = 24;
const MOST_HOURS: i32 = 720;
/// The first system's call has no pages.
const MOST_EVENTS: usize = 1_000;

/// Answers `TimelineService`.
#[derive(Debug)]
pub struct Grpc {
    db: Db,
    clock: Clock,
}

impl Grpc {
    /// From the service's own database.
    #[must_use]
    pub fn new(db: Db, clock: Clock) -> Self {
        Self { db, clock }
    }
}

#[tonic::async_trait]
impl TimelineServiceHandler for Grpc {
    async fn list_timeline(
        &self,
        call: Call,
        request: wire::ListTimelineRequest,
    ) -> Result<wire::ListTimelineResponse, ApiError> {
        let asked = Asked {
            start_time: request.start_time,
            end_time: request.end_time,
            page_size: request.page_size,
            page_token: &request.page_token,
        };
        let list = format!("pets/{}/timeline", request.pet_id);
        let page = &Page::read_span(list, &asked, DEFAULT_SPAN, self.clock.now())?;
        let access = call.pet().await?;
        let mut found = self
            .db
            .read("list_timeline", |tx| async move {
                store::list(&tx, access.pet_id, page).await.map_err(ApiError::from)
            })
            .await?;
        let next_page_token = page.cut(&mut found, |entry| Place { time: entry.start_at, id: entry.id });
        Ok(wire::ListTimelineResponse {
            entries: found.into_iter().map(convert::entry).collect(),
            next_page_token,
        })
    }

    async fn get_pet_timeline(
        &self,
        call: Call,
        request: wire::GetPetTimelineRequest,
    ) -> Result<wire::GetPetTimelineResponse, ApiError> {
        let hours = request.hours.unwrap_or(DEFAULT_HOURS);
        if !(1..=MOST_HOURS).contains(&hours) {
            return Err(FieldError::out_of_range("hours", format!("must be within 1 to {MOST_HOURS}")).into());
        }
        let access = call.collar().await?;
        let now = micros(self.clock.now());
        let start = now.checked_sub(SignedDuration::from_hours(hours.into())).map_err(ApiError::internal)?;
        let visible = access.pairings.iter().filter(|pairing| allows(pairing.role, Need::Read));
        let worn =
            visible.map(|pairing| Wearing { pet: pairing.pet_id, from: pairing.start, until: pairing.end });
        let spans = &seen_by(worn, start, now);
        let mut found = Vec::new();
        if !spans.is_empty() {
            // One more than is answered, to know whether there were more.
            let limit = i64::try_from(MOST_EVENTS + 1).unwrap_or(i64::MAX);
            found = self
                .db
                .read("get_pet_timeline", |tx| async move {
                    store::list_spans(&tx, spans, limit).await.map_err(ApiError::from)
                })
                .await?;
        }
        let truncated = found.len() > MOST_EVENTS;
        found.truncate(MOST_EVENTS);
        let poll_after_seconds =
            poll_after_seconds(found.iter().map(|entry| (entry.end_at, entry.open)), now);
        Ok(wire::GetPetTimelineResponse {
            collar_id: access.collar_id.to_string(),
            metadata: Some(Metadata {
                start_time: Some(start.into()),
                end_time: Some(now.into()),
                hours,
                count: i32::try_from(found.len()).unwrap_or(i32::MAX),
                truncated,
                poll_after_seconds,
            }),
            timeline: found.into_iter().map(convert::event).collect(),
        })
    }
}
