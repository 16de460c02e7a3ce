//! The gateway: REST to gRPC.
//!
//! Routes, JSON and policies all come from the protos; what is written here is the edge: who is calling, what a body may be,
//! and what an answer says. What a service streams goes out as server-sent events. It stores nothing.
//!
//! Invariants: no request reaches a service that its method's policy would refuse by the token alone; nothing a client sends
//! can become metadata but the token, the request id and the trace, and its address as the gateway sees it; an error says nothing that a service did not mean for
//! clients.

mod answer;
mod bare;
mod body;
mod codec;
mod coding;
mod config;
#[cfg(test)]
mod conformance;
mod cors;
mod docs;
mod edge;
mod etag;
mod events;
mod form;
mod headers;
mod idempotency;
mod json;
mod last_known;
mod metrics;
mod order;
mod origin;
mod patience;
mod personal;
mod presence;
mod probes;
mod problem;
mod query;
mod quota;
mod router;
mod routes;
mod schema;
mod server;
mod share;
mod slot;
mod socket;
mod sound;
mod sparing;
mod stall;
mod status;
mod stream;
mod template;
mod ticket;
mod tls;
mod turn;
mod upload;
mod upstream;

use std::sync::Arc;

use anyhow::Context as _;
use petty_chassis::access::{Broadcast, RemoteKeys};
use petty_chassis::caller::Verifier;
use petty_chassis::events::redis::Connector;
use petty_chassis::grpc::Mesh;
use petty_chassis::{Context, Running, Service};
use tokio::net::TcpListener;

pub use answer::AnswerBody;
pub use bare::Bare;
pub use codec::AsBytes;
pub use config::{GatewayConfig, Limits};
pub use cors::Origins;
pub use edge::{Edge, Process};
pub use idempotency::Sendings;
pub use last_known::LastKnown;
pub use origin::TrustedProxies;
pub use presence::Presence;
pub use quota::{Quotas, Rate, Rates};
pub use server::{Door, offer_to_staff, serve};
pub use tls::{Tls, TlsFiles};
pub use upstream::{BoxError, Upstreams};

/// The services that answer routes.
const UPSTREAMS: &[&str] = &["auth", "ingest", "behavior", "nutrition", "timeline", "feedback"];

/// The gateway.
#[derive(Debug)]
pub struct Gateway;

impl Service for Gateway {
    const NAME: &'static str = "gateway";
    type Config = GatewayConfig;

    fn run(context: Context, config: GatewayConfig) -> Running {
        Box::pin(run(context, config))
    }
}

async fn run(context: Context, config: GatewayConfig) -> anyhow::Result<()> {
    let mesh = Mesh::new(&context)?;
    let keys = RemoteKeys::new(mesh.channel("auth"));
    let verifier = Verifier::of_service(
        Box::new(keys),
        &config.tokens.issuer,
        &config.tokens.audience,
        context.clock.clone(),
        &context.tasks,
    );
    verifier.prepare(&context);
    let mut upstreams = Upstreams::default();
    for service in UPSTREAMS {
        upstreams = upstreams.with(service, mesh.channel(service));
    }
    // Decisions are the services': a verified token says who calls, not what they may do.
    let listener = TcpListener::bind(config.listen)
        .await
        .with_context(|| format!("PETTY_HTTP_LISTEN: cannot listen on {}", config.listen))?;
    tracing::info!(address = %listener.local_addr()?, "answering HTTP");
    let process = Process {
        readiness: context.readiness.clone(),
        clock: context.clock.clone(),
        tasks: context.tasks.clone(),
        shutdown: context.shutdown.clone(),
    };
    let mut edge =
        Edge::new(upstreams, verifier, process, config.limits)?.behind(config.proxies).letting(config.cors);
    edge = match &config.cache_url {
        Some(url) => {
            let redis = Connector::new(url)?;
            let quotas = Quotas::shared(config.rates, &redis, &context.tasks, &context.shutdown);
            let presence = Presence::shared(&redis, &context.tasks, &context.shutdown);
            edge.within(quotas).recording(Sendings::recorded(&redis, &context.tasks)).counting(presence)
        }
        None => {
            tracing::warn!("no PETTY_CACHE_REDIS_URL: each replica limits by itself");
            edge.within(Quotas::alone(config.rates))
        }
    };
    let tls = match config.tls {
        Some(files) => {
            let tls = Tls::load(files).await.context("PETTY_HTTP_TLS_…")?;
            tls.watch(&context.tasks, &context.shutdown);
            Some(tls)
        }
        None => None,
    };
    if let Some(url) = &config.events_url {
        let redis = Connector::new(url)?;
        let broadcast = Broadcast::listen(redis, &context.tasks, context.shutdown.clone());
        edge = edge.remembering(LastKnown::heard_of(&broadcast));
    }
    let edge = Arc::new(edge);
    offer_to_staff(&context.admin, &edge);
    context.readiness.started();
    serve(Door { listener, tls }, edge, &context.tasks, &context.shutdown).await;
    Ok(())
}
