//! HTTP/1.1 and HTTP/2 (without TLS, by prior knowledge) on one port.
//!
//! Invariant: once the shutdown begins nothing new is accepted, and what was accepted is answered within the grace.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper::rt::Executor;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use petty_chassis::{Shutdown, Tasks};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::edge::Edge;
use crate::origin::Origin;
use crate::patience::Patient;

/// The most requests of one HTTP/2 connection at once.
const MOST_STREAMS: u32 = 128;
/// The most bytes of a request's head.
const MOST_HEAD: u32 = 32 << 10;
/// How much of an answer waits in a connection for its client, at which more is neither encoded nor taken from an upstream.
const MOST_UNSENT: usize = 64 << 10;
/// How often an idle HTTP/2 connection is asked whether it is still there.
const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// How long to wait when the process has no file descriptor left to accept with.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Answers on `listener` until the shutdown begins, and then what was accepted.
pub async fn serve(listener: TcpListener, edge: Arc<Edge>, tasks: &Tasks, shutdown: &Shutdown) {
    let connections = Arc::new(Semaphore::new(edge.limits().connections));
    let graceful = GracefulShutdown::new();
    let builder = builder(&edge, tasks);
    let patience = edge.limits().write_timeout;
    let draining = shutdown.draining();
    tokio::pin!(draining);
    loop {
        let accepted = tokio::select! {
            () = &mut draining => break,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                pause_after(&error).await;
                continue;
            }
        };
        let Ok(permit) = Arc::clone(&connections).try_acquire_owned() else {
            tracing::warn!("a connection was closed: there are too many");
            continue;
        };
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection has no TCP_NODELAY");
        }
        let edge = Arc::clone(&edge);
        let service = service_fn(move |mut request: Request<Incoming>| {
            let edge = Arc::clone(&edge);
            request.extensions_mut().insert(Origin(peer.ip()));
            async move { Ok::<_, Infallible>(edge.answer(request).await) }
        });
        let connection =
            builder.serve_connection(TokioIo::new(Patient::new(stream, patience)), service).into_owned();
        let watched = graceful.watch(connection);
        tasks.spawn("http-connection", async move {
            if let Err(error) = watched.await {
                tracing::debug!(error, "a connection failed");
            }
            drop(permit);
        });
    }
    drop(listener);
    graceful.shutdown().await;
}

fn builder(edge: &Edge, tasks: &Tasks) -> Builder<Streams> {
    let mut builder = Builder::new(Streams(tasks.clone()));
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(edge.limits().read_timeout)
        .max_buf_size(MOST_UNSENT);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MOST_STREAMS)
        .max_header_list_size(MOST_HEAD)
        .max_send_buf_size(MOST_UNSENT)
        .keep_alive_interval(KEEP_ALIVE);
    builder
}

/// Runs what HTTP/2 runs beside its connection: each request.
#[derive(Clone)]
struct Streams(Tasks);

impl<F> Executor<F> for Streams
where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    fn execute(&self, future: F) {
        // Watched by name; the answer goes out through the connection.
        drop(self.0.spawn("http-stream", future));
    }
}

/// One client's failure (it was gone before it was accepted) is no reason to wait; a process without descriptors is.
async fn pause_after(error: &io::Error) {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    if !matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset) {
        tracing::warn!(%error, "cannot accept connections");
        tokio::time::sleep(ACCEPT_PAUSE).await;
    }
}
