//! Where data and events are.

use std::path::PathBuf;

use redis::IntoConnectionInfo as _;
use secrecy::{ExposeSecret as _, SecretString};

use super::{Reader, Section};
use crate::postgres::{address, tls};

/// A service's own database.
#[derive(Clone, Debug)]
pub struct PostgresConfig {
    /// The runtime role's URL: `PETTY_DATABASE_URL`. Its `sslmode` is `disable`, or `require`, `verify-ca` or `verify-full`,
    /// which are all the last; without one, and with `prefer`, there is TLS where a file of [`PostgresTls`] is set.
    pub runtime_url: SecretString,
    /// The owner's URL, for migrations: `PETTY_MIGRATION_URL`. Without it the service does not migrate.
    pub owner_url: Option<SecretString>,
    /// The most connections of the pool: `PETTY_DATABASE_POOL`, 1 to 500, default 16. One more looks whether the database is there.
    pub pool_size: usize,
    /// How the server is verified, over both URLs.
    pub tls: PostgresTls,
}

impl Section for PostgresConfig {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        const RUNTIME: &str = "PETTY_DATABASE_URL";
        const OWNER: &str = "PETTY_MIGRATION_URL";
        let runtime_url = reader.secret(RUNTIME);
        let owner_url = reader.secret_optional(OWNER);
        let pool_size = reader.in_range("PETTY_DATABASE_POOL", 16, 1..=500);
        let tls = PostgresTls::read(reader);
        for (name, url) in [(RUNTIME, &runtime_url), (OWNER, &owner_url)] {
            if let Some(Err(fault)) = url.as_ref().map(address::parse) {
                reader.fault(name, fault);
            }
        }
        Some(Self { runtime_url: runtime_url?, owner_url, pool_size, tls: tls? })
    }
}

/// How a PostgreSQL is spoken to over TLS. Nothing of it set: verified by the platform's authorities, where the URL asks for TLS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PostgresTls {
    /// Whom the server's certificate may be signed by, PEM: `PETTY_DATABASE_TLS_CA_FILE`, by default the platform's authorities.
    pub ca: Option<PathBuf>,
    /// What is shown to a server that asks for a certificate, and its key, PEM: `PETTY_DATABASE_TLS_CERT_FILE` and
    /// `PETTY_DATABASE_TLS_KEY_FILE`, both or neither.
    pub client: Option<(PathBuf, PathBuf)>,
}

impl Section for PostgresTls {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let [ca, cert, key] = [tls::CA_FILE, tls::CERT_FILE, tls::KEY_FILE].map(|name| reader.optional(name));
        let client = match (cert, key) {
            (Some(cert), Some(key)) => Some((cert, key)),
            (None, None) => None,
            (cert, _) => {
                let (missing, set) = if cert.is_some() {
                    (tls::KEY_FILE, tls::CERT_FILE)
                } else {
                    (tls::CERT_FILE, tls::KEY_FILE)
                };
                reader.fault(missing, format!("is not set, but {set} is; set both or neither"));
                None
            }
        };
        let files = Self { ca, client };
        for tls::Fault { setting, problem } in tls::check(&files) {
            reader.fault(setting, problem);
        }
        Some(files)
    }
}

/// The two Redis: one that keeps events and may lose nothing, one that only accelerates.
#[derive(Clone, Debug)]
pub struct RedisConfig {
    /// The events Redis: `PETTY_EVENTS_REDIS_URL`.
    pub events_url: SecretString,
    /// The cache Redis: `PETTY_CACHE_REDIS_URL`, by default the events Redis.
    pub cache_url: SecretString,
}

impl Section for RedisConfig {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        const EVENTS: &str = "PETTY_EVENTS_REDIS_URL";
        const CACHE: &str = "PETTY_CACHE_REDIS_URL";
        let events_url = reader.secret(EVENTS);
        let cache_url = reader.secret_optional(CACHE);
        for (name, url) in [(EVENTS, &events_url), (CACHE, &cache_url)] {
            // Without the parser's words: they may hold the password.
            if let Some(Err(_)) = url.as_ref().map(|url| url.expose_secret().into_connection_info()) {
                reader.fault(name, "is not a valid URL, e.g. redis://:…@127.0.0.1:6379/0");
            }
        }
        let events_url = events_url?;
        let cache_url = cache_url.unwrap_or_else(|| events_url.clone());
        Some(Self { events_url, cache_url })
    }
}
