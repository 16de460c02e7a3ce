//! Tokens, as auth would issue them.

use jiff::SignedDuration;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use petty_chassis::ApiError;
use petty_chassis::caller::{Claims, DeviceClaims, KeySource, TOKEN_TYPE};
use petty_chassis::grpc::identity::generate_key;
use petty_chassis::types::{AccountId, Clock, EventId, PetId, SessionId};
use petty_proto::auth::v1 as auth;
use secrecy::{ExposeSecret as _, SecretString};

/// The one key's id.
const KID: &str = "bench";

/// What a token says of who calls.
#[derive(Clone, Debug)]
pub struct Badge {
    subject: String,
    scope: String,
    roles: Vec<String>,
    session: SessionId,
    device: Option<DeviceClaims>,
    lasts: SignedDuration,
}

impl Badge {
    /// An account's, for everything, for ten minutes from when it is signed. An account has one session here, of its own
    /// id.
    #[must_use]
    pub fn account(account: AccountId) -> Self {
        Self {
            subject: account.to_string(),
            scope: "read write".to_owned(),
            roles: Vec::new(),
            session: SessionId(account.0),
            device: None,
            lasts: SignedDuration::from_mins(10),
        }
    }

    /// A collar's, that an account paired with a pet. Its session has the pet's id.
    #[must_use]
    pub fn collar(collar: &str, pet: PetId, account: AccountId) -> Self {
        Self {
            subject: collar.to_owned(),
            scope: "readings:write pets:read".to_owned(),
            roles: Vec::new(),
            session: SessionId(pet.0),
            device: Some(DeviceClaims { pet, account }),
            lasts: SignedDuration::from_mins(10),
        }
    }

    /// With these scopes instead.
    #[must_use]
    pub fn scope(mut self, scope: &str) -> Self {
        scope.clone_into(&mut self.scope);
        self
    }

    /// Of somebody who has a platform role.
    #[must_use]
    pub fn role(mut self, role: &str) -> Self {
        self.roles.push(role.to_owned());
        self
    }

    /// Of another session.
    #[must_use]
    pub fn session(mut self, session: SessionId) -> Self {
        self.session = session;
        self
    }

    /// Expires so long after it is signed.
    #[must_use]
    pub fn lasting(mut self, lasts: SignedDuration) -> Self {
        self.lasts = lasts;
        self
    }

    /// The session it hangs on.
    #[must_use]
    pub fn session_id(&self) -> SessionId {
        self.session
    }
}

/// Signs with a key of its own.
pub(crate) struct Signer {
    private: SecretString,
    public: String,
}

/// The one key that is believed.
pub(crate) struct OneKey(String);

impl Signer {
    pub(crate) fn new() -> Self {
        let (private, public) = generate_key().expect("a key");
        Self { private, public }
    }

    pub(crate) fn keys(&self) -> OneKey {
        OneKey(self.public.trim_end_matches('=').replace('+', "-").replace('/', "_"))
    }

    pub(crate) fn sign(&self, badge: &Badge, clock: &Clock) -> String {
        let second = clock.now().as_second();
        let claims = Claims {
            iss: "petty".to_owned(),
            aud: "petty".to_owned(),
            sub: badge.subject.clone(),
            exp: second + badge.lasts.as_secs(),
            nbf: second,
            iat: second,
            jti: EventId::new(clock).to_string(),
            scope: badge.scope.clone(),
            roles: badge.roles.clone(),
            integration: false,
            sid: badge.session,
            device: badge.device,
        };
        let header = Header {
            typ: Some(TOKEN_TYPE.to_owned()),
            kid: Some(KID.to_owned()),
            ..Header::new(Algorithm::EdDSA)
        };
        let key = EncodingKey::from_ed_pem(self.private.expose_secret().as_bytes()).expect("an Ed25519 key");
        jsonwebtoken::encode(&header, &claims, &key).expect("claims can be signed")
    }
}

#[tonic::async_trait]
impl KeySource for OneKey {
    async fn keys(&self) -> Result<auth::Jwks, ApiError> {
        let key = auth::Jwk {
            kty: "OKP".to_owned(),
            kid: KID.to_owned(),
            r#use: "sig".to_owned(),
            alg: "EdDSA".to_owned(),
            crv: Some("Ed25519".to_owned()),
            x: Some(self.0.clone()),
            ..auth::Jwk::default()
        };
        Ok(auth::Jwks { keys: vec![key] })
    }
}
