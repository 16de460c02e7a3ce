//! Readings in, behaviour episodes out. The domain is pure; everything that touches the world stands around it.
//!
//! A reading's way: `readings.accepted` is split by pet ([`worker`]); the pet's state is read under its lock (`store`),
//! the [`domain`] says what changed, and state, episodes and one `behavior.changed` a changed episode are written in the
//! transaction that notes the event as handled. An open episode that merely grows is told once a minute of its own, and when
//! nothing more comes ([`untold`]). [`grpc`] answers from the episodes.

pub mod alerting;
mod config;
pub mod days;
pub mod domain;
pub mod grpc;
mod interpreting;
pub mod pets;
mod store;
mod taking;
pub mod untold;
pub mod worker;

use std::sync::Arc;

use petty_chassis::grpc::Server;
use petty_chassis::periodic;
use petty_chassis::pets::RemotePets;
use petty_chassis::postgres::Migrations;
use petty_chassis::{Context, Foundation, Running, Service};
use petty_proto::behavior::v1::alert_service_server::AlertServiceServer;
use petty_proto::behavior::v1::behavior_service_server::BehaviorServiceServer;
use petty_proto::behavior::v1::safe_zone_service_server::SafeZoneServiceServer;
use petty_proto::events::v1::event_operations_service_server::EventOperationsServiceServer;
use petty_proto::events::v1::outbox_service_server::OutboxServiceServer;

pub use config::{AlertConfig, Config, DayConfig};

use crate::alerting::Alerting;
use crate::days::Closer;
use crate::grpc::Grpc;
use crate::untold::Untold;
use crate::worker::Worker;

mod embedded {
    refinery::embed_migrations!("migrations");
}

/// The behavior service.
#[derive(Debug)]
pub struct Behavior;

impl Service for Behavior {
    const NAME: &'static str = "behavior";
    type Config = Config;

    fn run(context: Context, config: Config) -> Running {
        Box::pin(run(context, config))
    }
}

async fn run(context: Context, config: Config) -> anyhow::Result<()> {
    let base = Foundation::lay(&context, &config.foundation, migrations()).await?;
    let pets = Box::new(RemotePets::new(base.mesh.channel("auth")));
    let worker = Worker::new(context.clock.clone(), base.events.shards(), pets).closing_days(config.days);
    base.events.consume(Arc::new(worker), &base.mesh);
    let closer = Closer::new(base.db.clone(), context.clock.clone(), config.days, base.events.shards());
    periodic::every(&context, "close-days", config.days.check, move || {
        let closer = closer.clone();
        async move { closer.close_due().await.map(|_| ()) }
    });
    let alerting = Alerting::new(base.db.clone(), context.clock.clone(), base.events.shards());
    periodic::every(&context, "look-at-pets", config.alerts.check, move || {
        let alerting = alerting.clone();
        async move { alerting.do_due().await.map(|_| ()) }
    });
    let untold = Untold::new(base.db.clone(), context.clock.clone(), base.events.shards());
    periodic::every(&context, "tell-untold", untold::CHECK, move || {
        let untold = untold.clone();
        async move { untold.tell(untold::QUIET).await.map(|_| ()) }
    });
    let gate = base.gate();
    let handler = Arc::new(Grpc::new(base.db.clone(), context.clock.clone(), base.events.shards()));
    Server::new(&context)
        .add(BehaviorServiceServer::new(gate.guard(handler.clone())))
        .add(AlertServiceServer::new(gate.guard(handler.clone())))
        .add(SafeZoneServiceServer::new(gate.guard(handler)))
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
