//! The calling side.
//!
//! Invariants: every call has a deadline and carries the request's id and trace and the service's identity; a call is sent
//! again only where it never left, or where its policy says that twice is harmless, and only within a budget; a target
//! that is away is answered for at once, and is away only where none of its endpoints is left to ask. Of a method that
//! streams all this is said of the opening: its answer, once begun, has no deadline and is not asked for again.

mod attempt;
mod body;
mod breaker;
mod budget;
mod endpoints;
mod gather;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};

use futures::future::BoxFuture;
use http::{Request, Response};
use opentelemetry::metrics::Histogram;
use tonic::body::Body;
use tower::Service;

use crate::grpc::identity::{KeyError, Minter};
use crate::grpc::tls::{Certificates, TlsError};
use crate::service::Context;
use crate::telemetry;
use attempt::Target;
use breaker::Breaker;
use budget::Budget;
use endpoints::Endpoints;
pub(super) use gather::Gathering;

/// Why other services cannot be called at all.
#[derive(Debug, thiserror::Error)]
pub enum MeshError {
    /// The service has no usable key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The certificates cannot be used.
    #[error("PETTY_TLS_…_FILE: the certificates cannot be used")]
    Tls(#[from] TlsError),
}

/// The other services. Cheap to clone.
#[derive(Clone)]
pub struct Mesh {
    context: Context,
    minter: Option<Arc<Minter>>,
    certificates: Option<Certificates>,
    targets: BTreeMap<String, Arc<Target>>,
    duration: Histogram<f64>,
}

/// Calls one service, whichever of its replicas answers. For generated clients. Cheap to clone.
#[derive(Clone)]
pub struct Channel {
    target: Arc<Target>,
}

impl Mesh {
    /// The services that the configuration names endpoints of. Connects to none of them yet.
    ///
    /// # Errors
    ///
    /// Where the service's key or certificates cannot be used.
    pub fn new(context: &Context) -> Result<Self, MeshError> {
        let tls = context.base.tls.as_ref();
        let certificates = tls.map(|tls| Certificates::watched(context, tls)).transpose()?;
        let minter = match &context.base.service_key {
            Some(key) if tls.is_none() => {
                Some(Arc::new(Minter::new(context.service, key, context.clock.clone())?))
            }
            _ => None,
        };
        let duration = telemetry::meter()
            .f64_histogram("rpc_client_duration")
            .with_unit("s")
            .with_description("How long calls to other services took")
            .build();
        let (context, targets) = (context.clone(), BTreeMap::new());
        let mut mesh = Self { context, minter, certificates, targets, duration };
        for name in mesh.context.base.clone().endpoints.keys() {
            let target = mesh.target(name)?;
            mesh.targets.insert(name.clone(), Arc::new(target));
        }
        Ok(mesh)
    }

    /// Calls `service`. Without an endpoint of it every call is answered UNAVAILABLE.
    #[must_use]
    pub fn channel(&self, service: &str) -> Channel {
        let target = self.targets.get(service).map(Arc::clone).unwrap_or_else(|| {
            let variable = format!("PETTY_ENDPOINT_{}", service.to_ascii_uppercase());
            tracing::warn!(target_service = service, variable, "no endpoint is configured");
            // Without endpoints nothing of TLS is looked at.
            Arc::new(self.target_of(service, Endpoints::none(self.context.tasks.clone())))
        });
        Channel { target }
    }

    fn target(&self, name: &str) -> Result<Target, MeshError> {
        let uris = self.context.base.endpoints.get(name).cloned().unwrap_or_default();
        let tls = self.certificates.as_ref().map(|certificates| certificates.connector(name)).transpose()?;
        let endpoints = Endpoints::new(uris, tls, self.context.tasks.clone());
        Ok(self.target_of(name, endpoints))
    }

    fn target_of(&self, name: &str, endpoints: Endpoints) -> Target {
        Target {
            service: self.context.service,
            name: Arc::from(name),
            endpoints,
            breaker: Breaker::default(),
            budget: Budget::default(),
            minter: self.minter.clone(),
            clock: self.context.clock.clone(),
            entropy: self.context.entropy,
            duration: self.duration.clone(),
        }
    }
}

impl Service<Request<Body>> for Channel {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _context: &mut TaskContext<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let target = Arc::clone(&self.target);
        Box::pin(async move { Ok(target.call(request).await) })
    }
}

impl fmt::Debug for Mesh {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Mesh").field("targets", &self.targets.keys()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Channel").field("target", &self.target.name).finish_non_exhaustive()
    }
}
