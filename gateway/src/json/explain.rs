//! Holds a tree of values against a message's schema: names every field at fault, and, for lenient methods, takes out what
//! they ignore.
//!
//! What passes here is what the message's own reader takes: proto3 JSON, in which a number may also stand in a string and a
//! `null` means absent.

use std::borrow::Cow;

use jiff::civil::DateTime;
use petty_proto::wkt::{BytesValue, Duration, FieldMask, Timestamp};
use serde::Deserialize;
use serde::de::value::{Error as SerdeError, StrDeserializer};
use serde_json::{Map, Value};

use super::{BODY, MOST_IGNORED};
use crate::problem::{FieldFault, LONGEST_FIELD, MOST_FAULTS};
use crate::schema::{Field, Kind, Schema};

/// The faults of a value. Nulls, and what a lenient method ignores, are taken out of it.
pub(super) fn explain(value: &mut Value, schema: &'static Schema, lenient: bool) -> Vec<FieldFault> {
    let mut reading = Reading { lenient, ignored: 0, faults: Vec::new() };
    match value {
        Value::Object(map) => reading.message(map, schema, ""),
        _ => reading.fault(BODY.to_owned(), "must be an object"),
    }
    reading.faults
}

/// The path of a field of a message. It stops growing where no answer would show more of it: names are the client's own, and
/// each value carries its path.
pub(super) fn join(path: &str, name: &str) -> String {
    if path.len() > LONGEST_FIELD {
        return path.to_owned();
    }
    let end = name.floor_char_boundary(LONGEST_FIELD + 1);
    if path.is_empty() { name[..end].to_owned() } else { format!("{path}.{}", &name[..end]) }
}

/// The path of an element of a list.
pub(super) fn index(path: &str, index: usize) -> String {
    if path.len() > LONGEST_FIELD { path.to_owned() } else { format!("{path}[{index}]") }
}

struct Reading {
    lenient: bool,
    ignored: usize,
    faults: Vec<FieldFault>,
}

impl Reading {
    fn fault(&mut self, field: String, reason: impl Into<Cow<'static, str>>) {
        if self.faults.len() < MOST_FAULTS {
            self.faults.push(FieldFault::new(field, reason));
        }
    }

    fn message(&mut self, map: &mut Map<String, Value>, schema: &'static Schema, path: &str) {
        let mut unknown = Vec::new();
        let mut seen: Vec<&'static str> = Vec::new();
        let mut chosen: Vec<(&'static str, &'static str)> = Vec::new();
        map.retain(|name, value| {
            let Some(field) = schema.field(name) else {
                unknown.push(join(path, name));
                return false;
            };
            let path = join(path, field.name);
            if seen.contains(&field.name) {
                self.fault(path, "is given twice");
                return false;
            }
            seen.push(field.name);
            if value.is_null() {
                return false;
            }
            if let Some(oneof) = field.oneof {
                match chosen.iter().find(|(other, _)| *other == oneof) {
                    Some((_, first)) => {
                        self.fault(path.clone(), format!("excludes {first}, which is given too"))
                    }
                    None => chosen.push((oneof, field.name)),
                }
            }
            self.field(value, field, &path);
            true
        });
        for field in unknown {
            self.ignored += 1;
            if !self.lenient {
                self.fault(field, "is not a field of this request");
            } else if self.ignored == MOST_IGNORED + 1 {
                self.fault(field, "is one unknown field too many: 64 are ignored");
            }
        }
    }

    fn field(&mut self, value: &mut Value, field: &'static Field, path: &str) {
        if !field.repeated {
            return self.single(value, &field.kind, path);
        }
        match value {
            Value::Array(values) => {
                for (at, value) in values.iter_mut().enumerate() {
                    if self.faults.len() >= MOST_FAULTS {
                        return;
                    }
                    self.single(value, &field.kind, &index(path, at));
                }
            }
            _ => self.fault(path.to_owned(), "must be an array"),
        }
    }

    fn single(&mut self, value: &mut Value, kind: &'static Kind, path: &str) {
        if self.lenient && matches!(kind, Kind::Time) {
            read_as_utc(value);
        }
        if matches!(kind, Kind::Int32 | Kind::Uint32 | Kind::Int64 | Kind::Uint64) {
            without_fraction(value);
        }
        let wrong: Cow<'static, str> = match (kind, &*value) {
            (Kind::Text, Value::String(_)) | (Kind::Bool, Value::Bool(_)) | (Kind::Json, _) => return,
            (Kind::Text, _) => "must be a string".into(),
            (Kind::Bool, _) => "must be true or false".into(),
            (Kind::Int32, value) if whole::<i32>(value) => return,
            (Kind::Int32, _) => "must be a whole number from -2147483648 to 2147483647".into(),
            (Kind::Uint32, value) if whole::<u32>(value) => return,
            (Kind::Uint32, _) => "must be a whole number from 0 to 4294967295".into(),
            (Kind::Int64, value) if whole::<i64>(value) => return,
            (Kind::Uint64, value) if whole::<u64>(value) => return,
            (Kind::Int64 | Kind::Uint64, _) => "must be a whole number of 64 bits".into(),
            (Kind::Number, Value::Number(_)) => return,
            // Those that are no finite numbers are found in the message, where all ways of reading meet.
            (Kind::Number, Value::String(text)) if text.parse::<f64>().is_ok() => return,
            (Kind::Number, _) => "must be a number".into(),
            (Kind::Bytes, Value::String(text)) if reads::<BytesValue>(text) => return,
            (Kind::Bytes, _) => "must be base64".into(),
            (Kind::Duration, Value::String(text)) if reads::<Duration>(text) => return,
            (Kind::Duration, _) => "must be seconds, for example \"1.5s\"".into(),
            (Kind::Mask, Value::String(text)) if reads::<FieldMask>(text) => return,
            (Kind::Mask, _) => "must be names of fields, separated by commas".into(),
            (Kind::Object, Value::Object(_)) | (Kind::Array, Value::Array(_)) => return,
            (Kind::Array, _) => "must be an array".into(),
            (Kind::Map(kind), Value::Object(_)) => {
                if let Value::Object(map) = value {
                    for (key, value) in map.iter_mut() {
                        self.single(value, kind, &join(path, key));
                    }
                }
                return;
            }
            (Kind::Time, Value::String(text)) if is_time(text) => return,
            (Kind::Time, _) => "must be a time as in RFC 3339, for example \"2026-01-31T12:00:00Z\"".into(),
            (Kind::Enum(values), value) if is_of(value, values) => return,
            (Kind::Enum(values), _) => {
                let names: Vec<&str> =
                    values.iter().filter(|value| value.1 != 0).map(|value| value.0).collect();
                format!("must be one of {}", names.join(", ")).into()
            }
            (Kind::Message(schema), Value::Object(_)) => {
                if let Value::Object(map) = value {
                    self.message(map, schema, path);
                }
                return;
            }
            (Kind::Message(_) | Kind::Map(_) | Kind::Object, _) => "must be an object".into(),
        };
        self.fault(path.to_owned(), wrong);
    }
}

/// Whether a value is a whole number of this type, or a string with one.
fn whole<T: TryFrom<i128> + std::str::FromStr>(value: &Value) -> bool {
    match value {
        Value::Number(number) => number
            .as_i64()
            .map(i128::from)
            .or_else(|| number.as_u64().map(i128::from))
            .is_some_and(|number| T::try_from(number).is_ok()),
        Value::String(text) => text.parse::<T>().is_ok(),
        _ => false,
    }
}

fn is_of(value: &Value, values: &[(&str, i32)]) -> bool {
    match value {
        Value::String(text) => values.iter().any(|value| value.0 == text),
        Value::Number(number) => values.iter().any(|value| number.as_i64() == Some(i64::from(value.1))),
        _ => false,
    }
}

fn is_time(text: &str) -> bool {
    reads::<Timestamp>(text)
}

/// Whether a type's own reader takes a text.
fn reads<'de, T: Deserialize<'de>>(text: &'de str) -> bool {
    T::deserialize(StrDeserializer::<'_, SerdeError>::new(text)).is_ok()
}

/// Proto3 JSON takes `1.0` and `1e3` for whole numbers; the message's own reader does not.
fn without_fraction(value: &mut Value) {
    /// Up to here every whole number has a float of its own.
    const MOST: f64 = 9_007_199_254_740_992.0;
    if let Value::Number(number) = value
        && number.is_f64()
        && let Some(float) = number.as_f64().filter(|float| float.fract() == 0.0 && float.abs() <= MOST)
    {
        #[expect(clippy::cast_possible_truncation, reason = "whole, and within 2^53")]
        let whole = float as i64;
        *value = Value::from(whole);
    }
}

/// The first system's clients send times without an offset, and mean UTC.
fn read_as_utc(value: &mut Value) {
    if let Value::String(text) = value
        && !is_time(text)
        && text.len() >= "2026-01-31T12:00:00".len()
        && text.as_bytes().get(10) == Some(&b'T')
        && text.is_ascii()
        && !text.contains(['Z', 'z', '+', '['])
        && text.parse::<DateTime>().is_ok()
    {
        text.push('Z');
    }
}
