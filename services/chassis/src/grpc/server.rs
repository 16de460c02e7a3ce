//! The server side of a call.
//!
//! Layers, from the outside in: trace, metrics, catch-panic, deadline, load-shed, service identity; the caller is the
//! [gate](super::gate)'s. A stream is a call until it has begun, and from then on only one of the streams that may be open
//! at once. Invariant: no method is served without a policy, and none to a service its policy does not name.

mod measure;
mod stack;
mod stream;

use std::convert::Infallible;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::Request;
use tokio::net::TcpListener;
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::service::RoutesBuilder;
use tonic::transport::server::TcpIncoming;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;
use tower::Service;

use crate::grpc::identity::PeerVerifier;
use crate::grpc::tls::{CONNECTION_AGE, Certificates, TlsError};
use crate::service::Context;

pub(crate) use measure::{code_of, name_of};

/// Flow control windows: a batch of 1,000 readings must not wait for a window update.
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 4 << 20;
/// How long a connection may be silent before it is asked whether it is still there.
const KEEPALIVE: Duration = Duration::from_secs(60);

/// Why a server did not serve.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The port cannot be had.
    #[error("PETTY_GRPC_LISTEN: cannot listen on {address}: {source}")]
    Bind {
        /// The address asked for.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// The certificates cannot be used.
    #[error("PETTY_TLS_…_FILE: the certificates cannot be used")]
    Tls(#[from] TlsError),
    /// The transport failed.
    #[error("the gRPC server failed")]
    Transport(#[from] tonic::transport::Error),
    /// The descriptors cannot be served by reflection.
    #[error("the descriptors cannot be served")]
    Reflection(#[from] tonic_reflection::server::Error),
}

/// A service's gRPC server: its own services, health and reflection.
pub struct Server {
    context: Context,
    routes: RoutesBuilder,
    names: Vec<&'static str>,
}

/// A server that has its port.
pub struct BoundServer {
    server: Server,
    listener: TcpListener,
    address: SocketAddr,
}

impl Server {
    /// Serves nothing yet.
    #[must_use]
    pub fn new(context: &Context) -> Self {
        Self { context: context.clone(), routes: RoutesBuilder::default(), names: Vec::new() }
    }

    /// Serves `service` too.
    #[must_use]
    #[expect(clippy::should_implement_trait, reason = "a server and a service have no sum")]
    pub fn add<S>(mut self, service: S) -> Self
    where
        S: Service<Request<Body>, Error = Infallible> + NamedService + Clone + Send + Sync + 'static,
        S::Response: axum::response::IntoResponse,
        S::Future: Send + 'static,
    {
        self.routes.add_service(service);
        self.names.push(S::NAME);
        self
    }

    /// Takes the port.
    ///
    /// # Errors
    ///
    /// Where it cannot be had; the error names its variable.
    pub async fn bind(self) -> Result<BoundServer, ServerError> {
        let address = self.context.base.grpc_listen;
        let failed = |source| ServerError::Bind { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(BoundServer { server: self, listener, address })
    }

    /// Takes the port and serves until drained.
    ///
    /// # Errors
    ///
    /// Where the port cannot be had, or serving fails.
    pub fn serve(self) -> BoxFuture<'static, Result<(), ServerError>> {
        async move { self.bind().await?.serve().await }.boxed()
    }
}

impl BoundServer {
    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until drained: from then on nothing new is accepted, and what is being answered is finished.
    ///
    /// # Errors
    ///
    /// Where serving fails.
    pub fn serve(self) -> BoxFuture<'static, Result<(), ServerError>> {
        // Boxed, as what a service does is ([`crate::Running`]).
        self.until_drained().boxed()
    }

    async fn until_drained(self) -> Result<(), ServerError> {
        let Self { server: Server { context, mut routes, names }, listener, address } = self;
        let (mut reporter, health) = tonic_health::server::health_reporter();
        let reflection = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(petty_proto::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            .build_v1()?;
        routes.add_service(health).add_service(reflection);

        let mut builder = tonic::transport::Server::builder()
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .http2_keepalive_interval(Some(KEEPALIVE));
        let tls = context.base.tls.as_ref();
        let certificates = tls.map(|tls| Certificates::watched(&context, tls)).transpose()?;
        if certificates.is_some() {
            builder = builder.max_connection_age(CONNECTION_AGE);
        }
        let verifier = PeerVerifier::new(context.service, &context.base, &context.clock);
        let layer = stack::StackLayer::new(&context, verifier);
        let router = builder.layer(layer).add_routes(routes.routes());
        let draining = context.shutdown.draining();
        let serving: BoxFuture<'_, _> = match certificates {
            Some(certificates) => {
                let incoming = certificates.incoming(listener, &context);
                Box::pin(router.serve_with_incoming_shutdown(incoming, draining))
            }
            None => {
                let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
                Box::pin(router.serve_with_incoming_shutdown(incoming, draining))
            }
        };

        let (readiness, shutdown) = (context.readiness.clone(), context.shutdown.clone());
        context.tasks.spawn_vital("grpc_health", async move {
            while !shutdown.is_draining() {
                let changes = readiness.changes();
                report(&reporter, &names, readiness.is_ready()).await;
                changes.await;
            }
            report(&reporter, &names, false).await;
            // Who watches has been told that, hears no more, and keeps no drain waiting. Who asks is told it still.
            for name in names.iter().copied().chain([""]) {
                reporter.clear_service_status(name).await;
            }
            report(&reporter, &names, false).await;
        });
        tracing::info!(%address, tls = context.base.tls.is_some(), "gRPC is served");
        context.readiness.started();
        tokio::select! {
            served = serving => served?,
            () = context.shutdown.cancelled() => tracing::warn!("calls were cut off: the grace is over"),
        }
        Ok(())
    }
}

/// Says over grpc.health.v1 whether calls may come, for each service and for all.
async fn report(reporter: &HealthReporter, names: &[&'static str], ready: bool) {
    let status = if ready { ServingStatus::Serving } else { ServingStatus::NotServing };
    for name in names.iter().copied().chain([""]) {
        reporter.set_service_status(name, status).await;
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Server").field("names", &self.names).finish_non_exhaustive()
    }
}

impl fmt::Debug for BoundServer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("BoundServer").field("address", &self.address).finish_non_exhaustive()
    }
}
