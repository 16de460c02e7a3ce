//! What every service with a database stands on: its database, its part in events, its clients to the others.

use futures::FutureExt as _;
use futures::future::BoxFuture;

use crate::access::{Access, Broadcast, RemoteAccess, RemoteKeys};
use crate::caller::Verifier;
use crate::config::{PostgresConfig, Reader, RedisConfig, Section};
use crate::events::redis::Connector;
use crate::events::{Events, EventsConfig, Wake};
use crate::grpc::client::Mesh;
use crate::grpc::gate::Gate;
use crate::postgres::{Db, Migrations};
use crate::service::Context;

/// Whose tokens are believed.
#[derive(Clone, Debug)]
pub struct TokenConfig {
    /// The issuer: `PETTY_TOKEN_ISSUER`, default "petty".
    pub issuer: String,
    /// The audience: `PETTY_TOKEN_AUDIENCE`, default "petty".
    pub audience: String,
}

impl Section for TokenConfig {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        Some(Self {
            issuer: reader.or("PETTY_TOKEN_ISSUER", "petty".to_owned()),
            audience: reader.or("PETTY_TOKEN_AUDIENCE", "petty".to_owned()),
        })
    }
}

/// What a [`Foundation`] is laid from.
#[derive(Clone, Debug)]
pub struct FoundationConfig {
    /// The service's own database.
    pub postgres: PostgresConfig,
    /// Where events travel.
    pub redis: RedisConfig,
    /// How they do.
    pub events: EventsConfig,
    /// Whose tokens are believed.
    pub tokens: TokenConfig,
}

impl Section for FoundationConfig {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let (postgres, redis) = (PostgresConfig::read(reader), RedisConfig::read(reader));
        let (events, tokens) = (EventsConfig::read(reader), TokenConfig::read(reader));
        Some(Self { postgres: postgres?, redis: redis?, events: events?, tokens: tokens? })
    }
}

/// What a service with a database stands on. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Foundation {
    /// What it was given.
    pub context: Context,
    /// Its database, migrated.
    pub db: Db,
    /// The events Redis.
    pub redis: Connector,
    /// Its part in events: relay and housekeeping run, consuming is up to the service.
    pub events: Events,
    /// Hints between the service's replicas.
    pub wake: Wake,
    /// Clients to the other services.
    pub mesh: Mesh,
    tokens: TokenConfig,
}

impl Foundation {
    /// Migrates, opens, and starts the relay.
    ///
    /// # Errors
    /// Where the database is away or its schema too old, or an address is wrong.
    pub fn lay<'a>(
        context: &'a Context,
        config: &'a FoundationConfig,
        migrations: Migrations,
    ) -> BoxFuture<'a, anyhow::Result<Self>> {
        // Boxed, as what a service does is ([`crate::Running`]).
        async move {
            let db = Db::open(context, &config.postgres, migrations).await?;
            let redis = Connector::new(&config.redis.events_url)?;
            let events = Events::start(context, &db, &redis, config.events.clone()).await?;
            let wake = Wake::new(&redis, &context.tasks, &context.shutdown);
            let mesh = Mesh::new(context)?;
            Ok(Self {
                context: context.clone(),
                db,
                redis,
                events,
                wake,
                mesh,
                tokens: config.tokens.clone(),
            })
        }
        .boxed()
    }

    /// The gate of a service that asks auth: tokens by auth's keys, decisions remembered while the broadcast is heard. The
    /// service is ready once it has heard those keys a first time; that auth is away later does not make it unready.
    #[must_use]
    pub fn gate(&self) -> Gate {
        let Context { clock, tasks, shutdown, .. } = &self.context;
        let verifier = self.verifier(Box::new(RemoteKeys::new(self.mesh.channel("auth"))));
        verifier.prepare(&self.context);
        let broadcast = Broadcast::listen(self.redis.clone(), tasks, shutdown.clone());
        let source = Box::new(RemoteAccess::new(self.mesh.channel("auth")));
        Gate::new(verifier, Access::remembering(source, clock.clone(), broadcast))
    }

    /// A verifier of tokens with keys from `source`.
    #[must_use]
    pub fn verifier(&self, source: Box<dyn crate::caller::KeySource>) -> Verifier {
        let Context { clock, tasks, .. } = &self.context;
        Verifier::of_service(source, &self.tokens.issuer, &self.tokens.audience, clock.clone(), tasks)
    }
}
