//! Verifications on one core: tokens that are new to the verifier, tokens it has seen, and the RSA arithmetic alone.

use std::hint::black_box;
use std::time::Instant;

use anyhow::{Context as _, anyhow};
use async_trait::async_trait;
use aws_lc_rs::signature::{ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use petty_chassis::ApiError;
use petty_chassis::caller::{KeySource, Verifier};
use petty_chassis::types::Clock;
use petty_proto::auth::v1::{Jwk, Jwks};

use super::rate;
use crate::bench::token::Signer;

/// Tokens of a round: fewer than a verifier remembers.
const TOKENS: usize = 4_000;

/// Tokens as auth makes them, and the key they are verified with.
pub(super) struct Tokens {
    tokens: Vec<String>,
    public: Public,
}

#[derive(Clone)]
struct Public {
    jwk: Jwk,
    der: Vec<u8>,
}

/// What one round found, each a second, on one core.
pub(super) struct Round {
    pub(super) fresh: f64,
    pub(super) cached: f64,
    pub(super) floor: f64,
}

impl Tokens {
    pub(super) fn make() -> anyhow::Result<Self> {
        let signer = Signer::make()?;
        let public = Public { jwk: signer.jwk(), der: signer.public() };
        let tokens = (0..TOKENS).map(|_| signer.token("read write", &[])).collect::<anyhow::Result<_>>()?;
        Ok(Self { tokens, public })
    }

    /// All three in turn, on the thread that is here.
    pub(super) async fn round(&self) -> anyhow::Result<Round> {
        let verifier = Verifier::new(Box::new(self.public.clone()), "petty", "petty", Clock::system());
        let (first, rest) = self.tokens.split_first().context("no tokens")?;
        // The keys are fetched with the first.
        verifier.verify(first).await.map_err(|error| anyhow!("{error}"))?;
        let mut rates = [0.0; 2];
        for found in &mut rates {
            let since = Instant::now();
            for token in rest {
                let caller = verifier.verify(black_box(token)).await;
                black_box(caller.map_err(|error| anyhow!("{error}"))?);
            }
            *found = rate(rest.len(), since);
        }
        let signed = rest.iter().map(|token| taken_apart(token)).collect::<anyhow::Result<Vec<_>>>()?;
        let key = ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, &self.public.der)
            .map_err(|_| anyhow!("the public key cannot be read"))?;
        let since = Instant::now();
        for (message, signature) in &signed {
            key.verify_sig(black_box(message), black_box(signature))
                .map_err(|_| anyhow!("a bad signature"))?;
        }
        let floor = rate(signed.len(), since);
        let [fresh, cached] = rates;
        Ok(Round { fresh, cached, floor })
    }
}

#[async_trait]
impl KeySource for Public {
    async fn keys(&self) -> Result<Jwks, ApiError> {
        Ok(Jwks { keys: vec![self.jwk.clone()] })
    }
}

/// What is signed, and the signature.
fn taken_apart(token: &str) -> anyhow::Result<(Vec<u8>, Vec<u8>)> {
    let (signed, signature) = token.rsplit_once('.').context("no signature")?;
    Ok((signed.as_bytes().to_vec(), URL_SAFE_NO_PAD.decode(signature)?))
}
