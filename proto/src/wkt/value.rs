//! `google.protobuf.Value`: any JSON, as the older clients may send it.
//!
//! Invariant: what was read is written again as the same JSON, but for the order of an object's members (by name) and for
//! numbers, which are doubles as in every proto3 JSON.

use std::fmt;

use prost::bytes::{Buf, BufMut};
use prost::encoding::{DecodeContext, WireType};
use prost::{DecodeError, Message};
use prost_types::value::Kind;
use prost_types::{ListValue, NullValue, Struct};
use serde::de::{self, MapAccess, SeqAccess};
use serde::ser::{SerializeMap as _, SerializeSeq as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// `google.protobuf.Value`: any JSON.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Value(prost_types::Value);

impl Value {
    /// Whether it is nothing, or JSON's null.
    #[must_use]
    pub fn is_null(&self) -> bool {
        matches!(self.0.kind, None | Some(Kind::NullValue(_)))
    }

    /// Whether any text in it, names of members included, is such a one.
    #[must_use]
    pub fn any_text(&self, is_such: &mut dyn FnMut(&str) -> bool) -> bool {
        any_text(&self.0, is_such)
    }

    pub(super) fn into_kind(self) -> Option<Kind> {
        self.0.kind
    }
}

pub(super) fn any_text(value: &prost_types::Value, is_such: &mut dyn FnMut(&str) -> bool) -> bool {
    match &value.kind {
        None | Some(Kind::NullValue(_) | Kind::NumberValue(_) | Kind::BoolValue(_)) => false,
        Some(Kind::StringValue(text)) => is_such(text),
        Some(Kind::StructValue(object)) => {
            object.fields.iter().any(|(name, value)| is_such(name) || any_text(value, is_such))
        }
        Some(Kind::ListValue(list)) => list.values.iter().any(|value| any_text(value, is_such)),
    }
}

impl From<prost_types::Value> for Value {
    fn from(value: prost_types::Value) -> Self {
        Self(value)
    }
}

impl Message for Value {
    fn encode_raw(&self, buffer: &mut impl BufMut) {
        self.0.encode_raw(buffer);
    }

    fn merge_field(
        &mut self,
        tag: u32,
        wire_type: WireType,
        buffer: &mut impl Buf,
        context: DecodeContext,
    ) -> Result<(), DecodeError> {
        self.0.merge_field(tag, wire_type, buffer, context)
    }

    fn encoded_len(&self) -> usize {
        self.0.encoded_len()
    }

    fn clear(&mut self) {
        self.0.clear();
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Borrowed(&self.0).serialize(serializer)
    }
}

struct Borrowed<'a>(&'a prost_types::Value);

impl Serialize for Borrowed<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0.kind {
            None | Some(Kind::NullValue(_)) => serializer.serialize_unit(),
            Some(Kind::NumberValue(number)) => serializer.serialize_f64(*number),
            Some(Kind::StringValue(text)) => serializer.serialize_str(text),
            Some(Kind::BoolValue(truth)) => serializer.serialize_bool(*truth),
            Some(Kind::StructValue(object)) => {
                let mut map = serializer.serialize_map(Some(object.fields.len()))?;
                for (name, value) in &object.fields {
                    map.serialize_entry(name, &Borrowed(value))?;
                }
                map.end()
            }
            Some(Kind::ListValue(list)) => {
                let mut sequence = serializer.serialize_seq(Some(list.values.len()))?;
                for value in &list.values {
                    sequence.serialize_element(&Borrowed(value))?;
                }
                sequence.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyJson)
    }
}

struct AnyJson;

fn of(kind: Kind) -> Value {
    Value(prost_types::Value { kind: Some(kind) })
}

impl<'de> de::Visitor<'de> for AnyJson {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("any JSON")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Value, E> {
        Ok(of(Kind::NullValue(NullValue::NullValue.into())))
    }

    fn visit_none<E: de::Error>(self) -> Result<Value, E> {
        self.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        Value::deserialize(deserializer)
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Value, E> {
        Ok(of(Kind::BoolValue(truth)))
    }

    #[expect(clippy::cast_precision_loss, reason = "numbers of proto3 JSON are doubles")]
    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(of(Kind::NumberValue(number as f64)))
    }

    #[expect(clippy::cast_precision_loss, reason = "numbers of proto3 JSON are doubles")]
    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(of(Kind::NumberValue(number as f64)))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Value, E> {
        if number.is_finite() {
            Ok(of(Kind::NumberValue(number)))
        } else {
            Err(E::custom("a number of JSON is finite"))
        }
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Value, E> {
        self.visit_string(text.to_owned())
    }

    fn visit_string<E>(self, text: String) -> Result<Value, E> {
        Ok(of(Kind::StringValue(text)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(Value(value)) = sequence.next_element()? {
            values.push(value);
        }
        Ok(of(Kind::ListValue(ListValue { values })))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut object = Struct::default();
        while let Some((name, Value(value))) = map.next_entry::<String, Value>()? {
            if object.fields.insert(name, value).is_some() {
                return Err(de::Error::custom("an object's member is given twice"));
            }
        }
        Ok(of(Kind::StructValue(object)))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn json_comes_back_as_it_went_in() {
        for text in [
            "null",
            "true",
            "-2.5",
            "\"a \\\"word\\\"\"",
            "[]",
            "{}",
            r#"{"a":[1.0,{"b":null,"c":"d"}],"e":false}"#,
        ] {
            let value: Value = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&value).unwrap(), text);
            let decoded = Value::decode(value.encode_to_vec().as_slice()).unwrap();
            assert_eq!(decoded, value, "{text}");
        }
    }

    #[test]
    fn the_wire_is_googles_own() {
        let value: Value = serde_json::from_value(json!({"n": 1})).unwrap();
        let googles = prost_types::Value::decode(value.encode_to_vec().as_slice()).unwrap();
        let Some(Kind::StructValue(object)) = googles.kind else { panic!("not an object") };
        assert_eq!(object.fields["n"].kind, Some(Kind::NumberValue(1.0)));
    }

    #[test]
    fn a_member_given_twice_is_refused() {
        assert!(serde_json::from_str::<Value>(r#"{"a":{"b":1,"b":2}}"#).is_err());
    }

    #[test]
    fn texts_are_found_wherever_they_are() {
        let value: Value = serde_json::from_value(json!([1, {"a": ["b", {"c": null}]}])).unwrap();
        for (text, found) in [("a", true), ("b", true), ("c", true), ("d", false)] {
            assert_eq!(value.any_text(&mut |other| other == text), found, "{text}");
        }
    }

    #[test]
    fn nothing_and_null_are_alike() {
        assert!(Value::default().is_null());
        assert!(serde_json::from_str::<Value>("null").unwrap().is_null());
        assert!(!serde_json::from_str::<Value>("0").unwrap().is_null());
        assert_eq!(serde_json::to_string(&Value::default()).unwrap(), "null");
    }
}
