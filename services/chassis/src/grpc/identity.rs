//! Which service is calling.
//!
//! With mutual TLS it is the name in the peer's certificate; in development a token, signed by the calling service for
//! that one target and good for five minutes. Invariant: nothing a caller merely says of itself counts.

mod certificate;
#[cfg(test)]
mod tests;
mod token;

use std::fmt;
use std::sync::Arc;

use http::HeaderMap;
use rustls::pki_types::CertificateDer;

use crate::config::BaseConfig;
use crate::error::ApiError;
use crate::types::Clock;

pub use token::{KeyError, Minter, generate_key};

/// The metadata key that carries the token.
pub(crate) const TOKEN: http::HeaderName = http::HeaderName::from_static("petty-service-token");

/// The proven name of the calling service. An extension of every request that is served.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ServiceIdentity(Arc<str>);

impl ServiceIdentity {
    pub(crate) fn new(name: &str) -> Self {
        Self(Arc::from(name))
    }

    /// The service's name: `gateway`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ServiceIdentity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Finds out which service is calling.
#[derive(Clone, Debug)]
pub struct PeerVerifier {
    proof: Proof,
}

#[derive(Clone, Debug)]
enum Proof {
    Certificate,
    Token(Arc<token::Verifier>),
}

impl PeerVerifier {
    /// Verifies calls to `service`: certificates where TLS is set up, tokens where it is not.
    #[must_use]
    pub fn new(service: &'static str, config: &BaseConfig, clock: &Clock) -> Self {
        let proof = match config.tls {
            Some(_) => Proof::Certificate,
            None => {
                Proof::Token(Arc::new(token::Verifier::new(service, &config.service_keys, clock.clone())))
            }
        };
        Self { proof }
    }

    /// Who is calling.
    ///
    /// # Errors
    ///
    /// UNAUTHENTICATED `SERVICE_UNKNOWN` where the peer did not prove who it is.
    pub async fn verify(
        &self,
        headers: &HeaderMap,
        certificates: Option<&[CertificateDer<'static>]>,
    ) -> Result<ServiceIdentity, ApiError> {
        let verified = match &self.proof {
            Proof::Certificate => certificate::identity(certificates.unwrap_or_default()),
            Proof::Token(verifier) => match headers.get(TOKEN) {
                Some(token) => verifier.verify(token.as_bytes()).await,
                None => Err(Refusal("no service token")),
            },
        };
        verified.map_err(|refusal| {
            tracing::warn!(reason = refusal.0, "a peer did not prove which service it is");
            ApiError::unauthenticated("SERVICE_UNKNOWN", "the calling service is not known")
        })
    }
}

/// Why a proof does not count; for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Refusal(&'static str);
