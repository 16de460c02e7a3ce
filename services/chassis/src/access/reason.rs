//! Why a member of the staff looks at somebody's pet: said by them, forwarded with the call, and written down where it is
//! decided on.

use std::fmt;
use std::sync::Arc;

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};
use sha2::{Digest as _, Sha256};
use tonic::metadata::{Ascii, MetadataMap, MetadataValue};

use crate::error::FieldError;

/// The metadata key that carries it: text with what is not ASCII, and the percent sign, percent-encoded.
pub const ACCESS_REASON: &str = "x-petty-access-reason";
/// The header, as people who work with the API know it.
pub const HEADER: &str = "X-Access-Reason";
/// How long it is, characters.
const LENGTH: std::ops::RangeInclusive<usize> = 10..=500;
const ENCODED: &AsciiSet = &CONTROLS.add(b'%');

/// A reason. It may speak of people: no log, metric or trace holds it.
#[derive(Clone, PartialEq, Eq)]
pub struct AccessReason {
    text: Arc<str>,
    digest: [u8; 32],
}

impl fmt::Debug for AccessReason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("AccessReason([redacted])")
    }
}

impl AccessReason {
    /// Reads one.
    ///
    /// # Errors
    /// What is wrong with it, for a person.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let text = text.trim();
        if !LENGTH.contains(&text.chars().count()) {
            return Err("must be 10 to 500 characters");
        }
        if text.chars().any(char::is_control) {
            return Err("must hold no control characters");
        }
        Ok(Self { text: Arc::from(text), digest: Sha256::digest(text.as_bytes()).into() })
    }

    /// The one that a call carries.
    ///
    /// # Errors
    /// Where there are two, or it cannot be read.
    pub fn carried(metadata: &MetadataMap) -> Result<Option<Self>, FieldError> {
        let bad = |reason: &'static str| FieldError::malformed(HEADER, reason);
        let mut values = metadata.get_all(ACCESS_REASON).iter();
        let Some(value) = values.next() else { return Ok(None) };
        if values.next().is_some() {
            return Err(bad("is given twice"));
        }
        let text = value.to_str().ok().and_then(|text| percent_decode_str(text).decode_utf8().ok());
        let text = text.ok_or_else(|| bad("must be UTF-8"))?;
        Self::parse(&text).map(Some).map_err(bad)
    }

    /// As a call carries it.
    #[must_use]
    pub fn metadata(&self) -> Option<MetadataValue<Ascii>> {
        let encoded = utf8_percent_encode(&self.text, ENCODED).to_string();
        let mut value = MetadataValue::try_from(encoded).ok()?;
        value.set_sensitive(true);
        Some(value)
    }

    /// Its words.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What a decision that was made for it is remembered by.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        self.digest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_arrives_as_it_was_said() {
        for text in
            ["ticket 4711: no positions", "Kundin bat um Prüfung, 100 % sicher — ß", "%41%41%41%41%41%41"]
        {
            let reason = AccessReason::parse(text).unwrap();
            let mut metadata = MetadataMap::new();
            metadata.insert(ACCESS_REASON, reason.metadata().unwrap());
            let carried = AccessReason::carried(&metadata).unwrap().unwrap();
            assert_eq!((carried.text(), carried.digest()), (text, reason.digest()));
            metadata.append(ACCESS_REASON, reason.metadata().unwrap());
            assert!(AccessReason::carried(&metadata).is_err(), "two reasons are none");
        }
        assert_eq!(AccessReason::carried(&MetadataMap::new()).unwrap(), None);
        assert!(!format!("{:?}", AccessReason::parse("ticket 4711: Ada").unwrap()).contains("Ada"));
    }

    #[test]
    fn a_reason_is_said_and_no_essay() {
        for text in ["", "because", "         x", &"x".repeat(501), "line one\nline two"] {
            assert!(AccessReason::parse(text).is_err(), "{text:?}");
        }
        assert!(AccessReason::parse(&"é".repeat(500)).is_ok() && AccessReason::parse("0123456789").is_ok());
    }
}
