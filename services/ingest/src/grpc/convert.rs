//! Between the wire and the domain. Nowhere else.

use jiff::{SignedDuration, Timestamp};
use petty_chassis::FieldError;
use petty_chassis::page::Asked;
use petty_proto::ingest::v1 as wire;
use petty_proto::ingest::v1::list_readings_request::Resolution;

use crate::domain::reading::{Draft, DraftLocation, Fault, FaultKind, Moment, Position};
use crate::domain::view::{Freshness, Points, Precision};
use crate::store::{Page, Stored};

/// Where `start_time` of a list is absent.
const DEFAULT_SPAN: SignedDuration = SignedDuration::from_hours(24);

impl From<Fault> for FieldError {
    fn from(fault: Fault) -> Self {
        let code = match fault.kind {
            FaultKind::Required => "REQUIRED",
            FaultKind::Malformed => "MALFORMED",
            FaultKind::OutOfRange => "OUT_OF_RANGE",
        };
        Self { field: fault.field.into(), reason: fault.reason, code }
    }
}

/// The first system's flat request as a reading.
pub(super) fn unflattened(request: wire::IngestReadingRequest) -> wire::Reading {
    let wire::IngestReadingRequest {
        collar_id,
        timestamp,
        heart_rate,
        activity_level,
        location,
        temperature,
        skin_temperature,
        respiratory_rate,
        battery_level,
        sequence_id,
    } = request;
    wire::Reading {
        collar_id,
        timestamp,
        heart_rate,
        activity_level,
        location,
        temperature,
        skin_temperature,
        respiratory_rate,
        battery_level,
        sequence_id,
    }
}

/// How finely readings are asked for; `None`: as is fitting.
pub(super) fn points(request: &wire::ListReadingsRequest) -> Result<Option<Points>, FieldError> {
    match Resolution::try_from(request.resolution) {
        Ok(Resolution::Unspecified) => Ok(None),
        Ok(Resolution::Raw) => Ok(Some(Points::Each)),
        Ok(Resolution::Minute) => Ok(Some(Points::Means(60))),
        Ok(Resolution::Hour) => Ok(Some(Points::Means(3_600))),
        Err(_) => Err(FieldError::malformed("resolution", "must be RAW, MINUTE or HOUR")),
    }
}

/// The points that the page before was of, where nobody said how fine they are to be: its token names them.
pub(super) fn points_before(request: &wire::ListReadingsRequest, now: Timestamp) -> Option<Points> {
    if request.page_token.is_empty() {
        return None;
    }
    let means = Points::STEPS.into_iter().map(Points::Means);
    [Points::Each].into_iter().chain(means).find(|points| page(request, *points, now).is_ok())
}

/// The page of readings that is wanted.
pub(super) fn page(
    request: &wire::ListReadingsRequest,
    points: Points,
    now: Timestamp,
) -> Result<Page, Vec<FieldError>> {
    let list = format!("pets/{}/readings/{}", request.pet_id, points.seconds());
    let asked = Asked {
        start_time: request.start_time,
        end_time: request.end_time,
        page_size: request.page_size,
        page_token: &request.page_token,
    };
    let page = Page::read_span(list, &asked, DEFAULT_SPAN, now)?;
    if page.span.start == page.span.end {
        return Err(vec![FieldError::out_of_range("start_time", "must be before end_time")]);
    }
    Ok(page)
}

/// A reading as it was sent.
pub(super) fn draft(reading: wire::Reading) -> Draft {
    let measured_at = match reading.timestamp.map(Timestamp::try_from) {
        None => Moment::Absent,
        Some(Err(_)) => Moment::Unreadable,
        Some(Ok(time)) => Moment::At(time),
    };
    let location = reading.location.map(|location| DraftLocation {
        kind: location.r#type,
        coordinates: location.coordinates,
        accuracy: location.accuracy,
    });
    Draft {
        collar_id: reading.collar_id,
        measured_at,
        heart_rate: reading.heart_rate,
        activity_level: reading.activity_level,
        location,
        temperature: reading.temperature,
        skin_temperature: reading.skin_temperature,
        respiratory_rate: reading.respiratory_rate,
        battery_level: reading.battery_level,
        sequence_id: reading.sequence_id,
    }
}

/// A stored reading as it is answered.
pub(super) fn reading(stored: Stored, precision: Precision) -> wire::Reading {
    let signals = stored.signals;
    wire::Reading {
        collar_id: stored.collar.as_str().to_owned(),
        timestamp: Some(stored.measured_at.into()),
        heart_rate: signals.heart_rate,
        activity_level: signals.activity_level.map(i32::from),
        location: signals.position.map(|position| location(position, precision)),
        temperature: signals.temperature,
        skin_temperature: signals.skin_temperature,
        respiratory_rate: signals.respiratory_rate,
        battery_level: signals.battery_level,
        sequence_id: signals.sequence_id,
    }
}

/// A collar's newest reading as it is answered.
pub(super) fn realtime(
    stored: Stored,
    freshness: Freshness,
    precision: Precision,
) -> wire::GetRealtimeResponse {
    let pet_id = stored.pet.to_string();
    let reading = reading(stored, precision);
    wire::GetRealtimeResponse {
        collar_id: reading.collar_id,
        pet_id,
        timestamp: reading.timestamp,
        heart_rate: reading.heart_rate,
        activity_level: reading.activity_level,
        location: reading.location,
        temperature: reading.temperature,
        skin_temperature: reading.skin_temperature,
        respiratory_rate: reading.respiratory_rate,
        battery_level: reading.battery_level,
        sequence_id: reading.sequence_id,
        as_of: reading.timestamp,
        stale: freshness.stale,
        poll_after_seconds: freshness.poll_after_seconds,
    }
}

fn location(position: Position, precision: Precision) -> wire::Location {
    wire::Location {
        r#type: "Point".to_owned(),
        coordinates: precision.degrees(position).to_vec(),
        accuracy: position.accuracy,
    }
}
