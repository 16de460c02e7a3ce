//! What of a client's segment is fit for the archive.
//!
//! Invariant: only measurements and their times get there. A segment may hold anything a client has, positions, names and
//! collars too; so what stays is listed here, not what goes.

use jiff::Timestamp;
use jiff::civil::DateTime;
use serde_json::{Map, Value};

/// Members that measure something: numbers and truths, alone or in lists.
const MEASURES: [&str; 15] = [
    "heart_rate",
    "heartrate",
    "hr",
    "bpm",
    "mean_heart_rate",
    "sd_heart_rate",
    "respiratory_rate",
    "temperature",
    "activity_level",
    "activity",
    "steps",
    "distance_m",
    "speed_mps",
    "max_speed_mps",
    "acceleration",
];
/// Members that say when: numbers, or times as in RFC 3339.
const TIMES: [&str; 10] = [
    "timestamp",
    "time",
    "time_us",
    "t",
    "start",
    "end",
    "start_time",
    "end_time",
    "end_timestamp",
    "offset_s",
];
/// Members that hold others.
const VESSELS: [&str; 8] =
    ["readings", "samples", "data", "values", "points", "segment", "measurements", "window"];

/// A segment's measurements and their times, in the shape they came in; `None` where there are none.
pub(crate) fn measures_of(segment: &Value) -> Option<Value> {
    match segment {
        Value::Array(items) => {
            let kept: Vec<Value> = items.iter().filter_map(measures_of).collect();
            (!kept.is_empty()).then_some(Value::Array(kept))
        }
        Value::Object(members) => {
            let kept: Map<String, Value> = members
                .iter()
                .filter_map(|(name, value)| member(name, value).map(|value| (name.clone(), value)))
                .collect();
            (!kept.is_empty()).then_some(Value::Object(kept))
        }
        // Alone, a number may be anything.
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}

fn member(name: &str, value: &Value) -> Option<Value> {
    if MEASURES.contains(&name) {
        leaves(value, measure)
    } else if TIMES.contains(&name) {
        leaves(value, time)
    } else if VESSELS.contains(&name) {
        measures_of(value)
    } else {
        None
    }
}

/// A value all of whose leaves are fit, in a list at most.
fn leaves(value: &Value, fit: fn(&Value) -> Option<Value>) -> Option<Value> {
    match value {
        Value::Array(items) => items.iter().map(fit).collect::<Option<Vec<_>>>().map(Value::Array),
        leaf => fit(leaf),
    }
}

fn measure(leaf: &Value) -> Option<Value> {
    matches!(leaf, Value::Number(_) | Value::Bool(_) | Value::Null).then(|| leaf.clone())
}

/// A time, written anew: around a time there may be other things in a text that reads as one.
fn time(leaf: &Value) -> Option<Value> {
    match leaf {
        Value::Number(_) => Some(leaf.clone()),
        Value::String(text) => {
            let instant = text.parse::<Timestamp>().map(|time| time.to_string());
            instant.or_else(|_| text.parse::<DateTime>().map(|time| time.to_string())).ok().map(Value::String)
        }
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn readings_keep_their_measurements_and_times() {
        let readings = json!([
            {"timestamp": "2026-01-10T11:00:00Z", "heart_rate": 55, "activity_level": 0},
            {"timestamp": 1_768_042_860, "heart_rate": null},
            {"timestamp": "2026-01-10T11:02:00", "heart_rate": 57}
        ]);
        assert_eq!(measures_of(&readings), Some(readings.clone()));
        assert_eq!(measures_of(&json!({"readings": readings})), Some(json!({"readings": readings})));
        let columns = json!({"data": {"t": [0, 60, 120], "heart_rate": [55, 56.5, null]}});
        assert_eq!(measures_of(&columns), Some(columns.clone()));
    }

    #[test]
    fn positions_names_and_ids_do_not_get_there() {
        let reading = json!({
            "collar_id": "SN-1",
            "pet": {"name": "Rex", "data": {"heart_rate": 60}},
            "timestamp": "2026-01-10T11:00:00Z",
            "heart_rate": 55,
            "location": {"type": "Point", "coordinates": [13.4, 52.5]},
            "latitude": 52.5,
            "lon": 13.4,
            "note": "at Mrs Miller's",
        });
        let kept = json!([{"timestamp": "2026-01-10T11:00:00Z", "heart_rate": 55}]);
        assert_eq!(measures_of(&json!([reading])), Some(kept));
    }

    #[test]
    fn nothing_is_hidden_where_measurements_belong() {
        for segment in [
            json!("at Mrs Miller's"),
            json!(52.5),
            json!(null),
            json!([[13.4, 52.5]]),
            json!({"heart_rate": "52.5, 13.4"}),
            json!({"heart_rate": {"lat": 52.5}}),
            json!({"heart_rate": [[13.4, 52.5]]}),
            json!({"timestamp": "here"}),
            json!({"readings": "52.5, 13.4"}),
            json!({"readings": [52.5, 13.4]}),
            json!({"data": {"Mrs Miller": {"heart_rate": 3}}}),
            json!({}),
        ] {
            assert_eq!(measures_of(&segment), None, "{segment}");
        }
    }
}
