//! What auth reads besides what every service does.

pub mod mail;

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use jiff::SignedDuration;
use petty_chassis::FoundationConfig;
use petty_chassis::config::{Reader, Section};
use secrecy::{ExposeSecret as _, SecretString};

use self::mail::MailConfig;
use crate::domain::account::{Email, Passphrase};
use crate::domain::passphrase::{self, ContextWords, Factors};
use crate::domain::session::Lifetimes;
use crate::domain::token::Algorithm;
use crate::vault::{KeySource, Ring};

/// What auth reads.
#[derive(Debug)]
pub struct AuthConfig {
    /// Database, events, whose tokens.
    pub foundation: FoundationConfig,
    /// Who may open an account: `PETTY_SIGNUP`, `open`, `verified` or `closed`, default open. Off loopback, open sign-up is
    /// refused unless `PETTY_ALLOW_OPEN_SIGNUP` is `yes`.
    pub sign_up: SignUpMode,
    /// Where mail goes.
    pub mail: MailConfig,
    /// What new signing keys are made for: `PETTY_TOKEN_ALGORITHM`, RS256 (default), ES256 or EdDSA.
    pub algorithm: Algorithm,
    /// How long signing keys sign.
    pub signing_keys: SigningKeys,
    /// What keys are wrapped under at rest: `PETTY_KEY_ENCRYPTION_KEY`, 32 bytes in base64; and those before it, which still
    /// open: `PETTY_KEY_ENCRYPTION_KEY_PREVIOUS`, separated by commas. Or `PETTY_KEY_ENCRYPTION_KEY_FILE`, a file with a
    /// key a line, the one that wraps first, which is read again when it changes.
    pub key_encryption_keys: KeySource,
    /// How long an account's access token is valid: `PETTY_ACCESS_TOKEN_TTL`, default 15m.
    pub access_token_ttl: Duration,
    /// How long a refresh token is valid: `PETTY_REFRESH_TOKEN_TTL`, 1m to 720h, default 168h; and how long a session lives at
    /// most: `PETTY_SESSION_LIFETIME`, 1m to 9600h, default 720h.
    pub lifetimes: Lifetimes,
    /// How long a collar's is: `PETTY_DEVICE_TOKEN_TTL`, default 1h.
    pub device_token_ttl: Duration,
    /// Where clients reach the gateway: `PETTY_PUBLIC_URL`, for example `https://petty.example`; where it is not set, the issuer, if
    /// that is a URL.
    pub public_url: Option<String>,
    /// How many passphrases are hashed at once: `PETTY_PASSWORD_HASHERS`, 1 to 64, default 2. Each takes 19 MiB.
    pub password_hashers: usize,
    /// The staff account made at boot: `PETTY_BOOTSTRAP_EMAIL` and `PETTY_BOOTSTRAP_PASSWORD`; on loopback only.
    pub bootstrap: Option<Bootstrap>,
}

/// The life of signing keys.
#[derive(Clone, Copy, Debug)]
pub struct SigningKeys {
    /// How long one signs before the next takes over: `PETTY_SIGNING_KEY_LIFETIME`, 10m to 9600h, default 720h.
    pub lifetime: SignedDuration,
    /// How often a replica looks whether it is time, and which key signs: `PETTY_SIGNING_KEY_CHECK`, 50ms to 1m, default 5s.
    pub check: Duration,
}

/// Who may open an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignUpMode {
    /// Anybody, at once.
    Open,
    /// Whoever has the mailbox.
    Verified,
    /// Nobody.
    Closed,
}

/// An account that is there from the first boot on.
#[derive(Debug)]
pub struct Bootstrap {
    /// Its address.
    pub email: Email,
    /// Its passphrase.
    pub password: Passphrase,
}

impl Section for AuthConfig {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let foundation = FoundationConfig::read(reader);
        let loopback = is_loopback(reader);
        let key_encryption_keys = key_encryption_keys(reader);
        let bootstrap = bootstrap(reader, loopback);
        let (sign_up, algorithm) = (sign_up(reader, loopback), algorithm(reader));
        let mail = mail::read(reader);
        if sign_up == SignUpMode::Verified && mail.as_ref().is_some_and(|mail| mail.way.is_none()) {
            reader.fault(
                "PETTY_SIGNUP",
                "is verified, but mail goes nowhere; set PETTY_SMTP_URL or PETTY_MAIL_DIR",
            );
        }
        let access_token_ttl = ttl(reader, "PETTY_ACCESS_TOKEN_TTL", Duration::from_secs(15 * 60));
        let device_token_ttl = ttl(reader, "PETTY_DEVICE_TOKEN_TTL", Duration::from_secs(60 * 60));
        Some(Self {
            foundation: foundation?,
            sign_up,
            mail: mail?,
            algorithm,
            signing_keys: signing_keys(reader),
            key_encryption_keys: key_encryption_keys?,
            access_token_ttl,
            lifetimes: lifetimes(reader),
            device_token_ttl,
            public_url: reader.optional("PETTY_PUBLIC_URL"),
            password_hashers: reader.in_range("PETTY_PASSWORD_HASHERS", 2, 1..=64),
            bootstrap,
        })
    }
}

/// Whether the service can be reached from this machine alone. Read from the same variables as the chassis reads, which
/// names their faults.
fn is_loopback(reader: &mut Reader<'_>) -> bool {
    ["PETTY_GRPC_LISTEN", "PETTY_ADMIN_LISTEN"].into_iter().all(|name| {
        let listen = reader.optional::<String>(name);
        listen.is_none_or(|text| {
            text.parse::<std::net::SocketAddr>().is_ok_and(|address| address.ip().is_loopback())
        })
    })
}

fn sign_up(reader: &mut Reader<'_>, loopback: bool) -> SignUpMode {
    const NAME: &str = "PETTY_SIGNUP";
    let allowed = reader.optional::<String>("PETTY_ALLOW_OPEN_SIGNUP").is_some_and(|answer| answer == "yes");
    match reader.or(NAME, "open".to_owned()).as_str() {
        "closed" => SignUpMode::Closed,
        "verified" => SignUpMode::Verified,
        "open" => {
            if !loopback && !allowed {
                reader.fault(NAME, "is open, but the service listens beyond loopback; set it to verified or closed, or PETTY_ALLOW_OPEN_SIGNUP to yes");
            }
            SignUpMode::Open
        }
        other => {
            reader.fault(NAME, format!("{other:?} is none of open, verified and closed"));
            SignUpMode::Closed
        }
    }
}

fn algorithm(reader: &mut Reader<'_>) -> Algorithm {
    const NAME: &str = "PETTY_TOKEN_ALGORITHM";
    let text = reader.or(NAME, Algorithm::Rs256.as_str().to_owned());
    Algorithm::parse(&text).unwrap_or_else(|| {
        reader.fault(NAME, format!("{text:?} is none of RS256, ES256, EdDSA"));
        Algorithm::Rs256
    })
}

fn signing_keys(reader: &mut Reader<'_>) -> SigningKeys {
    const LIFETIME: &str = "PETTY_SIGNING_KEY_LIFETIME";
    const CHECK: &str = "PETTY_SIGNING_KEY_CHECK";
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    let lifetime = within(reader, LIFETIME, DAY * 30, Duration::from_secs(600)..=DAY * 400, "10m to 9600h");
    let check = Duration::from_millis(50)..=Duration::from_secs(60);
    let check = within(reader, CHECK, Duration::from_secs(5), check, "50ms to 1m");
    // In range, so it fits.
    SigningKeys {
        lifetime: SignedDuration::try_from(lifetime).unwrap_or(SignedDuration::from_hours(720)),
        check,
    }
}

fn lifetimes(reader: &mut Reader<'_>) -> Lifetimes {
    const HOUR: u64 = 60 * 60;
    let span = |reader: &mut Reader<'_>, name: &str, default: u64, most: u64, words: &str| {
        let range = Duration::from_secs(60)..=Duration::from_secs(most * HOUR);
        let span = within(reader, name, Duration::from_secs(default * HOUR), range, words);
        // In range, so it fits.
        SignedDuration::try_from(span).unwrap_or_default()
    };
    Lifetimes {
        sliding: span(reader, "PETTY_REFRESH_TOKEN_TTL", 7 * 24, 30 * 24, "1m to 720h"),
        longest: span(reader, "PETTY_SESSION_LIFETIME", 30 * 24, 400 * 24, "1m to 9600h"),
    }
}

/// A span of time that is not out of all reason.
fn within(
    reader: &mut Reader<'_>,
    name: &str,
    default: Duration,
    range: RangeInclusive<Duration>,
    words: &str,
) -> Duration {
    let span = reader.duration(name, default);
    if range.contains(&span) {
        return span;
    }
    reader.fault(name, format!("is not within {words}"));
    default
}

/// The ring is the lines of one file, which is watched, or what the variables hold, which stays.
fn key_encryption_keys(reader: &mut Reader<'_>) -> Option<KeySource> {
    const NAME: &str = "PETTY_KEY_ENCRYPTION_KEY";
    const BEFORE: &str = "PETTY_KEY_ENCRYPTION_KEY_PREVIOUS";
    let current = reader.secret(NAME)?;
    let before = reader.secret_optional(BEFORE);
    let lines = before.as_ref().map(|before| before.expose_secret().replace(',', "\n")).unwrap_or_default();
    if let Err(error) = Ring::parse(&lines)
        && before.is_some()
    {
        reader.fault(BEFORE, error);
    }
    let ring = match Ring::parse(current.expose_secret()) {
        Ok(_) => Ring::parse(&format!("{}\n{lines}", current.expose_secret())).ok()?,
        Err(error) => {
            reader.fault(NAME, error);
            return None;
        }
    };
    let file: Option<PathBuf> = reader.optional(&format!("{NAME}_FILE"));
    if file.is_some() && before.is_some() {
        reader.fault(
            BEFORE,
            format!("is set, and so is {NAME}_FILE; put the keys before into that file, a line each"),
        );
    }
    Some(match file {
        None => KeySource::Fixed(ring),
        Some(path) => KeySource::File(path, ring),
    })
}

fn ttl(reader: &mut Reader<'_>, name: &str, default: Duration) -> Duration {
    within(reader, name, default, Duration::from_secs(1)..=Duration::from_secs(24 * 60 * 60), "1s to 24h")
}

fn bootstrap(reader: &mut Reader<'_>, loopback: bool) -> Option<Bootstrap> {
    const EMAIL: &str = "PETTY_BOOTSTRAP_EMAIL";
    const PASSWORD: &str = "PETTY_BOOTSTRAP_PASSWORD";
    let (email, password): (Option<String>, Option<SecretString>) =
        (reader.optional(EMAIL), reader.secret_optional(PASSWORD));
    let (email, password) = match (email, password) {
        (None, None) => return None,
        (Some(email), Some(password)) => (email, password),
        (Some(_), None) => {
            reader.fault(PASSWORD, format!("is not set, but {EMAIL} is"));
            return None;
        }
        (None, Some(_)) => {
            reader.fault(EMAIL, format!("is not set, but {PASSWORD} is"));
            return None;
        }
    };
    if !loopback {
        reader.fault(EMAIL, "is for trying Petty out; beyond loopback no account is made at boot");
    }
    let email = Email::parse(&email).map_err(|problem| reader.fault(EMAIL, problem.reason)).ok();
    let password = Passphrase::parse(password.expose_secret(), Factors::PassphraseOnly);
    let password = password.map_err(|problem| reader.fault(PASSWORD, problem.reason)).ok();
    let (email, password) = (email?, password?);
    passphrase::judge(&password, Factors::PassphraseOnly, &ContextWords::of(&email, None))
        .map_err(|problem| reader.fault(PASSWORD, problem.reason))
        .ok()?;
    Some(Bootstrap { email, password })
}
