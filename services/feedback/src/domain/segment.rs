//! What of a client's segment is fit for the archive.
//!
//! Invariant: only measurements and their times get there. A segment may hold anything a client has, positions, names and
//! collars too; so what stays is listed here, not what goes. By its name alone nothing is a time: what begins and ends may be a path.

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
/// Members that say when: one time each, as in RFC 3339 or since 1970.
const TIMES: [&str; 8] =
    ["timestamp", "time", "time_us", "start", "end", "start_time", "end_time", "end_timestamp"];
/// Members that say when, or how long after the beginning: one, or a list of one for each measurement.
const OFFSETS: [&str; 2] = ["t", "offset_s"];
/// Seconds since 1970: from 2020 to 2100, and so their thousandths, millionths and billionths. No latitude reads as one of these,
/// neither in degrees nor in the parts of them that programs count in, down to ten-millionths.
const SINCE_1970: (f64, f64) = (1_577_836_800.0, 4_102_444_800.0);
/// A segment is part of a day, seconds.
const LONGEST_OFFSET: f64 = 86_400.0;
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
        time(value)
    } else if OFFSETS.contains(&name) {
        offsets(value)
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

/// Times or offsets, alone or in a list. A position is a pair of numbers too: a list of offsets begins with 0 and never goes back, and
/// an offset alone is whole.
fn offsets(value: &Value) -> Option<Value> {
    let Value::Array(items) = value else {
        let is_offset = number(value).is_some_and(|offset| is_offset(offset) && offset.fract() == 0.0);
        return if is_offset { Some(value.clone()) } else { time(value) };
    };
    if let Some(times) = items.iter().map(time).collect::<Option<Vec<_>>>() {
        return Some(Value::Array(times));
    }
    let offsets: Vec<f64> = items.iter().map(number).collect::<Option<_>>()?;
    let fits = offsets.first() == Some(&0.0) && offsets.is_sorted() && offsets.iter().copied().all(is_offset);
    fits.then(|| value.clone())
}

fn is_offset(seconds: f64) -> bool {
    (0.0..=LONGEST_OFFSET).contains(&seconds)
}

fn number(leaf: &Value) -> Option<f64> {
    leaf.as_f64()
}

/// A time, written anew: around a time there may be other things in a text that reads as one.
fn time(leaf: &Value) -> Option<Value> {
    match leaf {
        Value::Number(_) => {
            let (from, until) = SINCE_1970;
            let is_time = number(leaf).is_some_and(|number| {
                [1.0, 1e3, 1e6, 1e9].iter().any(|unit| (from * unit..until * unit).contains(&number))
            });
            is_time.then(|| leaf.clone())
        }
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
    fn times_are_archived_in_whatever_unit() {
        for segment in [
            json!({"start": "2026-01-10T11:00:00Z", "end": "2026-01-10T11:05:00Z"}),
            json!({"start": 1_768_042_800, "end": 1_768_043_100.5}),
            json!({"start_time": 1_768_042_800_000_u64, "time_us": 1_768_042_800_000_000_u64}),
            json!({"end_timestamp": 1_768_042_800_000_000_000_u64}),
            json!([{"t": 0, "hr": 55}, {"t": 60, "hr": 56}, {"t": 1_768_042_800, "hr": 57}]),
            json!({"t": [0, 4.5, 9.25, 9.25], "hr": [55, 56, 57, 58]}),
            json!({"t": [1_768_042_800, 1_768_042_860], "hr": [55, 56]}),
            json!({"t": ["2026-01-10T11:00:00Z"], "offset_s": [0]}),
        ] {
            assert_eq!(measures_of(&segment), Some(segment.clone()));
        }
    }

    #[test]
    fn no_position_passes_for_a_time() {
        // Longitude and latitude: in degrees, as GeoJSON orders them or turned round, whole, and in their decimal parts; and a path's ends.
        let places = [
            json!([13.4, 52.5]),
            json!([52.5, 13.4]),
            json!([0.0, 52.5, 34.1]),
            json!([13, 52]),
            json!([[13.4, 52.5]]),
            json!([0, 52.5, -0.1]),
            json!(52.520_008),
            json!(-13.4),
            json!(52_520_008),
            json!(525_200_080),
            json!("52.5, 13.4"),
            json!({"lat": 52.5}),
        ];
        for name in TIMES.iter().chain(&OFFSETS) {
            for place in &places {
                assert_eq!(measures_of(&json!({*name: place})), None, "{name}: {place}");
            }
        }
        for name in TIMES {
            assert_eq!(measures_of(&json!({name: [1_768_042_800]})), None, "{name}: no lists");
            assert_eq!(measures_of(&json!({name: 52})), None, "{name}");
        }
        assert_eq!(measures_of(&json!({"t": 90_000})), None);
        assert_eq!(measures_of(&json!({"t": [0, 90_000]})), None);
        let path = json!({"start": [13.4, 52.5], "end": [13.5, 52.6], "t": 52.5, "hr": 55});
        assert_eq!(measures_of(&path), Some(json!({"hr": 55})));
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
