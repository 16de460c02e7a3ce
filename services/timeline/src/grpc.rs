//! What the timeline service answers.

mod convert;
pub(crate) mod receive;

use futures::StreamExt as _;
use jiff::SignedDuration;
use petty_chassis::access::allows;
use petty_chassis::calendar::Bounds;
use petty_chassis::grpc::gate::{Call, Streaming, TimelineServiceHandler};
use petty_chassis::page::{Asked, Page, Place};
use petty_chassis::postgres::Db;
use petty_chassis::types::{Clock, micros};
use petty_chassis::{ApiError, FieldError};
use petty_proto::policy::Need;
use petty_proto::timeline::v1 as wire;
use petty_proto::timeline::v1::get_pet_timeline_response::Metadata;

use crate::domain::day::{Stretch, Summary};
use crate::domain::{Entry, Wearing, What, poll_after_seconds, seen_by, window};
use crate::pets::Pets;
use crate::store;
use crate::stream::Hub;

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
    hub: Hub,
    pets: Pets,
}

impl Grpc {
    /// From the service's own database; streams hear of changes from the hub.
    #[must_use]
    pub fn new(db: Db, clock: Clock, hub: Hub, pets: Pets) -> Self {
        Self { db, clock, hub, pets }
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
        let mut faults = Vec::new();
        let filter = &convert::filter(&request, &mut faults);
        let page = Page::read_span(filter.list(&request.pet_id), &asked, DEFAULT_SPAN, self.clock.now());
        // Pages of another filter are of another list: what follows from a filter that could not be read says nothing.
        let page = &match page {
            Ok(page) if faults.is_empty() => page,
            Ok(_) => return Err(faults.into()),
            Err(more) => {
                let unread = !faults.is_empty();
                faults.extend(more.into_iter().filter(|fault| !(unread && fault.field == "page_token")));
                return Err(faults.into());
            }
        };
        let access = call.pet().await?;
        let (last, mut found) = self
            .db
            .read("list_timeline", |tx| async move {
                store::one_snapshot(&tx).await?;
                let last = store::head(&tx, access.pet_id).await?;
                let found = store::list(&tx, access.pet_id, page, filter).await?;
                Ok::<_, ApiError>((last, found))
            })
            .await?;
        let next_page_token = page.cut(&mut found, |entry| Place { time: entry.start_at, id: entry.id });
        Ok(wire::ListTimelineResponse {
            entries: found.into_iter().map(convert::entry).collect(),
            next_page_token,
            last_event_id: last.to_string(),
        })
    }

    async fn get_day(&self, call: Call, request: wire::GetDayRequest) -> Result<wire::Day, ApiError> {
        let date = convert::date(&request.date, self.clock.now())?;
        let pet = call.pet().await?.pet_id;
        let (name, zone) = self.pets.time_zone(pet).await?;
        // Every day that may be asked about begins and ends in every zone.
        let bounds = Bounds::of(date, &zone).ok_or_else(|| ApiError::internal("a day without end"))?;
        let (entries, told) = self
            .db
            .read("get_day", |tx| async move {
                store::one_snapshot(&tx).await?;
                store::day(&tx, pet, date, bounds).await.map_err(ApiError::from)
            })
            .await?;
        let stretches: Vec<Stretch> = entries.iter().filter_map(stretch).collect();
        let summary = Summary::of(bounds, &stretches, told.as_ref());
        Ok(convert::day(pet, date, name, summary))
    }

    async fn stream_timeline(
        &self,
        call: Call,
        request: wire::StreamTimelineRequest,
    ) -> Result<Streaming<wire::TimelineUpdate>, ApiError> {
        let after = convert::last_event_id(&request.last_event_id)?;
        let access = call.pet().await?;
        let account = call.claimed_caller()?.account_id();
        let updates = self.hub.follow(access.pet_id, account, after).await?;
        Ok(Box::pin(updates.map(|update| Ok(convert::update(update)))))
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
        let (start, end) = window(now, hours).ok_or_else(|| ApiError::internal("hours beyond time"))?;
        let visible = access.pairings.iter().filter(|pairing| allows(pairing.role, Need::Read));
        let worn =
            visible.map(|pairing| Wearing { pet: pairing.pet_id, from: pairing.start, until: pairing.end });
        let spans = &seen_by(worn, start, end);
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
                end_time: Some(end.into()),
                hours,
                count: i32::try_from(found.len()).unwrap_or(i32::MAX),
                truncated,
                poll_after_seconds,
            }),
            timeline: found.into_iter().filter_map(convert::event).collect(),
        })
    }
}

fn stretch(entry: &Entry) -> Option<Stretch> {
    let What::Behavior(behavior, metadata) = &entry.what else { return None };
    Some(Stretch {
        behavior: *behavior,
        bounds: Bounds { start: entry.start_at, end: entry.end_at },
        distance_m: metadata.distance_m,
        mean_heart_rate: metadata.mean_heart_rate,
    })
}
