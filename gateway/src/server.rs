//! HTTP/1.1 and HTTP/2 on one port: by TLS' own negotiation, or without TLS by prior knowledge.
//!
//! Invariant: once the shutdown begins the process is not ready; after the drain's pause nothing new is accepted, and what was
//! accepted is answered within the grace.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper::rt::Executor;
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use petty_chassis::admin::Surface;
use petty_chassis::{Shutdown, Tasks};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::coding::Codings;
use crate::edge::Edge;
use crate::origin::Origin;
use crate::patience::Patient;
use crate::sparing::Sparing;
use crate::stall;
use crate::tls::{HTTP2, Tls};
use crate::upstream::BoxError;

/// How long a client may take for the handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
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

/// A port that requests come in by.
#[derive(Debug)]
pub struct Door {
    /// Where it is.
    pub listener: TcpListener,
    /// With TLS, or without.
    pub tls: Option<Arc<Tls>>,
}

impl From<TcpListener> for Door {
    fn from(listener: TcpListener) -> Self {
        Self { listener, tls: None }
    }
}

/// Answers until the shutdown begins and for the drain's pause after it, in which balancers come to know; and then what was
/// accepted.
pub async fn serve(door: impl Into<Door>, edge: Arc<Edge>, tasks: &Tasks, shutdown: &Shutdown) {
    let Door { listener, tls } = door.into();
    let connections = Arc::new(Semaphore::new(edge.limits().connections));
    let (leave, _) = watch::channel(());
    let builders = Arc::new(Builders::new(&edge, tasks));
    let patience = edge.limits().write_timeout;
    let refusals = Sparing::new();
    let closing = async {
        shutdown.draining().await;
        tokio::time::sleep(edge.limits().drain_pause).await;
    };
    tokio::pin!(closing);
    loop {
        let accepted = tokio::select! {
            () = &mut closing => break,
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
            if let Some(left_out) = refusals.may_say() {
                tracing::warn!(left_out, "a connection was closed: there are too many");
            }
            continue;
        };
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection has no TCP_NODELAY");
        }
        let origin = Origin { address: peer.ip(), is_secure: tls.is_some() };
        let stream = Patient::new(stream, patience);
        let (edge, builders, leaving) = (Arc::clone(&edge), Arc::clone(&builders), leave.subscribe());
        let acceptor = tls.as_ref().map(|tls| tls.acceptor());
        // In a box, as what watches it would hold it several times.
        drop(tasks.spawn(
            "http-connection",
            Box::pin(async move {
                match acceptor {
                    None => answer(stream, Speaks::Either, &builders, edge, origin, leaving).await,
                    // The handshake is large, and over soon.
                    Some(acceptor) => {
                        if let Some((stream, speaks)) = Box::pin(secure(acceptor, stream)).await {
                            answer(stream, speaks, &builders, edge, origin, leaving).await;
                        }
                    }
                }
                drop(permit);
            }),
        ));
    }
    drop(listener);
    // Nobody hears it where no connection is left.
    let _heard = leave.send(());
    leave.closed().await;
}

/// Offers what is for staff on the admin port.
pub fn offer_to_staff(admin: &Surface, edge: &Arc<Edge>) {
    let edge = Arc::clone(edge);
    admin.offer(tower::service_fn(move |request| {
        let edge = Arc::clone(&edge);
        async move { Ok::<_, Infallible>(edge.answer_staff(request).await) }
    }));
}

/// A connection with TLS, and what was agreed upon: over TLS there is no HTTP/2 without (RFC 9113, 3.2). `None`, and said, where there
/// is none.
async fn secure<S>(acceptor: TlsAcceptor, stream: S) -> Option<(Box<TlsStream<S>>, Speaks)>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    match timeout(HANDSHAKE, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => {
            let speaks =
                if stream.get_ref().1.alpn_protocol() == Some(HTTP2) { Speaks::Http2 } else { Speaks::Http1 };
            return Some((Box::new(stream), speaks));
        }
        Ok(Err(error)) => tracing::debug!(%error, "a client did not get through the handshake"),
        Err(_) => tracing::debug!("a client took too long for the handshake"),
    }
    None
}

/// What a connection speaks.
#[derive(Clone, Copy, Debug)]
enum Speaks {
    /// Either: its first bytes tell.
    Either,
    Http1,
    Http2,
}

/// Answers the requests of one connection. hyper's own bound is of a head that has begun, over HTTP/1.1: a connection that brings no
/// request at all has as long, and is closed then.
async fn answer<S>(
    stream: S,
    speaks: Speaks,
    builders: &Builders,
    edge: Arc<Edge>,
    origin: Origin,
    leaving: watch::Receiver<()>,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (read_timeout, has_begun) = (edge.limits().read_timeout, Arc::new(AtomicBool::new(false)));
    let begun = Arc::clone(&has_begun);
    let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
        begun.store(true, Ordering::Relaxed);
        let edge = Arc::clone(&edge);
        request.extensions_mut().insert(origin);
        // In a box from the start: everything around it would move it, and it is large.
        Box::pin(async move {
            let codings = Codings::of(request.method(), request.headers());
            Ok::<_, Infallible>(codings.pack(edge.answer(request).await).await)
        })
    });
    let stream = TokioIo::new(stream);
    // In a box of what it speaks: idle connections are many, and one of HTTP/1.1 is far smaller than one of either.
    let mut connection: Connection = match speaks {
        Speaks::Either => {
            let connection = builders.either.serve_connection_with_upgrades(stream, service).into_owned();
            Box::pin(watched(Box::pin(connection), leaving, |connection| connection.graceful_shutdown()))
        }
        Speaks::Http1 => {
            let connection = builders.http1.serve_connection(stream, service).with_upgrades();
            Box::pin(watched(Box::pin(connection), leaving, |connection| connection.graceful_shutdown()))
        }
        Speaks::Http2 => {
            let connection = builders.http2.serve_connection(stream, service);
            Box::pin(watched(Box::pin(connection), leaving, |connection| connection.graceful_shutdown()))
        }
    };
    let ended = match timeout(read_timeout, &mut connection).await {
        Ok(ended) => ended,
        Err(_) if has_begun.load(Ordering::Relaxed) => connection.await,
        Err(_) => return tracing::debug!("a connection brought no request"),
    };
    if let Err(error) = ended {
        tracing::debug!(error, "a connection failed");
    }
}

/// A connection until its end, which it is asked for once the gateway leaves. Who holds the receiver is waited for.
async fn watched<C, E>(
    mut connection: Pin<Box<C>>,
    mut leaving: watch::Receiver<()>,
    leave: fn(Pin<&mut C>),
) -> Result<(), BoxError>
where
    C: Future<Output = Result<(), E>>,
    E: Into<BoxError>,
{
    tokio::select! {
        ended = &mut connection => return ended.map_err(E::into),
        _ = leaving.changed() => leave(connection.as_mut()),
    }
    connection.await.map_err(E::into)
}

/// A connection under way.
type Connection = Pin<Box<dyn Future<Output = Result<(), BoxError>> + Send>>;

/// How connections are served, by what they speak.
struct Builders {
    either: auto::Builder<Streams>,
    http1: http1::Builder,
    http2: http2::Builder<Streams>,
}

impl Builders {
    fn new(edge: &Edge, tasks: &Tasks) -> Self {
        let streams = Streams { tasks: tasks.clone(), patience: edge.limits().write_timeout };
        let read_timeout = edge.limits().read_timeout;
        let mut either = auto::Builder::new(streams.clone());
        either.http1().timer(TokioTimer::new()).header_read_timeout(read_timeout).max_buf_size(MOST_UNSENT);
        either
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(MOST_STREAMS)
            .max_header_list_size(MOST_HEAD)
            .max_send_buf_size(MOST_UNSENT)
            .keep_alive_interval(KEEP_ALIVE);
        let (mut http1, mut http2) = (http1::Builder::new(), http2::Builder::new(streams));
        http1.timer(TokioTimer::new()).header_read_timeout(read_timeout).max_buf_size(MOST_UNSENT);
        http2
            .timer(TokioTimer::new())
            .max_concurrent_streams(MOST_STREAMS)
            .max_header_list_size(MOST_HEAD)
            .max_send_buf_size(MOST_UNSENT)
            .keep_alive_interval(KEEP_ALIVE);
        Self { either, http1, http2 }
    }
}

/// Runs what HTTP/2 runs beside its connection: each request.
#[derive(Clone)]
struct Streams {
    tasks: Tasks,
    patience: Duration,
}

impl<F> Executor<F> for Streams
where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    fn execute(&self, future: F) {
        // Watched by name; the answer goes out through the connection.
        drop(self.tasks.spawn("http-stream", stall::watched(future, self.patience)));
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
