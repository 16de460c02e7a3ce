//! Messages with every field set, to values that a careless translation would lose: escapes, the edges of numbers, fractions.

use prost_reflect::prost::Message as _;
use prost_reflect::{Cardinality, DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, Value};

/// No deeper than this.
const DEEPEST: usize = 4;

/// With every field set; of a oneof the first.
pub(super) fn message(of: &MessageDescriptor, depth: usize) -> DynamicMessage {
    let mut message = DynamicMessage::new(of.clone());
    match of.full_name() {
        "google.protobuf.Timestamp" => {
            set(&mut message, "seconds", Value::I64(1_769_860_800));
            set(&mut message, "nanos", Value::I32(120_000_000));
        }
        "google.protobuf.Duration" => {
            set(&mut message, "seconds", Value::I64(90));
            set(&mut message, "nanos", Value::I32(500_000_000));
        }
        "google.protobuf.Value" => set(&mut message, "string_value", Value::String("any".to_owned())),
        "google.protobuf.Struct" | "google.protobuf.ListValue" | "google.protobuf.Any" => {}
        "google.protobuf.FieldMask" => {
            set(&mut message, "paths", Value::List(vec![Value::String("name".to_owned())]));
        }
        _ => {
            for field in of.fields() {
                let later_of_a_oneof = field.containing_oneof().is_some_and(|oneof| {
                    !oneof.is_synthetic() && oneof.fields().next().is_some_and(|first| first != field)
                });
                let too_deep = depth >= DEEPEST && matches!(field.kind(), Kind::Message(_));
                if !later_of_a_oneof && !too_deep {
                    message.set_field(&field, whole(&field, depth));
                }
            }
        }
    }
    message
}

fn set(message: &mut DynamicMessage, name: &str, value: Value) {
    message.set_field_by_name(name, value);
}

/// A field's value, lists and maps included.
fn whole(field: &FieldDescriptor, depth: usize) -> Value {
    if let (true, Kind::Message(entry)) = (field.is_map(), field.kind()) {
        let value = single(&entry.map_entry_value_field(), depth);
        return Value::Map([(MapKey::String("a key".to_owned()), value)].into());
    }
    let value = single(field, depth);
    if field.cardinality() == Cardinality::Repeated { Value::List(vec![value.clone(), value]) } else { value }
}

/// One value of a field's kind.
fn single(field: &FieldDescriptor, depth: usize) -> Value {
    match field.kind() {
        Kind::String => Value::String(format!("{} \"é\" \\ \u{1}\u{2028}<", field.name())),
        Kind::Bytes => Value::Bytes(vec![0xfb, 0xff, 0x00].into()),
        Kind::Bool => Value::Bool(true),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => Value::I32(i32::MIN),
        Kind::Uint32 | Kind::Fixed32 => Value::U32(u32::MAX),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => Value::I64(9_007_199_254_740_993),
        Kind::Uint64 | Kind::Fixed64 => Value::U64(u64::MAX),
        Kind::Double => Value::F64(-0.1),
        Kind::Float => Value::F32(0.1),
        Kind::Enum(values) => {
            Value::EnumNumber(values.values().map(|value| value.number()).max().unwrap_or(0))
        }
        Kind::Message(inner) => Value::Message(message(&inner, depth + 1)),
    }
}

/// Whether two messages are the same on the wire, whatever order maps have.
pub(super) fn same(one: &DynamicMessage, other: &DynamicMessage) -> bool {
    one == other || one.encode_to_vec() == other.encode_to_vec()
}
