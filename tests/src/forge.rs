//! The mesh's own signing key in a forger's hands: tokens that are good in all but one thing.
//!
//! Only so can a test tell that an expired token is refused because it has expired.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::encoding::{AsDer as _, PublicKeyX509Der};
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Map, Value, json};

use crate::mesh::Mesh;
use crate::tables::Tables;

/// The signing key, opened.
#[derive(Debug)]
pub struct Forge {
    key: RsaKeyPair,
    /// The key's published half.
    pub public_jwk: Value,
}

/// A token taken apart.
#[derive(Clone, Debug)]
pub struct Draft {
    /// Its header.
    pub header: Map<String, Value>,
    /// Its claims.
    pub claims: Map<String, Value>,
}

impl Forge {
    /// Opens the mesh's current key with the key it is sealed under.
    ///
    /// # Panics
    /// Where there is none, or it cannot be opened.
    pub async fn open(mesh: &Mesh) -> Self {
        let sql = "SELECT kid, public_jwk, private_sealed FROM signing_keys WHERE state = 'current'";
        let row = Tables::of(&mesh.stack, "auth").await.rows(sql).await.remove(0);
        let (kid, public_jwk, sealed): (String, Value, Vec<u8>) = (row.get(0), row.get(1), row.get(2));
        let environment = mesh.plan.environment("auth", 0).expect("auth is planned");
        let wrapping = STANDARD.decode(&environment["PETTY_KEY_ENCRYPTION_KEY"]).expect("base64");
        // Version and wrapping key's id; nonce; ciphertext and tag.
        let (nonce, rest) = sealed[9..].split_first_chunk::<NONCE_LEN>().expect("a nonce");
        let mut private = rest.to_vec();
        let opener = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &wrapping).expect("32 bytes"));
        let opened = opener.open_in_place(
            Nonce::assume_unique_for_key(*nonce),
            Aad::from(kid.as_bytes()),
            &mut private,
        );
        let key = RsaKeyPair::from_pkcs8(opened.expect("the key opens")).expect("an RSA key");
        Self { key, public_jwk }
    }

    /// A key that nobody here believes.
    ///
    /// # Panics
    /// Where none can be made.
    #[must_use]
    pub fn foreign() -> Self {
        let key = RsaKeyPair::generate(KeySize::Rsa2048).expect("a key");
        Self { key, public_jwk: Value::Null }
    }

    /// A token of that header and these claims.
    #[must_use]
    pub fn sign(&self, draft: &Draft) -> String {
        let signed = draft.unsigned();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(self.signature(signed.as_bytes())))
    }

    /// The signature over any bytes.
    ///
    /// # Panics
    /// Where the key cannot sign.
    #[must_use]
    pub fn signature(&self, message: &[u8]) -> Vec<u8> {
        let mut signature = vec![0; self.key.public_modulus_len()];
        self.key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature).expect("a signature");
        signature
    }

    /// The forms of the public key that a careless verifier could take for a shared secret.
    ///
    /// # Panics
    /// Where the public half cannot be written.
    #[must_use]
    pub fn public_forms(&self) -> Vec<(&'static str, Vec<u8>)> {
        let pkcs1 = self.key.public_key().as_ref().to_vec();
        let spki: PublicKeyX509Der<'_> = self.key.public_key().as_der().expect("a public key");
        let spki = spki.as_ref().to_vec();
        let text = |field: &str| self.public_jwk[field].as_str().unwrap_or_default().to_owned();
        let minimal = format!(r#"{{"e":"{}","kty":"RSA","n":"{}"}}"#, text("e"), text("n"));
        vec![
            ("PEM of SPKI", pem("PUBLIC KEY", &spki)),
            ("PEM of SPKI without its last newline", pem("PUBLIC KEY", &spki).trim_ascii_end().to_vec()),
            ("PEM of PKCS #1", pem("RSA PUBLIC KEY", &pkcs1)),
            ("DER of SPKI", spki),
            ("DER of PKCS #1", pkcs1),
            ("JWK as published", self.public_jwk.to_string().into_bytes()),
            ("JWK's members that make its thumbprint", minimal.into_bytes()),
            ("modulus", URL_SAFE_NO_PAD.decode(text("n")).unwrap_or_default()),
            ("modulus in base64", text("n").into_bytes()),
            ("kid", text("kid").into_bytes()),
            ("nothing", Vec::new()),
        ]
    }
}

impl Draft {
    /// Takes a token apart.
    ///
    /// # Panics
    /// Where it is none.
    #[must_use]
    pub fn of(token: &str) -> Self {
        let mut parts = token.split('.').map(|part| {
            let bytes = URL_SAFE_NO_PAD.decode(part).expect("base64url");
            serde_json::from_slice(&bytes).unwrap_or_default()
        });
        let (header, claims) = (parts.next().expect("a header"), parts.next().expect("claims"));
        Self { header, claims }
    }

    /// With another header member; null removes it.
    #[must_use]
    pub fn header(mut self, name: &str, value: Value) -> Self {
        set(&mut self.header, name, value);
        self
    }

    /// With another claim; null removes it.
    #[must_use]
    pub fn claim(mut self, name: &str, value: Value) -> Self {
        set(&mut self.claims, name, value);
        self
    }

    /// A time claim moved so many seconds.
    #[must_use]
    pub fn moved(self, name: &str, seconds: i64) -> Self {
        let time = self.claims[name].as_i64().unwrap_or_default() + seconds;
        self.claim(name, json!(time))
    }

    /// Header and claims as they are signed.
    #[must_use]
    pub fn unsigned(&self) -> String {
        self.unsigned_with(&Value::Object(self.header.clone()).to_string())
    }

    /// With a header in any words.
    #[must_use]
    pub fn unsigned_with(&self, header: &str) -> String {
        let claims = Value::Object(self.claims.clone()).to_string();
        format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims))
    }

    /// Signed with a shared secret.
    #[must_use]
    pub fn hmac(&self, secret: &[u8]) -> String {
        let signed = self.unsigned();
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag))
    }

    /// Signed with an Ed25519 key in PEM, as services sign.
    ///
    /// # Panics
    /// Where that is none.
    #[must_use]
    pub fn ed25519(&self, private_pem: &str) -> String {
        let base64: String = private_pem.lines().filter(|line| !line.starts_with('-')).collect();
        let der = STANDARD.decode(base64).expect("base64");
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der).expect("an Ed25519 key");
        let signed = self.unsigned();
        let signature = pair.sign(signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

fn set(members: &mut Map<String, Value>, name: &str, value: Value) {
    match value {
        Value::Null => drop(members.remove(name)),
        value => drop(members.insert(name.to_owned(), value)),
    }
}

fn pem(label: &str, der: &[u8]) -> Vec<u8> {
    let base64 = STANDARD.encode(der);
    let lines: Vec<&str> =
        (0..base64.len()).step_by(64).map(|at| &base64[at..base64.len().min(at + 64)]).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n")).into_bytes()
}
