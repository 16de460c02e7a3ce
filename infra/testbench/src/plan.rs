//! What a bench is laid from.

use futures::FutureExt as _;
use futures::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use petty_chassis::config::Environment;
use petty_chassis::grpc::identity::generate_key;
use petty_chassis::postgres::Migrations;
use secrecy::ExposeSecret as _;

use crate::bench::Bench;
use crate::streams::Streams;

/// Few, so that tests meet pets that share one.
pub const SHARDS: i16 = 4;

/// What the clock says at first: a Saturday's noon, in winter.
///
/// # Panics
/// Never.
#[must_use]
pub fn now() -> Timestamp {
    "2026-01-10T12:00:00Z".parse().expect("a time")
}

/// So many seconds after [`now`].
#[must_use]
pub fn at(seconds: i64) -> Timestamp {
    now() + SignedDuration::from_secs(seconds)
}

/// What a bench is laid from.
#[derive(Debug)]
pub struct Plan {
    pub(crate) service: &'static str,
    pub(crate) migrations: Migrations,
    pub(crate) start: Timestamp,
    settings: Vec<(&'static str, String)>,
    consumes: bool,
}

impl Plan {
    /// For a service of this name with these tables.
    #[must_use]
    pub fn new(service: &'static str, migrations: Migrations) -> Self {
        Self { service, migrations, start: now(), settings: Vec::new(), consumes: false }
    }

    /// Begins at another time.
    #[must_use]
    pub fn starting(mut self, start: Timestamp) -> Self {
        self.start = start;
        self
    }

    /// Sets a variable.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.settings.push((name, value.into()));
        self
    }

    /// With streams of its own: for what reads them.
    #[must_use]
    pub fn consuming(mut self) -> Self {
        self.consumes = true;
        self
    }

    /// A bench with a database of this name. Two of one name share it: each test has a name of its own.
    ///
    /// # Panics
    /// Where Postgres or Redis cannot be had, or the schema cannot be made.
    pub fn lay(self, name: &str) -> BoxFuture<'_, Bench> {
        // Boxed, as what else takes a while here: it is compiled here then, and not with each service's tests (ADR 58).
        async move {
            let (environment, streams) = self.environment(name).await;
            Bench::lay(self, environment, streams).await
        }
        .boxed()
    }

    /// What the service reads.
    pub(crate) async fn environment(&self, name: &str) -> (Environment, Streams) {
        let service = self.service;
        let stack = petty_provision::shared().await.expect("Postgres and Redis for tests");
        let streams = if self.consumes { Streams::own(stack).await } else { Streams::shared() };
        let database =
            stack.postgres().ensure_database(&format!("{service}_{name}")).await.expect("a database");
        let (key, public) = generate_key().expect("a key");
        let mut environment = Environment::default()
            .with("PETTY_GRPC_LISTEN", "127.0.0.1:0")
            .with("PETTY_ADMIN_LISTEN", "127.0.0.1:0")
            .with("PETTY_SERVICE_KEY", key.expose_secret())
            .with("PETTY_SERVICE_KEYS", format!(r#"{{"{service}": "{public}"}}"#))
            .with("PETTY_DATABASE_URL", database.runtime_url.expose_secret())
            .with("PETTY_MIGRATION_URL", database.owner_url.expose_secret())
            .with("PETTY_DATABASE_POOL", "8")
            .with("PETTY_EVENTS_REDIS_URL", streams.url(stack))
            .with("PETTY_SHARDS", SHARDS.to_string());
        for (name, value) in &self.settings {
            environment.set(*name, value);
        }
        (environment, streams)
    }
}
