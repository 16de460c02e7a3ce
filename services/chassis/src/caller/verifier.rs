//! Verifies access tokens, and remembers those that were good.

use std::sync::{Arc, Weak};
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use super::keys::{Key, KeySource, Keys};
use super::token::Parts;
use super::{Caller, Claims, refused};
use crate::Tasks;
use crate::error::{ApiError, chain};
use crate::service::Context;
use crate::telemetry::CacheMeasures;
use crate::types::Clock;

/// Clocks of one mesh may differ by this much, in seconds.
const LEEWAY: i64 = 5;
/// How many tokens are remembered, and how long at most.
const REMEMBERED: u64 = 20_000;
const TIME_TO_LIVE: Duration = Duration::from_secs(900);
/// How soon a service that starts asks again for the keys that it did not get.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// Verifies access tokens. Cheap to clone.
///
/// A token that was verified is remembered by its SHA-256, for as long as its key is published and it has not expired: it costs
/// a hash then, and no signature. Whether its session still stands is another question, which is asked each time
/// ([`Access`](crate::access::Access)).
#[derive(Clone)]
pub struct Verifier {
    inner: Arc<Inner>,
}

struct Inner {
    keys: Keys,
    issuer: String,
    audience: String,
    clock: Clock,
    verified: moka::sync::Cache<[u8; 32], Verified>,
    measures: CacheMeasures,
}

/// A token that was verified.
#[derive(Clone)]
struct Verified {
    caller: Arc<Caller>,
    /// What it was verified with; gone once it is published no more.
    key: Weak<Key>,
}

impl std::fmt::Debug for Verifier {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Verifier").field("issuer", &self.inner.issuer).finish_non_exhaustive()
    }
}

impl Verifier {
    /// A verifier for one issuer and audience.
    #[must_use]
    pub fn new(source: Box<dyn KeySource>, issuer: &str, audience: &str, clock: Clock) -> Self {
        Self::build(source, issuer, audience, clock, None)
    }

    /// One that fetches keys again beside what it verifies, and measures under the service's name.
    #[must_use]
    pub fn of_service(
        source: Box<dyn KeySource>,
        issuer: &str,
        audience: &str,
        clock: Clock,
        tasks: &Tasks,
    ) -> Self {
        Self::build(source, issuer, audience, clock, Some(tasks.clone()))
    }

    fn build(
        source: Box<dyn KeySource>,
        issuer: &str,
        audience: &str,
        clock: Clock,
        tasks: Option<Tasks>,
    ) -> Self {
        let measures = CacheMeasures::new("tokens", tasks.as_ref().map_or("", Tasks::service));
        let verified =
            moka::sync::Cache::builder().max_capacity(REMEMBERED).time_to_live(TIME_TO_LIVE).build();
        Self {
            inner: Arc::new(Inner {
                keys: Keys::new(source, clock.clone(), tasks),
                issuer: issuer.to_owned(),
                audience: audience.to_owned(),
                clock,
                verified,
                measures,
            }),
        }
    }

    /// Has the keys fetched until they are there, beside everything else. The service is ready once it has heard them a first
    /// time, for until then it turns everybody away; that auth is away later does not make it unready.
    pub fn prepare(&self, context: &Context) {
        let (check, keys, shutdown) =
            (context.readiness.check("keys"), self.inner.keys.clone(), context.shutdown.clone());
        let heard = async move {
            let mut pause = FIRST_PAUSE;
            while let Err(error) = keys.keep_fresh().await {
                tracing::debug!(error = chain(&error), "the public keys cannot be fetched yet");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        };
        context.tasks.spawn_background("first-keys", async move {
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = heard => check.ok("heard"),
            }
        });
    }

    /// Who a token stands for.
    ///
    /// # Errors
    /// `TOKEN_INVALID`, `TOKEN_EXPIRED`, or unavailable where the keys cannot be had.
    pub async fn verify(&self, token: &str) -> Result<Arc<Caller>, ApiError> {
        let inner = &self.inner;
        inner.keys.keep_fresh().await?;
        let digest: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        if let Some(verified) = inner.verified.get(&digest) {
            if verified.key.strong_count() > 0 {
                inner.measures.hit();
                return self.still_valid(&verified.caller).map(|()| verified.caller);
            }
            inner.verified.invalidate(&digest);
            inner.measures.forgot();
        }
        inner.measures.missed();
        let parts = Parts::of(token).ok_or_else(|| refused("TOKEN_INVALID"))?;
        let key = Box::pin(inner.keys.key(&parts.kid)).await?;
        let caller = Arc::new(inner.read(&parts, &key)?);
        inner.verified.insert(digest, Verified { caller: caller.clone(), key: Arc::downgrade(&key) });
        Ok(caller)
    }

    /// Whether the token of a caller, verified before, has not expired since.
    ///
    /// # Errors
    /// `TOKEN_EXPIRED`.
    pub(crate) fn still_valid(&self, caller: &Caller) -> Result<(), ApiError> {
        let now = self.inner.clock.now().as_second();
        if now < caller.expires.saturating_add(LEEWAY) { Ok(()) } else { Err(refused("TOKEN_EXPIRED")) }
    }
}

impl Inner {
    /// Whom the token is of, if its signature is the key's and it says what it must.
    fn read(&self, parts: &Parts<'_>, key: &Key) -> Result<Caller, ApiError> {
        let invalid = || refused("TOKEN_INVALID");
        if key.algorithm != parts.algorithm {
            return Err(invalid());
        }
        if !key.signed(parts.message, parts.signature) {
            return Err(invalid());
        }
        let claims: Claims = parts.claims().ok_or_else(invalid)?;
        let now = self.clock.now().as_second();
        if now >= claims.exp.saturating_add(LEEWAY) {
            return Err(refused("TOKEN_EXPIRED"));
        }
        let begun = claims.nbf.max(claims.iat) <= now.saturating_add(LEEWAY);
        let meant = claims.iss == self.issuer && claims.aud == self.audience;
        let sound = meant && begun && !claims.jti.is_empty();
        if sound { Caller::try_from(claims) } else { Err(invalid()) }
    }
}
