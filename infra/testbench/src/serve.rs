//! A service served within the process, for what only a real client shows: streams, and how they end.

use std::convert::Infallible;
use std::io;

use hyper_util::rt::TokioIo;
use petty_chassis::Context;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::service::Routes;
use tonic::transport::{Channel, Endpoint, Server};
use tower::Service;
use tower::util::MapRequestLayer;

use crate::bench::Bench;

/// As much as a connection holds that nobody reads: little, so that backpressure is felt.
const BUFFER: usize = 64 * 1024;

/// Serves over the process' memory, until `context` drains; a client of it sees neither port nor TLS nor service
/// identities. The channel connects again where its connection is lost.
pub fn in_process<S>(context: &Context, service: S) -> Channel
where
    S: Service<http::Request<Body>, Error = Infallible> + NamedService + Clone + Send + Sync + 'static,
    S::Response: axum::response::IntoResponse,
    S::Future: Send + 'static,
{
    serve(context, Routes::new(service))
}

/// Compiled once, whatever is served.
fn serve(context: &Context, routes: Routes) -> Channel {
    let (dial, incoming) = mpsc::channel::<io::Result<tokio::io::DuplexStream>>(1);
    let draining = context.shutdown.draining();
    // As the chassis' server does, so that streams end with the drain.
    let shutdown = context.shutdown.clone();
    let told = MapRequestLayer::new(move |mut request: http::Request<Body>| {
        request.extensions_mut().insert(shutdown.clone());
        request
    });
    let serving = Server::builder()
        .layer(told)
        .add_routes(routes)
        .serve_with_incoming_shutdown(ReceiverStream::new(incoming), draining);
    context.tasks.spawn("in-process-server", async move {
        serving.await.expect("serving over memory does not fail");
    });
    let connector = tower::service_fn(move |_| {
        let dial = dial.clone();
        async move {
            let (near, far) = tokio::io::duplex(BUFFER);
            dial.send(Ok(far)).await.map_err(|_| io::Error::from(io::ErrorKind::ConnectionRefused))?;
            Ok::<_, io::Error>(TokioIo::new(near))
        }
    });
    Endpoint::from_static("http://in-process").connect_with_connector_lazy(connector)
}

impl Bench {
    /// As [`in_process`], until the bench is dropped.
    pub fn serve<S>(&self, service: S) -> Channel
    where
        S: Service<http::Request<Body>, Error = Infallible> + NamedService + Clone + Send + Sync + 'static,
        S::Response: axum::response::IntoResponse,
        S::Future: Send + 'static,
    {
        in_process(&self.base.context, service)
    }

    /// Begins the drain.
    pub fn drain(&self) {
        self.base.context.shutdown.begin();
    }
}
