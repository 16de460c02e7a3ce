//! Callers with tokens, and what they may.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use petty_chassis::ApiError;
use petty_chassis::access::{Access, AccessSource, Asker, Decision, Role, Target};
use petty_chassis::caller::{Claims, KeySource, TOKEN_TYPE, Verifier};
use petty_chassis::grpc::gate::Gate;
use petty_chassis::grpc::identity::generate_key;
use petty_chassis::types::{AccountId, Clock, SessionId};
use petty_proto::auth::v1 as auth;
use secrecy::{ExposeSecret as _, SecretString};
use tonic::Request;

/// How long a token lasts.
pub(crate) const LASTS: SignedDuration = SignedDuration::from_mins(15);

/// What auth says of anybody and anything.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Says {
    Is(Role),
    Nothing,
    SessionEnded,
    /// Cannot be asked.
    Away,
    /// Never answers.
    Silent,
}

/// auth, as far as callers go: one key, one opinion, and a clock that stands.
#[derive(Clone)]
pub(crate) struct Auth {
    pub(crate) clock: Clock,
    says: Arc<Mutex<Says>>,
    asked: Arc<AtomicUsize>,
    key: SecretString,
    public: String,
}

impl Auth {
    pub(crate) fn new(says: Says) -> Self {
        let (key, public) = generate_key().unwrap();
        Self {
            clock: Clock::manual("2026-01-10T12:00:00Z".parse().unwrap()),
            says: Arc::new(Mutex::new(says)),
            asked: Arc::default(),
            key,
            public,
        }
    }

    pub(crate) fn say(&self, says: Says) {
        *self.says.lock().unwrap() = says;
    }

    /// How often it was asked.
    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::Acquire)
    }

    /// A gate that asks it each time.
    pub(crate) fn gate(&self) -> Gate {
        let verifier = Verifier::new(Box::new(self.clone()), "petty", "petty", self.clock.clone());
        Gate::new(verifier, Access::direct(Box::new(self.clone()), self.clock.clone()))
    }

    /// A request with an account's token.
    pub(crate) fn request<M>(&self, message: M) -> Request<M> {
        let now = self.clock.now();
        let claims = Claims {
            iss: "petty".to_owned(),
            aud: "petty".to_owned(),
            sub: AccountId::new(&self.clock).to_string(),
            exp: self.expiry().as_second(),
            nbf: now.as_second(),
            iat: now.as_second(),
            jti: "j".to_owned(),
            scope: "read write".to_owned(),
            roles: Vec::new(),
            integration: false,
            sid: SessionId::new(&self.clock),
            device: None,
        };
        let mut header = Header::new(Algorithm::EdDSA);
        header.typ = Some(TOKEN_TYPE.to_owned());
        header.kid = Some("k".to_owned());
        let key = EncodingKey::from_ed_pem(self.key.expose_secret().as_bytes()).unwrap();
        let token = jsonwebtoken::encode(&header, &claims, &key).unwrap();
        let mut request = Request::new(message);
        request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
        request
    }

    /// When a token that is made now expires.
    pub(crate) fn expiry(&self) -> Timestamp {
        self.clock.now() + LASTS
    }
}

#[tonic::async_trait]
impl AccessSource for Auth {
    async fn check(&self, asker: &Asker<'_>, _target: &Target) -> Result<Decision, ApiError> {
        if asker.deadline <= tokio::time::Instant::now() {
            return Err(ApiError::unavailable("ACCESS_UNKNOWN", "asked too late"));
        }
        self.asked.fetch_add(1, Ordering::AcqRel);
        let says = *self.says.lock().unwrap();
        let role = match says {
            Says::Is(role) => Some(role),
            Says::Nothing => None,
            Says::SessionEnded => return Err(ApiError::unauthenticated("SESSION_ENDED", "sign in again")),
            Says::Away => return Err(ApiError::unavailable("ACCESS_UNKNOWN", "away")),
            Says::Silent => std::future::pending().await,
        };
        Ok(Decision { role, pairings: Vec::new(), expires: None })
    }
}

#[tonic::async_trait]
impl KeySource for Auth {
    async fn keys(&self) -> Result<auth::Jwks, ApiError> {
        let x = self.public.trim_end_matches('=').replace('+', "-").replace('/', "_");
        let text = str::to_owned;
        let (kty, kid, r#use, alg) = (text("OKP"), text("k"), text("sig"), text("EdDSA"));
        let (crv, x) = (Some(text("Ed25519")), Some(x));
        Ok(auth::Jwks { keys: vec![auth::Jwk { kty, kid, r#use, alg, crv, x, ..auth::Jwk::default() }] })
    }
}
