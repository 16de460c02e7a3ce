//! Personal access tokens at the edge: exchanged at auth for access tokens, which are all that anybody else knows.
//!
//! Invariants: a token whose checksum is wrong costs nobody anything; of many requests with one token, one asks auth, and
//! each that waits for the answer has one of auth's places; what is kept is kept by the token's SHA-256, in memory, for a minute at most. That a token is ended needs not be heard here:
//! the access token is of its session, and every service refuses it.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use http::header::HeaderValue;
use jiff::{SignedDuration, Timestamp};
use moka::future::Cache;
use opentelemetry::KeyValue;
use opentelemetry::metrics::Counter;
use petty_chassis::ApiError;
use petty_chassis::caller::personal;
use petty_chassis::grpc::CallScope;
use petty_chassis::telemetry;
use petty_chassis::types::Clock;
use petty_proto::auth::v1::ExchangePersonalTokenRequest;
use petty_proto::auth::v1::personal_token_service_client::PersonalTokenServiceClient;
use petty_proto::policy;
use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;
use tonic::Status;

use crate::problem::Problem;
use crate::status;
use crate::upstream::{Channel, Upstreams, carry, within};

/// How long an access token is used for the personal one, in place of another exchange: so old is what is said of its last use.
const KEPT: SignedDuration = SignedDuration::from_secs(60);
/// How long one that auth does not know is refused without asking again.
const REFUSED: SignedDuration = SignedDuration::from_secs(10);
/// An access token is not used in the last seconds of its life.
const MARGIN: SignedDuration = SignedDuration::from_secs(5);
/// The most that are kept, of the good and the others.
const MOST_KEPT: u64 = 20_000;
/// The most that are asked about at once: who shows made-up tokens takes no more of auth than that.
const MOST_ASKED: usize = 64;

/// What a personal token is worth, until a time.
#[derive(Clone)]
struct Worth {
    /// The header of its access token; `None`: nothing.
    header: Option<HeaderValue>,
    until: Timestamp,
}

/// Exchanges personal access tokens.
pub(crate) struct Exchanges {
    known: Cache<[u8; 32], Worth>,
    asking: Semaphore,
    clock: Clock,
    counted: Counter<u64>,
}

impl std::fmt::Debug for Exchanges {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Exchanges").finish_non_exhaustive()
    }
}

/// Whether a bearer's token means to be a personal one.
pub(crate) fn is_personal(token: &str) -> bool {
    token.starts_with(personal::PREFIX)
}

impl Exchanges {
    pub(crate) fn new(clock: Clock) -> Self {
        let counted = telemetry::meter()
            .u64_counter("petty_personal_token_uses")
            .with_description("Personal access tokens shown, by how they were decided on")
            .build();
        let known = Cache::builder().max_capacity(MOST_KEPT).time_to_live(Duration::from_secs(60)).build();
        Self { known, asking: Semaphore::new(MOST_ASKED), clock, counted }
    }

    /// The header of the access token that a personal token stands for.
    pub(crate) async fn exchange(
        &self,
        upstreams: &Upstreams,
        token: &str,
        scope: &CallScope,
    ) -> Result<HeaderValue, Problem> {
        if !personal::is_well_formed(token) {
            self.count("malformed");
            return Err(invalid());
        }
        let key: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        if let Some(worth) = self.known.get(&key).await {
            if worth.until > self.clock.now() {
                self.count("remembered");
                return worth.header.ok_or_else(invalid);
            }
            self.known.invalidate(&key).await;
        }
        let _place = upstreams.place("auth").await?;
        let auth = upstreams.get("auth").ok_or_else(Problem::internal)?;
        // Whoever comes meanwhile waits for this answer. One that could not be had is not kept.
        let worth = self.known.try_get_with(key, self.ask(auth, token, scope));
        worth.await.map_err(|problem: Arc<Problem>| (*problem).clone())?.header.ok_or_else(invalid)
    }

    async fn ask(&self, auth: Channel, token: &str, scope: &CallScope) -> Result<Worth, Problem> {
        let Ok(_permit) = self.asking.try_acquire() else {
            self.count("overloaded");
            return Err(Problem::overloaded());
        };
        let policy = &policy::PERSONAL_TOKEN_SERVICE_EXCHANGE_PERSONAL_TOKEN;
        let mut client = PersonalTokenServiceClient::new(auth);
        let mut request = tonic::Request::new(ExchangePersonalTokenRequest { token: token.to_owned() });
        request.set_timeout(policy.deadline);
        carry(request.metadata_mut(), scope);
        let now = self.clock.now();
        let call = async { client.exchange_personal_token(request).await };
        let answer = match within(policy, scope.clone(), call).await {
            Ok(answer) => answer.into_inner(),
            Err(problem) if problem.status == StatusCode::UNAUTHORIZED => {
                self.count("refused");
                return Ok(Worth { header: None, until: now + REFUSED });
            }
            Err(problem) => return Err(problem),
        };
        let header = HeaderValue::try_from(format!("Bearer {}", answer.access_token));
        let mut header = header.map_err(|_| Problem::internal())?;
        header.set_sensitive(true);
        self.count("exchanged");
        let life = SignedDuration::from_secs(i64::from(answer.expires_in)) - MARGIN;
        Ok(Worth { header: Some(header), until: now + KEPT.min(life) })
    }

    fn count(&self, outcome: &'static str) {
        self.counted.add(1, &[KeyValue::new("outcome", outcome)]);
    }
}

/// Alike for whatever is not a good token of ours.
fn invalid() -> Problem {
    status::problem(&Status::from(ApiError::unauthenticated(
        "TOKEN_INVALID",
        "the access token is not valid",
    )))
}
