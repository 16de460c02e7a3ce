//! auth's public keys, remembered.
//!
//! Invariants: a key counts only while auth was heard to publish it, at most [`MOST_AGE`] ago; whatever tokens come, auth is
//! asked a bounded number of times; a token of a known key waits for none of it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use opentelemetry::KeyValue;
use opentelemetry::metrics::Counter;
use petty_proto::auth::v1 as wire;

use super::{refused, token};
use crate::Tasks;
use crate::error::{ApiError, chain};
use crate::telemetry;
use crate::types::Clock;

/// Keys older than this are fetched again, beside whatever is being verified. Milliseconds, like all times here.
const STALE_AGE: i64 = 30_000;
/// Keys older than this count no more: where auth cannot be asked for so long, nobody is let in.
const MOST_AGE: i64 = 15 * 60_000;
/// Of fetches for the sake of an unknown `kid`, so many may come at once …
const BURST: i64 = 4;
/// … and then one in this time. By then a key that is truly new is known.
const REFILL: i64 = 5_000;
/// After a fetch that failed it is tried again so soon: where nothing counts meanwhile, and where what is known still does.
const AGAIN: i64 = 200;
const AGAIN_BESIDE: i64 = 1_000;

/// Where public keys come from: auth itself, or auth's RPC.
#[async_trait]
pub trait KeySource: Send + Sync + 'static {
    /// All keys that may have signed a valid token.
    async fn keys(&self) -> Result<wire::Jwks, ApiError>;
}

/// A key that verifies. Held by [`Keys`] alone: who holds it weakly sees whether it is still believed. It is read once: reading
/// an RSA key takes a fifth of the time that a verification with it does.
pub(super) struct Key {
    pub(super) algorithm: Algorithm,
    public: ParsedPublicKey,
    published: wire::Jwk,
}

/// auth's keys. Cheap to clone.
#[derive(Clone)]
pub(super) struct Keys {
    inner: Arc<Inner>,
}

struct Inner {
    source: Box<dyn KeySource>,
    clock: Clock,
    tasks: Option<Tasks>,
    known: RwLock<Known>,
    fetching: tokio::sync::Mutex<Fetching>,
    /// Counts fetches as they begin.
    begun: AtomicU64,
    /// Whether one is on its way beside.
    beside: AtomicBool,
    /// When the last one failed; [`NEVER`] where it did not.
    failed: AtomicI64,
    fetches: Counter<u64>,
}

/// What is remembered.
#[derive(Default)]
struct Known {
    keys: HashMap<String, Arc<Key>>,
    /// When auth was asked for them.
    at: Option<i64>,
}

/// What there is to know of fetches.
struct Fetching {
    /// How many fetches may be made for an unknown `kid`, in units of [`REFILL`] milliseconds.
    allowance: i64,
    counted: i64,
}

/// Ends what is on its way beside, whichever way that ends.
struct Beside(Keys);

const NEVER: i64 = i64::MIN;

/// How old what is remembered is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Age {
    Fresh,
    Stale,
    Over,
}

impl Keys {
    pub(super) fn new(source: Box<dyn KeySource>, clock: Clock, tasks: Option<Tasks>) -> Self {
        let fetches = telemetry::meter()
            .u64_counter("petty_keys_fetched")
            .with_description("How often auth was asked for its public keys, why, and with what outcome")
            .build();
        let fetching = Fetching { allowance: BURST * REFILL, counted: i64::MIN };
        Self {
            inner: Arc::new(Inner {
                source,
                clock,
                tasks,
                known: RwLock::default(),
                fetching: tokio::sync::Mutex::new(fetching),
                begun: AtomicU64::new(0),
                beside: AtomicBool::new(false),
                failed: AtomicI64::new(NEVER),
                fetches,
            }),
        }
    }

    /// Sees to it that what is remembered is not too old. Who calls waits only where it is.
    ///
    /// # Errors
    /// Unavailable, where keys cannot be had.
    pub(super) async fn keep_fresh(&self) -> Result<(), ApiError> {
        match self.age() {
            Age::Fresh => Ok(()),
            Age::Stale if self.inner.failed_within(AGAIN_BESIDE) => Ok(()),
            Age::Stale => {
                match &self.inner.tasks {
                    Some(tasks) => self.fetch_beside(tasks),
                    None => Box::pin(self.fetch_stale()).await,
                }
                Ok(())
            }
            Age::Over => Box::pin(self.fetch_where(|age| age == Age::Over, "none")).await,
        }
    }

    /// The key of a `kid`; an unknown one has auth asked, as far as that is allowed.
    ///
    /// # Errors
    /// `TOKEN_INVALID` where there is no such key, or unavailable where auth cannot say.
    pub(super) async fn key(&self, kid: &str) -> Result<Arc<Key>, ApiError> {
        if let Some(key) = self.known(kid) {
            return Ok(key);
        }
        let inner = &*self.inner;
        let begun = inner.begun.load(Ordering::Acquire);
        let mut fetching = inner.fetching.lock().await;
        if let Some(key) = self.known(kid) {
            return Ok(key);
        }
        // One that began after this token came in has answered for it already.
        if inner.begun.load(Ordering::Acquire) != begun || !fetching.take(inner.now()) {
            let cannot_say = inner.failed.load(Ordering::Acquire) != NEVER;
            return Err(if cannot_say { unavailable() } else { refused("TOKEN_INVALID") });
        }
        inner.fetch("unknown_kid").await?;
        self.known(kid).ok_or_else(|| refused("TOKEN_INVALID"))
    }

    fn known(&self, kid: &str) -> Option<Arc<Key>> {
        self.inner.known.read().unwrap_or_else(PoisonError::into_inner).keys.get(kid).cloned()
    }

    fn age(&self) -> Age {
        let at = self.inner.known.read().unwrap_or_else(PoisonError::into_inner).at;
        // A clock that was set back makes everything old, which is the safe side.
        match at.map(|at| (self.inner.now() - at).unsigned_abs()) {
            None => Age::Over,
            Some(age) if age < STALE_AGE.unsigned_abs() => Age::Fresh,
            Some(age) if age < MOST_AGE.unsigned_abs() => Age::Stale,
            Some(_) => Age::Over,
        }
    }

    /// Fetches, unless that is being done.
    fn fetch_beside(&self, tasks: &Tasks) {
        if self.inner.beside.swap(true, Ordering::AcqRel) {
            return;
        }
        let beside = Beside(self.clone());
        tasks.spawn("fetch-keys", async move { beside.0.fetch_stale().await });
    }

    async fn fetch_stale(&self) {
        if let Err(error) = self.fetch_where(|age| age != Age::Fresh, "stale").await {
            tracing::warn!(
                error = chain(&error),
                "the public keys cannot be fetched; those known still count"
            );
        }
    }

    async fn fetch_where(&self, needed: impl Fn(Age) -> bool, why: &'static str) -> Result<(), ApiError> {
        let fetching = self.inner.fetching.lock().await;
        if !needed(self.age()) {
            return Ok(());
        }
        if self.inner.failed_within(AGAIN) {
            return Err(unavailable());
        }
        let fetched = self.inner.fetch(why).await;
        drop(fetching);
        fetched
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        self.0.inner.beside.store(false, Ordering::Release);
    }
}

impl Inner {
    fn now(&self) -> i64 {
        self.clock.now().as_millisecond()
    }

    fn failed_within(&self, span: i64) -> bool {
        let failed = self.failed.load(Ordering::Acquire);
        failed != NEVER && (self.now() - failed).unsigned_abs() < span.unsigned_abs()
    }

    /// By whoever holds the lock on fetching.
    async fn fetch(&self, why: &'static str) -> Result<(), ApiError> {
        self.begun.fetch_add(1, Ordering::AcqRel);
        let at = self.now();
        let answer = Answer { of: self, came: false };
        let fetched = self.source.keys().await;
        answer.came();
        let outcome = if fetched.is_ok() { "ok" } else { "failed" };
        self.fetches.add(1, &[KeyValue::new("why", why), KeyValue::new("outcome", outcome)]);
        match fetched {
            Ok(jwks) => {
                self.failed.store(NEVER, Ordering::Release);
                self.take_over(jwks, at);
                Ok(())
            }
            Err(error) => {
                self.failed.store(self.now(), Ordering::Release);
                Err(error)
            }
        }
    }

    /// What is published counts, and nothing else; a key that stays is the same one.
    fn take_over(&self, jwks: wire::Jwks, at: i64) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let keys = jwks.keys.into_iter().filter_map(|published| {
            let same = known.keys.get(&published.kid).filter(|key| key.published == published).cloned();
            let kid = published.kid.clone();
            same.or_else(|| Key::read(published).map(Arc::new)).map(|key| (kid, key))
        });
        *known = Known { keys: keys.collect(), at: Some(at) };
    }
}

impl Fetching {
    /// Whether one more fetch is allowed for an unknown `kid`.
    fn take(&mut self, now: i64) -> bool {
        let passed = now.saturating_sub(self.counted).max(0);
        self.allowance = self.allowance.saturating_add(passed).min(BURST * REFILL);
        self.counted = now;
        let allowed = self.allowance >= REFILL;
        if allowed {
            self.allowance -= REFILL;
        }
        allowed
    }
}

impl Key {
    /// `None`: of a kind that is not ours.
    fn read(published: wire::Jwk) -> Option<Self> {
        let algorithm: Algorithm = published.alg.parse().ok()?;
        let ours = token::ALGORITHMS.contains(&algorithm) && token::is_kid(&published.kid);
        let public = parse(algorithm, &published)?;
        ours.then_some(Self { algorithm, public, published })
    }

    /// Whether it signed this.
    pub(super) fn signed(&self, message: &str, signature: &str) -> bool {
        let Ok(signature) = URL_SAFE_NO_PAD.decode(signature) else { return false };
        self.public.verify_sig(message.as_bytes(), &signature).is_ok()
    }
}

/// A public key (RFC 7518, 6; RFC 8037, 2) for the one algorithm that it is published for.
fn parse(algorithm: Algorithm, published: &wire::Jwk) -> Option<ParsedPublicKey> {
    let member = |member: &Option<String>| URL_SAFE_NO_PAD.decode(member.as_deref()?).ok();
    let is = |kty: &str, crv: Option<&str>| published.kty == kty && published.crv.as_deref() == crv;
    match algorithm {
        Algorithm::RS256 if is("RSA", None) => {
            let components = RsaPublicKeyComponents { n: member(&published.n)?, e: member(&published.e)? };
            components.to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256).ok()
        }
        Algorithm::ES256 if is("EC", Some("P-256")) => {
            // Uncompressed (SEC 1, 2.3.3).
            let coordinates = [member(&published.x)?, member(&published.y)?];
            let fit = coordinates.iter().all(|coordinate| coordinate.len() == 32);
            let point = [[4].as_slice(), &coordinates[0], &coordinates[1]].concat();
            ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).ok().filter(|_| fit)
        }
        Algorithm::EdDSA if is("OKP", Some("Ed25519")) => {
            ParsedPublicKey::new(&ED25519, member(&published.x)?).ok()
        }
        _ => None,
    }
}

fn unavailable() -> ApiError {
    ApiError::unavailable("KEYS_UNAVAILABLE", "auth was asked for its keys a moment ago, and did not answer")
}

/// auth's answer, for which whoever asks may stop to wait: those who count on it are then told that nobody knows, as where auth is away.
struct Answer<'a> {
    of: &'a Inner,
    came: bool,
}

impl Answer<'_> {
    fn came(mut self) {
        self.came = true;
    }
}

impl Drop for Answer<'_> {
    fn drop(&mut self) {
        if !self.came {
            self.of.failed.store(self.of.now(), Ordering::Release);
        }
    }
}
