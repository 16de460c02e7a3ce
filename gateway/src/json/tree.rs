//! JSON to a tree of values, in which no key comes twice.
//!
//! serde_json's own tree keeps the last of two equal keys: what one reader checked and another used could then differ.

use std::cell::RefCell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::BODY;
use super::explain::{index, join};
use crate::problem::{FieldFault, MOST_FAULTS, Problem};

/// Parses a whole body.
pub(super) fn parse(body: &[u8]) -> Result<Value, Problem> {
    let twice = RefCell::new(Vec::new());
    let broken = RefCell::new(None);
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let node = Node { path: String::new(), twice: &twice, broken: &broken };
    match node.deserialize(&mut deserializer).and_then(|value| deserializer.end().map(|()| value)) {
        Ok(value) => {
            let twice = twice.into_inner();
            if twice.is_empty() { Ok(value) } else { Err(Problem::invalid(twice)) }
        }
        Err(error) => {
            let field =
                broken.into_inner().filter(|path| !path.is_empty()).unwrap_or_else(|| BODY.to_owned());
            // The parser's text says what it expected and where; it repeats nothing of the body.
            Err(Problem::malformed_json(vec![FieldFault::new(field, format!("is not JSON: {error}"))]))
        }
    }
}

struct Node<'a> {
    path: String,
    /// The keys that came twice.
    twice: &'a RefCell<Vec<FieldFault>>,
    /// The innermost path at which the parser stopped.
    broken: &'a RefCell<Option<String>>,
}

impl Node<'_> {
    fn child(&self, path: String) -> Node<'_> {
        Node { path, twice: self.twice, broken: self.broken }
    }
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        let (broken, path) = (self.broken, self.path.clone());
        deserializer.deserialize_any(self).inspect_err(|_| {
            broken.borrow_mut().get_or_insert(path);
        })
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(value) = items.next_element_seed(self.child(index(&self.path, list.len())))? {
            list.push(value);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            let path = join(&self.path, &key);
            let value = entries.next_value_seed(self.child(path.clone()))?;
            if map.insert(key, value).is_some() {
                let mut twice = self.twice.borrow_mut();
                if twice.len() < MOST_FAULTS {
                    twice.push(FieldFault::new(path, "is given twice"));
                }
            }
        }
        Ok(Value::Object(map))
    }
}
