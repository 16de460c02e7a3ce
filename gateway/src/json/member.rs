//! A body that is one field of the request, and which of that field's own fields it names.

use serde::de::value::StrDeserializer;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde::forward_to_deserialize_any;
use serde_json::{Map, Value};

use super::{decode_value, is_plain, sound, tree};
use crate::problem::Problem;
use crate::schema::{Field, Kind, Schema};
use crate::upstream::RequestMessage;

/// A request of which a body is this field. An empty body states nothing.
pub(crate) fn decode_member<M: RequestMessage>(
    body: &[u8],
    name: &'static str,
    lenient: bool,
    most_objects: usize,
) -> Result<M, Problem> {
    if body.is_empty() {
        return Ok(M::default());
    }
    if is_plain(body, M::SCHEMA, most_objects)? {
        let mut json = serde_json::Deserializer::from_slice(body);
        let read = M::deserialize(Member { name: Some(name), json: &mut json });
        if let (Ok(message), Ok(())) = (read, json.end()) {
            return sound(message);
        }
    }
    let value = tree::parse(body)?;
    decode_value(Value::Object(Map::from_iter([(name.to_owned(), value)])), M::SCHEMA, lenient)
}

/// The fields that a body names, as a mask says them: of a message within, those that it names. What is null is named: it is
/// to be cleared.
pub(crate) fn named(body: &[u8], field: &'static Field) -> Result<Vec<String>, Problem> {
    let mut paths = Vec::new();
    if let (false, Kind::Message(schema)) = (body.is_empty(), &field.kind)
        && let Value::Object(map) = tree::parse(body)?
    {
        collect(&map, schema, "", &mut paths);
    }
    Ok(paths)
}

fn collect(map: &Map<String, Value>, schema: &'static Schema, before: &str, paths: &mut Vec<String>) {
    for (name, value) in map {
        // What is unknown was ignored, or refused.
        let Some(field) = schema.field(name) else { continue };
        let path = if before.is_empty() { field.name.to_owned() } else { format!("{before}.{}", field.name) };
        match (&field.kind, value) {
            (Kind::Message(schema), Value::Object(inner)) if !field.repeated && !inner.is_empty() => {
                collect(inner, schema, &path, paths);
            }
            _ => paths.push(path),
        }
    }
}

/// Reads as an object with one member, whose value is the whole of `json`.
struct Member<'a, 'de> {
    name: Option<&'static str>,
    json: &'a mut serde_json::Deserializer<serde_json::de::SliceRead<'de>>,
}

impl<'de> Deserializer<'de> for Member<'_, 'de> {
    type Error = serde_json::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_map(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

impl<'de> MapAccess<'de> for Member<'_, 'de> {
    type Error = serde_json::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Self::Error> {
        self.name.take().map(|name| seed.deserialize(StrDeserializer::new(name))).transpose()
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Self::Error> {
        seed.deserialize(&mut *self.json)
    }
}

/// Of an answer's JSON the part that is this field; null where it is absent.
pub(crate) fn part(answer: Value, name: &str) -> Value {
    match answer {
        Value::Object(mut map) => map.remove(name).unwrap_or_default(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => Value::Null,
    }
}
