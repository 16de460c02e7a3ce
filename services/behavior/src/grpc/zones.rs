//! SafeZoneService.

use petty_chassis::events::inbox;
use petty_chassis::grpc::gate::{Call, SafeZoneServiceHandler};
use petty_chassis::page::{Page, Place as At};
use petty_chassis::postgres::requests;
use petty_chassis::types::{EventId, PetId, micros};
use petty_chassis::{ApiError, FieldError};
use petty_proto::behavior::v1 as wire;
use petty_proto::behavior::v1::safe_zone;
use uuid::Uuid;

use super::{Grpc, fields};
use crate::domain::zone::{BUFFER_MOST_M, Hours, Place, Shape, Zone};
use crate::store::states;
use crate::store::zones::{self, Kept};

/// So many a pet.
const MOST: i64 = 50;
/// So many hours a zone.
const MOST_HOURS: usize = 20;
/// The longest name, characters.
const LONGEST_NAME: usize = 100;
/// Where nobody said: a fix's usual error, doubled (domain.md's noise, ~).
const BUFFER_M: f64 = 15.0;

#[tonic::async_trait]
impl SafeZoneServiceHandler for Grpc {
    async fn create_safe_zone(
        &self,
        call: Call,
        request: wire::CreateSafeZoneRequest,
    ) -> Result<wire::SafeZone, ApiError> {
        let drawn = Drawn {
            name: &request.name,
            circle: request.circle.as_ref(),
            corners: &request.corners,
            buffer_m: request.buffer_m,
            hours: &request.hours,
        };
        let mut faults = Vec::new();
        let zone = drawn.read(EventId::new(&self.clock).0, &mut faults);
        if request.request_id.chars().count() > 100 {
            faults.push(FieldError::out_of_range("request_id", "must be at most 100 characters"));
        }
        let zone = whole(zone, faults)?;
        let pet = call.pet().await?.pet_id;
        let now = micros(self.clock.now());
        let kept = &Kept { zone, name: request.name.clone(), created_at: now, updated_at: now };
        let request = &request;
        self.db
            .transaction("create_safe_zone", |tx| async move {
                let work = async {
                    // So that two beside each other are counted one after the other, and none beside the pet's forgetting.
                    states::lock(&tx, &self.clock, pet).await?;
                    if inbox::is_erased(&tx, pet).await? {
                        return Err(super::no_such_pet());
                    }
                    if zones::count(&tx, pet).await? >= MOST {
                        let text = "a pet has 50 safe zones at most";
                        return Err(ApiError::new(
                            petty_chassis::error::Code::Conflict,
                            "TOO_MANY_ZONES",
                            text,
                        ));
                    }
                    zones::insert(&tx, pet, kept).await?;
                    Ok(told(pet, kept))
                };
                let key = (request.request_id.as_str(), "CreateSafeZone");
                requests::once(&tx, &self.clock, key, request, work).await
            })
            .await
    }

    async fn list_safe_zones(
        &self,
        call: Call,
        request: wire::ListSafeZonesRequest,
    ) -> Result<wire::ListSafeZonesResponse, ApiError> {
        let list = format!("pets/{}/safe-zones", request.pet_id);
        let page = &Page::read(list, request.page_size, &request.page_token)?;
        let pet = call.pet().await?.pet_id;
        let mut found =
            self.db
                .read("list_safe_zones", |tx| async move {
                    zones::list(&tx, pet, page).await.map_err(ApiError::from)
                })
                .await?;
        let next_page_token = page.cut(&mut found, |kept| At { time: kept.created_at, id: kept.zone.id });
        let safe_zones = found.iter().map(|kept| told(pet, kept)).collect();
        Ok(wire::ListSafeZonesResponse { safe_zones, next_page_token })
    }

    async fn get_safe_zone(
        &self,
        call: Call,
        request: wire::GetSafeZoneRequest,
    ) -> Result<wire::SafeZone, ApiError> {
        let id = fields::id("zone_id", &request.zone_id)?;
        let pet = call.pet().await?.pet_id;
        let found = self
            .db
            .read(
                "get_safe_zone",
                |tx| async move { zones::find(&tx, pet, id).await.map_err(ApiError::from) },
            )
            .await?;
        found.map(|kept| told(pet, &kept)).ok_or_else(no_such_zone)
    }

    async fn update_safe_zone(
        &self,
        call: Call,
        request: wire::UpdateSafeZoneRequest,
    ) -> Result<wire::SafeZone, ApiError> {
        let drawn = Drawn {
            name: &request.name,
            circle: request.circle.as_ref(),
            corners: &request.corners,
            buffer_m: request.buffer_m,
            hours: &request.hours,
        };
        let mut faults = Vec::new();
        let id =
            fields::id("zone_id", &request.zone_id).map_err(|fault| faults.push(fault)).unwrap_or_default();
        let zone = drawn.read(id, &mut faults);
        let zone = &whole(zone, faults)?;
        let (pet, name) = (call.pet().await?.pet_id, request.name.as_str());
        let now = self.clock.now();
        let kept = self
            .db
            .transaction("update_safe_zone", |tx| async move {
                zones::update(&tx, pet, (zone, name), now).await.map_err(ApiError::from)
            })
            .await?;
        kept.map(|kept| told(pet, &kept)).ok_or_else(no_such_zone)
    }

    async fn delete_safe_zone(
        &self,
        call: Call,
        request: wire::DeleteSafeZoneRequest,
    ) -> Result<wire::DeleteSafeZoneResponse, ApiError> {
        let id = fields::id("zone_id", &request.zone_id)?;
        let pet = call.pet().await?.pet_id;
        self.db
            .transaction("delete_safe_zone", |tx| async move {
                zones::delete(&tx, pet, id).await.map_err(ApiError::from)
            })
            .await?;
        Ok(wire::DeleteSafeZoneResponse { success: true })
    }
}

/// A zone as a request has it.
struct Drawn<'a> {
    name: &'a str,
    circle: Option<&'a safe_zone::Circle>,
    corners: &'a [safe_zone::Place],
    buffer_m: Option<f64>,
    hours: &'a [safe_zone::Hours],
}

impl Drawn<'_> {
    fn read(&self, id: Uuid, faults: &mut Vec<FieldError>) -> Option<Zone> {
        if self.name.is_empty() {
            faults.push(FieldError::required("name"));
        } else if self.name.chars().count() > LONGEST_NAME {
            faults.push(FieldError::out_of_range("name", "must be at most 100 characters"));
        } else if self.name.chars().any(char::is_control) {
            faults.push(FieldError::malformed("name", "must hold no control characters"));
        }
        let buffer_m = self.buffer_m.unwrap_or(BUFFER_M);
        if !(0.0..=BUFFER_MOST_M).contains(&buffer_m) {
            faults.push(FieldError::out_of_range("buffer_m", "must be 0 to 1000"));
        }
        let shape = self.shape(faults);
        if self.hours.len() > MOST_HOURS {
            faults.push(FieldError::out_of_range("hours", "must be 20 at most"));
        }
        let hours = self.hours.iter().take(MOST_HOURS).enumerate();
        let hours = hours.filter_map(|(nth, hours)| read_hours(nth, hours, faults)).collect();
        Some(Zone { id, version: 1, shape: shape?, buffer_m, hours })
    }

    fn shape(&self, faults: &mut Vec<FieldError>) -> Option<Shape> {
        let shape = match (self.circle, self.corners) {
            (Some(circle), []) => {
                let Some(center) = &circle.center else {
                    faults.push(FieldError::required("circle.center"));
                    return None;
                };
                let center = place("circle.center", center, faults)?;
                Shape::Circle { center, radius_m: circle.radius_m }
            }
            (None, []) => {
                faults.push(FieldError::required("circle"));
                return None;
            }
            (Some(_), _) => {
                faults.push(FieldError::malformed("corners", "must be empty where there is a circle"));
                return None;
            }
            (None, corners) => {
                let read = |(nth, corner): (usize, &safe_zone::Place)| {
                    place(&format!("corners[{nth}]"), corner, faults)
                };
                // More than may be are refused below, unread.
                let corners: Option<Vec<Place>> = corners.iter().enumerate().take(101).map(read).collect();
                Shape::Polygon { corners: corners? }
            }
        };
        if let Some((field, reason)) = shape.fault() {
            let field = if field == "radius_m" { "circle.radius_m" } else { field };
            faults.push(FieldError::out_of_range(field, reason));
            return None;
        }
        Some(shape)
    }
}

fn place(field: &str, place: &safe_zone::Place, faults: &mut Vec<FieldError>) -> Option<Place> {
    let mut within = |name: &str, degrees: f64, most: f64| {
        let right = (-most..=most).contains(&degrees);
        if !right {
            faults.push(FieldError::out_of_range(
                format!("{field}.{name}"),
                format!("must be -{most} to {most}"),
            ));
        }
        right
    };
    let right = [within("latitude", place.latitude, 90.0), within("longitude", place.longitude, 180.0)];
    (right == [true, true]).then_some(Place { latitude: place.latitude, longitude: place.longitude })
}

fn read_hours(nth: usize, hours: &safe_zone::Hours, faults: &mut Vec<FieldError>) -> Option<Hours> {
    let days: Vec<i8> = hours.days.iter().filter_map(|day| i8::try_from(*day).ok()).collect();
    let mut known = days.clone();
    known.sort_unstable();
    known.dedup();
    let right =
        !days.is_empty() && known.len() == hours.days.len() && days.iter().all(|day| (1..=7).contains(day));
    if !right {
        faults.push(FieldError::malformed(format!("hours[{nth}].days"), "must be 1 to 7, each once"));
    }
    let mut time = |name: &str, text: &str| {
        let read = fields::time(text);
        read.map_err(|reason| faults.push(FieldError::malformed(format!("hours[{nth}].{name}"), reason))).ok()
    };
    let (start, end) = (time("start", &hours.start), time("end", &hours.end));
    Some(Hours { days: known, start: start?, end: end? }).filter(|_| right)
}

fn whole(zone: Option<Zone>, faults: Vec<FieldError>) -> Result<Zone, ApiError> {
    zone.filter(|_| faults.is_empty()).ok_or_else(|| ApiError::invalid(faults))
}

/// A zone, as it is told to those who may know where the pet lives.
fn told(pet: PetId, kept: &Kept) -> wire::SafeZone {
    let place = |place: &Place| safe_zone::Place { latitude: place.latitude, longitude: place.longitude };
    let (circle, corners) = match &kept.zone.shape {
        Shape::Circle { center, radius_m } => {
            (Some(safe_zone::Circle { center: Some(place(center)), radius_m: *radius_m }), Vec::new())
        }
        Shape::Polygon { corners } => (None, corners.iter().map(place).collect()),
    };
    let clock = |time: jiff::civil::Time| time.strftime("%H:%M").to_string();
    let hours = kept.zone.hours.iter().map(|hours| safe_zone::Hours {
        days: hours.days.iter().map(|day| i32::from(*day)).collect(),
        start: clock(hours.start),
        end: clock(hours.end),
    });
    wire::SafeZone {
        zone_id: kept.zone.id.to_string(),
        pet_id: pet.to_string(),
        name: kept.name.clone(),
        circle,
        corners,
        buffer_m: kept.zone.buffer_m,
        hours: hours.collect(),
        version: i32::try_from(kept.zone.version).unwrap_or(i32::MAX),
        create_time: Some(kept.created_at.into()),
        update_time: Some(kept.updated_at.into()),
    }
}

fn no_such_zone() -> ApiError {
    ApiError::not_found("SAFE_ZONE_NOT_FOUND", "no such safe zone")
}
