//! Wrapping: keys sealed under a key-encryption key that lives outside of the database and may change while we run.
//!
//! A wrapped key is: version 1, the wrapping key's id (8 bytes), nonce, ciphertext and tag. What was sealed before there
//! were rings has no such head and is opened by whichever key opens it.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use petty_chassis::periodic;
use petty_chassis::service::Context;
use petty_chassis::types::Entropy;
use tokio::time::Instant;

use super::ring::{KeyEncryptionKey, KeyId, NotARing, Ring};
use crate::seal;

const VERSION: u8 = 1;
const HEAD: usize = 9;
/// How often a file of keys is looked at.
const INTERVAL: Duration = Duration::from_secs(2);
/// A key that is not there makes the file be read at once, but no more often than this.
const AT_MOST_EVERY: Duration = Duration::from_millis(500);

/// Where the keys come from.
#[derive(Debug)]
pub enum KeySource {
    /// From the configuration: they stay.
    Fixed(Ring),
    /// From a file, as a mounted secret is: read again when it changes.
    File(PathBuf, Ring),
}

/// Why a key cannot be wrapped or unwrapped.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(
        "wrapped under the key-encryption key {0}, which is not in PETTY_KEY_ENCRYPTION_KEY (nor among those before it)"
    )]
    UnknownKey(String),
    #[error("it was changed, or wrapped under another PETTY_KEY_ENCRYPTION_KEY")]
    Unopenable,
    #[error("sealing failed")]
    Sealing,
}

/// Why a file of keys was not taken.
#[derive(Debug, thiserror::Error)]
enum Unread {
    #[error("it cannot be read")]
    Io(#[from] std::io::Error),
    #[error("it {0}")]
    Content(#[from] NotARing),
}

/// Wraps under the current key, unwraps under any of the ring. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Wrapping {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    entropy: Entropy,
    file: Option<PathBuf>,
    /// And when the file was last read again.
    ring: RwLock<(Arc<Ring>, Option<Instant>)>,
}

impl Wrapping {
    /// Takes the keys of the configuration.
    pub(crate) fn new(entropy: Entropy, source: KeySource) -> Self {
        let (file, ring) = match source {
            KeySource::Fixed(ring) => (None, ring),
            KeySource::File(path, ring) => (Some(path), ring),
        };
        tracing::info!(key_id = %ring.current().id(), keys = ring.iter().count(), "key-encryption keys are there");
        Self { inner: Arc::new(Inner { entropy, file, ring: RwLock::new((Arc::new(ring), None)) }) }
    }

    /// Looks at the file again and again.
    pub(crate) fn watch(&self, context: &Context) {
        if self.inner.file.is_none() {
            return;
        }
        let this = self.clone();
        periodic::every(context, "key-encryption-keys", INTERVAL, move || {
            let this = this.clone();
            async move { this.read_again() }
        });
    }

    /// The key that wraps.
    pub(crate) fn current(&self) -> KeyId {
        self.ring().current().id()
    }

    /// Wraps a key under the current one, bound to `context`.
    pub(crate) fn wrap(&self, context: &[u8], key: &[u8]) -> Result<Vec<u8>, Error> {
        self.wrap_under(self.current(), context, key)
    }

    /// Wraps a key under the key of that name, whichever is the current one by now.
    pub(crate) fn wrap_under(&self, id: KeyId, context: &[u8], key: &[u8]) -> Result<Vec<u8>, Error> {
        let ring = self.ring();
        let by = ring.get(id.as_bytes()).ok_or_else(|| Error::UnknownKey(id.to_string()))?;
        let sealed = seal::seal(self.inner.entropy, by.expose(), context, key).ok_or(Error::Sealing)?;
        Ok([&[VERSION], id.as_bytes(), &sealed].concat())
    }

    /// Unwraps a key.
    pub(crate) fn unwrap(&self, context: &[u8], wrapped: &[u8]) -> Result<Vec<u8>, Error> {
        match self.try_unwrap(context, wrapped) {
            // Perhaps another replica has a newer file than this one has read.
            Err(Error::UnknownKey(_)) if self.read_at_once() => self.try_unwrap(context, wrapped),
            other => other,
        }
    }

    /// Whether it is wrapped under the current key.
    pub(crate) fn is_current(&self, wrapped: &[u8]) -> bool {
        id_of(wrapped).is_some_and(|id| id == self.current().as_bytes())
    }

    fn try_unwrap(&self, context: &[u8], wrapped: &[u8]) -> Result<Vec<u8>, Error> {
        let ring = self.ring();
        if let Some(id) = id_of(wrapped)
            && let Some(key) = ring.get(id)
        {
            let sealed = wrapped.get(HEAD..).ok_or(Error::Unopenable)?;
            return seal::open(key.expose(), context, sealed).ok_or(Error::Unopenable);
        }
        // From before there were rings: no head, and no telling which key.
        let before = ring.iter().find_map(|key| seal::open(key.expose(), context, wrapped));
        before.ok_or_else(|| match id_of(wrapped) {
            Some(id) => Error::UnknownKey(id.iter().map(|byte| format!("{byte:02x}")).collect()),
            None => Error::Unopenable,
        })
    }

    fn ring(&self) -> Arc<Ring> {
        self.inner.ring.read().unwrap_or_else(PoisonError::into_inner).0.clone()
    }

    /// Reads the file, unless that was done a moment ago; whether there is a file.
    fn read_at_once(&self) -> bool {
        let last = self.inner.ring.read().unwrap_or_else(PoisonError::into_inner).1;
        if self.inner.file.is_none() || last.is_some_and(|last| last.elapsed() < AT_MOST_EVERY) {
            return false;
        }
        self.read_again().is_ok()
    }

    /// What cannot be read changes nothing: the keys that are known stay.
    fn read_again(&self) -> Result<(), Unread> {
        let Some(path) = &self.inner.file else { return Ok(()) };
        let read =
            std::fs::read_to_string(path).map_err(Unread::from).and_then(|text| Ok(Ring::parse(&text)?));
        let mut kept = self.inner.ring.write().unwrap_or_else(PoisonError::into_inner);
        kept.1 = Some(Instant::now());
        let ring = read?;
        if !ring.iter().map(KeyEncryptionKey::id).eq(kept.0.iter().map(KeyEncryptionKey::id)) {
            let current = ring.current().id();
            tracing::info!(key_id = %current, keys = ring.iter().count(), "key-encryption keys were read again");
            kept.0 = Arc::new(ring);
        }
        Ok(())
    }
}

/// The id of the key that something is wrapped under, by its head.
fn id_of(wrapped: &[u8]) -> Option<&[u8]> {
    match wrapped.split_first() {
        Some((&VERSION, rest)) if wrapped.len() > HEAD => rest.get(..HEAD - 1),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    const TWO: &str = "HwECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

    fn fixed(lines: &[&str]) -> Wrapping {
        Wrapping::new(Entropy, KeySource::Fixed(Ring::parse(&lines.join("\n")).unwrap()))
    }

    #[test]
    fn what_is_wrapped_opens_under_its_own_key_and_context_only() {
        let wrapped = fixed(&[ONE]).wrap(b"here", b"key").unwrap();
        assert_eq!(fixed(&[ONE]).unwrap(b"here", &wrapped).unwrap(), b"key");
        assert_eq!(fixed(&[TWO, ONE]).unwrap(b"here", &wrapped).unwrap(), b"key");
        assert!(matches!(fixed(&[TWO]).unwrap(b"here", &wrapped), Err(Error::UnknownKey(_))));
        assert!(matches!(fixed(&[ONE]).unwrap(b"there", &wrapped), Err(Error::Unopenable)));
        for length in 0..wrapped.len() {
            assert!(fixed(&[ONE]).unwrap(b"here", &wrapped[..length]).is_err(), "{length}");
        }
        for index in 0..wrapped.len() {
            let mut changed = wrapped.clone();
            changed[index] ^= 1;
            assert!(fixed(&[ONE]).unwrap(b"here", &changed).is_err(), "{index}");
        }
    }

    #[test]
    fn the_first_key_wraps_and_says_so() {
        let (old, new) = (fixed(&[ONE]), fixed(&[TWO, ONE]));
        let wrapped = old.wrap(b"", b"key").unwrap();
        assert!(old.is_current(&wrapped) && !new.is_current(&wrapped));
        let again = new.wrap(b"", &new.unwrap(b"", &wrapped).unwrap()).unwrap();
        assert!(new.is_current(&again));
        assert_eq!(fixed(&[TWO]).unwrap(b"", &again).unwrap(), b"key");
    }

    #[test]
    fn what_was_sealed_before_there_were_rings_opens_under_any_key() {
        let ring = Ring::parse(ONE).unwrap();
        let sealed = seal::seal(Entropy, ring.current().expose(), b"kid", b"key").unwrap();
        assert_eq!(fixed(&[TWO, ONE]).unwrap(b"kid", &sealed).unwrap(), b"key");
        assert!(fixed(&[TWO]).unwrap(b"kid", &sealed).is_err());
    }

    #[test]
    fn rings_are_read_by_line() {
        let ring = Ring::parse(&format!("# since May\n{ONE}\n\n {TWO} \n{ONE}\n")).unwrap();
        assert_eq!(ring.iter().count(), 2);
        assert_eq!(ring.current().id(), Ring::parse(ONE).unwrap().current().id());
        assert_eq!(Ring::parse("# none\n").unwrap_err(), NotARing::Empty);
        assert_eq!(Ring::parse(&format!("{ONE}\nAAEC")).unwrap_err(), NotARing::Line(2));
        assert!(!format!("{ring:?}").contains(ONE));
    }

    #[test]
    fn a_file_is_read_again_when_a_key_is_missing_and_kept_when_it_is_spoilt() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("keys");
        std::fs::write(&path, ONE).unwrap();
        let reading = Wrapping::new(Entropy, KeySource::File(path.clone(), Ring::parse(ONE).unwrap()));
        let wrapped = fixed(&[TWO]).wrap(b"", b"key").unwrap();
        std::fs::write(&path, format!("{TWO}\n{ONE}\n")).unwrap();
        assert_eq!(reading.unwrap(b"", &wrapped).unwrap(), b"key");
        assert!(reading.is_current(&wrapped));
        for spoilt in ["", "not a key"] {
            std::fs::write(&path, spoilt).unwrap();
            assert!(reading.read_again().is_err());
            assert!(reading.is_current(&wrapped));
        }
        std::fs::remove_file(&path).unwrap();
        assert!(reading.read_again().is_err());
        assert!(reading.is_current(&wrapped));
    }
}
