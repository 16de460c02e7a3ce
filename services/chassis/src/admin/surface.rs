//! What a service answers on the admin port besides what every process does.
//!
//! Invariant: what the chassis answers there cannot be taken over; before a service offers something, and after it ended, there
//! is nothing.

use std::convert::Infallible;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use axum::BoxError;
use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use tower::util::BoxCloneSyncService;
use tower::{Service, ServiceExt as _};

/// A request on the admin port: its body is read from the connection.
pub type AdminRequest = Request<Body>;

/// Where a service offers what it answers on the admin port. Clones are the same.
#[derive(Clone, Default)]
pub struct Surface(Arc<OnceLock<BoxCloneSyncService<AdminRequest, Response, Infallible>>>);

impl fmt::Debug for Surface {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Surface").field("offered", &self.0.get().is_some()).finish()
    }
}

/// Whom a request on the admin port comes from.
#[must_use]
pub fn peer(request: &AdminRequest) -> Option<SocketAddr> {
    request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0)
}

impl Surface {
    /// Answers with this service what the chassis does not. What was offered first stays.
    pub fn offer<S, B>(&self, service: S)
    where
        S: Service<AdminRequest, Response = http::Response<B>, Error = Infallible>
            + Clone
            + Send
            + Sync
            + 'static,
        S::Future: Send + 'static,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let service = service.map_response(|response| response.map(Body::new));
        let _first_stays = self.0.set(BoxCloneSyncService::new(service));
    }
}

/// The answer of what was offered.
pub(super) async fn answer(State(surface): State<Surface>, request: AdminRequest) -> Response {
    match surface.0.get().cloned() {
        Some(service) => service.oneshot(request).await.unwrap_or_else(|never| match never {}),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}
