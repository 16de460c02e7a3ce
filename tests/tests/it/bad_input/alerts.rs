//! What behavior answers besides behaviours: alerts, their settings, safe zones, what days say.

use reqwest::Method;
use serde_json::json;

use super::{Case, get, post, send};

pub(super) fn alerts(pet: &str) -> Vec<Case> {
    let at = format!("/v1/pets/{pet}");
    let zones = format!("{at}/safe-zones");
    let settings = format!("{at}/alert-settings");
    let zone = "00000000-0000-4000-8000-000000000000";
    let circle = json!({"center": {"latitude": 52.5, "longitude": 13.4}, "radius_m": 50});
    let drawn = |field: &str, value| {
        let mut zone = json!({"name": "Home", "circle": circle});
        zone[field] = value;
        zone
    };
    let create = |body, field| post("CreateSafeZone", &zones, body, field);
    let analyze = |body, field| post("AnalyzeReadings", "/v1/behavior:analyze", body, field);
    let set = |body, field| send("UpdateAlertSettings", Method::PUT, &settings, body, field);
    vec![
        get("GetBaseline", "/v1/pets/rex/baseline", "pet_id"),
        get("GetHealthScore", format!("{at}/health-score?days=7"), "days"),
        get("GetForecast", format!("{at}/forecast?date=tomorrow"), "date"),
        analyze(json!({"readings": [{"timestamp": "2026-01-10T12:00:00Z"}]}), "species"),
        analyze(json!({"species": "DOG", "readings": []}), "readings"),
        analyze(json!({"species": "DOG", "readings": vec![json!({}); 10_001]}), "readings"),
        analyze(json!({"species": "DOG", "readings": [{}]}), "readings[0].timestamp"),
        analyze(
            json!({"species": "CAT", "readings": [{"timestamp": "2026-01-10T12:00:00Z", "latitude": 91, "longitude": 0}]}),
            "readings[0].latitude",
        ),
        get("ListAlerts", format!("{at}/alerts?page_size=1001"), "page_size"),
        get("ListAlerts", format!("{at}/alerts?start_time=noon"), "start_time"),
        get("ListAlerts", format!("{at}/alerts?open_only=perhaps"), "open_only"),
        post("AcknowledgeAlert", "/v1/alerts/mine:acknowledge", json!({}), "alert_id"),
        get("GetAlertSettings", "/v1/pets/rex/alert-settings", "pet_id"),
        set(json!({"disabled_kinds": ["BOREDOM"]}), "disabled_kinds[0]"),
        set(json!({"quiet_start": "22:00"}), "quiet_end"),
        set(json!({"quiet_start": "10 pm", "quiet_end": "07:00"}), "quiet_start"),
        set(json!({"escalate_after_minutes": 1441}), "escalate_after_minutes"),
        create(drawn("name", json!("")), "name"),
        create(drawn("name", json!("n".repeat(101))), "name"),
        create(
            drawn("circle", json!({"center": {"latitude": 91, "longitude": 0}, "radius_m": 50})),
            "circle.center.latitude",
        ),
        create(
            drawn("circle", json!({"center": {"latitude": 9, "longitude": 0}, "radius_m": 5})),
            "circle.radius_m",
        ),
        create(drawn("circle", json!({"radius_m": 50})), "circle.center"),
        create(json!({"name": "Nowhere"}), "circle"),
        create(drawn("corners", json!([{"latitude": 0, "longitude": 0}])), "corners"),
        create(
            json!({"name": "A line", "corners": [{"latitude": 0, "longitude": 0}, {"latitude": 1, "longitude": 0}]}),
            "corners",
        ),
        create(drawn("buffer_m", json!(1_001)), "buffer_m"),
        create(drawn("hours", json!([{"days": [0], "start": "08:00", "end": "18:00"}])), "hours[0].days"),
        create(drawn("hours", json!([{"days": [1], "start": "8", "end": "18:00"}])), "hours[0].start"),
        get("ListSafeZones", format!("{zones}?page_token=%21"), "page_token"),
        get("GetSafeZone", format!("{zones}/home"), "zone_id"),
        send("UpdateSafeZone", Method::PUT, format!("{zones}/home"), drawn("name", json!("Home")), "zone_id"),
        send(
            "UpdateSafeZone",
            Method::PUT,
            format!("{zones}/{zone}"),
            drawn("buffer_m", json!(-1)),
            "buffer_m",
        ),
        Case {
            rpc: "DeleteSafeZone",
            method: Method::DELETE,
            path: format!("{zones}/home"),
            body: None,
            field: "zone_id",
        },
    ]
}
