//! How much each caller may ask for: token buckets by caller and route class, and by the source's address.
//!
//! Replicas share the buckets through Redis, a small part of a quota at a time: most requests are decided on in memory. Where
//! Redis is away each replica limits by itself.
//!
//! Invariants: nobody's requests are counted towards another's quota; what an answer says of a quota is what the next
//! request meets; Redis holds hashes of who called, never an account, a collar or an address.

mod bucket;
mod shared;

use std::hash::{Hash, Hasher};
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::StatusCode;
use http::header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use moka::sync::Cache;
use opentelemetry::KeyValue;
use opentelemetry::metrics::Counter;
use petty_chassis::config::Reader;
use petty_chassis::events::redis::Connector;
use petty_chassis::{Shutdown, Tasks, telemetry};
use petty_proto::policy::RateClass;
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

use crate::problem::Problem;
use crate::status::retry_after;
use bucket::{Bucket, Level, Taken};
use shared::Shared;

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// So many callers are known at once. Who is forgotten is asked for in Redis again.
const MOST_KNOWN: u64 = 200_000;
/// A bucket that nobody took from for so long is forgotten: longer than any window.
const FORGOTTEN: Duration = Duration::from_secs(2 * 3_600);

/// So many requests in so much time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// The most at once.
    pub quota: u32,
    /// In which as many come back, evenly.
    pub window: Duration,
}

impl Rate {
    /// How many come back in a second.
    fn per_second(self) -> f64 {
        f64::from(self.quota) / self.window.as_secs_f64()
    }
}

impl FromStr for Rate {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WRONG: &str = "is not a rate, e.g. 600/1m";
        let (quota, window) = text.split_once('/').ok_or(WRONG)?;
        let quota = quota.trim().parse().map_err(|_| WRONG)?;
        let window = match window.trim() {
            "1s" => 1,
            "10s" => 10,
            "1m" => 60,
            "10m" => 600,
            "1h" => 3_600,
            _ => return Err("has another window than 1s, 10s, 1m, 10m or 1h"),
        };
        if quota == 0 {
            return Err("is a rate of nothing");
        }
        Ok(Self { quota, window: Duration::from_secs(window) })
    }
}

/// The rates; `None`: no limit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rates {
    /// Of signing up and in, by source, or by account where there is one: `PETTY_RATE_CREDENTIALS`, default 30/1m.
    pub credentials: Option<Rate>,
    /// Of readings sent, by caller: `PETTY_RATE_INGEST`, default 12000/1m. A request counts once, however much it holds: what is in it
    /// is shared out by ingest.
    pub ingest: Option<Rate>,
    /// Of reads, by caller: `PETTY_RATE_READ`, default 3000/1m.
    pub read: Option<Rate>,
    /// Of changes, by caller: `PETTY_RATE_WRITE`, default 600/1m.
    pub write: Option<Rate>,
    /// Of whatever comes from one address, or one /64 of IPv6: `PETTY_RATE_SOURCE`, default 60000/1m. Many may be behind one.
    pub source: Option<Rate>,
}

impl Default for Rates {
    fn default() -> Self {
        let a_minute = |quota| Some(Rate { quota, window: Duration::from_secs(60) });
        Self {
            credentials: a_minute(30),
            ingest: a_minute(12_000),
            read: a_minute(3_000),
            write: a_minute(600),
            source: a_minute(60_000),
        }
    }
}

impl Rates {
    /// Reads `PETTY_RATE_…`; `off` is no limit.
    pub(crate) fn read(reader: &mut Reader<'_>) -> Self {
        let default = Self::default();
        let mut rate = |name: &'static str, default: Option<Rate>| {
            let Some(text) = reader.optional::<String>(name) else { return default };
            match text.trim() {
                "off" => None,
                text => match text.parse() {
                    Ok(rate) => Some(rate),
                    Err(wrong) => {
                        reader.fault(name, wrong);
                        default
                    }
                },
            }
        };
        Self {
            credentials: rate("PETTY_RATE_CREDENTIALS", default.credentials),
            ingest: rate("PETTY_RATE_INGEST", default.ingest),
            read: rate("PETTY_RATE_READ", default.read),
            write: rate("PETTY_RATE_WRITE", default.write),
            source: rate("PETTY_RATE_SOURCE", default.source),
        }
    }

    /// None at all.
    #[must_use]
    pub fn unlimited() -> Self {
        Self { credentials: None, ingest: None, read: None, write: None, source: None }
    }

    fn of(&self, class: RateClass) -> Option<(&'static str, Rate)> {
        let (name, rate) = match class {
            RateClass::Credentials => ("credentials", self.credentials),
            RateClass::Ingest => ("ingest", self.ingest),
            RateClass::Read => ("read", self.read),
            RateClass::Write => ("write", self.write),
            // Nothing of services' own has a route.
            RateClass::Internal => return None,
        };
        Some((name, rate?))
    }
}

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Who<'a> {
    /// An account or a collar, verified, and told from each other.
    Caller(&'a str),
    /// Somebody at this address.
    Source(IpAddr),
}

/// As far as buckets tell callers apart.
impl Hash for Who<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self {
            Self::Caller(subject) => (true, subject).hash(state),
            Self::Source(address) => (false, network(*address)).hash(state),
        }
    }
}

/// What an answer says of a quota.
#[derive(Clone, Debug)]
pub(crate) struct Standing {
    limit: HeaderValue,
    policy: HeaderValue,
    /// Whether far more is asked for than there is.
    pub(crate) is_far_over: bool,
}

impl Standing {
    /// Says it.
    pub(crate) fn stamp(self, headers: &mut HeaderMap) {
        headers.insert(RATE_LIMIT, self.limit);
        headers.insert(RATE_LIMIT_POLICY, self.policy);
    }
}

/// A request over a quota.
#[derive(Debug)]
pub(crate) struct Refused {
    problem: Problem,
    standing: Standing,
}

impl Refused {
    /// The problem; how the quota stands is left here.
    pub(crate) fn leaving(self, standing: &mut Option<Standing>) -> Problem {
        *standing = Some(self.standing);
        self.problem
    }
}

/// One caller's bucket of one class.
#[derive(Debug)]
struct Shelf {
    bucket: Mutex<Bucket>,
    /// Held while the shared bucket is asked: whoever comes meanwhile waits for that answer.
    asking: tokio::sync::Mutex<()>,
    /// Whether it waits to be told.
    noted: AtomicBool,
    key: String,
    rate: Rate,
    /// What answers say of the rate, which is always the same.
    policy: HeaderValue,
}

impl Shelf {
    /// Notes it; whether it was noted before.
    fn is_noted(&self) -> bool {
        self.noted.swap(true, Ordering::AcqRel)
    }

    fn unnote(&self) {
        self.noted.store(false, Ordering::Release);
    }

    fn bucket(&self) -> MutexGuard<'_, Bucket> {
        // A bucket is whole between any two of its steps.
        self.bucket.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All buckets.
pub struct Quotas {
    rates: Rates,
    known: Cache<[u8; 16], Arc<Shelf>>,
    shared: Option<Shared>,
    refused: Counter<u64>,
}

impl std::fmt::Debug for Quotas {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Quotas").field("rates", &self.rates).finish_non_exhaustive()
    }
}

impl Quotas {
    /// Of this replica alone.
    #[must_use]
    pub fn alone(rates: Rates) -> Self {
        let refused = telemetry::meter()
            .u64_counter("petty_http_rate_limited")
            .with_description("Requests over their caller's quota, by route class")
            .build();
        let known = Cache::builder().max_capacity(MOST_KNOWN).time_to_idle(FORGOTTEN).build();
        Self { rates, known, shared: None, refused }
    }

    /// Shared by all replicas that use this Redis.
    #[must_use]
    pub fn shared(rates: Rates, redis: &Connector, tasks: &Tasks, shutdown: &Shutdown) -> Self {
        Self { shared: Some(Shared::start(redis, tasks, shutdown)), ..Self::alone(rates) }
    }

    /// One request of the class. `Ok(None)`: nothing limits it.
    ///
    /// # Errors
    /// 429 `RATE_LIMITED`, with how the quota stands beside it.
    pub(crate) async fn take(&self, class: RateClass, who: Who<'_>) -> Result<Option<Standing>, Refused> {
        match self.rates.of(class) {
            Some((name, rate)) => self.take_of(name, rate, who).await.map(Some),
            None => Ok(None),
        }
    }

    /// One request, whatever its class, from this address. Nothing is said where there is enough: the class' quota is nearer.
    ///
    /// # Errors
    /// As [`Self::take`].
    pub(crate) async fn source(&self, address: IpAddr) -> Result<(), Refused> {
        match self.rates.source {
            Some(rate) => self.take_of("source", rate, Who::Source(address)).await.map(drop),
            None => Ok(()),
        }
    }

    async fn take_of(&self, name: &'static str, rate: Rate, who: Who<'_>) -> Result<Standing, Refused> {
        let shelf = self.shelf(name, rate, who);
        let is_ours = loop {
            // The guard ends with the statement: none is held while Redis is waited for.
            let taken = shelf.bucket().take(Instant::now());
            match taken {
                Taken::One => break true,
                Taken::None => break false,
                Taken::Ask => Box::pin(self.ask(&shelf)).await,
            }
        };
        if let Some(shared) = self.shared.as_ref().filter(|_| is_ours) {
            shared.note(&shelf);
        }
        let (level, is_far_over) = {
            let mut bucket = shelf.bucket();
            (bucket.level(Instant::now()), !is_ours && bucket.is_far_over())
        };
        let standing = Standing { limit: limit(name, level), policy: shelf.policy.clone(), is_far_over };
        if is_ours {
            return Ok(standing);
        }
        self.refused.add(1, &[KeyValue::new("class", name)]);
        let problem = Problem::new(
            StatusCode::TOO_MANY_REQUESTS,
            "RATE_LIMITED",
            "There were too many requests of this kind; try again later.",
        )
        .with(RETRY_AFTER, retry_after(Duration::from_secs(level.one_in)));
        Err(Refused { problem, standing })
    }

    async fn ask(&self, shelf: &Shelf) {
        let waited = shelf.asking.try_lock().is_err();
        let _asking = shelf.asking.lock().await;
        if waited && shelf.bucket().may_go_on() {
            return;
        }
        match &self.shared {
            Some(shared) => shared.settle(shelf).await,
            None => shelf.bucket().alone(0),
        }
    }

    fn shelf(&self, name: &'static str, rate: Rate, who: Who<'_>) -> Arc<Shelf> {
        let digest = key(name, who);
        self.known.get_with(digest, || {
            Arc::new(Shelf {
                bucket: Mutex::new(Bucket::new(rate, Instant::now())),
                asking: tokio::sync::Mutex::default(),
                noted: AtomicBool::new(false),
                key: format!("petty:quota:{}", hex::encode(digest)),
                rate,
                policy: policy(name, rate),
            })
        })
    }
}

/// What a bucket is known by.
fn key(name: &str, who: Who<'_>) -> [u8; 16] {
    let mut hash = Sha256::new();
    hash.update(b"petty quota\0");
    hash.update(name.as_bytes());
    match who {
        Who::Caller(subject) => {
            hash.update(b"\0caller\0");
            hash.update(subject.as_bytes());
        }
        Who::Source(address) => {
            hash.update(b"\0source\0");
            hash.update(network(address).to_string().as_bytes());
        }
    }
    let mut key = [0; 16];
    key.copy_from_slice(hash.finalize().get(..16).unwrap_or(&[0; 16]));
    key
}

/// What one subscriber has: an address, or a /64 of IPv6.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
        address => address,
    }
}

/// By the IETF's draft 10 of RateLimit header fields: `r` is what is left, `t` the seconds until all is there again.
fn limit(name: &str, level: Level) -> HeaderValue {
    text(format!("\"{name}\";r={};t={}", level.remaining, level.full_in))
}

/// `q` is the quota, `w` the seconds in which as much comes back.
fn policy(name: &str, rate: Rate) -> HeaderValue {
    text(format!("\"{name}\";q={};w={}", rate.quota, rate.window.as_secs()))
}

fn text(text: String) -> HeaderValue {
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests;
