//! The token with which a service proves itself where there is no TLS.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Mutex, PoisonError};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::HeaderValue;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{Refusal, ServiceIdentity};
use crate::config::ServicePublicKey;
use crate::types::{Clock, Entropy};

/// The `typ` of these tokens, so that no other token of ours can pass for one.
const TYPE: &str = "petty-service+jwt";
/// How long a token is good for, seconds.
const LIFETIME: i64 = 300;
/// How long before its end a token is made anew, seconds.
const RENEW: i64 = 60;
/// How far clocks may be apart, seconds.
const LEEWAY: i64 = 30;
/// The longest token that is looked at.
const LONGEST: usize = 2048;
/// How many verified tokens are remembered: some for each replica of each service.
const REMEMBERED: u64 = 4096;

#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    aud: String,
    iat: i64,
    exp: i64,
    jti: String,
}

/// Makes a service's tokens.
pub struct Minter {
    service: &'static str,
    key: EncodingKey,
    clock: Clock,
    minted: Mutex<HashMap<String, (HeaderValue, i64)>>,
}

/// The key is not an Ed25519 private key in PEM.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("PETTY_SERVICE_KEY is not an Ed25519 private key in PEM")]
pub struct KeyError;

impl Minter {
    /// Signs as `service` with its private key.
    ///
    /// # Errors
    ///
    /// Where the key cannot be read.
    pub fn new(service: &'static str, key: &SecretString, clock: Clock) -> Result<Self, KeyError> {
        let key = EncodingKey::from_ed_pem(key.expose_secret().as_bytes()).map_err(|_| KeyError)?;
        Ok(Self { service, key, clock, minted: Mutex::default() })
    }

    /// A token for one target, made anew a minute before it ends.
    ///
    /// # Errors
    ///
    /// Where the key cannot sign.
    pub fn token(&self, target: &str) -> Result<HeaderValue, KeyError> {
        let now = self.clock.now().as_second();
        let mut minted = self.minted.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((token, expiry)) = minted.get(target)
            && now < expiry - RENEW
        {
            return Ok(token.clone());
        }
        let expiry = now + LIFETIME;
        let claims = Claims {
            iss: self.service.to_owned(),
            sub: self.service.to_owned(),
            aud: target.to_owned(),
            iat: now,
            exp: expiry,
            jti: Entropy.token::<16>(),
        };
        let header = Header { typ: Some(TYPE.to_owned()), ..Header::new(Algorithm::EdDSA) };
        let token = jsonwebtoken::encode(&header, &claims, &self.key).map_err(|_| KeyError)?;
        let mut token = HeaderValue::try_from(token).map_err(|_| KeyError)?;
        token.set_sensitive(true);
        minted.insert(target.to_owned(), (token.clone(), expiry));
        Ok(token)
    }
}

impl fmt::Debug for Minter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Minter").field("service", &self.service).finish_non_exhaustive()
    }
}

/// Verifies tokens that are meant for one service.
pub(super) struct Verifier {
    service: &'static str,
    keys: HashMap<String, DecodingKey>,
    clock: Clock,
    verified: moka::future::Cache<[u8; 32], (ServiceIdentity, i64)>,
}

impl Verifier {
    pub(super) fn new(
        service: &'static str,
        keys: &BTreeMap<String, ServicePublicKey>,
        clock: Clock,
    ) -> Self {
        let keys = keys.iter().map(|(name, key)| (name.clone(), DecodingKey::from_ed_der(&key.0))).collect();
        Self { service, keys, clock, verified: moka::future::Cache::new(REMEMBERED) }
    }

    /// The service that signed a token for us.
    pub(super) async fn verify(&self, token: &[u8]) -> Result<ServiceIdentity, Refusal> {
        if token.len() > LONGEST {
            return Err(Refusal("the token is too long"));
        }
        let now = self.clock.now().as_second();
        let digest: [u8; 32] = Sha256::digest(token).into();
        if let Some((identity, expiry)) = self.verified.get(&digest).await {
            return if now < expiry { Ok(identity) } else { Err(Refusal("the token has expired")) };
        }
        let claims = self.claims(token)?;
        if now < claims.iat - LEEWAY {
            return Err(Refusal("the token is from the future"));
        }
        if claims.exp - claims.iat > LIFETIME {
            return Err(Refusal("the token lives too long"));
        }
        let expiry = claims.exp + LEEWAY;
        if now >= expiry {
            return Err(Refusal("the token has expired"));
        }
        let identity = ServiceIdentity::new(&claims.iss);
        self.verified.insert(digest, (identity.clone(), expiry)).await;
        Ok(identity)
    }

    /// The claims, once the signature is known to be the issuer's and the token meant for us.
    fn claims(&self, token: &[u8]) -> Result<Claims, Refusal> {
        let header = jsonwebtoken::decode_header(token).map_err(|_| Refusal("no token"))?;
        if header.typ.as_deref() != Some(TYPE) || header.alg != Algorithm::EdDSA {
            return Err(Refusal("another kind of token"));
        }
        let issuer = issuer(token).ok_or(Refusal("the token names no issuer"))?;
        let key = self.keys.get(&issuer).ok_or(Refusal("the issuer has no key here"))?;
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_audience(&[self.service]);
        validation.set_issuer(&[&issuer]);
        validation.set_required_spec_claims(&["iss", "aud", "exp"]);
        // Times are compared with our own clock, by the caller.
        validation.validate_exp = false;
        let claims = jsonwebtoken::decode::<Claims>(token, key, &validation)
            .map_err(|_| Refusal("the signature or the audience is wrong"))?
            .claims;
        if claims.sub != claims.iss {
            return Err(Refusal("issuer and subject differ"));
        }
        Ok(claims)
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Verifier").field("service", &self.service).finish_non_exhaustive()
    }
}

/// Who a token says made it; believed only once the signature fits that one's key.
fn issuer(token: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Issuer {
        iss: String,
    }
    let payload = token.split(|byte| *byte == b'.').nth(1)?;
    let payload = URL_SAFE_NO_PAD.decode(payload).ok()?;
    serde_json::from_slice::<Issuer>(&payload).ok().map(|claims| claims.iss)
}

/// A new key: the private half (PKCS #8, PEM) and the public one (raw, base64), as `PETTY_SERVICE_KEY` and
/// `PETTY_SERVICE_KEYS` take them.
///
/// # Errors
///
/// Where the system gives no random numbers.
pub fn generate_key() -> Result<(SecretString, String), KeyError> {
    let pair = Ed25519KeyPair::generate().map_err(|_| KeyError)?;
    let document = pair.to_pkcs8v1().map_err(|_| KeyError)?;
    let private = format!(
        "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
        STANDARD.encode(document.as_ref())
    );
    Ok((private.into(), STANDARD.encode(pair.public_key().as_ref())))
}
