//! Examples: for each field a value that a reader can make sense of. That they fit their schemas is tested
//! (`tests/it/document.rs`), so a field whose bounds no value here meets is found.

use anyhow::Result;
use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};

use crate::bounds::Bounds;
use crate::node::{Node, Object};
use crate::schema::{Role, Schemas, first_value};

/// What holds itself is shown so often.
const DEEPEST: usize = 4;

/// Fields that exclude one of those that are shown, though no oneof says so.
const NOT_SHOWN: &[&str] = &[
    "CreateSafeZoneRequest.corners",
    "UpdateSafeZoneRequest.corners",
    "SafeZone.corners",
    "Entry.plan",
    "Entry.feedback",
    "Entry.alert",
];

/// Values that a field has in one message alone.
const HERE: &[(&str, &str)] = &[
    ("Account.name", "Ada"),
    ("AlertMeasure.name", "distance_m"),
    ("CreateFoodRequest.name", "Chicken and rice"),
    ("CreatePersonalTokenRequest.name", "clinic"),
    ("CreateSafeZoneRequest.name", "Home"),
    ("Entry.rule_version", "v1/5"),
    ("Food.name", "Chicken and rice"),
    ("PersonalToken.name", "clinic"),
    ("PlanNote.reason", "the first plan"),
    ("PlanNote.rule_version", "nutrition/1"),
    ("AlertNote.rule_version", "alerts/1"),
    ("Alert.rule_version", "alerts/1"),
    ("Measure.name", "distance_m"),
    ("SafeZone.name", "Home"),
    ("SignUpRequest.name", "Ada"),
    ("StaffAccess.reason", "ticket 4711: no positions arrive"),
    ("TimelineUpdate.type", "ENTRY"),
    ("UpdateMeRequest.name", "Ada"),
    ("UpdateSafeZoneRequest.name", "Home"),
];

/// Strings by the field's name.
const TEXTS: &[(&str, &str)] = &[
    ("access_id", "01a1fddf-60ce-74ff-a4a9-d4d512b0a03e"),
    ("access_token", "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiIwMWExIn0.c2ln"),
    ("account_id", "01a1fddd-8dc2-7617-a8de-bacd039823d1"),
    ("activity_source", "measured"),
    ("actual_behavior", "Walking"),
    ("alert_id", "01a1fde0-0c1e-7a52-8a5c-5a8d3f6f9b11"),
    ("alg", "ES256"),
    ("behavior", "Resting"),
    ("behaviors", "Deep Sleep"),
    ("birth_date", "2022-05-04"),
    ("breed", "Border Collie"),
    ("client", "Petty for Android 3.2"),
    ("client_name", "Petty for Android 3.2"),
    ("code", "OUT_OF_RANGE"),
    ("collar_id", "SN-1A4B7C-9Z"),
    ("comment", "She was awake."),
    ("crv", "P-256"),
    ("current_password", "correct horse battery"),
    ("date", "2026-11-19"),
    ("change_date", "2026-11-12"),
    ("device_token", "3q2-7wAAQkLw8m1pXz0J4w"),
    ("e", "AQAB"),
    ("email", "ada@example.com"),
    ("end", "06:00"),
    ("episode_id", "evt_a7b9a917469d50f0aa4ae57d4fbe027f"),
    ("event_id", "evt_5235c458d18a577baad4163b64597a19"),
    ("feedback_id", "fbk_01a1fdde4f1a75fc92a94bce69aa4aea"),
    ("field", "heart_rate"),
    ("food_id", "01a1fdde-43a5-72c4-b7eb-1e998dae8d9d"),
    ("grant_types_supported", "none"),
    ("id", "8"),
    ("ingredients", "chicken"),
    ("allergies", "beef"),
    ("issuer", "https://api.petty.example"),
    ("jwks_uri", "https://api.petty.example/.well-known/jwks.json"),
    ("kid", "UxaffsDgpnnuMWHAb5top6-TJCxynZUW-4f0IsBSkkM"),
    ("kty", "EC"),
    ("kind", "SAFE_ZONE_LEFT"),
    ("last_event_id", "8"),
    ("life_stage", "ADULT"),
    ("litter_date", "2026-10-01"),
    ("mating_date", "2026-10-01"),
    ("n", "lhODdkY4zY8T"),
    ("name", "Rex"),
    ("new_password", "a different horse battery"),
    ("otp", "492039"),
    ("otpauth_uri", "otpauth://totp/Petty:ada@example.com?secret=GEZDGNBVGY3TQOJQ&issuer=Petty"),
    ("password", "correct horse battery"),
    ("pet_id", "01a1fddd-9a5c-77ce-b79e-545dac7e8d9b"),
    ("quiet_end", "07:00"),
    ("quiet_start", "22:00"),
    ("reason", "must be 30 to 300"),
    ("recovery_codes", "k7wp-93fd-qm2x"),
    ("refresh_token", "jGftdsSl90E7d03hpxKmGdKd_ak7Z8GRG8qqGp9SyBM"),
    ("response_types_supported", "none"),
    ("revocation_endpoint", "https://api.petty.example/v1/auth/revoke"),
    ("revocation_endpoint_auth_methods_supported", "none"),
    ("rule", "resting"),
    ("rule_version", "v1/5"),
    ("scope", "pets:read"),
    ("scopes_supported", "pets:read"),
    ("secret", "iOIh9ta7g4gVMquyUezW0eXxgbFJWo5Wrz0u9NwxuCU"),
    ("service", "timeline"),
    ("session_id", "01a1fddd-8dc3-7d10-9b56-3f7f0c2b6a10"),
    ("severity", "WARNING"),
    ("share_id", "01a1fddf-60ce-74ff-a4a9-d4d512b0a03e"),
    ("start", "22:00"),
    ("status", "RAISED"),
    ("ticket", "pUNJrmQ2cN1oYd0XnS5b3w"),
    ("time_zone", "Europe/Berlin"),
    ("token", "0NxX2X6zCI7sPtjRrHzXqfUyFbXSR6sRZ1Tz0zM7b5Q"),
    ("token_id", "01a1fddf-60ce-74ff-a4a9-d4d512b0a03e"),
    ("token_type", "Bearer"),
    ("token_type_hint", "refresh_token"),
    ("type", "Point"),
    ("use", "sig"),
    ("user_feedback", "positive"),
    ("verdict", "WRONG"),
    ("weight_id", "01a1fde1-7c55-7bd1-8a0f-0b6a3d9b7e42"),
    ("x", "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"),
    ("y", "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"),
    ("zone_id", "01a1fde2-91a4-7f0b-8d0d-6e1b9a1f2c33"),
];

/// Times by the field's name; others are [`SOME_TIME`].
const TIMES: &[(&str, &str)] = &[
    ("end_time", "2026-11-21T11:23:14Z"),
    ("end_timestamp", "2026-11-21T11:23:14Z"),
    ("expire_time", "2027-01-01T00:00:00Z"),
    ("start_time", "2026-11-21T10:58:44Z"),
    ("timestamp", "2026-11-21T10:58:44Z"),
    ("as_of", "2026-11-21T10:58:44Z"),
    ("first_start_time", "2026-11-21T00:21:36Z"),
    ("last_end_time", "2026-11-21T23:51:36Z"),
];
const SOME_TIME: &str = "2026-11-21T11:28:41.047144Z";

/// Numbers by the field's name; others are 1, or the nearest that may be.
const NUMBERS: &[(&str, f64)] = &[
    ("accuracy", 8.0),
    ("accuracy_m", 8.0),
    ("active_minutes", 164.0),
    ("activity_level", 0.0),
    ("battery_level", 81.0),
    ("body_condition_score", 5.0),
    ("buffer_m", 15.0),
    ("confidence", 0.9),
    ("covered_minutes", 1440.0),
    ("deep_sleep_minutes", 424.0),
    ("distance_m", 9691.4),
    ("duplicates", 0.0),
    ("conflicting", 0.0),
    ("escalate_after_minutes", 30.0),
    ("expires_in", 900.0),
    ("expected_adult_weight_kg", 22.0),
    ("fat_percent", 14.0),
    ("fibre_percent", 2.5),
    ("ash_percent", 6.5),
    ("heart_rate", 62.0),
    ("hours", 24.0),
    ("index", 17.0),
    ("kcal_per_day", 1084.7),
    ("known_minutes", 1440.0),
    ("label_kcal_per_100g", 372.0),
    ("latitude", 52.52007),
    ("longitude", 13.40495),
    ("max_speed_mps", 2.4),
    ("mean_heart_rate", 61.5),
    ("moisture_percent", 9.0),
    ("overlap_seconds", 86_400.0),
    ("page_size", 50.0),
    ("point_seconds", 60.0),
    ("poll_after_seconds", 5.0),
    ("previous_kcal_per_day", 1021.3),
    ("protein_percent", 26.0),
    ("radius_m", 120.0),
    ("readings", 50.0),
    ("recovery_codes_left", 10.0),
    ("respiratory_rate", 18.0),
    ("rest_minutes", 1276.0),
    ("resting_heart_rate", 65.1),
    ("sampling_interval_seconds", 10.0),
    ("sd_heart_rate", 0.8),
    ("sequence_id", 4711.0),
    ("skin_temperature", 31.5),
    ("temperature", 38.4),
    ("unlisted", 0.0),
    ("weight_kg", 22.5),
];

/// An example of a message.
pub(crate) fn message(schemas: &Schemas<'_>, message_: &MessageDescriptor, role: Role) -> Result<Node> {
    Ok(object(schemas, message_, role, 0)?.into())
}

fn object(schemas: &Schemas<'_>, message: &MessageDescriptor, role: Role, depth: usize) -> Result<Object> {
    let mut object = Object::new();
    let mut oneofs = Vec::new();
    for field in schemas.fields(message, role) {
        let name = format!("{}.{}", message.name(), field.name());
        if NOT_SHOWN.contains(&name.as_str()) {
            if !schemas.is_required(&field, role)? {
                continue;
            }
            object.set(field.name(), Vec::<Node>::new());
            continue;
        }
        if let Some(oneof) = field.containing_oneof().filter(|oneof| !oneof.is_synthetic()) {
            if oneofs.contains(&oneof.full_name().to_owned()) {
                continue;
            }
            oneofs.push(oneof.full_name().to_owned());
        }
        // Pages and secrets that only some requests have would make a reader believe they were needed.
        let is_rare = ["page_token", "otp", "device_token", "token_type_hint"].contains(&field.name());
        if is_rare && role != Role::Answer && !schemas.is_required(&field, role)? {
            continue;
        }
        if depth >= DEEPEST
            && matches!(field.kind(), Kind::Message(_))
            && !schemas.is_required(&field, role)?
        {
            continue;
        }
        object.set(field.name(), value(schemas, &field, role, depth)?);
    }
    Ok(object)
}

/// An example of a field.
pub(crate) fn value(
    schemas: &Schemas<'_>,
    field: &FieldDescriptor,
    role: Role,
    depth: usize,
) -> Result<Node> {
    let bounds = schemas.bounds(field)?;
    if field.is_map() {
        return Ok(Object::new().into());
    }
    if field.name() == "coordinates" {
        return Ok(Node::from([13.40495, 52.52007]));
    }
    if ["grant_types_supported", "response_types_supported"].contains(&field.name()) {
        return Ok(Vec::<Node>::new().into());
    }
    if field.is_list() && depth >= DEEPEST && matches!(field.kind(), Kind::Message(_)) {
        return Ok(Vec::<Node>::new().into());
    }
    let one = single(schemas, field, role, &bounds, depth)?;
    if !field.is_list() {
        return Ok(one);
    }
    let least = usize::try_from(bounds.min_items.unwrap_or(1).max(1))?;
    Ok(vec![one; least].into())
}

fn single(
    schemas: &Schemas<'_>,
    field: &FieldDescriptor,
    role: Role,
    bounds: &Bounds,
    depth: usize,
) -> Result<Node> {
    Ok(match field.kind() {
        Kind::Bool => Node::from(!["stale", "open", "truncated", "calibrating"].contains(&field.name())),
        Kind::String => text(field, bounds).into(),
        Kind::Bytes => "cGV0dHk=".into(),
        Kind::Double | Kind::Float => number(field.name(), bounds).into(),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 | Kind::Uint64 | Kind::Fixed64 => "1".into(),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 | Kind::Uint32 | Kind::Fixed32 => {
            number(field.name(), bounds).round().into()
        }
        Kind::Enum(values) => match here(field) {
            Some(name) => name.into(),
            None => first_value(&values, bounds).into(),
        },
        Kind::Message(message) => match message.full_name() {
            "google.protobuf.Timestamp" => table(TIMES, field.name()).unwrap_or(SOME_TIME).into(),
            "google.protobuf.Duration" => "1.5s".into(),
            "google.protobuf.FieldMask" => "name".into(),
            "google.protobuf.ListValue" => Vec::<Node>::new().into(),
            "google.protobuf.BoolValue" => true.into(),
            "google.protobuf.DoubleValue"
            | "google.protobuf.FloatValue"
            | "google.protobuf.Int32Value"
            | "google.protobuf.UInt32Value" => 1_i64.into(),
            name if name.ends_with("Value") && name.starts_with("google.protobuf.") && name.len() > 21 => {
                "1".into()
            }
            "google.protobuf.Value" => Object::new().with("heart_rate", 71_i64).into(),
            name if name.starts_with("google.protobuf.") => Object::new().into(),
            _ => object(schemas, &message, role, depth + 1)?.into(),
        },
    })
}

fn here(field: &FieldDescriptor) -> Option<&'static str> {
    table(HERE, &format!("{}.{}", field.parent_message().name(), field.name()))
}

fn text(field: &FieldDescriptor, bounds: &Bounds) -> String {
    let name = field.name();
    if let Some(value) = bounds.values.first() {
        return value.clone();
    }
    if let Some(text) = here(field).or_else(|| table(TEXTS, name)) {
        return text.to_owned();
    }
    match bounds.format {
        Some("uuid") => "01a1fddd-9a5c-77ce-b79e-545dac7e8d9b".to_owned(),
        Some("date") => "2026-11-19".to_owned(),
        _ if name.ends_with("page_token") => String::new(),
        _ => name.replace('_', " "),
    }
}

fn number(name: &str, bounds: &Bounds) -> f64 {
    let number = table(NUMBERS, name).unwrap_or(1.0);
    number.max(bounds.minimum.unwrap_or(f64::MIN)).min(bounds.maximum.unwrap_or(f64::MAX))
}

fn table<T: Copy>(table: &[(&str, T)], name: &str) -> Option<T> {
    table.iter().find(|entry| entry.0 == name).map(|entry| entry.1)
}
