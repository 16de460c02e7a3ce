//! Where data and events are.

use std::fmt::Display;
use std::str::FromStr;

use redis::IntoConnectionInfo as _;
use secrecy::{ExposeSecret as _, SecretString};

use super::{Reader, Section};

/// A service's own database.
#[derive(Clone, Debug)]
pub struct PostgresConfig {
    /// The runtime role's URL: `PETTY_DATABASE_URL`.
    pub runtime_url: SecretString,
    /// The owner's URL, for migrations: `PETTY_MIGRATION_URL`. Without it the service does not migrate.
    pub owner_url: Option<SecretString>,
    /// The most connections of the pool: `PETTY_DATABASE_POOL`, 1 to 500, default 16.
    pub pool_size: usize,
}

impl Section for PostgresConfig {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        const RUNTIME: &str = "PETTY_DATABASE_URL";
        const OWNER: &str = "PETTY_MIGRATION_URL";
        let runtime_url = reader.secret(RUNTIME);
        let owner_url = reader.secret_optional(OWNER);
        let pool_size = reader.in_range("PETTY_DATABASE_POOL", 16, 1..=500);
        for (name, url) in [(RUNTIME, &runtime_url), (OWNER, &owner_url)] {
            let parsed = url.as_ref().map(|url| tokio_postgres::Config::from_str(url.expose_secret()));
            check_url(reader, name, parsed, "postgres://petty_auth_app:…@127.0.0.1:5432/petty_auth");
        }
        Some(Self { runtime_url: runtime_url?, owner_url, pool_size })
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
            let parsed = url.as_ref().map(|url| url.expose_secret().into_connection_info());
            check_url(reader, name, parsed, "redis://:…@127.0.0.1:6379/0");
        }
        let events_url = events_url?;
        let cache_url = cache_url.unwrap_or_else(|| events_url.clone());
        Some(Self { events_url, cache_url })
    }
}

/// Records a fault without the URL or the parser's words: either may hold the password.
fn check_url<T, E: Display>(
    reader: &mut Reader<'_>,
    name: &str,
    parsed: Option<Result<T, E>>,
    example: &str,
) {
    if let Some(Err(_)) = parsed {
        reader.fault(name, format!("is not a valid URL, e.g. {example}"));
    }
}
