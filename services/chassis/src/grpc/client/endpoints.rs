//! Where a target's replicas are, and which of them is asked next.

use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use http::Uri;
use tokio::time::Instant;
use tonic::transport::Channel;

use super::gather::Plain;
use crate::grpc::tls::Connector;
use crate::tasks::Tasks;

/// How long connecting may take: within a data centre it takes a millisecond, or does not happen.
const CONNECT: Duration = Duration::from_millis(500);
/// How long an endpoint that failed is left alone while there are others, the first time; then twice as long each time, up
/// to [`LONGEST_ALONE`].
const LEFT_ALONE: Duration = Duration::from_millis(500);
const LONGEST_ALONE: Duration = Duration::from_secs(8);
/// A call that was given up after waiting this long says something about the endpoint; a shorter one about its caller.
pub(super) const TELLING: Duration = Duration::from_millis(500);
/// How often names are resolved again while they are used.
const RESOLVE_EVERY: Duration = Duration::from_secs(5);
/// How long resolving may take.
const RESOLVE: Duration = Duration::from_secs(1);
/// How a connection that went dead under running calls is found out.
const KEEPALIVE: Duration = Duration::from_secs(10);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(5);
/// Flow control windows, as the server's.
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 4 << 20;
/// Streams have a connection of their own, whose window is that of as many of them as are open at once: one whose reader
/// stands still then holds up neither the others nor the calls.
const OPEN_STREAM_WINDOW: u32 = 64 << 10;
const OPEN_STREAMS_WINDOW: u32 = 1 << 30;

/// The endpoints of one target. Names are resolved to all of their addresses.
pub(super) struct Endpoints {
    shared: Arc<Shared>,
    tasks: Tasks,
}

struct Shared {
    uris: Vec<Uri>,
    tls: Option<Connector>,
    current: RwLock<Arc<[Arc<Endpoint>]>>,
    resolution: Mutex<Resolution>,
    /// What each of the URIs was last resolved to.
    found: Mutex<Vec<Vec<Uri>>>,
    next: AtomicUsize,
}

#[derive(Default)]
struct Resolution {
    due: Option<Instant>,
    running: bool,
}

/// One replica's address and connections. Connects when it is first used, and again whenever the connection is gone.
pub(super) struct Endpoint {
    address: String,
    channel: Channel,
    streams: Channel,
    in_flight: AtomicUsize,
    left_alone: Mutex<Option<LeftAlone>>,
}

/// An endpoint that failed.
struct LeftAlone {
    until: Instant,
    pause: Duration,
}

/// A call under way. Say how it went; dropped without a word after a while it counts as a failure.
pub(super) struct Busy<'a> {
    endpoint: &'a Endpoint,
    since: Instant,
    told: bool,
}

impl Endpoints {
    /// Those at `uris`.
    pub(super) fn new(uris: Vec<Uri>, tls: Option<Connector>, tasks: Tasks) -> Self {
        let fixed: Vec<_> = uris
            .iter()
            .filter(|uri| !is_name(uri))
            .map(|uri| Arc::new(Endpoint::new(uri, tls.as_ref())))
            .collect();
        let shared = Shared {
            uris,
            tls,
            current: RwLock::new(fixed.into()),
            resolution: Mutex::default(),
            found: Mutex::default(),
            next: AtomicUsize::new(0),
        };
        Self { shared: Arc::new(shared), tasks }
    }

    /// None at all.
    pub(super) fn none(tasks: Tasks) -> Self {
        let shared = Shared {
            uris: Vec::new(),
            tls: None,
            current: RwLock::new(Arc::new([])),
            resolution: Mutex::default(),
            found: Mutex::default(),
            next: AtomicUsize::new(0),
        };
        Self { shared: Arc::new(shared), tasks }
    }

    /// The one to ask: not tried yet, not failing of late, least busy; in turn where that leaves several.
    pub(super) async fn pick(&self, tried: &[Arc<Endpoint>]) -> Option<Arc<Endpoint>> {
        self.resolve().await;
        let endpoints = self.shared.snapshot();
        let now = Instant::now();
        let start = self.shared.next.fetch_add(1, Ordering::Relaxed);
        let turns = (0..endpoints.len())
            .filter_map(|turn| endpoints.get((start.wrapping_add(turn)) % endpoints.len()));
        turns
            .min_by_key(|endpoint| (is_among(endpoint, tried), endpoint.is_left_alone(now), endpoint.load()))
            .map(Arc::clone)
    }

    /// Whether one is left that was not tried.
    pub(super) fn has_other(&self, tried: &[Arc<Endpoint>]) -> bool {
        self.shared.snapshot().iter().any(|endpoint| !is_among(endpoint, tried))
    }

    /// Whether every one of them failed of late.
    pub(super) fn are_left_alone(&self, now: Instant) -> bool {
        self.shared.snapshot().iter().all(|endpoint| endpoint.is_left_alone(now))
    }

    /// Resolves names where that is due: the first time before going on, later beside.
    async fn resolve(&self) {
        if !self.shared.uris.iter().any(is_name) {
            return;
        }
        {
            let mut resolution = self.shared.resolution.lock().unwrap_or_else(PoisonError::into_inner);
            let due = resolution.due.is_none_or(|due| due <= Instant::now());
            if resolution.running || !due {
                return;
            }
            resolution.running = true;
        }
        let shared = Arc::clone(&self.shared);
        let resolving = self.tasks.spawn("resolve_endpoints", async move { shared.resolve_now().await });
        if self.shared.snapshot().is_empty() {
            // A resolution that was cut off leaves no endpoints, which is answered like any other absence.
            let _ = resolving.await;
        }
    }
}

impl Shared {
    fn snapshot(&self) -> Arc<[Arc<Endpoint>]> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    async fn resolve_now(&self) {
        let known = self.snapshot();
        let before = std::mem::take(&mut *self.found.lock().unwrap_or_else(PoisonError::into_inner));
        let mut found = Vec::with_capacity(self.uris.len());
        for (index, uri) in self.uris.iter().enumerate() {
            // A name server that is away takes nothing away: what it does not know just now is where it was.
            let addresses = addresses(uri).await.filter(|addresses| !addresses.is_empty());
            found.push(addresses.or_else(|| before.get(index).cloned()).unwrap_or_default());
        }
        let mut resolved: Vec<Arc<Endpoint>> = Vec::new();
        for uri in found.iter().flatten() {
            let address = uri.to_string();
            if resolved.iter().any(|endpoint| endpoint.address == address) {
                continue;
            }
            match known.iter().find(|endpoint| endpoint.address == address) {
                Some(endpoint) => resolved.push(Arc::clone(endpoint)),
                None => resolved.push(Arc::new(Endpoint::new(uri, self.tls.as_ref()))),
            }
        }
        *self.found.lock().unwrap_or_else(PoisonError::into_inner) = found;
        if !resolved.is_empty() {
            *self.current.write().unwrap_or_else(PoisonError::into_inner) = resolved.into();
        }
        let next = if self.snapshot().is_empty() { Duration::from_millis(250) } else { RESOLVE_EVERY };
        let mut resolution = self.resolution.lock().unwrap_or_else(PoisonError::into_inner);
        *resolution = Resolution { due: Some(Instant::now() + next), running: false };
    }
}

impl Endpoint {
    fn new(uri: &Uri, tls: Option<&Connector>) -> Self {
        // Our own connector brings the TLS: to tonic it is a connection like any other.
        let endpoint = tonic::transport::Endpoint::from(without_tls(uri))
            .connect_timeout(CONNECT)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(KEEPALIVE)
            .keep_alive_timeout(KEEPALIVE_TIMEOUT)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW);
        let connect = |endpoint: &tonic::transport::Endpoint| match tls {
            Some(tls) => endpoint.connect_with_connector_lazy(tls.clone()),
            None => endpoint.connect_with_connector_lazy(Plain),
        };
        let channel = connect(&endpoint);
        let endpoint = endpoint
            .initial_stream_window_size(OPEN_STREAM_WINDOW)
            .initial_connection_window_size(OPEN_STREAMS_WINDOW);
        Self {
            address: uri.to_string(),
            channel,
            streams: connect(&endpoint),
            in_flight: AtomicUsize::new(0),
            left_alone: Mutex::new(None),
        }
    }

    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// What calls, or opens streams.
    pub(super) fn channel(&self, streams: bool) -> Channel {
        if streams { self.streams.clone() } else { self.channel.clone() }
    }

    /// A call begins.
    pub(super) fn busy(&self) -> Busy<'_> {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        Busy { endpoint: self, since: Instant::now(), told: false }
    }

    fn leave_alone(&self, now: Instant) {
        let mut left_alone = self.left_alone.lock().unwrap_or_else(PoisonError::into_inner);
        let pause = left_alone.as_ref().map_or(LEFT_ALONE, |before| (before.pause * 2).min(LONGEST_ALONE));
        *left_alone = Some(LeftAlone { until: now + pause, pause });
    }

    fn is_left_alone(&self, now: Instant) -> bool {
        let left_alone = self.left_alone.lock().unwrap_or_else(PoisonError::into_inner);
        left_alone.as_ref().is_some_and(|left_alone| now < left_alone.until)
    }

    fn load(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }
}

impl Busy<'_> {
    /// The endpoint answered.
    pub(super) fn answered(mut self) {
        self.told = true;
        *self.endpoint.left_alone.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// It did not.
    pub(super) fn failed(mut self) {
        self.told = true;
        self.endpoint.leave_alone(Instant::now());
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.endpoint.in_flight.fetch_sub(1, Ordering::Relaxed);
        if !self.told && self.since.elapsed() >= TELLING {
            self.endpoint.leave_alone(Instant::now());
        }
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Endpoint").field("address", &self.address).finish_non_exhaustive()
    }
}

fn is_among(endpoint: &Arc<Endpoint>, tried: &[Arc<Endpoint>]) -> bool {
    tried.iter().any(|other| Arc::ptr_eq(other, endpoint))
}

/// Whether the host is a name, and not an address.
fn is_name(uri: &Uri) -> bool {
    uri.authority().is_some_and(|authority| authority.as_str().parse::<SocketAddr>().is_err())
}

/// The same address by the scheme of plain HTTP.
fn without_tls(uri: &Uri) -> Uri {
    let mut parts = uri.clone().into_parts();
    parts.scheme = Some(http::uri::Scheme::HTTP);
    Uri::from_parts(parts).unwrap_or_else(|_| uri.clone())
}

/// An endpoint's addresses, as URIs; `None` where nobody says them just now.
async fn addresses(uri: &Uri) -> Option<Vec<Uri>> {
    let (authority, scheme) = (uri.authority()?, uri.scheme_str()?);
    if !is_name(uri) {
        return Some(vec![uri.clone()]);
    }
    match tokio::time::timeout(RESOLVE, tokio::net::lookup_host(authority.as_str())).await {
        Ok(Ok(found)) => {
            Some(found.filter_map(|address| format!("{scheme}://{address}").parse().ok()).collect())
        }
        Ok(Err(error)) => {
            tracing::warn!(authority = authority.as_str(), %error, "a name cannot be resolved");
            None
        }
        Err(_) => {
            tracing::warn!(authority = authority.as_str(), "a name was not resolved in time");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shutdown::Shutdown;

    #[tokio::test]
    async fn a_name_that_cannot_be_resolved_just_now_takes_no_endpoint_away() {
        let uri = |text: &str| text.parse::<Uri>().unwrap();
        let uris = vec![uri("http://localhost:1"), uri("http://away.invalid:2")];
        let endpoints = Endpoints::new(uris, None, Tasks::new(Shutdown::new()));
        *endpoints.shared.found.lock().unwrap() = vec![Vec::new(), vec![uri("http://192.0.2.1:2")]];
        for _ in 0..2 {
            endpoints.shared.resolve_now().await;
            let known = endpoints.shared.snapshot();
            let known: Vec<&str> = known.iter().map(|endpoint| endpoint.address()).collect();
            assert!(known.contains(&"http://127.0.0.1:1/"), "{known:?}");
            assert!(known.contains(&"http://192.0.2.1:2/"), "{known:?}");
        }
    }
}
