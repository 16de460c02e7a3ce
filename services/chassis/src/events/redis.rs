//! Connections to the events Redis.

use std::time::Duration;

use redis::aio::{ConnectionLike, ConnectionManager, ConnectionManagerConfig, MultiplexedConnection, PubSub};
use redis::{AsyncConnectionConfig, Client, FromRedisValue, Pipeline, RedisError, RedisResult};
use secrecy::{ExposeSecret as _, SecretString};

use crate::service::Context;

/// A command that is not answered within this time has failed.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(2);
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(1);

/// Makes connections. Cheap to clone.
#[derive(Clone)]
pub struct Connector {
    client: Client,
    manager: ConnectionManager,
}

impl std::fmt::Debug for Connector {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Connector").finish_non_exhaustive()
    }
}

impl Connector {
    /// For an address; nothing is connected yet.
    ///
    /// # Errors
    /// Where the address is no Redis URL.
    pub fn new(url: &SecretString) -> RedisResult<Self> {
        let client = Client::open(url.expose_secret())?;
        let config = ConnectionManagerConfig::new()
            .set_response_timeout(Some(RESPONSE_TIMEOUT))
            .set_connection_timeout(Some(CONNECTION_TIMEOUT))
            .set_number_of_retries(1)
            .set_max_delay(Duration::from_millis(500));
        let manager = ConnectionManager::new_lazy_with_config(client.clone(), config)?;
        Ok(Self { client, manager })
    }

    /// The shared connection, which connects again by itself.
    #[must_use]
    pub fn shared(&self) -> ConnectionManager {
        self.manager.clone()
    }

    /// A connection of one's own, for commands that block; answers may take `timeout`.
    ///
    /// # Errors
    /// Where Redis cannot be reached.
    pub async fn dedicated(&self, timeout: Duration) -> RedisResult<MultiplexedConnection> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECTION_TIMEOUT))
            .set_response_timeout(Some(timeout));
        self.client.get_multiplexed_async_connection_with_config(&config).await
    }

    /// A connection of one's own that hears channels. It has no timeouts: its user keeps the time.
    pub(super) async fn subscriber(&self) -> RedisResult<PubSub> {
        self.client.get_async_pubsub().await
    }

    /// Keeps readiness true to Redis' state, and says where it is set up to lose data.
    pub fn watch(&self, context: &Context) {
        let check = context.readiness.check("events-redis");
        let gauge = crate::telemetry::meter().u64_gauge("petty_events_redis_durable").build();
        let connector = self.clone();
        let shutdown = context.shutdown.clone();
        context.tasks.spawn_background("redis-readiness", async move {
            let mut said = String::new();
            loop {
                match connector.lossy_settings().await {
                    Ok(lossy) => {
                        if lossy != said && !lossy.is_empty() {
                            tracing::error!(
                                settings = lossy,
                                "the events Redis is set up to lose acknowledged data"
                            );
                        }
                        gauge.record(u64::from(lossy.is_empty()), &[]);
                        let detail = if lossy.is_empty() {
                            "reachable".to_owned()
                        } else {
                            format!("reachable, but set up to lose data: {lossy}")
                        };
                        check.ok(detail);
                        said = lossy;
                    }
                    Err(error) => check.fail(error.to_string()),
                }
                tokio::select! {
                    () = shutdown.cancelled() => return,
                    () = tokio::time::sleep(Duration::from_secs(2)) => {}
                }
            }
        });
    }

    async fn lossy_settings(&self) -> RedisResult<String> {
        let wanted = [("appendonly", "yes"), ("appendfsync", "always"), ("maxmemory-policy", "noeviction")];
        let mut command = redis::cmd("CONFIG");
        command.arg("GET");
        for (name, _) in wanted {
            command.arg(name);
        }
        let found: std::collections::HashMap<String, String> =
            command.query_async(&mut self.shared()).await?;
        let lossy =
            wanted.iter().filter(|(name, value)| found.get(*name).is_some_and(|found| found != value));
        Ok(lossy.map(|(name, _)| format!("{name} = {}", found[*name])).collect::<Vec<_>>().join(", "))
    }
}

/// What each command of a pipeline was answered, those that were refused as well. An empty one asks nothing.
pub(super) async fn each<T: FromRedisValue>(
    connection: &mut impl ConnectionLike,
    pipeline: &mut Pipeline,
) -> RedisResult<Vec<RedisResult<T>>> {
    if pipeline.is_empty() {
        return Ok(Vec::new());
    }
    pipeline.ignore_errors().query_async(connection).await
}

/// Whether it was refused because Redis has no memory left: what takes none is done all the same.
pub(super) fn is_full(error: &RedisError) -> bool {
    error.code() == Some("OOM")
}
