//! AlertService.

use jiff::SignedDuration;
use jiff::civil::Time;
use petty_chassis::events::inbox;
use petty_chassis::grpc::gate::{AlertServiceHandler, Call};
use petty_chassis::page::{Asked, Page, Place};
use petty_chassis::{ApiError, FieldError};
use petty_proto::behavior::v1 as wire;

use super::{Grpc, convert, fields};
use crate::alerting::Teller;
use crate::domain::alerts::Kind;
use crate::domain::alerts::machine::{Settings, acknowledge};
use crate::store::{alerts, states};

/// Where `start_time` of a list is absent.
const DEFAULT_SPAN: SignedDuration = SignedDuration::from_hours(30 * 24);
/// The same of alerts that are open: none of them is too old to be told of.
const OPEN_SPAN: SignedDuration = SignedDuration::from_hours(10 * 365 * 24);
/// Alerts are raised by the clocks of collars, which may be so far ahead of ours.
const AHEAD: SignedDuration = SignedDuration::from_hours(1);
/// The most minutes until an alert is told once more.
const LONGEST: i32 = 1_440;

#[tonic::async_trait]
impl AlertServiceHandler for Grpc {
    async fn list_alerts(
        &self,
        call: Call,
        request: wire::ListAlertsRequest,
    ) -> Result<wire::ListAlertsResponse, ApiError> {
        let asked = Asked {
            start_time: request.start_time,
            end_time: request.end_time,
            page_size: request.page_size,
            page_token: &request.page_token,
        };
        let list = format!("pets/{}/alerts/{}", request.pet_id, request.open_only);
        let span = if request.open_only { OPEN_SPAN } else { DEFAULT_SPAN };
        let page = &Page::read_span(list, &asked, span, self.clock.now() + AHEAD)?;
        let pet = call.pet().await?.pet_id;
        let open_only = request.open_only;
        let mut found = self
            .db
            .read("list_alerts", |tx| async move {
                alerts::list(&tx, pet, open_only, page).await.map_err(ApiError::from)
            })
            .await?;
        let next_page_token = page.cut(&mut found, |alert| Place { time: alert.raised_at, id: alert.id });
        let alerts = found.iter().map(|alert| convert::alert(pet, alert)).collect();
        Ok(wire::ListAlertsResponse { alerts, next_page_token })
    }

    async fn acknowledge_alert(
        &self,
        call: Call,
        request: wire::AcknowledgeAlertRequest,
    ) -> Result<wire::Alert, ApiError> {
        let id = fields::id("alert_id", &request.alert_id)?;
        let pet = self
            .db
            .read("find_alert", |tx| async move { alerts::pet_of(&tx, id).await.map_err(ApiError::from) })
            .await?;
        let Some(pet) = pet else {
            call.caller().await?;
            return Err(no_such_alert());
        };
        call.pet_of(pet, no_such_alert()).await?;
        let alert = self
            .db
            .transaction("acknowledge_alert", |tx| async move {
                let teller = Teller { tx: &tx, clock: &self.clock, shards: self.shards };
                // Beside the forgetting of the pet nothing is written of it.
                if states::lock_known(&tx, pet).await?.is_none() || inbox::is_erased(&tx, pet).await? {
                    return Err(no_such_alert());
                }
                let alert = alerts::lock(&tx, pet, id).await?.ok_or_else(no_such_alert)?;
                let Some(seen) = acknowledge(&alert, self.clock.now()) else { return Ok(alert) };
                teller.put(pet, &seen).await?;
                Ok(seen)
            })
            .await?;
        Ok(convert::alert(pet, &alert))
    }

    async fn get_alert_settings(
        &self,
        call: Call,
        _request: wire::GetAlertSettingsRequest,
    ) -> Result<wire::AlertSettings, ApiError> {
        let pet = call.pet().await?.pet_id;
        let (settings, version) = self
            .db
            .read("get_alert_settings", |tx| async move {
                alerts::settings(&tx, pet).await.map_err(ApiError::from)
            })
            .await?;
        Ok(convert::settings(pet, &settings, version))
    }

    async fn update_alert_settings(
        &self,
        call: Call,
        request: wire::UpdateAlertSettingsRequest,
    ) -> Result<wire::AlertSettings, ApiError> {
        let wanted = &settings(&request)?;
        let pet = call.pet().await?.pet_id;
        let version = self
            .db
            .transaction("update_alert_settings", |tx| async move {
                // Made where it is not known yet: beside the forgetting of the pet nothing is written of it.
                states::lock(&tx, &self.clock, pet).await?;
                if inbox::is_erased(&tx, pet).await? {
                    return Err(super::no_such_pet());
                }
                let (before, version) = alerts::settings(&tx, pet).await?;
                if version > 0 && before == *wanted {
                    return Ok(version);
                }
                alerts::put_settings(&tx, &self.clock, pet, wanted).await.map_err(ApiError::from)
            })
            .await?;
        Ok(convert::settings(pet, wanted, version))
    }
}

fn settings(request: &wire::UpdateAlertSettingsRequest) -> Result<Settings, ApiError> {
    let mut faults = Vec::new();
    let mut disabled: Vec<Kind> = Vec::new();
    for (nth, kind) in request.disabled_kinds.iter().enumerate() {
        match convert::kind(*kind) {
            Some(kind) if !disabled.contains(&kind) => disabled.push(kind),
            Some(_) => faults.push(FieldError::malformed(format!("disabled_kinds[{nth}]"), "is there twice")),
            None => {
                faults
                    .push(FieldError::malformed(format!("disabled_kinds[{nth}]"), "must be a kind of alert"));
            }
        }
    }
    disabled.sort_unstable();
    let mut time = |field: &'static str, text: &str| {
        fields::time(text).map_err(|reason| {
            faults.push(FieldError::malformed(field, reason));
        })
    };
    let quiet: Option<(Time, Time)> = match (request.quiet_start.as_str(), request.quiet_end.as_str()) {
        ("", "") => None,
        ("", _) => {
            faults.push(FieldError::required("quiet_start"));
            None
        }
        (_, "") => {
            faults.push(FieldError::required("quiet_end"));
            None
        }
        (start, end) => {
            let (start, end) = (time("quiet_start", start), time("quiet_end", end));
            start.ok().zip(end.ok())
        }
    };
    let escalate_after_minutes =
        request.escalate_after_minutes.unwrap_or(Settings::default().escalate_after_minutes);
    if !(0..=LONGEST).contains(&escalate_after_minutes) {
        faults.push(FieldError::out_of_range("escalate_after_minutes", "must be 0 to 1440"));
    }
    if faults.is_empty() {
        Ok(Settings { disabled, quiet, escalate_after_minutes })
    } else {
        Err(ApiError::invalid(faults))
    }
}

fn no_such_alert() -> ApiError {
    ApiError::not_found("ALERT_NOT_FOUND", "no such alert")
}
