//! A pet's timeline: what happened, newest first.
//!
//! An entry's way: `behavior.changed` tells of an episode at a version ([`worker`]); a higher version than was seen
//! replaces the entry, or removes it, in the transaction that notes the event as handled (`store`). [`grpc`] answers from
//! the entries, to the first system's clients too.

mod config;
mod domain;
pub mod grpc;
mod store;
pub mod worker;

use std::sync::Arc;

use petty_chassis::grpc::Server;
use petty_chassis::postgres::Migrations;
use petty_chassis::{Context, Foundation, Service};
use petty_proto::events::v1::outbox_service_server::OutboxServiceServer;
use petty_proto::timeline::v1::timeline_service_server::TimelineServiceServer;

pub use config::Config;

use crate::grpc::Grpc;
use crate::worker::Worker;

mod embedded {
    refinery::embed_migrations!("migrations");
}

/// The timeline service.
#[derive(Debug)]
pub struct Timeline;

impl Service for Timeline {
    const NAME: &'static str = "timeline";
    type Config = Config;

    async fn run(context: Context, config: Config) -> anyhow::Result<()> {
        let base = Foundation::lay(&context, &config.foundation, migrations()).await?;
        let worker = Worker::new(context.clock.clone(), base.events.shards());
        base.events.consume(Arc::new(worker), &base.mesh);
        let gate = base.gate();
        let handler = Arc::new(Grpc::new(base.db.clone(), context.clock.clone()));
        Server::new(&context)
            .add(TimelineServiceServer::new(gate.guard(handler)))
            .add(OutboxServiceServer::new(gate.guard(base.events.outbox_handler())))
            .serve()
            .await?;
        Ok(())
    }
}

/// The schema of the service's own tables.
#[must_use]
pub fn migrations() -> Migrations {
    Migrations::new(embedded::migrations::runner())
}
