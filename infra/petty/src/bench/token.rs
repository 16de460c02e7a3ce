//! Access tokens as auth makes them, of an issuer that exists for a bench or an evaluation alone.

use anyhow::Context as _;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair, RsaPublicKeyComponents};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use petty_chassis::caller::TOKEN_TYPE;
use petty_chassis::types::{AccountId, Clock, EventId, SessionId};
use petty_proto::auth::v1::Jwk;
use serde_json::json;

const KID: &str = "bench";

/// A key, and what is signed with it.
pub(crate) struct Signer(RsaKeyPair);

impl Signer {
    pub(crate) fn make() -> anyhow::Result<Self> {
        RsaKeyPair::generate(KeySize::Rsa2048).map(Self).context("make a key")
    }

    /// The public key, as auth publishes it.
    pub(crate) fn jwk(&self) -> Jwk {
        let RsaPublicKeyComponents { n, e } = RsaPublicKeyComponents::<Vec<u8>>::from(self.0.public_key());
        Jwk {
            kty: "RSA".to_owned(),
            kid: KID.to_owned(),
            r#use: "sig".to_owned(),
            alg: "RS256".to_owned(),
            n: Some(URL_SAFE_NO_PAD.encode(n)),
            e: Some(URL_SAFE_NO_PAD.encode(e)),
            ..Jwk::default()
        }
    }

    /// The public key by itself.
    pub(crate) fn public(&self) -> Vec<u8> {
        self.0.public_key().as_ref().to_vec()
    }

    /// A token of an account, good for an hour.
    pub(crate) fn token(&self, scope: &str, roles: &[&str]) -> anyhow::Result<String> {
        let clock = Clock::system();
        let now = clock.now().as_second();
        let header = json!({"alg": "RS256", "kid": KID, "typ": TOKEN_TYPE});
        let claims = json!({
            "iss": "petty",
            "aud": "petty",
            "sub": AccountId::new(&clock).to_string(),
            "exp": now + 3_600,
            "nbf": now,
            "iat": now,
            "jti": EventId::new(&clock).to_string(),
            "scope": scope,
            "sid": SessionId::new(&clock).to_string(),
            "roles": roles,
        });
        let [header, claims] = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
        let signed = format!("{header}.{claims}");
        let mut signature = vec![0; self.0.public_modulus_len()];
        self.0.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature)?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}
