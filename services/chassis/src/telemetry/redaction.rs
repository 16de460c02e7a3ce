//! Which fields are never written.

/// What is written instead.
pub const REDACTED: &str = "[redacted]";

/// Words that name something secret, personal or an exact position.
const SECRET: &[&str] = &[
    "token",
    "secret",
    "password",
    "authorization",
    "cookie",
    "latitude",
    "longitude",
    "lat",
    "lon",
    "lng",
    "coordinates",
    "email",
    "payload",
];
/// Words that make a field a measure of something, not the thing.
const MEASURE: &[&str] = &["bytes", "count", "len", "length", "size", "kind", "type"];

/// Whether a field of this name is written as [`REDACTED`]. `access_token`, `pet.latitude` and `payload` are;
/// `payload_size` is not.
pub(super) fn is_secret(field: &str) -> bool {
    let mut words = field.split(['.', '_', '-']);
    let measure = words.clone().next_back().is_some_and(|last| MEASURE.contains(&last));
    !measure && words.any(|word| SECRET.iter().any(|secret| word.eq_ignore_ascii_case(secret)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_decide() {
        for (field, secret) in [
            ("token", true),
            ("access_token", true),
            ("http.request.header.authorization", true),
            ("Latitude", true),
            ("pet.lat", true),
            ("coordinates", true),
            ("email", true),
            ("payload", true),
            ("payload_size", false),
            ("token_count", false),
            ("pet.id", false),
            ("latency", false),
            ("plate", false),
            ("message", false),
        ] {
            assert_eq!(is_secret(field), secret, "{field}");
        }
    }
}
