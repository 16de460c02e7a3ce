//! Signing keys, and the access tokens they sign (RFC 9068).
//!
//! The key pair is kept parsed: a token costs one signature.

use std::fmt;
use std::time::Duration;

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256,
    RsaKeyPair, RsaPublicKeyComponents,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use petty_chassis::caller::{Claims, DeviceClaims, TOKEN_TYPE};
use petty_chassis::types::{AccountId, CollarId, Entropy, SessionId};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::domain::token::Algorithm;
use crate::keys::Signing;

/// Why there is no key, or no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Error {
    /// A key could not be made.
    #[error("a signing key could not be made")]
    Generate,
    /// Stored bytes are no such key.
    #[error("a stored signing key cannot be read")]
    Read,
    /// A token could not be signed.
    #[error("a token could not be signed")]
    Sign,
}

/// A public key as it is published (RFC 7517).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PublicKey {
    pub(crate) kty: String,
    pub(crate) kid: String,
    pub(crate) alg: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) n: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) e: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) crv: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) x: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) y: Option<String>,
}

enum Pair {
    Rsa(RsaKeyPair),
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

/// A signing key.
pub(crate) struct SigningKey {
    algorithm: Algorithm,
    public: PublicKey,
    pair: Pair,
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("SigningKey").field("kid", &self.public.kid).finish_non_exhaustive()
    }
}

/// Makes a private key, PKCS #8. RSA takes a second or so: not on a thread that answers requests.
pub(crate) fn generate(algorithm: Algorithm) -> Result<Vec<u8>, Error> {
    let random = SystemRandom::new();
    match algorithm {
        Algorithm::Rs256 => {
            let pair = RsaKeyPair::generate(KeySize::Rsa2048).map_err(|_| Error::Generate)?;
            let der = pair.as_der().map_err(|_| Error::Generate)?;
            Ok(der.as_ref().to_vec())
        }
        Algorithm::Es256 => {
            let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random);
            document.map(|document| document.as_ref().to_vec()).map_err(|_| Error::Generate)
        }
        Algorithm::EdDsa => {
            let document = Ed25519KeyPair::generate_pkcs8v1(&random);
            document.map(|document| document.as_ref().to_vec()).map_err(|_| Error::Generate)
        }
    }
}

impl SigningKey {
    /// Reads a private key, PKCS #8. Its `kid` is its thumbprint (RFC 7638).
    pub(crate) fn read(algorithm: Algorithm, pkcs8: &[u8]) -> Result<Self, Error> {
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let mut public = PublicKey {
            kty: String::new(),
            kid: String::new(),
            alg: algorithm.as_str().to_owned(),
            n: None,
            e: None,
            crv: None,
            x: None,
            y: None,
        };
        // The members of a thumbprint, in the order of their names.
        let (pair, thumbprint) = match algorithm {
            Algorithm::Rs256 => {
                let pair = RsaKeyPair::from_pkcs8(pkcs8).map_err(|_| Error::Read)?;
                let RsaPublicKeyComponents { n, e } =
                    RsaPublicKeyComponents::<Vec<u8>>::from(pair.public_key());
                let (n, e) = (encode(&n), encode(&e));
                let thumbprint = format!(r#"{{"e":"{e}","kty":"RSA","n":"{n}"}}"#);
                public = PublicKey { kty: "RSA".to_owned(), n: Some(n), e: Some(e), ..public };
                (Pair::Rsa(pair), thumbprint)
            }
            Algorithm::Es256 => {
                let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8)
                    .map_err(|_| Error::Read)?;
                // Uncompressed: 4, then both coordinates of 32 bytes.
                let point = pair.public_key().as_ref();
                let (x, y) = point.get(1..).filter(|rest| rest.len() == 64).ok_or(Error::Read)?.split_at(32);
                let (x, y) = (encode(x), encode(y));
                let thumbprint = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
                public = PublicKey {
                    kty: "EC".to_owned(),
                    crv: Some("P-256".to_owned()),
                    x: Some(x),
                    y: Some(y),
                    ..public
                };
                (Pair::Ecdsa(pair), thumbprint)
            }
            Algorithm::EdDsa => {
                let pair = Ed25519KeyPair::from_pkcs8(pkcs8).map_err(|_| Error::Read)?;
                let x = encode(pair.public_key().as_ref());
                let thumbprint = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
                public = PublicKey {
                    kty: "OKP".to_owned(),
                    crv: Some("Ed25519".to_owned()),
                    x: Some(x),
                    ..public
                };
                (Pair::Ed25519(pair), thumbprint)
            }
        };
        public.kid = encode(&Sha256::digest(thumbprint.as_bytes()));
        Ok(Self { algorithm, public, pair })
    }

    /// What it signs with.
    pub(crate) fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The public half.
    pub(crate) fn public(&self) -> &PublicKey {
        &self.public
    }

    fn token(&self, claims: &Claims) -> Result<String, Error> {
        let header = json!({"alg": self.algorithm.as_str(), "kid": self.public.kid, "typ": TOKEN_TYPE});
        let claims = serde_json::to_vec(claims).map_err(|_| Error::Sign)?;
        let signed =
            format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims));
        let signature = self.sign(signed.as_bytes())?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        let random = SystemRandom::new();
        match &self.pair {
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).map_err(|_| Error::Sign)?;
                Ok(signature)
            }
            Pair::Ecdsa(pair) => pair
                .sign(&random, message)
                .map(|signature| signature.as_ref().to_vec())
                .map_err(|_| Error::Sign),
            Pair::Ed25519(pair) => Ok(pair.sign(message).as_ref().to_vec()),
        }
    }
}

/// Makes access tokens.
#[derive(Debug)]
pub(crate) struct Minter {
    pub(crate) signing: Signing,
    pub(crate) entropy: Entropy,
    pub(crate) issuer: String,
    pub(crate) audience: String,
    pub(crate) account_ttl: Duration,
    pub(crate) device_ttl: Duration,
}

/// What a token lets its bearer do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Granted<'a> {
    /// Scopes, separated by spaces.
    pub(crate) scope: &'a str,
    /// Roles on the platform.
    pub(crate) roles: &'a [String],
    /// Whether it is made from a personal access token.
    pub(crate) integration: bool,
}

/// A token, and how long it is valid.
#[derive(Debug)]
pub(crate) struct Minted {
    pub(crate) token: String,
    /// Seconds.
    pub(crate) expires_in: i32,
}

impl Minter {
    /// A token of an account's session; it does not outlive the session.
    pub(crate) fn account(
        &self,
        (account, session): (AccountId, SessionId),
        granted: Granted<'_>,
        now: Timestamp,
        session_end: Timestamp,
    ) -> Result<Minted, Error> {
        let left = u64::try_from(session_end.duration_since(now).as_secs()).unwrap_or_default();
        let ttl = self.account_ttl.min(Duration::from_secs(left));
        self.mint(account.to_string(), session, granted, None, now, ttl)
    }

    /// A collar's token, bound to a pet.
    pub(crate) fn device(
        &self,
        (collar, credential): (&CollarId, SessionId),
        device: DeviceClaims,
        scope: &str,
        now: Timestamp,
    ) -> Result<Minted, Error> {
        let granted = Granted { scope, roles: &[], integration: false };
        self.mint(collar.to_string(), credential, granted, Some(device), now, self.device_ttl)
    }

    fn mint(
        &self,
        sub: String,
        sid: SessionId,
        granted: Granted<'_>,
        device: Option<DeviceClaims>,
        now: Timestamp,
        ttl: Duration,
    ) -> Result<Minted, Error> {
        let expires_in = i32::try_from(ttl.as_secs()).map_err(|_| Error::Sign)?;
        let iat = now.as_second();
        let claims = Claims {
            iss: self.issuer.clone(),
            aud: self.audience.clone(),
            sub,
            exp: iat + i64::from(expires_in),
            nbf: iat,
            iat,
            jti: self.entropy.token::<16>(),
            scope: granted.scope.to_owned(),
            roles: granted.roles.to_vec(),
            integration: granted.integration,
            sid,
            device,
        };
        Ok(Minted { token: self.signing.key().token(&claims)?, expires_in })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_algorithm_makes_keys_that_read_back_as_themselves() {
        for algorithm in [Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa] {
            let pkcs8 = generate(algorithm).unwrap();
            let key = SigningKey::read(algorithm, &pkcs8).unwrap();
            assert_eq!(key.public(), SigningKey::read(algorithm, &pkcs8).unwrap().public());
            assert_eq!(key.public().alg, algorithm.as_str());
            assert!(SigningKey::read(algorithm, &pkcs8[1..]).is_err());
            assert!(!key.sign(b"message").unwrap().is_empty());
        }
    }
}
