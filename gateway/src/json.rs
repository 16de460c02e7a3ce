//! Requests from JSON.
//!
//! What is well-formed goes straight from the bytes into the message. Everything else (and whatever holds a `null`) takes a
//! second way, by a tree of values and the message's schema, which names each field at fault, and is lenient where the
//! method's policy says so.
//!
//! Invariants: nothing deeper than 32 levels is parsed, nor what has more values than any request of ours: a few bytes of JSON may be
//! hundreds as a message, here and in the service; no key counts twice; an answer names the field, in the proto's
//! spelling, and never repeats what it held.

mod explain;
mod member;
mod scan;
mod tree;

pub(crate) use member::{decode_member, named, part};

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::problem::{FieldFault, Problem};
use crate::schema::Schema;
use crate::sound::{Sound, Walk};

/// How many unknown fields a lenient method ignores.
pub(crate) const MOST_IGNORED: usize = 64;

/// The most objects and arrays of a body: three times the most readings that are looked at in one request.
pub(crate) const MOST_OBJECTS: usize = 32_000;

/// The most commas of a body, so that what is no object is not many either: ten thousand readings of sixteen fields.
const MOST_COMMAS: usize = 160_000;

/// The field that stands for the body where no field is to be blamed.
const BODY: &str = "body";

/// Reads a message from a body that has no more objects and arrays than that. An empty body is read as `{}`.
pub(crate) fn decode<M>(
    body: &[u8],
    schema: &'static Schema,
    lenient: bool,
    most_objects: usize,
) -> Result<M, Problem>
where
    M: DeserializeOwned + Default + Sound,
{
    if body.is_empty() {
        return Ok(M::default());
    }
    if is_plain(body, schema, most_objects)?
        && let Ok(message) = serde_json::from_slice::<M>(body)
    {
        return sound(message);
    }
    let value = tree::parse(body)?;
    decode_value(value, schema, lenient)
}

/// Whether a body may go straight into the message: nulls are not the same to its reader, and it keeps the last of two equal keys
/// of a map.
fn is_plain(body: &[u8], schema: &Schema, most_objects: usize) -> Result<bool, Problem> {
    let scan = scan::scan(body);
    if scan.too_deep {
        let reason = "must not nest deeper than 32 levels";
        return Err(Problem::malformed_json(vec![FieldFault::new(BODY, reason)]));
    }
    if scan.objects > most_objects || scan.commas > MOST_COMMAS {
        let reason = if scan.objects > most_objects {
            format!("must not have more than {most_objects} objects and arrays: send less at once")
        } else {
            format!("must not have more than {MOST_COMMAS} values: send less at once")
        };
        return Err(Problem::invalid(vec![FieldFault::new(BODY, reason)]));
    }
    Ok(!scan.has_null && !schema.has_map)
}

/// Reads a message from a tree of values, by its schema.
pub(crate) fn decode_value<M>(mut value: Value, schema: &'static Schema, lenient: bool) -> Result<M, Problem>
where
    M: DeserializeOwned + Sound,
{
    let faults = explain::explain(&mut value, schema, lenient);
    if !faults.is_empty() {
        return Err(Problem::invalid(faults));
    }
    match serde_path_to_error::deserialize(value) {
        Ok(message) => sound(message),
        // The schema let pass what the message's own reader does not.
        Err(error) => {
            let path = error.path().to_string();
            let field = if path == "." { BODY.to_owned() } else { path };
            Err(Problem::invalid(vec![FieldFault::new(field, "is not valid")]))
        }
    }
}

fn sound<M: Sound>(message: M) -> Result<M, Problem> {
    let faults = Walk::faults_of(&message);
    if faults.is_empty() { Ok(message) } else { Err(Problem::invalid(faults)) }
}

#[cfg(test)]
mod tests;
