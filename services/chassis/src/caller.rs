//! From a token to who is calling.
//!
//! Invariant: a caller exists only by a token whose signature, type, issuer, audience and times were checked here with a
//! key of ours; nothing a client writes into metadata can make one.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use petty_proto::auth::v1 as wire;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::error::{ApiError, Code};
use crate::types::{AccountId, Clock, CollarId, PetId, SessionId};

/// The type of an access token (RFC 9068).
pub const TOKEN_TYPE: &str = "at+jwt";
/// Clocks of one mesh may differ by this much.
const LEEWAY: i64 = 5;
/// Keys are fetched again at most this often for an unknown `kid`.
const REFRESH_INTERVAL: i64 = 1;

/// What an access token says.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Claims {
    /// Who issued it.
    pub iss: String,
    /// Whom it is for.
    pub aud: String,
    /// An account's id, or a collar's.
    pub sub: String,
    /// Not valid from then on, seconds.
    pub exp: i64,
    /// Not valid before then, seconds.
    pub nbf: i64,
    /// When it was issued, seconds.
    pub iat: i64,
    /// Its own id.
    pub jti: String,
    /// Scopes, separated by spaces.
    pub scope: String,
    /// The session, or the collar's credential, it hangs on: ended, it is worth nothing.
    pub sid: SessionId,
    /// For a collar: what it is bound to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<DeviceClaims>,
}

/// What a device token is bound to.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct DeviceClaims {
    /// The pet.
    pub pet: PetId,
    /// The account that paired it.
    pub account: AccountId,
}

/// Who is calling.
#[derive(Clone, Debug)]
pub struct Caller {
    kind: Kind,
    session: SessionId,
    scopes: Vec<String>,
    expires: i64,
}

#[derive(Clone, Debug)]
enum Kind {
    Account(AccountId),
    Device { collar: CollarId, pet: PetId, account: AccountId },
}

impl Caller {
    /// The account: the caller's own, or the one that paired the collar.
    #[must_use]
    pub fn account_id(&self) -> AccountId {
        match &self.kind {
            Kind::Account(account) | Kind::Device { account, .. } => *account,
        }
    }

    /// The collar and its pet, where a collar is calling.
    #[must_use]
    pub fn device(&self) -> Option<(&CollarId, PetId)> {
        match &self.kind {
            Kind::Account(_) => None,
            Kind::Device { collar, pet, .. } => Some((collar, *pet)),
        }
    }

    /// Whether a collar is calling.
    #[must_use]
    pub fn is_device(&self) -> bool {
        self.device().is_some()
    }

    /// The session, or the collar's credential.
    #[must_use]
    pub fn session_id(&self) -> SessionId {
        self.session
    }

    /// The token's subject.
    #[must_use]
    pub fn subject(&self) -> String {
        match &self.kind {
            Kind::Account(account) => account.to_string(),
            Kind::Device { collar, .. } => collar.to_string(),
        }
    }

    /// The scopes.
    #[must_use]
    pub fn scopes(&self) -> &[String] {
        &self.scopes
    }

    /// Whether the token holds a scope. `read` and `write` are the first system's names for all of a kind.
    #[must_use]
    pub fn has_scope(&self, scope: &str) -> bool {
        let alias = match scope.rsplit_once(':') {
            Some((_, "read")) => "read",
            Some((_, "write")) => "write",
            _ => scope,
        };
        self.scopes.iter().any(|held| held == scope || held == alias)
    }
}

impl TryFrom<Claims> for Caller {
    type Error = ApiError;

    fn try_from(claims: Claims) -> Result<Self, ApiError> {
        let kind = match claims.device {
            None => Kind::Account(claims.sub.parse().map_err(|_| refused("TOKEN_INVALID"))?),
            Some(device) => Kind::Device {
                collar: claims.sub.parse().map_err(|_| refused("TOKEN_INVALID"))?,
                pet: device.pet,
                account: device.account,
            },
        };
        let scopes = claims.scope.split(' ').filter(|scope| !scope.is_empty()).map(str::to_owned).collect();
        Ok(Self { kind, session: claims.sid, scopes, expires: claims.exp })
    }
}

/// Where public keys come from: auth itself, or auth's RPC.
#[async_trait]
pub trait KeySource: Send + Sync + 'static {
    /// All keys that may have signed a valid token.
    async fn keys(&self) -> Result<wire::Jwks, ApiError>;
}

/// Verifies access tokens. Cheap to clone.
#[derive(Clone)]
pub struct Verifier {
    inner: Arc<Inner>,
}

struct Inner {
    source: Box<dyn KeySource>,
    issuer: String,
    audience: String,
    clock: Clock,
    keys: RwLock<HashMap<String, (Algorithm, Arc<DecodingKey>)>>,
    refreshed: tokio::sync::Mutex<Option<i64>>,
    /// Verified tokens by their SHA-256: the token itself is not kept.
    verified: moka::sync::Cache<[u8; 32], Arc<Caller>>,
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
        let verified =
            moka::sync::Cache::builder().max_capacity(20_000).time_to_live(Duration::from_secs(900)).build();
        Self {
            inner: Arc::new(Inner {
                source,
                issuer: issuer.to_owned(),
                audience: audience.to_owned(),
                clock,
                keys: RwLock::default(),
                refreshed: tokio::sync::Mutex::new(None),
                verified,
            }),
        }
    }

    /// Who a token stands for.
    ///
    /// # Errors
    /// `TOKEN_INVALID`, `TOKEN_EXPIRED`, or unavailable where the keys cannot be had.
    pub async fn verify(&self, token: &str) -> Result<Arc<Caller>, ApiError> {
        let inner = &self.inner;
        let now = inner.clock.now().as_second();
        let digest: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        if let Some(caller) = inner.verified.get(&digest) {
            return self.still_valid(&caller).map(|()| caller);
        }
        let (kid, algorithm) = header(token)?;
        let (allowed, key) = self.key(&kid, now).await?;
        if allowed != algorithm {
            return Err(refused("TOKEN_INVALID"));
        }
        let mut validation = Validation::new(allowed);
        validation.set_issuer(&[&inner.issuer]);
        validation.set_audience(&[&inner.audience]);
        validation.set_required_spec_claims(&["exp", "nbf", "iss", "aud", "sub"]);
        // Times are checked below, by our own clock.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        let claims = jsonwebtoken::decode::<Claims>(token, &key, &validation)
            .map_err(|_| refused("TOKEN_INVALID"))?
            .claims;
        if now >= claims.exp + LEEWAY {
            return Err(refused("TOKEN_EXPIRED"));
        }
        if now < claims.nbf - LEEWAY {
            return Err(refused("TOKEN_INVALID"));
        }
        let caller = Arc::new(Caller::try_from(claims)?);
        inner.verified.insert(digest, caller.clone());
        Ok(caller)
    }

    /// Whether the token of a caller, verified before, has not expired since.
    ///
    /// # Errors
    /// `TOKEN_EXPIRED`.
    pub(crate) fn still_valid(&self, caller: &Caller) -> Result<(), ApiError> {
        let now = self.inner.clock.now().as_second();
        if now < caller.expires + LEEWAY { Ok(()) } else { Err(refused("TOKEN_EXPIRED")) }
    }

    /// The key of a `kid`. An unknown one causes one refresh, not a flood.
    async fn key(&self, kid: &str, now: i64) -> Result<(Algorithm, Arc<DecodingKey>), ApiError> {
        if let Some(key) = self.known(kid) {
            return Ok(key);
        }
        let mut refreshed = self.inner.refreshed.lock().await;
        if let Some(key) = self.known(kid) {
            return Ok(key);
        }
        if refreshed.is_some_and(|last| now - last < REFRESH_INTERVAL) {
            return Err(refused("TOKEN_INVALID"));
        }
        let jwks = self.inner.source.keys().await?;
        *refreshed = Some(now);
        let keys = jwks.keys.iter().filter_map(decoding_key).collect();
        *self.inner.keys.write().unwrap_or_else(PoisonError::into_inner) = keys;
        drop(refreshed);
        self.known(kid).ok_or_else(|| refused("TOKEN_INVALID"))
    }

    fn known(&self, kid: &str) -> Option<(Algorithm, Arc<DecodingKey>)> {
        self.inner.keys.read().unwrap_or_else(PoisonError::into_inner).get(kid).cloned()
    }
}

/// A token's `kid` and algorithm, from a header that holds nothing it must not hold (RFC 8725).
fn header(token: &str) -> Result<(String, Algorithm), ApiError> {
    #[derive(Deserialize)]
    struct Header {
        typ: String,
        alg: Algorithm,
        kid: String,
        #[serde(flatten)]
        rest: HashMap<String, serde_json::Value>,
    }
    let invalid = || refused("TOKEN_INVALID");
    if token.len() > 8_192 {
        return Err(invalid());
    }
    let (encoded, _) = token.split_once('.').ok_or_else(invalid)?;
    let bytes = URL_SAFE_NO_PAD.decode(encoded).map_err(|_| invalid())?;
    let header: Header = serde_json::from_slice(&bytes).map_err(|_| invalid())?;
    let refused = ["jku", "jwk", "x5u", "x5c", "crit"];
    let good = header.typ == TOKEN_TYPE
        && matches!(header.alg, Algorithm::RS256 | Algorithm::ES256 | Algorithm::EdDSA)
        && refused.iter().all(|name| !header.rest.contains_key(*name));
    if good { Ok((header.kid, header.alg)) } else { Err(invalid()) }
}

fn decoding_key(key: &wire::Jwk) -> Option<(String, (Algorithm, Arc<DecodingKey>))> {
    let algorithm: Algorithm = key.alg.parse().ok()?;
    let json = serde_json::to_value(key).ok()?;
    let jwk: Jwk = serde_json::from_value(json).ok()?;
    let decoding = DecodingKey::from_jwk(&jwk).ok()?;
    Some((key.kid.clone(), (algorithm, Arc::new(decoding))))
}

fn refused(reason: &'static str) -> ApiError {
    let text = match reason {
        "TOKEN_EXPIRED" => "the access token has expired; get another with the refresh token",
        _ => "the access token is not valid; sign in again",
    };
    ApiError::new(Code::Unauthenticated, reason, text)
}
