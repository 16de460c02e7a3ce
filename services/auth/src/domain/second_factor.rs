//! Second factors: time-based one-time passwords (RFC 6238) as every authenticator app knows them, and recovery codes.

use std::fmt;

use data_encoding::BASE32_NOPAD;
use jiff::Timestamp;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use totp_rs::{Algorithm, Builder};

use super::Problem;
use super::account::Email;

/// So many recovery codes are answered.
pub const RECOVERY_CODES: usize = 10;

/// What an authenticator shares: 160 bits (RFC 4226, 4, R6). Not shown by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret([u8; 20]);

/// Seconds that a code is shown for.
const STEP: u64 = 30;
const DIGITS: u8 = 6;
/// A code of so many steps before or after is right too: clocks differ, people are slow.
const SKEW: u16 = 1;
/// Bits enough that a recovery code needs no slow hash (NIST SP 800-63B-4, 3.1.2.2: 112): 120, in Base32.
const RECOVERY_CODE: usize = 24;
/// Nobody types more.
const LONGEST: usize = 64;

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret([redacted])")
    }
}

impl Secret {
    /// Of random bytes.
    #[must_use]
    pub fn new(random: [u8; 20]) -> Self {
        Self(random)
    }

    /// One that was made before, as [`Secret::text`] gives it.
    #[must_use]
    pub fn stored(text: &str) -> Option<Self> {
        BASE32_NOPAD.decode(text.as_bytes()).ok()?.try_into().ok().map(Self)
    }

    /// As it is typed into an authenticator.
    #[must_use]
    pub fn text(&self) -> String {
        BASE32_NOPAD.encode(&self.0)
    }

    /// As an authenticator scans it.
    #[must_use]
    pub fn uri(&self, email: &Email) -> String {
        let account = utf8_percent_encode(email.address(), NON_ALPHANUMERIC);
        let secret = self.text();
        format!(
            "otpauth://totp/Petty:{account}?secret={secret}&issuer=Petty&algorithm=SHA1&digits={DIGITS}&period={STEP}"
        )
    }

    /// The step whose code this is, if one that is right now.
    #[must_use]
    pub fn step_of(&self, code: &str, now: Timestamp) -> Option<i64> {
        let builder = Builder::new()
            .with_algorithm(Algorithm::SHA1)
            .with_digits(DIGITS)
            .with_skew(SKEW)
            .with_step_duration(STEP)
            .with_secret(self.0);
        let step = builder.build().ok()?.check(code, u64::try_from(now.as_second()).ok()?)?;
        i64::try_from(step).ok()
    }
}

/// A code that somebody typed. Not shown by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub enum Code {
    /// The six digits that an authenticator shows.
    Shown(String),
    /// A recovery code, as it is compared.
    Recovery(String),
}

impl fmt::Debug for Code {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Code([redacted])")
    }
}

impl Code {
    /// Reads one, without regard to spaces, hyphens and case.
    ///
    /// # Errors
    /// Where it is of neither shape.
    pub fn parse(text: &str) -> Result<Self, Problem> {
        if text.is_empty() {
            return Err(Problem::REQUIRED);
        }
        let code: String = text.chars().take(LONGEST).filter(|c| !matches!(c, ' ' | '-')).collect();
        let code = code.to_ascii_uppercase();
        let of_base32 = |byte: u8| byte.is_ascii_uppercase() || (b'2'..=b'7').contains(&byte);
        if code.len() == usize::from(DIGITS) && code.bytes().all(|byte| byte.is_ascii_digit()) {
            Ok(Self::Shown(code))
        } else if code.len() == RECOVERY_CODE && code.bytes().all(of_base32) {
            Ok(Self::Recovery(code))
        } else {
            Err(Problem::malformed("must be six digits, or a recovery code of 24 characters"))
        }
    }
}

/// A recovery code of random bytes: as it is shown, and as it is compared.
#[must_use]
pub fn recovery_code(random: [u8; RECOVERY_CODE * 5 / 8]) -> (String, String) {
    let code = BASE32_NOPAD.encode(&random);
    let groups: Vec<&str> =
        (0..RECOVERY_CODE).step_by(4).filter_map(|start| code.get(start..start + 4)).collect();
    (groups.join("-"), code)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    #[test]
    fn codes_are_those_of_the_rfc() {
        // RFC 6238, appendix B, the last six of eight digits.
        let secret = Secret::new(*b"12345678901234567890");
        for (second, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            assert_eq!(secret.step_of(code, at(second)), Some(second / 30), "{second}");
        }
    }

    #[test]
    fn codes_are_right_a_step_before_and_after_and_no_longer() {
        let secret = Secret::new(*b"12345678901234567890");
        let step = 1_234_567_890 / 30;
        for (second, right) in [
            (step * 30 - 31, false),
            (step * 30 - 30, true),
            (step * 30, true),
            (step * 30 + 59, true),
            (step * 30 + 60, false),
        ] {
            assert_eq!(secret.step_of("005924", at(second)), right.then_some(step), "{second}");
        }
        assert_eq!(secret.step_of("005925", at(step * 30)), None);
        assert_eq!(Secret::new([0; 20]).step_of("005924", at(step * 30)), None);
    }

    #[test]
    fn secrets_read_back_and_are_told_to_authenticators() {
        let secret = Secret::new(*b"12345678901234567890");
        assert_eq!(secret.text(), "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
        assert_eq!(Secret::stored(&secret.text()), Some(secret.clone()));
        assert_eq!(Secret::stored("GEZDGNBV"), None);
        let uri = secret.uri(&Email::parse("ada+1@example.org").unwrap());
        assert_eq!(
            uri,
            "otpauth://totp/Petty:ada%2B1%40example%2Eorg?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Petty&algorithm=SHA1&digits=6&period=30"
        );
    }

    #[test]
    fn typed_codes_are_read_however_they_are_written() {
        assert_eq!(Code::parse(" 005 924 ").unwrap(), Code::Shown("005924".to_owned()));
        let (shown, kept) = recovery_code([0xA5; 15]);
        assert_eq!(shown, "UWS2-LJNF-UWS2-LJNF-UWS2-LJNF");
        for text in [&shown, &kept, &shown.to_lowercase()] {
            assert_eq!(Code::parse(text).unwrap(), Code::Recovery(kept.clone()), "{text}");
        }
        for text in ["", "12345", "1234567", "12345a", "٠٠٥٩٢٤", "UWS2-LJNF", &"7".repeat(100)] {
            assert!(Code::parse(text).is_err(), "{text}");
        }
    }
}
