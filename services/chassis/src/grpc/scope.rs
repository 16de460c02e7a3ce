//! What a call hands on to the calls that it makes.

use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::net::IpAddr;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::time::Instant;

use crate::types::{Clock, Entropy};

/// The header, or metadata key, that carries a request id.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The metadata key that carries the address of the client at the edge.
pub const CLIENT_ADDRESS: &str = "x-petty-client-address";
/// The header that carries the time a call has left.
const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
/// The longest request id that is taken over.
const LONGEST_ID: usize = 128;

/// Names one request through the whole mesh.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RequestId(pub String);

/// Where the client at the edge is, as the gateway says. An extension of a request from whom that is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientAddress(pub IpAddr);

/// When a call must have been answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(pub Instant);

/// What a call hands on to the calls that it makes. Set while a call is answered.
#[derive(Clone, Debug)]
pub struct CallScope {
    /// The request's id.
    pub request_id: RequestId,
    /// The trace, where one came along.
    pub traceparent: Option<String>,
    /// When it must have been answered.
    pub deadline: Option<Deadline>,
    /// Where the client at the edge is; known to the gateway.
    pub client_address: Option<IpAddr>,
}

tokio::task_local! {
    static SCOPE: CallScope;
    /// Whether the answer that is being made is that to an earlier sending.
    static REPLAYED: Cell<bool>;
}

/// Runs a handler's work; says too whether its answer is that to an earlier sending.
pub(crate) async fn noting_replays<F: Future>(work: F) -> (F::Output, bool) {
    let noted = async {
        let output = work.await;
        (output, REPLAYED.with(Cell::get))
    };
    REPLAYED.scope(Cell::new(false), noted).await
}

/// Notes that the answer that is being made is that to an earlier sending. Outside of a handler nobody asks.
pub(crate) fn note_replay() {
    let _outside = REPLAYED.try_with(|replayed| replayed.set(true));
}

impl RequestId {
    /// A new one.
    #[must_use]
    pub fn new(clock: &Clock) -> Self {
        // A UUIDv7, as our other ids are.
        let millis = u64::try_from(clock.now().as_millisecond()).unwrap_or_default();
        Self(uuid::Builder::from_unix_timestamp_millis(millis, &Entropy.plenty()).into_uuid().to_string())
    }

    /// One that came from outside: up to 128 letters, digits, `.`, `_` or `-`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::fits(text).then(|| Self(text.to_owned()))
    }

    /// Whether a header is one.
    pub(crate) fn is_one(header: &HeaderValue) -> bool {
        header.to_str().is_ok_and(Self::fits)
    }

    fn fits(text: &str) -> bool {
        (1..=LONGEST_ID).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
    }

    /// Its text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn from_headers(headers: &HeaderMap) -> Option<Self> {
        headers.get(REQUEST_ID).and_then(|value| value.to_str().ok()).and_then(Self::parse)
    }

    pub(crate) fn header(&self) -> Option<HeaderValue> {
        HeaderValue::from_str(&self.0).ok()
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl ClientAddress {
    pub(crate) fn from_headers(headers: &HeaderMap) -> Option<Self> {
        let mut values = headers.get_all(CLIENT_ADDRESS).iter();
        let (Some(value), None) = (values.next(), values.next()) else { return None };
        value.to_str().ok()?.parse().ok().map(Self)
    }
}

impl Deadline {
    /// That long from now.
    #[must_use]
    pub fn after(timeout: Duration) -> Self {
        Self(Instant::now() + timeout)
    }

    /// The time left; zero where it has passed.
    #[must_use]
    pub fn left(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }
}

impl CallScope {
    /// The scope of the call that is being answered here.
    #[must_use]
    pub fn current() -> Option<Self> {
        SCOPE.try_with(Clone::clone).ok()
    }

    /// Runs `work` as part of this call.
    pub async fn run<F: Future>(self, work: F) -> F::Output {
        SCOPE.scope(self, work).await
    }
}

/// The timeout a request came with. One that cannot be read counts as none.
pub(crate) fn timeout(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(GRPC_TIMEOUT)?.to_str().ok()?;
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if number.len() > 8 || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number: u64 = number.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(number * 3600),
        "M" => Duration::from_secs(number * 60),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    })
}

/// Says how much time is left. Longer than a call may take in any policy is cut to that. Of more than a second the part of a
/// millisecond is left out: most calls then say the same, which HPACK sends as one byte.
pub(crate) fn set_timeout(headers: &mut HeaderMap, left: Duration) {
    const MOST: u128 = 99_999_999;
    const EXACT: u128 = 1_000_000;
    let text = if left.as_micros() < EXACT {
        format!("{}u", left.as_micros())
    } else {
        format!("{}m", left.as_millis().min(MOST))
    };
    if let Ok(value) = HeaderValue::from_str(&text) {
        headers.insert(GRPC_TIMEOUT, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_read_as_grpc_writes_them() {
        for (text, read) in [
            ("1H", Some(Duration::from_secs(3600))),
            ("2M", Some(Duration::from_secs(120))),
            ("3S", Some(Duration::from_secs(3))),
            ("250m", Some(Duration::from_millis(250))),
            ("99999999u", Some(Duration::from_micros(99_999_999))),
            ("5n", Some(Duration::from_nanos(5))),
            ("", None),
            ("S", None),
            ("-1S", None),
            ("+1S", None),
            ("1s", None),
            ("123456789m", None),
            ("1é", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(GRPC_TIMEOUT, HeaderValue::from_bytes(text.as_bytes()).unwrap());
            assert_eq!(timeout(&headers), read, "{text:?}");
        }
    }

    #[test]
    fn timeouts_are_written_as_they_are_read() {
        for left in
            [Duration::ZERO, Duration::from_micros(1), Duration::from_millis(1500), Duration::from_secs(600)]
        {
            let mut headers = HeaderMap::new();
            set_timeout(&mut headers, left);
            assert_eq!(timeout(&headers), Some(left));
        }
    }

    #[test]
    fn only_harmless_request_ids_are_taken_over() {
        assert_eq!(RequestId::parse("Ab-1_2.3").unwrap().as_str(), "Ab-1_2.3");
        for refused in ["", "a b", "a\nb", "é", &"a".repeat(129)] {
            assert_eq!(RequestId::parse(refused), None, "{refused:?}");
        }
    }
}
