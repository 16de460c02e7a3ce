//! Secrets at rest: what is compared is kept as a hash, what must be read again is sealed with AES-256-GCM.
//!
//! Invariant: nothing that opens anything is stored as it is.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use petty_chassis::types::Entropy;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// What an opaque secret of 256 bits is kept as. It needs no slow hash: it cannot be guessed.
pub(crate) fn digest(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

/// Whether a presented secret is the one of a digest, in a time that does not tell where they differ.
pub(crate) fn matches(secret: &str, kept: &[u8]) -> bool {
    digest(secret).as_slice().ct_eq(kept).into()
}

/// The key that only a refresh token yields: what its successor is sealed under.
pub(crate) fn key_of(token: &str) -> Option<[u8; 32]> {
    let pseudo_random_key = Salt::new(HKDF_SHA256, b"petty refresh token").extract(token.as_bytes());
    let mut key = [0; 32];
    pseudo_random_key.expand(&[b"successor"], HKDF_SHA256).ok()?.fill(&mut key).ok()?;
    Some(key)
}

/// Seals a text under a key, bound to `context`: nonce, then ciphertext and tag.
pub(crate) fn seal(entropy: Entropy, key: &[u8; 32], context: &[u8], text: &[u8]) -> Option<Vec<u8>> {
    let nonce: [u8; NONCE_LEN] = entropy.bytes();
    let mut sealed = text.to_vec();
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).ok()?);
    key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(context), &mut sealed)
        .ok()?;
    Some([nonce.as_slice(), &sealed].concat())
}

/// Opens what [`seal`] made; `None` where the key or the context is another, or the bytes were changed.
pub(crate) fn open(key: &[u8; 32], context: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
    let (nonce, rest) = sealed.split_first_chunk::<NONCE_LEN>()?;
    let mut text = rest.to_vec();
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).ok()?);
    let length =
        key.open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(context), &mut text).ok()?.len();
    text.truncate(length);
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_with_its_key_and_context_only() {
        let (key, other) = (key_of("one").unwrap(), key_of("two").unwrap());
        let sealed = seal(Entropy, &key, b"here", b"text").unwrap();
        assert_eq!(open(&key, b"here", &sealed).unwrap(), b"text");
        assert_eq!(open(&other, b"here", &sealed), None);
        assert_eq!(open(&key, b"there", &sealed), None);
        let mut changed = sealed.clone();
        changed[NONCE_LEN] ^= 1;
        assert_eq!(open(&key, b"here", &changed), None);
        for length in 0..sealed.len() {
            assert_eq!(open(&key, b"here", &sealed[..length]), None, "{length}");
        }
    }

    #[test]
    fn digests_match_their_secret_only() {
        assert!(matches("secret", &digest("secret")));
        assert!(!matches("secret ", &digest("secret")));
        assert!(!matches("secret", &digest("secret")[..31]));
    }
}
