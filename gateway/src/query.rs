//! Requests from a query string.
//!
//! Invariant: a parameter that the request does not have, or that comes twice without being a list, is refused and named.

use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

use crate::json::MOST_IGNORED;
use crate::problem::{FieldFault, MOST_FAULTS, Problem};
use crate::schema::{Field, Kind, Schema};

/// The most parameters that are looked at.
const MOST_PARAMETERS: usize = 256;

/// The deepest field that a parameter may name.
const MOST_LEVELS: usize = 8;

/// The values of a query by the request's schema, as a tree that [`crate::json::decode_value`] reads on. `taken` are the
/// fields that the path or the body states already.
pub(crate) fn parse(
    query: &str,
    schema: &'static Schema,
    taken: Taken<'_>,
    lenient: bool,
) -> Result<Value, Problem> {
    let mut map = Map::new();
    let mut faults = Vec::new();
    let mut ignored = 0;
    for (count, pair) in query.split('&').filter(|pair| !pair.is_empty()).enumerate() {
        if count == MOST_PARAMETERS || faults.len() == MOST_FAULTS {
            faults.push(FieldFault::new("query", "has too many parameters"));
            break;
        }
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let Some(name) = decode_parameter(name) else {
            faults.push(FieldFault::new("query", "has a name that is not UTF-8"));
            continue;
        };
        let Some(fields) = fields(schema, &name).filter(|fields| taken.leaves(fields)) else {
            ignored += 1;
            if !lenient {
                faults.push(FieldFault::new(name, "is not a parameter of this request"));
            } else if ignored > MOST_IGNORED {
                faults.push(FieldFault::new(name, "is one unknown parameter too many: 64 are ignored"));
                break;
            }
            continue;
        };
        let Some(value) = decode_parameter(value) else {
            faults.push(FieldFault::new(path(&fields), "must be UTF-8"));
            continue;
        };
        if !put(&mut map, &fields, value) {
            faults.push(FieldFault::new(path(&fields), "is given twice"));
        }
    }
    if faults.is_empty() { Ok(Value::Object(map)) } else { Err(Problem::invalid(faults)) }
}

/// The fields that a parameter leads through, `filter.min_age`: the last is of a kind that a text can be.
fn fields(schema: &'static Schema, name: &str) -> Option<Vec<&'static Field>> {
    let mut fields = Vec::new();
    let mut within = Some(schema);
    for part in name.split('.') {
        if fields.len() == MOST_LEVELS {
            return None;
        }
        let field = within?.field(part)?;
        within = match field.kind {
            Kind::Message(schema) if !field.repeated => Some(schema),
            _ => None,
        };
        fields.push(field);
    }
    let last = fields.last()?;
    let is_text =
        !matches!(last.kind, Kind::Message(_) | Kind::Map(_) | Kind::Json | Kind::Object | Kind::Array);
    is_text.then_some(fields)
}

fn path(fields: &[&Field]) -> String {
    fields.iter().map(|field| field.name).collect::<Vec<_>>().join(".")
}

/// Puts a value where it belongs; not where there is one.
fn put(map: &mut Map<String, Value>, fields: &[&'static Field], text: String) -> bool {
    let Some((field, rest)) = fields.split_first() else { return false };
    if !rest.is_empty() {
        let inner = map.entry(field.name).or_insert_with(|| Value::Object(Map::new()));
        return inner.as_object_mut().is_some_and(|inner| put(inner, rest, text));
    }
    let value = typed(text, &field.kind);
    match map.get_mut(field.name) {
        None => {
            let value = if field.repeated { Value::Array(vec![value]) } else { value };
            map.insert(field.name.to_owned(), value);
            true
        }
        Some(Value::Array(values)) => {
            values.push(value);
            true
        }
        Some(_) => false,
    }
}

/// The fields that are stated elsewhere than in the query.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Taken<'a> {
    /// The body is the whole request.
    All,
    /// Those in the path, and one that is the body.
    Some { path: &'a [(&'static str, String)], body: Option<&'static str> },
}

impl Taken<'_> {
    fn leaves(self, fields: &[&Field]) -> bool {
        match self {
            Self::All => false,
            Self::Some { path, body } => {
                let is = |name: &str| name.split('.').eq(fields.iter().map(|field| field.name));
                body != fields.first().map(|field| field.name) && !path.iter().any(|(name, _)| is(name))
            }
        }
    }
}

/// Percent-decodes a part of a path.
pub(crate) fn decode_segment(text: &str) -> Option<String> {
    percent_decode_str(text).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}

/// Percent-decodes a part of a query, in which a plus is a space.
pub(crate) fn decode_parameter(text: &str) -> Option<String> {
    decode_segment(&text.replace('+', " "))
}

fn typed(text: String, kind: &Kind) -> Value {
    match (kind, text.as_str()) {
        (Kind::Bool, "true") => Value::Bool(true),
        (Kind::Bool, "false") => Value::Bool(false),
        (Kind::Enum(_), number) if number.parse::<i32>().is_ok() => {
            Value::from(number.parse::<i32>().unwrap_or_default())
        }
        // An offset's plus that was not escaped has become a space; nothing else in a time is one.
        (Kind::Time, time) if !time.contains('+') => Value::String(time.replace(' ', "+")),
        _ => Value::String(text),
    }
}
