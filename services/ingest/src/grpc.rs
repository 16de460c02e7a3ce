//! The handlers of IngestService, RelayService and ReadingService.
//!
//! Invariant: what is wrong with a request is said before anybody is asked about access, and access is asked before the
//! store is.

mod batch;
mod convert;
mod relay;

use batch::Patience;
use opentelemetry::metrics::Counter;
use petty_chassis::access::{CollarAccess, collar_not_found};
use petty_chassis::grpc::gate::{Call, IngestServiceHandler, ReadingServiceHandler};
use petty_chassis::types::Clock;
use petty_chassis::{ApiError, Context, FieldError, Tasks};
use petty_proto::ingest::v1 as wire;

use crate::admission::Admission;
use crate::config::IngestConfig;
use crate::domain::reading::{Reading, Stamped, Window};
use crate::domain::shares::Load;
use crate::domain::stamp::pet_at;
use crate::domain::view::{Freshness, Points, Precision};
use crate::store::{Outcome, Retention, Store};

/// Answers IngestService, RelayService and ReadingService. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Grpc {
    store: Store,
    clock: Clock,
    window: Window,
    kept: Retention,
    admission: Admission,
    tasks: Tasks,
    counters: Counters,
}

#[derive(Clone, Debug)]
struct Counters {
    accepted: Counter<u64>,
    duplicates: Counter<u64>,
    /// Of the duplicates, those with other values.
    conflicting: Counter<u64>,
    rejected: Counter<u64>,
}

impl Grpc {
    /// Over a store, taking times and keeping readings as it is configured, with room for so many that wait for the disk.
    #[must_use]
    pub fn new(context: &Context, store: &Store, config: &IngestConfig) -> Self {
        let meter = petty_chassis::telemetry::meter();
        let counter = |name| meter.u64_counter(name).build();
        Self {
            store: store.clone(),
            clock: context.clock.clone(),
            window: config.window,
            kept: config.retention,
            admission: Admission::new(config.room),
            tasks: context.tasks.clone(),
            counters: Counters {
                accepted: counter("petty_readings_accepted"),
                duplicates: counter("petty_readings_duplicate"),
                conflicting: counter("petty_readings_conflicting"),
                rejected: counter("petty_readings_rejected"),
            },
        }
    }
}

#[tonic::async_trait]
impl IngestServiceHandler for Grpc {
    async fn ingest_reading(
        &self,
        call: Call,
        request: wire::IngestReadingRequest,
    ) -> Result<wire::IngestReadingResponse, ApiError> {
        let reading = convert::draft(convert::unflattened(request)).check(self.clock.now(), self.window);
        let reading = reading.map_err(|faults| {
            self.counters.rejected.add(1, &[]);
            ApiError::invalid(faults.into_iter().map(FieldError::from).collect())
        })?;
        let place = self.admission.enter(Load::of(call.payer()?, [&reading.collar]))?;
        let access = call.collar().await?;
        let stamped = stamped(reading, &access).map_err(|violation| {
            self.counters.rejected.add(1, &[]);
            ApiError { reason: violation.code, ..ApiError::from(violation) }
        })?;
        let outcomes = self.store.submit(vec![stamped], place).await?;
        let (accepted, duplicates, conflicting) = match outcomes.first() {
            Some(Outcome::New) => (1, 0, 0),
            Some(Outcome::Duplicate) => (0, 1, 0),
            Some(Outcome::Conflicting) => (0, 1, 1),
            Some(Outcome::Refused) => return Err(ApiError::internal("the database refused a reading")),
            Some(Outcome::Erased) | None => return Err(collar_not_found()),
        };
        self.count(accepted, duplicates, conflicting, 0);
        Ok(wire::IngestReadingResponse { success: true, accepted, duplicates })
    }

    async fn ingest_readings(
        &self,
        call: Call,
        request: wire::IngestReadingsRequest,
    ) -> Result<wire::IngestReadingsResponse, ApiError> {
        self.take_batch(&call, request.readings, Patience::None).await
    }
}

#[tonic::async_trait]
impl ReadingServiceHandler for Grpc {
    async fn get_realtime(
        &self,
        call: Call,
        _request: wire::GetRealtimeRequest,
    ) -> Result<wire::GetRealtimeResponse, ApiError> {
        let CollarAccess { collar_id, pairings } = call.collar().await?;
        let newest = self.store.newest(&collar_id, &pairings).await?;
        let (stored, pairing) =
            newest.ok_or_else(|| ApiError::not_found("NO_READING_YET", "nothing was measured yet"))?;
        let freshness = Freshness::of(stored.measured_at, self.clock.now());
        Ok(convert::realtime(stored, freshness, Precision::of(pairing.role)))
    }

    async fn list_readings(
        &self,
        call: Call,
        request: wire::ListReadingsRequest,
    ) -> Result<wire::ListReadingsResponse, ApiError> {
        let now = self.clock.now();
        let asked = convert::points(&request);
        let known = asked.clone().unwrap_or_default().or_else(|| convert::points_before(&request, now));
        let first = convert::page(&request, known.unwrap_or(Points::Each), now);
        let (asked, page) = match (asked, first) {
            (Ok(_), Ok(page)) => (known, page),
            (asked, first) => {
                let faults = asked.err().into_iter().chain(first.err().into_iter().flatten());
                return Err(ApiError::invalid(faults.collect()));
            }
        };
        let access = call.pet().await?;
        let (points, page) = match asked {
            Some(points) => (points, page),
            None => {
                let points = self.store.fitting(access.pet_id, page.span, self.kept).await?;
                (points, convert::page(&request, points, now)?)
            }
        };
        let (page, precision) = (&page, Precision::of(access.role));
        let mut found = match points {
            Points::Each => self.store.list(access.pet_id, page).await?,
            Points::Means(seconds) => self.store.list_means(access.pet_id, page, seconds).await?,
        };
        let next_page_token = page.cut(&mut found, |(_, place)| *place);
        let readings = found.into_iter().map(|(stored, _)| convert::reading(stored, precision)).collect();
        Ok(wire::ListReadingsResponse { readings, next_page_token, point_seconds: points.seconds() })
    }
}

impl Grpc {
    fn count(&self, accepted: i32, duplicates: i32, conflicting: i32, rejected: usize) {
        self.counters.accepted.add(u64::try_from(accepted).unwrap_or_default(), &[]);
        self.counters.duplicates.add(u64::try_from(duplicates).unwrap_or_default(), &[]);
        self.counters.conflicting.add(u64::try_from(conflicting).unwrap_or_default(), &[]);
        self.counters.rejected.add(u64::try_from(rejected).unwrap_or_default(), &[]);
    }
}

/// The reading with its pet; the field at fault where it is nobody's for whom the caller may write.
fn stamped(reading: Reading, access: &CollarAccess) -> Result<Stamped, FieldError> {
    match pet_at(&access.pairings, reading.measured_at) {
        Some(pet) => Ok(Stamped { reading, pet }),
        None => Err(FieldError {
            field: "timestamp".into(),
            reason: "the collar was on no pet that you may write for at that time".into(),
            code: "OUTSIDE_PAIRING",
        }),
    }
}
