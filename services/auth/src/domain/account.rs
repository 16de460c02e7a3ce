//! Accounts: addresses, passphrases, scopes.

use std::fmt;

use jiff::Timestamp;
use petty_chassis::types::AccountId;
use secrecy::{ExposeSecret as _, SecretString};
use unicode_normalization::UnicodeNormalization as _;

use super::Problem;
use super::passphrase::Factors;
use super::text::TimeZoneName;

/// What an account's tokens may do; what only staff does comes with a role.
pub const SCOPE: &str = "pets:read pets:write readings:write feedback:write";

/// The longest address (RFC 5321), bytes.
const LONGEST_EMAIL: usize = 254;
/// The longest part before the at sign (RFC 5321), bytes.
const LONGEST_LOCAL_PART: usize = 64;
/// The longest passphrase, characters. (NIST SP 800-63B-4, 3.1.1.2: at least 64 must be allowed.)
const LONGEST_PASSPHRASE: usize = 256;

/// An e-mail address. Not shown by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Email {
    address: String,
    key: String,
}

impl fmt::Debug for Email {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Email([redacted])")
    }
}

impl Email {
    /// Reads one of a sane shape; whether it can be delivered to is not decided here.
    ///
    /// # Errors
    /// Where it has not that shape, or is longer than 254 characters.
    pub fn parse(text: &str) -> Result<Self, Problem> {
        let address: String = text.trim().nfc().collect();
        if address.is_empty() {
            return Err(Problem::REQUIRED);
        }
        if address.len() > LONGEST_EMAIL {
            return Err(Problem::out_of_range("must be at most 254 characters"));
        }
        if !is_address(&address) {
            return Err(Problem::malformed("must be an e-mail address, as in ada@example.org"));
        }
        let key = address.to_lowercase();
        Ok(Self { address, key })
    }

    /// One that was parsed before, as it was stored.
    #[must_use]
    pub fn stored(address: String) -> Self {
        let key = address.to_lowercase();
        Self { address, key }
    }

    /// As it was written.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// What it is compared by: without regard to case.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }
}

fn is_address(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else { return false };
    let plain = |c: char| !c.is_whitespace() && !c.is_control() && !"()<>[]:;,\\\"@".contains(c);
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.chars().all(|c| c.is_alphanumeric() || c == '-')
    };
    (1..=LONGEST_LOCAL_PART).contains(&local.len())
        && local.chars().all(plain)
        && !local.starts_with('.')
        && !local.ends_with('.')
        && !local.contains("..")
        && domain.contains('.')
        && domain.split('.').all(label)
}

/// A passphrase in NFC, within its bounds: any characters, never truncated. Not shown by `Debug`.
#[derive(Clone, Debug)]
pub struct Passphrase(SecretString);

impl Passphrase {
    /// Reads a new one of an account with these factors. Whether it is easily guessed is [`judge`](super::passphrase::judge)'s to say.
    ///
    /// # Errors
    /// Where it is shorter than 15 characters (8 where there is a second factor) or longer than 256.
    pub fn parse(text: &str, factors: Factors) -> Result<Self, Problem> {
        if text.is_empty() {
            return Err(Problem::REQUIRED);
        }
        let normal = normal(text);
        if !(factors.shortest()..=LONGEST_PASSPHRASE).contains(&normal.expose_secret().chars().count()) {
            return Err(factors.out_of_bounds());
        }
        Ok(Self(normal))
    }

    /// Reads one that is to be compared with what is stored: anything that may have been accepted at some time.
    ///
    /// # Errors
    /// Where it is empty, or longer than any passphrase.
    pub fn attempt(text: &str) -> Result<Self, Problem> {
        if text.is_empty() {
            return Err(Problem::REQUIRED);
        }
        let normal = normal(text);
        if normal.expose_secret().chars().count() > LONGEST_PASSPHRASE {
            return Err(Problem::out_of_range("must be at most 256 characters"));
        }
        Ok(Self(normal))
    }

    /// Whether it is long enough to be the only factor.
    #[must_use]
    pub fn is_enough_alone(&self) -> bool {
        self.0.expose_secret().chars().count() >= Factors::PassphraseOnly.shortest()
    }

    /// Its text.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

fn normal(text: &str) -> SecretString {
    SecretString::from(text.nfc().collect::<String>())
}

/// Asks for an account.
#[derive(Debug)]
pub struct NewAccount {
    /// Its address.
    pub email: Email,
    /// Its passphrase.
    pub password: Passphrase,
    /// What to call the owner.
    pub name: Option<String>,
    /// Where they are.
    pub time_zone: TimeZoneName,
}

/// An account.
#[derive(Clone, Debug)]
pub struct Account {
    /// Its id.
    pub account_id: AccountId,
    /// Its address.
    pub email: Email,
    /// What to call the owner.
    pub name: Option<String>,
    /// Where they are.
    pub time_zone: TimeZoneName,
    /// When it was opened.
    pub created_at: Timestamp,
    /// When its address was confirmed.
    pub email_verified_at: Option<Timestamp>,
}
