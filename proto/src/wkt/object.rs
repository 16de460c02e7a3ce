//! `google.protobuf.Struct` and `ListValue`: any JSON object, any JSON array.

use prost::bytes::{Buf, BufMut};
use prost::encoding::{DecodeContext, WireType};
use prost::{DecodeError, Message};
use prost_types::value::Kind;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::Value;

macro_rules! part_of_value {
    ($name:ident, $inner:ty, $kind:ident, $doc:literal, $expected:literal) => {
        #[doc = $doc]
        #[derive(Clone, Debug, Default, PartialEq)]
        pub struct $name($inner);

        impl $name {
            /// Whether any text in it, names of members included, is such a one.
            #[must_use]
            pub fn any_text(&self, is_such: &mut dyn FnMut(&str) -> bool) -> bool {
                super::value::any_text(&self.as_value(), is_such)
            }

            fn as_value(&self) -> prost_types::Value {
                prost_types::Value { kind: Some(Kind::$kind(self.0.clone())) }
            }
        }

        impl Message for $name {
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

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                Value::from(self.as_value()).serialize(serializer)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                match Value::deserialize(deserializer)?.into_kind() {
                    Some(Kind::$kind(inner)) => Ok(Self(inner)),
                    _ => Err(de::Error::custom($expected)),
                }
            }
        }
    };
}

part_of_value!(
    Struct,
    prost_types::Struct,
    StructValue,
    "`google.protobuf.Struct`: any JSON object.",
    "must be an object"
);
part_of_value!(
    ListValue,
    prost_types::ListValue,
    ListValue,
    "`google.protobuf.ListValue`: any JSON array.",
    "must be an array"
);

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json, to_value};

    use super::*;

    #[test]
    fn objects_and_arrays_come_back_and_nothing_else_is_one() {
        let object = json!({ "a": [1.0, null, { "b": "c" }] });
        let read: Struct = from_value(object.clone()).unwrap();
        assert_eq!(Struct::decode(read.encode_to_vec().as_slice()).unwrap(), read);
        assert_eq!(to_value(&read).unwrap(), object);
        assert!(read.any_text(&mut |text| text == "c") && !read.any_text(&mut |text| text == "d"));
        let list: ListValue = from_value(json!([[], "x"])).unwrap();
        assert_eq!(to_value(&list).unwrap(), json!([[], "x"]));
        assert!(from_value::<Struct>(json!([])).is_err() && from_value::<ListValue>(json!({})).is_err());
    }
}
