//! What the gateway reads besides the base configuration.

use std::net::SocketAddr;
use std::time::Duration;

use petty_chassis::config::{Reader, Section};
use petty_chassis::foundation::TokenConfig;
use secrecy::SecretString;

use crate::cors::Origins;
use crate::origin::TrustedProxies;
use crate::quota::Rates;
use crate::tls::TlsFiles;

/// The gateway's configuration.
#[derive(Clone, Debug)]
pub struct GatewayConfig {
    /// Where HTTP listens: `PETTY_HTTP_LISTEN`, default 127.0.0.1:8080.
    pub listen: SocketAddr,
    /// Whose tokens are believed.
    pub tokens: TokenConfig,
    /// What is too much.
    pub limits: Limits,
    /// Who is believed of where a client is: `PETTY_TRUSTED_PROXIES`, networks (CIDR) or addresses, separated by commas;
    /// default nobody.
    pub proxies: TrustedProxies,
    /// Whose pages may call: `PETTY_CORS_ORIGINS`, origins separated by commas, matched exactly; default none but our own.
    pub cors: Origins,
    /// How much each caller may ask for: `PETTY_RATE_…`.
    pub rates: Rates,
    /// Where changes of access are heard: `PETTY_EVENTS_REDIS_URL`. Without it no old answer is given where a service is away.
    pub events_url: Option<SecretString>,
    /// The Redis in which replicas share quotas and the keys of running requests: `PETTY_CACHE_REDIS_URL`, or else
    /// `PETTY_EVENTS_REDIS_URL`. Without it each replica limits by itself.
    pub cache_url: Option<SecretString>,
    /// TLS of the HTTP port: `PETTY_HTTP_TLS_…`; default none.
    pub tls: Option<TlsFiles>,
}

/// What is too much.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The most connections: `PETTY_HTTP_CONNECTIONS`, default 10,000. More are closed at once.
    pub connections: usize,
    /// The most requests answered at once: `PETTY_HTTP_CONCURRENCY`, default 1,024. Four times as many
    /// wait for their turn, for a moment; more are answered 503. A quarter of them at most are one caller's whose bodies are still to come;
    /// more of those are answered 429.
    pub concurrency: usize,
    /// The most requests that one service is asked at once, batches of uploads, and streams that are being opened, of sockets' subscriptions
    /// half as many: `PETTY_HTTP_UPSTREAM_CONCURRENCY`, default 512.
    /// Others wait for a moment, unless the service hangs; then they are answered 503: one that hangs takes no place of the others' requests.
    pub upstream_concurrency: usize,
    /// The most bytes of a body: `PETTY_HTTP_BODY_BYTES`, default 1 MiB.
    pub body_bytes: usize,
    /// The most bytes of a batch: `PETTY_HTTP_BATCH_BYTES`, default 4 MiB.
    pub batch_bytes: usize,
    /// The most bytes of all bodies that are in memory at once, while they arrive and until they are answered:
    /// `PETTY_HTTP_BODIES_BYTES`, 1 MiB to 16 GiB, default 32 MiB; one of the largest always fits. More are answered 503. What
    /// is declared and does not come is not counted.
    pub bodies_bytes: usize,
    /// The most of them of one caller: an account or a collar, or an address (one /64 of IPv6) where nobody is known:
    /// `PETTY_HTTP_CALLER_BODIES_BYTES`, 1 MiB to 16 GiB, default a quarter of `PETTY_HTTP_BODIES_BYTES`; one of the largest always fits. More
    /// are answered 429, so that nobody's bodies that do not end take the room of all.
    pub caller_bodies_bytes: usize,
    /// The most bytes of an upload of lines, packed or unpacked: `PETTY_HTTP_UPLOAD_BYTES`, 1 KiB to 4 GiB, default 256 MiB. It is
    /// taken in as it comes, and never whole in memory.
    pub upload_bytes: usize,
    /// The most uploads of lines at once: `PETTY_HTTP_UPLOADS`, default 16. More are answered 503, and of one
    /// caller more than a quarter of them 429.
    pub uploads: usize,
    /// The longest time a request's head, and then its body, may take to arrive: `PETTY_HTTP_READ_TIMEOUT`, default 30s.
    pub read_timeout: Duration,
    /// The longest time a client may leave what it asked for unread: `PETTY_HTTP_WRITE_TIMEOUT`, default 30s. Then it is cut; of a
    /// connection of HTTP/2 that is well, the stream alone.
    pub write_timeout: Duration,
    /// The most streams of events open at once: `PETTY_HTTP_STREAMS`, default 10,000. More are answered 503.
    pub streams: usize,
    /// How often a stream on which nothing happens says that it is there: `PETTY_STREAM_HEARTBEAT`, 1s to 5m, default 15s.
    pub heartbeat: Duration,
    /// How long new connections are accepted after the shutdown began, while the process says already that it is not ready:
    /// `PETTY_HTTP_DRAIN_PAUSE`, 0s to 1m, default 5s, or half of `PETTY_GRACE_PERIOD` where that is less. As long as balancers take to
    /// come to know, and shorter than the grace.
    pub drain_pause: Duration,
}

/// How long balancers are given to come to know that a gateway goes: a look a second, or an endpoint taken off a list.
const DRAIN_PAUSE: Duration = Duration::from_secs(5);
/// How long a drain may take, as the base configuration has it.
const GRACE: Duration = Duration::from_secs(10);

/// The least and the most bytes of bodies, of all and of one caller.
const BODIES: (usize, usize) = (1 << 20, 16 << 30);

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 10_000,
            concurrency: 1_024,
            upstream_concurrency: 512,
            body_bytes: 1 << 20,
            batch_bytes: 4 << 20,
            bodies_bytes: 32 << 20,
            caller_bodies_bytes: 8 << 20,
            upload_bytes: 256 << 20,
            uploads: 16,
            read_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(30),
            streams: 10_000,
            heartbeat: Duration::from_secs(15),
            // Of one that stands alone: there is no balancer to come to know.
            drain_pause: Duration::ZERO,
        }
    }
}

impl Section for GatewayConfig {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let default = Limits::default();
        let tokens = TokenConfig::read(reader);
        let listen = reader.or("PETTY_HTTP_LISTEN", SocketAddr::from(([127, 0, 0, 1], 8080)));
        let bodies_bytes =
            reader.in_range("PETTY_HTTP_BODIES_BYTES", default.bodies_bytes, BODIES.0..=BODIES.1);
        let grace = reader.duration("PETTY_GRACE_PERIOD", GRACE);
        let limits = Limits {
            connections: reader.in_range("PETTY_HTTP_CONNECTIONS", default.connections, 1..=1_000_000),
            concurrency: reader.in_range("PETTY_HTTP_CONCURRENCY", default.concurrency, 1..=100_000),
            upstream_concurrency: reader.in_range(
                "PETTY_HTTP_UPSTREAM_CONCURRENCY",
                default.upstream_concurrency,
                1..=100_000,
            ),
            body_bytes: reader.in_range("PETTY_HTTP_BODY_BYTES", default.body_bytes, 1_024..=64 << 20),
            batch_bytes: reader.in_range("PETTY_HTTP_BATCH_BYTES", default.batch_bytes, 1_024..=64 << 20),
            bodies_bytes,
            caller_bodies_bytes: reader.in_range(
                "PETTY_HTTP_CALLER_BODIES_BYTES",
                (bodies_bytes / 4).max(BODIES.0),
                BODIES.0..=BODIES.1,
            ),
            upload_bytes: reader.in_range("PETTY_HTTP_UPLOAD_BYTES", default.upload_bytes, 1_024..=4 << 30),
            uploads: reader.in_range("PETTY_HTTP_UPLOADS", default.uploads, 1..=10_000),
            read_timeout: reader.duration("PETTY_HTTP_READ_TIMEOUT", default.read_timeout),
            write_timeout: reader.duration("PETTY_HTTP_WRITE_TIMEOUT", default.write_timeout),
            streams: reader.in_range("PETTY_HTTP_STREAMS", default.streams, 1..=1_000_000),
            heartbeat: bounded(
                reader,
                "PETTY_STREAM_HEARTBEAT",
                default.heartbeat,
                // Neither a flood nor so seldom that whoever is on the way gives the stream up before.
                (Duration::from_secs(1), Duration::from_secs(5 * 60), "1s to 5m"),
            ),
            drain_pause: bounded(
                reader,
                "PETTY_HTTP_DRAIN_PAUSE",
                DRAIN_PAUSE.min(grace / 2),
                (Duration::ZERO, Duration::from_secs(60), "0s to 1m"),
            ),
        };
        if !limits.drain_pause.is_zero() && limits.drain_pause >= grace {
            reader.fault("PETTY_HTTP_DRAIN_PAUSE", "is not shorter than PETTY_GRACE_PERIOD");
        }
        let (proxies, cors) = (TrustedProxies::read(reader), Origins::read(reader));
        let (rates, tls) = (Rates::read(reader), TlsFiles::read(reader));
        let events_url = reader.secret_optional("PETTY_EVENTS_REDIS_URL");
        let cache_url = reader.secret_optional("PETTY_CACHE_REDIS_URL").or_else(|| events_url.clone());
        Some(Self { listen, tokens: tokens?, limits, proxies, cors, rates, events_url, cache_url, tls })
    }
}

fn bounded(
    reader: &mut Reader<'_>,
    name: &'static str,
    default: Duration,
    (least, most, range): (Duration, Duration, &str),
) -> Duration {
    let duration = reader.duration(name, default);
    if (least..=most).contains(&duration) {
        return duration;
    }
    reader.fault(name, format!("is not within {range}"));
    default
}

#[cfg(test)]
mod tests {
    use petty_chassis::config::{Environment, load};

    use super::*;

    #[test]
    fn a_heartbeat_is_neither_a_flood_nor_a_rarity() {
        let read = |text: &str| {
            load::<GatewayConfig>(&Environment::from_iter([("PETTY_STREAM_HEARTBEAT", text.to_owned())]))
        };
        for text in ["0s", "999ms", "6m", "often"] {
            assert!(read(text).unwrap_err().iter().any(|fault| fault.starts_with("PETTY_STREAM_HEARTBEAT")));
        }
        assert_eq!(read("20s").unwrap().limits.heartbeat, Duration::from_secs(20));
    }

    #[test]
    fn a_gateway_that_goes_is_still_there_until_balancers_know_and_ends_within_its_grace() {
        let read = |variables: &[(&'static str, &str)]| {
            let variables = variables.iter().map(|(name, value)| (*name, (*value).to_owned()));
            load::<GatewayConfig>(&Environment::from_iter(variables))
        };
        let (pause, grace) = ("PETTY_HTTP_DRAIN_PAUSE", "PETTY_GRACE_PERIOD");
        for (variables, expected) in [
            (&[][..], 5_000),
            (&[(pause, "0s")], 0),
            (&[(pause, "9s")], 9_000),
            (&[(grace, "1s")], 500),
            (&[(pause, "30s"), (grace, "45s")], 30_000),
        ] {
            let found = read(variables).unwrap().limits.drain_pause;
            assert_eq!(found, Duration::from_millis(expected), "{variables:?}");
        }
        for variables in
            [&[(pause, "10s")][..], &[(pause, "2s"), (grace, "2s")], &[(pause, "2m"), (grace, "5m")]]
        {
            assert!(
                read(variables).unwrap_err().iter().any(|fault| fault.starts_with(pause)),
                "{variables:?}"
            );
        }
    }

    #[test]
    fn a_caller_may_have_a_quarter_of_the_room_unless_it_is_said() {
        let read = |variables: &[(&'static str, &str)]| {
            let variables = variables.iter().map(|(name, value)| (*name, (*value).to_owned()));
            load::<GatewayConfig>(&Environment::from_iter(variables))
        };
        let (all, share) = ("PETTY_HTTP_BODIES_BYTES", "PETTY_HTTP_CALLER_BODIES_BYTES");
        for (variables, expected) in [
            (&[][..], 8 << 20),
            (&[(all, "67108864")], 16 << 20),
            (&[(all, "1048576")], 1 << 20),
            (&[(all, "67108864"), (share, "2097152")], 2 << 20),
        ] {
            assert_eq!(read(variables).unwrap().limits.caller_bodies_bytes, expected, "{variables:?}");
        }
        assert!(read(&[(share, "1000")]).unwrap_err().iter().any(|fault| fault.starts_with(share)));
    }
}
