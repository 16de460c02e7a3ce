//! The floor under an event's way: what its durable steps cost by themselves, with bare clients on the same servers.
//!
//! A reading on its way to a stream is committed three times (ingest, behavior, timeline), goes twice through a Redis stream
//! whose every entry is synced to disk, and once through a publication. Nothing can be faster than these in a row.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use petty_chassis::Tasks;
use petty_provision::Stack;
use redis::aio::ConnectionManager;
use redis::streams::{StreamReadOptions, StreamReadReply};
use redis::{AsyncCommands as _, Client};
use secrecy::ExposeSecret as _;
use tokio::sync::mpsc;
use tokio_postgres::NoTls;

/// The bare clients.
pub(super) struct Floor {
    postgres: tokio_postgres::Client,
    redis: ConnectionManager,
    arrived: mpsc::Receiver<()>,
    heard: mpsc::Receiver<()>,
}

/// A connection to a stack's PostgreSQL, as the administrator.
pub(super) async fn connect(stack: &Stack) -> anyhow::Result<tokio_postgres::Client> {
    let url = stack.postgres().admin_url();
    let (client, connection) = tokio_postgres::connect(url.expose_secret(), NoTls).await?;
    #[expect(
        clippy::disallowed_methods,
        reason = "the driver's own connection task; it ends with the client"
    )]
    tokio::spawn(connection);
    Ok(client)
}

impl Floor {
    pub(super) async fn lay(stack: &Stack, tasks: &Tasks) -> anyhow::Result<Self> {
        let postgres = connect(stack).await?;
        postgres
            .batch_execute("CREATE TABLE IF NOT EXISTS floor (id bigserial PRIMARY KEY, body bytea NOT NULL)")
            .await?;
        let client = Client::open(stack.redis().url().expose_secret())?;
        let redis = client.get_connection_manager().await?;
        let (arrive, arrived) = mpsc::channel(16);
        let mut reader = client.get_multiplexed_async_connection().await?;
        drop(tasks.spawn("floor-reader", async move {
            let mut last = "$".to_owned();
            loop {
                let options = StreamReadOptions::default().block(1_000);
                let read: Result<Option<StreamReadReply>, _> =
                    reader.xread_options(&["petty:floor"], &[&last], &options).await;
                let Ok(read) = read else { return };
                let ids = read.iter().flat_map(|reply| &reply.keys).flat_map(|key| &key.ids);
                for id in ids {
                    last.clone_from(&id.id);
                    if arrive.send(()).await.is_err() {
                        return;
                    }
                }
            }
        }));
        let (hear, heard) = mpsc::channel(16);
        let mut subscription = client.get_async_pubsub().await?;
        subscription.subscribe("petty:floor:heard").await?;
        drop(tasks.spawn("floor-listener", async move {
            use futures::StreamExt as _;
            let mut messages = subscription.on_message();
            while messages.next().await.is_some() {
                if hear.send(()).await.is_err() {
                    return;
                }
            }
        }));
        let mut floor = Self { postgres, redis, arrived, heard };
        // The reader waits for what comes after its first look.
        tokio::time::timeout(Duration::from_secs(5), floor.once()).await.ok();
        Ok(floor)
    }

    /// One event's durable steps in a row.
    pub(super) async fn once(&mut self) -> anyhow::Result<Duration> {
        let since = Instant::now();
        for _ in 0..2 {
            self.commit().await?;
            let _id: String = self.redis.xadd("petty:floor", "*", &[("e", [7_u8; 300].as_slice())]).await?;
            self.arrived.recv().await.context("the stream's reader ended")?;
        }
        self.commit().await?;
        let _heard: i64 = self.redis.publish("petty:floor:heard", "7").await?;
        self.heard.recv().await.context("the listener ended")?;
        Ok(since.elapsed())
    }

    async fn commit(&self) -> anyhow::Result<()> {
        let body = [7_u8; 300].as_slice();
        self.postgres.execute("INSERT INTO floor (body) VALUES ($1)", &[&body]).await?;
        Ok(())
    }
}
