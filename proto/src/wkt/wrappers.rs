//! The wrappers of single values, in JSON the value alone, and `Empty`, in JSON `{}`.

use pbjson::private::{BytesDeserialize, NumberDeserialize};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

macro_rules! wrapper {
    ($name:ident, $kind:ty, [$($tag:tt)+], $doc:literal, |$read:ident| $json:expr, $as:ty, |$given:ident| $value:expr) => {
        #[doc = concat!("`google.protobuf.", stringify!($name), "`: ", $doc, ".")]
        #[derive(Clone, PartialEq, prost::Message)]
        pub struct $name {
            /// The value.
            #[prost($($tag)+, tag = "1")]
            pub value: $kind,
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let $read = &self.value;
                $json.serialize(serializer)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let $given = <$as>::deserialize(deserializer)?;
                Ok(Self { value: $value })
            }
        }
    };
}

wrapper!(BoolValue, bool, [bool], "true or false", |value| value, bool, |given| given);
wrapper!(StringValue, String, [string], "a text", |value| value, String, |given| given);
wrapper!(Int32Value, i32, [int32], "a number", |value| value, NumberDeserialize<i32>, |given| given.0);
wrapper!(UInt32Value, u32, [uint32], "a number", |value| value, NumberDeserialize<u32>, |given| given.0);
wrapper!(Int64Value, i64, [int64], "a number", |value| value.to_string(), NumberDeserialize<i64>, |given| {
    given.0
});
wrapper!(
    UInt64Value,
    u64,
    [uint64],
    "a number",
    |value| value.to_string(),
    NumberDeserialize<u64>,
    |given| given.0
);
wrapper!(FloatValue, f32, [float], "a number", |value| value, NumberDeserialize<f32>, |given| given.0);
wrapper!(DoubleValue, f64, [double], "a number", |value| value, NumberDeserialize<f64>, |given| given.0);
wrapper!(
    BytesValue,
    Vec<u8>,
    [bytes = "vec"],
    "bytes",
    |value| base64(value),
    BytesDeserialize<Vec<u8>>,
    |given| given.0
);

fn base64(bytes: &[u8]) -> String {
    use pbjson::private::base64::Engine as _;
    pbjson::private::base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// `google.protobuf.Empty`: nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, prost::Message)]
pub struct Empty {}

impl Serialize for Empty {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serde::ser::SerializeStruct::end(serializer.serialize_struct("Empty", 0)?)
    }
}

impl<'de> Deserialize<'de> for Empty {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Nothing {}
        Nothing::deserialize(deserializer).map(|Nothing {}| Self {})
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json, to_value};

    use super::*;

    #[test]
    fn json_is_the_value_alone() {
        assert_eq!(to_value(Int64Value { value: i64::MAX }).unwrap(), "9223372036854775807");
        assert_eq!(from_value::<Int64Value>(json!("-7")).unwrap().value, -7);
        assert_eq!(from_value::<UInt64Value>(json!(7)).unwrap().value, 7);
        assert_eq!(to_value(DoubleValue { value: 1.5 }).unwrap(), 1.5);
        assert_eq!(to_value(StringValue { value: "x".to_owned() }).unwrap(), "x");
        assert_eq!(to_value(BytesValue { value: vec![0xfb, 0xff] }).unwrap(), "+/8=");
        assert_eq!(from_value::<BytesValue>(json!("-_8")).unwrap().value, [0xfb, 0xff]);
        assert_eq!(to_value(Empty {}).unwrap(), json!({}));
        assert!(from_value::<Empty>(json!({ "a": 1 })).is_err());
        assert!(from_value::<BoolValue>(json!("true")).is_err());
        assert!(from_value::<Int32Value>(json!(3_000_000_000_i64)).is_err());
    }
}
