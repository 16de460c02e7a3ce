//! A token taken apart (RFC 7515, RFC 7519), by the rules of RFC 8725 and RFC 9068.
//!
//! Invariants: no member counts that stands there twice; a header says which of our keys to use and nothing else: what would
//! bring a key along, or change how the token is read, refuses it. What is not well-formed is refused before any key is
//! looked for.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use serde::de::{self, DeserializeOwned, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Number, Value};

use super::TOKEN_TYPE;

/// The longest token that is looked at.
const LONGEST: usize = 8_192;
/// The longest `kid`; ours are thumbprints of 43 characters (RFC 7638).
const LONGEST_KID: usize = 64;
/// The one list of algorithms. A key goes with one of them, and a token of another is not its.
pub(super) const ALGORITHMS: [Algorithm; 3] = [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA];
/// What a token of ours never has: a key, a way to one, or a way to be read that we do not know.
const REFUSED: [&str; 7] = ["jku", "jwk", "x5u", "x5c", "crit", "b64", "zip"];

/// A token's parts; nothing of it is believed yet.
#[derive(Debug)]
pub(super) struct Parts<'a> {
    pub(super) kid: String,
    pub(super) algorithm: Algorithm,
    /// What was signed.
    pub(super) message: &'a str,
    pub(super) signature: &'a str,
    payload: &'a str,
}

impl<'a> Parts<'a> {
    /// Takes a token apart, where its header is one of ours.
    pub(super) fn of(token: &'a str) -> Option<Self> {
        #[derive(Deserialize)]
        struct Header {
            typ: String,
            alg: Algorithm,
            kid: String,
        }
        if token.len() > LONGEST {
            return None;
        }
        let (message, signature) = token.rsplit_once('.')?;
        let (header, payload) = message.split_once('.')?;
        let members = object(header)?;
        if REFUSED.iter().any(|name| members.contains_key(*name)) {
            return None;
        }
        let Header { typ, alg: algorithm, kid } = serde_json::from_value(Value::Object(members)).ok()?;
        // Of a media type "application/" may be left out, and case does not count (RFC 7515, 4.1.9).
        let typ = typ.to_ascii_lowercase();
        let typed = typ.strip_prefix("application/").unwrap_or(&typ) == TOKEN_TYPE;
        (typed && ALGORITHMS.contains(&algorithm) && is_kid(&kid) && !payload.contains('.')).then_some(Self {
            kid,
            algorithm,
            message,
            signature,
            payload,
        })
    }

    /// What the token says; to be asked once its signature is known to be good.
    pub(super) fn claims<T: DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_value(Value::Object(object(self.payload)?)).ok()
    }
}

/// Whether it may be a key's name. What is no name of ours is not even looked up.
pub(super) fn is_kid(kid: &str) -> bool {
    (1..=LONGEST_KID).contains(&kid.len())
        && kid.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

/// An audience: a text, or a list of one (RFC 7519, 4.1.3). A token that is meant for others too is none of ours.
pub(super) fn one_audience<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Audience {
        One(String),
        List([String; 1]),
    }
    let (Audience::One(audience) | Audience::List([audience])) = Audience::deserialize(deserializer)?;
    Ok(audience)
}

/// The members of an encoded JSON object, none of them twice.
fn object(encoded: &str) -> Option<Map<String, Value>> {
    let bytes = URL_SAFE_NO_PAD.decode(encoded).ok()?;
    match serde_json::from_slice(&bytes) {
        Ok(Strict(Value::Object(members))) => Some(members),
        _ => None,
    }
}

/// JSON in which no object has a member twice.
struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Strict;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON without a member that stands there twice")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Strict, A::Error> {
        let mut members = Map::new();
        while let Some((name, Strict(value))) = access.next_entry::<String, Strict>()? {
            if members.insert(name, value).is_some() {
                return Err(de::Error::custom("a member stands there twice"));
            }
        }
        Ok(Strict(Value::Object(members)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Strict, A::Error> {
        let mut values = Vec::new();
        while let Some(Strict(value)) = access.next_element()? {
            values.push(value);
        }
        Ok(Strict(Value::Array(values)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Strict, E> {
        Ok(Strict(Value::String(text.to_owned())))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Strict, E> {
        Ok(Strict(Value::Bool(value)))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Strict, E> {
        Ok(Strict(Value::Number(value.into())))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Strict, E> {
        Ok(Strict(Value::Number(value.into())))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Strict, E> {
        Ok(Strict(Number::from_f64(value).map_or(Value::Null, Value::Number)))
    }

    fn visit_unit<E>(self) -> Result<Strict, E> {
        Ok(Strict(Value::Null))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(header: &str, payload: &str) -> String {
        format!("{}.{}.c2ln", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload))
    }

    #[test]
    fn a_header_is_one_of_ours_or_refused() {
        for (header, ours) in [
            (r#"{"typ":"at+jwt","alg":"RS256","kid":"k"}"#, true),
            (r#"{"kid":"k","alg":"ES256","typ":"application/at+jwt"}"#, true),
            (r#"{"typ":"AT+JWT","alg":"EdDSA","kid":"k","unknown":1}"#, true),
            (r#"{"typ":"JWT","alg":"RS256","kid":"k"}"#, false),
            (r#"{"typ":"application/jwt","alg":"RS256","kid":"k"}"#, false),
            (r#"{"alg":"RS256","kid":"k"}"#, false),
            (r#"{"typ":"at+jwt","alg":"none","kid":"k"}"#, false),
            (r#"{"typ":"at+jwt","alg":"None","kid":"k"}"#, false),
            (r#"{"typ":"at+jwt","alg":"HS256","kid":"k"}"#, false),
            (r#"{"typ":"at+jwt","alg":"RS512","kid":"k"}"#, false),
            (r#"{"typ":"at+jwt","alg":"PS256","kid":"k"}"#, false),
            (r#"{"typ":"at+jwt","alg":["RS256"],"kid":"k"}"#, false),
            (r#"{"typ":"at+jwt","alg":"RS256"}"#, false),
            (r#"{"typ":"at+jwt","alg":"RS256","kid":7}"#, false),
            (r#"{"typ":"at+jwt","alg":"RS256","kid":"k","crit":[]}"#, false),
            (r#"{"typ":"at+jwt","alg":"RS256","kid":"k","crit":["exp"]}"#, false),
            (r#"{"typ":"at+jwt","alg":"RS256","kid":"k","b64":false}"#, false),
            (r#"{"typ":"at+jwt","alg":"RS256","kid":"k","jku":"https://example.org"}"#, false),
            (r#"{"typ":"at+jwt","alg":"RS256","kid":"k","jwk":{}}"#, false),
            (r#"{"typ":"at+jwt","alg":"RS256","kid":"k","x5u":null}"#, false),
            (r#"{"typ":"at+jwt","alg":"RS256","kid":"k","x5c":[]}"#, false),
            // Twice, in whatever order, and however it is spelt.
            (r#"{"typ":"at+jwt","alg":"none","alg":"RS256","kid":"k"}"#, false),
            (r#"{"typ":"at+jwt","alg":"RS256","kid":"k","kid":"l"}"#, false),
            (r#"{"typ":"at+jwt","alg":"RS256","kid":"k","\u006bid":"k"}"#, false),
            (r#"{"typ":"at+jwt","alg":"RS256","kid":"k","more":{"a":1,"a":1}}"#, false),
            (r#"["at+jwt"]"#, false),
            ("", false),
        ] {
            assert_eq!(Parts::of(&token(header, "{}")).is_some(), ours, "{header}");
        }
    }

    #[test]
    fn a_kid_that_is_no_name_of_ours_is_not_looked_up() {
        let long = "k".repeat(LONGEST_KID + 1);
        for (kid, name) in [
            ("k", true),
            ("Ab_9-", true),
            ("", false),
            ("../../etc/passwd", false),
            ("' OR '1'='1", false),
            ("k'; DROP TABLE signing_keys --", false),
            ("k\u{0}", false),
            ("http://example.org/key", false),
            ("k ", false),
            ("ключ", false),
            (&long, false),
        ] {
            assert_eq!(is_kid(kid), name, "{kid:?}");
        }
    }

    #[test]
    fn claims_stand_there_once_and_parts_are_three() {
        let header = r#"{"typ":"at+jwt","alg":"RS256","kid":"k"}"#;
        for (payload, read) in [
            (r#"{"sub":"a"}"#, true),
            (r#"{"sub":"a","sub":"a"}"#, false),
            (r#"{"sub":"a","more":[{"x":1,"x":2}]}"#, false),
            (r#""sub""#, false),
        ] {
            let token = token(header, payload);
            assert_eq!(Parts::of(&token).unwrap().claims::<Value>().is_some(), read, "{payload}");
        }
        let good = token(header, "{}");
        assert!(Parts::of(&good).is_some());
        for broken in
            [format!("{good}.{good}"), good.replacen('.', "", 1), format!("{good}."), "..".to_owned()]
        {
            assert!(Parts::of(&broken).is_none(), "{broken}");
        }
        let long = format!("{good}{}", "A".repeat(LONGEST));
        assert!(Parts::of(&long).is_none());
    }
}
