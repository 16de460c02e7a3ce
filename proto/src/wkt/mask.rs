//! `google.protobuf.FieldMask`: some of a message's fields, in JSON `"name,birthDate"`.
//!
//! Invariant: the paths of a mask that was read are of letters, digits, `_` and `.`, in the proto's spelling.

use std::fmt;

use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Some of a message's fields.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct FieldMask {
    /// Their paths, `address.postal_code`.
    #[prost(string, repeated, tag = "1")]
    pub paths: Vec<String>,
}

/// `postal_code` to `postalCode`; `None` where there would be no way back.
fn camel(path: &str) -> Option<String> {
    let mut written = String::with_capacity(path.len());
    let mut letters = path.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '_' => written.push(letters.next().filter(char::is_ascii_lowercase)?.to_ascii_uppercase()),
            'a'..='z' | '0'..='9' | '.' => written.push(letter),
            _ => return None,
        }
    }
    Some(written)
}

/// Either spelling to the proto's.
fn snake(path: &str) -> Option<String> {
    let mut written = String::with_capacity(path.len() + 4);
    for part in path.split('.') {
        if !part.starts_with(|first: char| first.is_ascii_lowercase()) {
            return None;
        }
        if !written.is_empty() {
            written.push('.');
        }
        for letter in part.chars() {
            match letter {
                'A'..='Z' => {
                    written.push('_');
                    written.push(letter.to_ascii_lowercase());
                }
                'a'..='z' | '0'..='9' | '_' => written.push(letter),
                _ => return None,
            }
        }
    }
    Some(written)
}

impl Serialize for FieldMask {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let paths: Option<Vec<String>> = self.paths.iter().map(|path| camel(path)).collect();
        let paths = paths.ok_or_else(|| serde::ser::Error::custom("a path that has no JSON"))?;
        serializer.serialize_str(&paths.join(","))
    }
}

impl<'de> Deserialize<'de> for FieldMask {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Paths;
        impl Visitor<'_> for Paths {
            type Value = FieldMask;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("names of fields, separated by commas")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<FieldMask, E> {
                if text.is_empty() {
                    return Ok(FieldMask::default());
                }
                let paths: Option<Vec<String>> = text.split(',').map(|path| snake(path.trim())).collect();
                let paths =
                    paths.ok_or_else(|| E::invalid_value(Unexpected::Other("another text"), &self))?;
                Ok(FieldMask { paths })
            }
        }
        deserializer.deserialize_str(Paths)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn either_spelling_is_read_and_the_canonical_written() {
        for (text, paths, written) in [
            ("", &[][..], ""),
            ("name", &["name"], "name"),
            ("birthDate,sex", &["birth_date", "sex"], "birthDate,sex"),
            ("birth_date, sex", &["birth_date", "sex"], "birthDate,sex"),
            ("homeAddress.postalCode", &["home_address.postal_code"], "homeAddress.postalCode"),
        ] {
            let mask: FieldMask = serde_json::from_value(text.into()).unwrap();
            assert_eq!(mask.paths, paths, "{text}");
            assert_eq!(serde_json::to_value(&mask).unwrap(), written);
        }
        for text in [",", "a,", "a,,b", "*", "a b", "a.", ".a", "a..b", "Name", "_a", "a-b", "1", "a[0]", "ä"]
        {
            assert!(serde_json::from_value::<FieldMask>(text.into()).is_err(), "{text}");
        }
        for path in ["a__b", "a_", "a_1", "A", "a b"] {
            assert!(serde_json::to_value(FieldMask { paths: vec![path.to_owned()] }).is_err(), "{path}");
        }
    }
}
