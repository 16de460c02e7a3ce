//! What people say of what Petty told them, and the labels that come of it.
//!
//! A word's way: `behavior.changed` tells of events ([`worker`]); somebody says whether one was told right ([`grpc`]; an
//! event that was not told yet is asked of behavior, [`episodes`]); the word is kept with what was told when it was said,
//! and `feedback.submitted` is written in the same transaction; [`archive`] writes it to an object store after that.

pub mod archive;
mod config;
mod domain;
pub mod episodes;
pub mod grpc;
mod store;
pub mod worker;

use std::sync::Arc;

use petty_chassis::grpc::Server;
use petty_chassis::postgres::Migrations;
use petty_chassis::{Context, Foundation, Running, Service};
use petty_proto::events::v1::event_operations_service_server::EventOperationsServiceServer;
use petty_proto::events::v1::outbox_service_server::OutboxServiceServer;
use petty_proto::feedback::v1::feedback_service_server::FeedbackServiceServer;

pub use config::{ArchiveConfig, Config, S3Config};

use crate::archive::Archive;
use crate::episodes::RemoteEpisodes;
use crate::grpc::Grpc;
use crate::worker::Worker;

mod embedded {
    refinery::embed_migrations!("migrations");
}

/// The feedback service.
#[derive(Debug)]
pub struct Feedback;

impl Service for Feedback {
    const NAME: &'static str = "feedback";
    type Config = Config;

    fn run(context: Context, config: Config) -> Running {
        Box::pin(run(context, config))
    }
}

async fn run(context: Context, config: Config) -> anyhow::Result<()> {
    let base = Foundation::lay(&context, &config.foundation, migrations()).await?;
    let shards = base.events.shards();
    let archive = Archive::new(&context, &base.db, shards, config.archive);
    archive.start();
    let worker = Worker::new(context.clock.clone(), shards, archive.clone());
    base.events.consume(Arc::new(worker), &base.mesh);
    let gate = base.gate();
    let episodes = Box::new(RemoteEpisodes::new(base.mesh.channel("behavior")));
    let handler = Arc::new(Grpc::new(&base, episodes, archive));
    Server::new(&context)
        .add(FeedbackServiceServer::new(gate.guard(handler)))
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
