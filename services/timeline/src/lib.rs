//! A pet's timeline: what happened, newest first.
//!
//! An entry's way: `behavior.changed` tells of an episode at a version ([`worker`]); a higher version than was seen
//! replaces the entry, or removes it, in the transaction that notes the event as handled (`store`). The same transaction
//! gives the change the pet's next number; once it is committed, the [`stream`]s of the pet are told, and send it. Plans and
//! feedback become entries in the same way. [`grpc`] answers from the entries, to the first system's clients too; a day is
//! added up from them when it is asked for, in the zone that [`pets`] knows.

mod config;
mod domain;
pub mod grpc;
pub mod pets;
pub mod retention;
mod store;
pub mod stream;
pub mod worker;

use std::sync::Arc;

use petty_chassis::grpc::Server;
use petty_chassis::pets::RemotePets;
use petty_chassis::postgres::Migrations;
use petty_chassis::{Context, Foundation, Running, Service};
use petty_proto::events::v1::event_operations_service_server::EventOperationsServiceServer;
use petty_proto::events::v1::outbox_service_server::OutboxServiceServer;
use petty_proto::timeline::v1::timeline_service_server::TimelineServiceServer;

pub use config::{Config, StreamConfig};

use crate::grpc::Grpc;
use crate::pets::Pets;
use crate::stream::Hub;
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

    fn run(context: Context, config: Config) -> Running {
        Box::pin(run(context, config))
    }
}

async fn run(context: Context, config: Config) -> anyhow::Result<()> {
    let base = Foundation::lay(&context, &config.foundation, migrations()).await?;
    retention::start(&context, &base.db, config.streams.retention).await?;
    let hub = Hub::start(&base, config.streams);
    let worker = Worker::new(context.clock.clone(), base.events.shards(), hub.clone());
    base.events.consume(Arc::new(worker), &base.mesh);
    let gate = base.gate();
    let source = Box::new(RemotePets::new(base.mesh.channel("auth")));
    let pets = Pets::new(base.db.clone(), context.clock.clone(), source);
    let handler = Arc::new(Grpc::new(base.db.clone(), context.clock.clone(), hub, pets));
    Server::new(&context)
        .add(TimelineServiceServer::new(gate.guard(handler)))
        .add(OutboxServiceServer::new(gate.guard(base.events.outbox_handler())))
        .add(EventOperationsServiceServer::new(gate.guard(base.events.operations_handler())))
        .serve()
        .await?;
    Ok(())
}

/// The schema of the service's own tables.
#[must_use]
pub fn migrations() -> Migrations {
    Migrations::new(embedded::migrations::runner())
}
