//! The outline of a payload: what an operator may see of it.
//!
//! Invariant: which fields are there and how often is shown of everything; a value only where its field is an id, a version
//! or a switch, and is one too. So neither measurements, times and positions nor names and words of people are ever shown,
//! whatever a broken producer wrote where.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use petty_proto::FILE_DESCRIPTOR_SET;
use petty_proto::events::v1::OutlinedField;
use prost_reflect::{DescriptorPool, DynamicMessage, FieldDescriptor, Kind, Value};

use crate::events::{Topic, topics};
use crate::types::CollarId;

/// So many different values of a field are shown at most.
const VALUES: usize = 3;
/// No version of ours is longer.
const LONGEST_VERSION: usize = 24;

static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| {
    // The build made it from the same descriptors that the types are made from.
    DescriptorPool::decode(FILE_DESCRIPTOR_SET).expect("the descriptors can be read")
});

#[derive(Default)]
struct Found {
    kind: String,
    count: usize,
    values: BTreeSet<String>,
}

/// The fields of a payload of a topic.
///
/// # Errors
/// Says why, where the payload is none of the topic's.
pub(in crate::events) fn outline(topic: &Topic, payload: &[u8]) -> Result<Vec<OutlinedField>, String> {
    let name = message_of(topic);
    let descriptor = POOL.get_message_by_name(name).ok_or_else(|| format!("there is no {name}"))?;
    let message = DynamicMessage::decode(descriptor, payload)
        .map_err(|error| format!("{} bytes that are no {name}: {error}", payload.len()))?;
    let mut found = BTreeMap::new();
    look(&message, "", &mut found);
    let fields = found.into_iter().map(|(path, found)| OutlinedField {
        path,
        r#type: found.kind,
        count: i32::try_from(found.count).unwrap_or(i32::MAX),
        values: found.values.into_iter().take(VALUES).collect(),
    });
    Ok(fields.collect())
}

fn look(message: &DynamicMessage, above: &str, found: &mut BTreeMap<String, Found>) {
    for (field, value) in message.fields() {
        let path = format!("{above}{}", field.name());
        match value {
            Value::List(values) => {
                let path = format!("{path}[]");
                for value in values {
                    note(&field, value, &path, found);
                }
            }
            // No payload has maps; were there one, that it is there would be shown and nothing else.
            Value::Map(values) => {
                let entry = found.entry(path).or_default();
                entry.kind = "map".to_owned();
                entry.count += values.len();
            }
            value => note(&field, value, &path, found),
        }
    }
}

fn note(field: &FieldDescriptor, value: &Value, path: &str, found: &mut BTreeMap<String, Found>) {
    let kind = field.kind();
    let entry = found.entry(path.to_owned()).or_default();
    entry.count += 1;
    entry.kind = match &kind {
        Kind::Message(message) => message.name().to_owned(),
        Kind::Enum(kind) => kind.name().to_owned(),
        other => format!("{other:?}").to_lowercase(),
    };
    if let Some(shown) = shown(field, value) {
        entry.values.insert(shown);
    }
    if let (Kind::Message(_), Value::Message(inner)) = (&kind, value) {
        look(inner, &format!("{path}."), found);
    }
}

/// The value, where it may be shown.
fn shown(field: &FieldDescriptor, value: &Value) -> Option<String> {
    let name = field.name();
    match value {
        Value::Bool(value) => Some(value.to_string()),
        Value::I32(value) if name.ends_with("version") => Some(value.to_string()),
        Value::I64(value) if name.ends_with("version") => Some(value.to_string()),
        Value::String(text) if name.ends_with("version") => {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte);
            let is_version = text.len() <= LONGEST_VERSION && text.bytes().all(plain);
            Some(if is_version { text.clone() } else { not_one("version", text) })
        }
        Value::String(text) if name.ends_with("_id") || name == "replaced_by" => {
            Some(if is_id(name, text) { text.clone() } else { not_one("id", text) })
        }
        _ => None,
    }
}

fn is_id(name: &str, text: &str) -> bool {
    if name == "collar_id" {
        return text.parse::<CollarId>().is_ok();
    }
    let digits = text.strip_prefix("evt_").or_else(|| text.strip_prefix("fbk_"));
    uuid::Uuid::try_parse(digits.unwrap_or(text)).is_ok()
}

fn not_one(what: &str, text: &str) -> String {
    format!("(no {what}: {} bytes)", text.len())
}

/// The message that a topic's payloads are.
fn message_of(topic: &Topic) -> &'static str {
    const OF: &[(&Topic, &str)] = &[
        (&topics::ACCESS_CHANGED, "petty.events.v1.AccessChanged"),
        (&topics::PET_CHANGED, "petty.events.v1.PetChanged"),
        (&topics::COLLAR_UNPAIRED, "petty.events.v1.CollarUnpaired"),
        (&topics::PET_ERASING, "petty.events.v1.PetErasing"),
        (&topics::ACCOUNT_ERASING, "petty.events.v1.AccountErasing"),
        (&topics::READINGS_ACCEPTED, "petty.events.v1.ReadingsAccepted"),
        (&topics::READINGS_SILENT, "petty.events.v1.ReadingsSilent"),
        (&topics::BEHAVIOR_CHANGED, "petty.events.v1.BehaviorChanged"),
        (&topics::ALERT_CHANGED, "petty.events.v1.AlertChanged"),
        (&topics::BEHAVIOR_DAY_CLOSED, "petty.events.v1.DayClosed"),
        (&topics::PLAN_CHANGED, "petty.events.v1.PlanChanged"),
        (&topics::FEEDBACK_SUBMITTED, "petty.events.v1.FeedbackSubmitted"),
        (&topics::DATA_ERASED, "petty.events.v1.DataErased"),
    ];
    OF.iter().find(|(known, _)| **known == *topic).map_or("", |(_, name)| name)
}

#[cfg(test)]
mod tests;
