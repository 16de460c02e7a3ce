//! Short texts that people write, and time zones.

use jiff::tz::TimeZoneDatabase;

use super::Problem;

/// The longest name and breed, characters.
const LONGEST: usize = 100;

/// A text that is there: 1 to 100 characters around which no space is left.
///
/// # Errors
/// Where it is empty, too long, or holds control characters.
pub fn required(text: &str) -> Result<String, Problem> {
    optional(text)?.ok_or(Problem::REQUIRED)
}

/// A text that may be empty, which is none.
///
/// # Errors
/// Where it is too long, or holds control characters.
pub fn optional(text: &str) -> Result<Option<String>, Problem> {
    let text = text.trim();
    if text.chars().count() > LONGEST {
        return Err(Problem::out_of_range("must be at most 100 characters"));
    }
    if text.chars().any(char::is_control) {
        return Err(Problem::malformed("must hold no control characters"));
    }
    Ok((!text.is_empty()).then(|| text.to_owned()))
}

/// An IANA time zone, by the name the database spells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimeZoneName(String);

impl TimeZoneName {
    /// UTC.
    #[must_use]
    pub fn utc() -> Self {
        Self("UTC".to_owned())
    }

    /// Finds it in the bundled database, so that it does not depend on the machine.
    ///
    /// # Errors
    /// Where there is no such zone.
    pub fn parse(text: &str) -> Result<Self, Problem> {
        if text.is_empty() {
            return Err(Problem::REQUIRED);
        }
        let unknown = Problem::malformed("must be an IANA time zone, for example Europe/Berlin");
        if text.len() > 64 {
            return Err(unknown);
        }
        let zone = TimeZoneDatabase::bundled().get(text).map_err(|_| unknown)?;
        zone.iana_name().filter(|_| !zone.is_unknown()).map(|name| Self(name.to_owned())).ok_or(unknown)
    }

    /// One that was parsed before, as it was stored.
    #[must_use]
    pub fn stored(name: String) -> Self {
        Self(name)
    }

    /// Its name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
