//! What auth reads besides what every service does.

use std::path::PathBuf;
use std::time::Duration;

use petty_chassis::FoundationConfig;
use petty_chassis::config::{Reader, Section};
use secrecy::{ExposeSecret as _, SecretString};

use crate::domain::account::{Email, Passphrase};
use crate::domain::passphrase::{self, ContextWords, Factors};
use crate::domain::token::Algorithm;
use crate::vault::{KeySource, Ring};

/// What auth reads.
#[derive(Debug)]
pub struct AuthConfig {
    /// Database, events, whose tokens.
    pub foundation: FoundationConfig,
    /// Whether anybody may open an account: `PETTY_SIGNUP`, `open` or `closed`, default open. Off loopback, open sign-up
    /// is refused unless `PETTY_ALLOW_OPEN_SIGNUP` is `yes`.
    pub sign_up: SignUpMode,
    /// What new signing keys are made for: `PETTY_TOKEN_ALGORITHM`, RS256 (default), ES256 or EdDSA.
    pub algorithm: Algorithm,
    /// What keys are wrapped under at rest: `PETTY_KEY_ENCRYPTION_KEY`, 32 bytes in base64; and those before it, which still
    /// open: `PETTY_KEY_ENCRYPTION_KEY_PREVIOUS`, separated by commas. Or `PETTY_KEY_ENCRYPTION_KEY_FILE`, a file with a
    /// key a line, the one that wraps first, which is read again when it changes.
    pub key_encryption_keys: KeySource,
    /// How long an account's access token is valid: `PETTY_ACCESS_TOKEN_TTL`, default 15m.
    pub access_token_ttl: Duration,
    /// How long a collar's is: `PETTY_DEVICE_TOKEN_TTL`, default 1h.
    pub device_token_ttl: Duration,
    /// How many passphrases are hashed at once: `PETTY_PASSWORD_HASHERS`, 1 to 64, default 2. Each takes 19 MiB.
    pub password_hashers: usize,
    /// The staff account made at boot: `PETTY_BOOTSTRAP_EMAIL` and `PETTY_BOOTSTRAP_PASSWORD`; on loopback only.
    pub bootstrap: Option<Bootstrap>,
}

/// Who may open an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignUpMode {
    /// Anybody.
    Open,
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
        let access_token_ttl = ttl(reader, "PETTY_ACCESS_TOKEN_TTL", Duration::from_secs(15 * 60));
        let device_token_ttl = ttl(reader, "PETTY_DEVICE_TOKEN_TTL", Duration::from_secs(60 * 60));
        Some(Self {
            foundation: foundation?,
            sign_up,
            algorithm,
            key_encryption_keys: key_encryption_keys?,
            access_token_ttl,
            device_token_ttl,
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
        "open" => {
            if !loopback && !allowed {
                reader.fault(NAME, "is open, but the service listens beyond loopback; set it to closed, or PETTY_ALLOW_OPEN_SIGNUP to yes");
            }
            SignUpMode::Open
        }
        other => {
            reader.fault(NAME, format!("{other:?} is neither open nor closed"));
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
    let ttl = reader.duration(name, default);
    if (Duration::from_secs(1)..=Duration::from_secs(24 * 60 * 60)).contains(&ttl) {
        return ttl;
    }
    reader.fault(name, "is not within 1s to 24h");
    default
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
