//! How a pet is to be fed. The domain is pure; everything that touches the world stands around it.
//!
//! A plan's way: somebody fills in a profile, notes a weight or describes a food ([`grpc`]), or auth or behavior tell of
//! the pet or of one of its days ([`worker`]), or a day passes ([`daily`]). Under the pet's lock what is known of it is
//! read (`store`), the [`domain`] makes a plan of it ([`planning`]), and where it is worth telling, a version and one
//! `plan.changed` are written in the same transaction. Reads make the plan of what is known now, as of today.

mod config;
pub mod daily;
pub mod domain;
pub mod grpc;
pub mod planning;
mod store;
pub mod worker;
pub mod writers;

use std::sync::Arc;

use petty_chassis::grpc::Server;
use petty_chassis::pets::RemotePets;
use petty_chassis::postgres::Migrations;
use petty_chassis::{Context, Foundation, Running, Service};
use petty_proto::events::v1::event_operations_service_server::EventOperationsServiceServer;
use petty_proto::events::v1::outbox_service_server::OutboxServiceServer;
use petty_proto::nutrition::v1::nutrition_service_server::NutritionServiceServer;

pub use config::Config;

use crate::daily::Daily;
use crate::grpc::Grpc;
use crate::planning::Planner;
use crate::worker::Worker;
use crate::writers::RemoteWriters;

mod embedded {
    refinery::embed_migrations!("migrations");
}

/// The nutrition service.
#[derive(Debug)]
pub struct Nutrition;

impl Service for Nutrition {
    const NAME: &'static str = "nutrition";
    type Config = Config;

    fn run(context: Context, config: Config) -> Running {
        Box::pin(run(context, config))
    }
}

async fn run(context: Context, config: Config) -> anyhow::Result<()> {
    let base = Foundation::lay(&context, &config.foundation, migrations()).await?;
    let pets = Arc::new(RemotePets::new(base.mesh.channel("auth")));
    let planner = Planner::new(context.clock.clone(), base.events.shards(), pets);
    base.events.consume(Arc::new(Worker::new(planner.clone())), &base.mesh);
    Daily::new(base.db.clone(), planner.clone()).keep_on(&context, config.plan_interval);
    let gate = base.gate();
    let writers = Arc::new(RemoteWriters::new(base.mesh.channel("auth")));
    let handler = Arc::new(Grpc::new(base.db.clone(), planner, writers));
    Server::new(&context)
        .add(NutritionServiceServer::new(gate.guard(handler)))
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
