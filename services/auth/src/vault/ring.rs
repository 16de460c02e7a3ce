//! Key-encryption keys: one that wraps, and those before it, which still open what they wrapped.
//!
//! Invariant: what is wrapped says by which key, so that a ring without that key says so, and never opens it by another.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret as _, SecretBox};
use sha2::{Digest as _, Sha256};

/// A key's own name: the first bytes of a hash of it, which tell nothing about it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId([u8; 8]);

impl KeyId {
    /// Its bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "KeyId({self})")
    }
}

/// A key-encryption key: 32 bytes; not shown.
pub struct KeyEncryptionKey {
    id: KeyId,
    key: SecretBox<[u8; 32]>,
}

impl fmt::Debug for KeyEncryptionKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("KeyEncryptionKey").field("id", &self.id).finish_non_exhaustive()
    }
}

impl KeyEncryptionKey {
    /// Of these bytes.
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Self {
        let hash = Sha256::new().chain_update(b"petty key-encryption key").chain_update(bytes).finalize();
        let mut id = [0; 8];
        id.copy_from_slice(&hash[..8]);
        Self { id: KeyId(id), key: SecretBox::new(Box::new(bytes)) }
    }

    /// Of a line in base64.
    fn parse(text: &str) -> Option<Self> {
        STANDARD.decode(text).ok().and_then(|bytes| bytes.try_into().ok()).map(Self::new)
    }

    /// Its name.
    #[must_use]
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// The bytes.
    pub(super) fn expose(&self) -> &[u8; 32] {
        self.key.expose_secret()
    }
}

/// The keys, the one that wraps first. There is at least that one.
#[derive(Debug)]
pub struct Ring(Vec<KeyEncryptionKey>);

/// A text that is no ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotARing {
    /// A line is no key.
    #[error("is not 32 bytes in base64, as `openssl rand -base64 32` makes (line {0})")]
    Line(usize),
    /// There is no line.
    #[error("holds no key")]
    Empty,
}

impl Ring {
    /// Reads keys in base64, one a line, the one that wraps first; empty lines and those that begin with `#` are skipped.
    ///
    /// # Errors
    /// Where there is none, or a line is no key.
    pub fn parse(text: &str) -> Result<Self, NotARing> {
        let mut keys: Vec<KeyEncryptionKey> = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let key = KeyEncryptionKey::parse(line).ok_or(NotARing::Line(index + 1))?;
            if keys.iter().all(|known| known.id != key.id) {
                keys.push(key);
            }
        }
        if keys.is_empty() { Err(NotARing::Empty) } else { Ok(Self(keys)) }
    }

    /// The key that wraps.
    #[must_use]
    pub fn current(&self) -> &KeyEncryptionKey {
        &self.0[0]
    }

    /// The key of that name.
    pub(super) fn get(&self, id: &[u8]) -> Option<&KeyEncryptionKey> {
        self.0.iter().find(|key| key.id.as_bytes() == id)
    }

    /// All of them.
    pub(super) fn iter(&self) -> impl Iterator<Item = &KeyEncryptionKey> {
        self.0.iter()
    }
}
