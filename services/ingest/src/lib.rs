//! Readings in, on disk, out again.
//!
//! Invariants: an answer that counts a reading means that it is committed; a reading, known by its collar and its time, is
//! stored once; what `readings.accepted` carries is exactly what was stored, written in the same transaction; positions
//! are in no log.

pub mod admission;
pub mod config;
pub mod domain;
pub mod grpc;
pub mod realtime;
pub mod silent;
pub mod store;
pub mod worker;

mod embedded {
    refinery::embed_migrations!("migrations");
}

use std::sync::Arc;

use petty_chassis::events::redis::Connector;
use petty_chassis::grpc::server::Server;
use petty_chassis::postgres::Migrations;
use petty_chassis::{Context, Foundation, Running};
use petty_proto::events::v1::event_operations_service_server::EventOperationsServiceServer;
use petty_proto::events::v1::outbox_service_server::OutboxServiceServer;
use petty_proto::ingest::v1::ingest_service_server::IngestServiceServer;
use petty_proto::ingest::v1::reading_service_server::ReadingServiceServer;
use petty_proto::ingest::v1::relay_service_server::RelayServiceServer;

pub use config::IngestConfig;

/// The most bytes of a request, and of a message of a stream, of which several are in memory at once: 1,000 readings five times over. What is
/// empty takes a hundred times as much in memory before it is counted.
pub const MAX_MESSAGE_BYTES: usize = 1 << 20;

/// The service.
#[derive(Debug)]
pub struct Ingest;

impl petty_chassis::Service for Ingest {
    const NAME: &'static str = "ingest";
    type Config = IngestConfig;

    fn run(context: Context, config: IngestConfig) -> Running {
        Box::pin(run(context, config))
    }
}

async fn run(context: Context, config: IngestConfig) -> anyhow::Result<()> {
    let base = Foundation::lay(&context, &config.foundation, migrations()).await?;
    let cache = Connector::new(&config.foundation.redis.cache_url)?;
    let store = store::Store::new(&context, &base.db, base.events.shards())
        .serving_from(realtime::Realtime::start(&context, &cache));
    worker::keep_partitions(&context, &store, config.window, config.retention).await?;
    worker::roll_up(&context, &store);
    worker::delete_erased(&context, &store);
    silent::notice(&context, &store);
    base.events.consume(Arc::new(worker::Events::new(&store)), &base.mesh);
    let gate = base.gate();
    let guarded = gate.guard(Arc::new(grpc::Grpc::new(&context, &store, &config)));
    Server::new(&context)
        .add(IngestServiceServer::new(guarded.clone()).max_decoding_message_size(MAX_MESSAGE_BYTES))
        .add(RelayServiceServer::new(guarded.clone()).max_decoding_message_size(MAX_MESSAGE_BYTES))
        .add(ReadingServiceServer::new(guarded))
        .add(OutboxServiceServer::new(gate.guard(base.events.outbox_handler())))
        .add(EventOperationsServiceServer::new(gate.guard(base.events.operations_handler())))
        .serve()
        .await?;
    Ok(())
}

/// The service's own migrations.
#[must_use]
pub fn migrations() -> Migrations {
    Migrations::new(embedded::migrations::runner())
}
