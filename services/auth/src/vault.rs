//! The vault: what auth knows of people, sealed.
//!
//! Each account has a data key of its own, which seals what is personal of it (AES-256-GCM, random nonces) bound to account,
//! table and column. Data keys are kept wrapped under a key-encryption key that is not in the database. What must be found
//! is found by a blind index: an HMAC under a secret that is wrapped as well, and stays as it is when wrapping keys change.
//!
//! Invariants: no key is on disk but wrapped; what is sealed opens in its own place alone; without its data key, which goes
//! with the account, nothing of an account opens again, in no replica and no backup of its rows.

mod alone;
pub(crate) mod rewrap;
mod ring;
mod takeover;
mod wrapping;

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::hmac;
use petty_chassis::postgres::{Db, Error as StoreError, Tx};
use petty_chassis::service::Context;
use petty_chassis::types::{self, AccountId, Entropy};
use secrecy::{ExposeSecret as _, SecretBox};

pub use ring::{KeyEncryptionKey, KeyId, NotARing, Ring};
pub use wrapping::KeySource;
pub(crate) use wrapping::{Error as WrappingError, Wrapping};

use crate::seal;
use crate::store::vault::{self as store, WrappedKey};

/// The version of what a data key seals.
const VERSION: u8 = 1;
/// The name of the blind indexes' secret among the vault's own keys.
const INDEX: &str = "index";

/// A column that holds sealed texts of accounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Field {
    pub(crate) table: &'static str,
    pub(crate) column: &'static str,
}

impl Field {
    /// An account's address.
    pub(crate) const EMAIL: Self = Self { table: "accounts", column: "email" };
    /// The address that an owner gave a share to; of the owner.
    pub(crate) const SHARE_EMAIL: Self = Self { table: "shares", column: "email" };
    /// Why staff looked at a pet; of the pet's owner.
    pub(crate) const ACCESS_REASON: Self = Self { table: "staff_accesses", column: "reason" };
    /// What a personal access token is called.
    pub(crate) const TOKEN_NAME: Self = Self { table: "personal_tokens", column: "name" };
    /// What to call the owner.
    pub(crate) const NAME: Self = Self { table: "accounts", column: "name" };
    /// What an account's authenticator shares.
    pub(crate) const SECOND_FACTOR: Self = Self { table: "second_factors", column: "secret" };
}

/// What a blind index is of: equal texts of two purposes have nothing in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Purpose(pub(crate) &'static str);

impl Purpose {
    /// The address that an account signs in with, as it is compared.
    pub(crate) const EMAIL: Self = Self("accounts.email");
    /// Why staff looked at a pet, in the audit log.
    pub(crate) const ACCESS_REASON: Self = Self("staff_accesses.reason");
    /// Where a client was when something was asked.
    pub(crate) const CLIENT_ADDRESS: Self = Self("audit_log.source");
    /// Whom attempts are counted against.
    pub(crate) const ATTEMPTS: Self = Self("throttles.key");
}

/// Why something cannot be sealed or opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("a key is {0}")]
    Wrapping(#[from] WrappingError),
    #[error("{}.{} of an account does not open", .0.table, .0.column)]
    Unopenable(Field),
    #[error("an account has no data key")]
    NoKey,
    #[error("the secret of the blind indexes is not whole")]
    Index,
    #[error("sealing failed")]
    Sealing,
}

impl From<Error> for StoreError {
    /// The row is not what this program wrote, or the configuration lacks a key. The log says which.
    fn from(error: Error) -> Self {
        let error: &dyn std::error::Error = &error;
        tracing::error!(error, "the vault does not open");
        Self::Inconsistent { table: "data_keys", column: "wrapped".to_owned() }
    }
}

/// Seals and opens. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Vault {
    inner: Arc<Inner>,
}

struct Inner {
    entropy: Entropy,
    wrapping: Wrapping,
    index: SecretBox<[u8; 32]>,
}

impl fmt::Debug for Vault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Vault").field("wrapping", &self.inner.wrapping).finish_non_exhaustive()
    }
}

/// An account's own key, unwrapped.
pub(crate) struct DataKey {
    account: AccountId,
    entropy: Entropy,
    key: SecretBox<[u8; 32]>,
}

impl fmt::Debug for DataKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("DataKey").field("account", &self.account).finish_non_exhaustive()
    }
}

impl Vault {
    /// Opens the secret of the blind indexes, or makes it, once for all replicas; then takes over what is not sealed yet.
    pub(crate) async fn open(context: &Context, db: &Db, wrapping: Wrapping) -> anyhow::Result<Self> {
        let entropy = context.entropy;
        let key_id = wrapping.current();
        let made = wrapping.wrap_under(key_id, &of_own(INDEX), &entropy.bytes::<32>())?;
        let made = &WrappedKey { key_id, wrapped: made };
        let now = types::micros(context.clock.now());
        let kept = db
            .transaction("vault_index", |tx| async move {
                if let Some(kept) = store::own_key(&tx, INDEX).await? {
                    return Ok(kept);
                }
                store::add_own_key(&tx, INDEX, made, now).await?;
                // Another replica may have been faster.
                store::own_key(&tx, INDEX).await?.ok_or_else(|| StoreError::from(Error::Index))
            })
            .await?;
        let secret = wrapping.unwrap(&of_own(INDEX), &kept)?;
        let secret: [u8; 32] = secret.try_into().map_err(|_| Error::Index)?;
        let inner = Inner { entropy, wrapping, index: SecretBox::new(Box::new(secret)) };
        let vault = Self { inner: Arc::new(inner) };
        takeover::run(context, db, &vault).await?;
        Ok(vault)
    }

    /// What wraps the keys.
    pub(crate) fn wrapping(&self) -> &Wrapping {
        &self.inner.wrapping
    }

    /// What an equal text of the same purpose is found by. It cannot be turned back, nor guessed without the secret.
    pub(crate) fn blind_index(&self, purpose: Purpose, text: &str) -> [u8; 32] {
        let secret = hmac::Key::new(hmac::HMAC_SHA256, self.inner.index.expose_secret());
        // One block of HKDF's expansion (RFC 5869, 2.3; the secret is uniform, so 3.3 lets extraction be skipped).
        let info = [b"petty blind index\0", purpose.0.as_bytes(), &[1]].concat();
        let key = hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&secret, &info).as_ref());
        let mut index = [0; 32];
        index.copy_from_slice(hmac::sign(&key, text.as_bytes()).as_ref());
        index
    }

    /// A new account's key, and what is kept of it.
    pub(crate) fn new_key(&self, account: AccountId) -> Result<(DataKey, WrappedKey), Error> {
        let key: [u8; 32] = self.inner.entropy.bytes();
        let key_id = self.inner.wrapping.current();
        let wrapped = self.inner.wrapping.wrap_under(key_id, &of_account(account), &key)?;
        let wrapped = WrappedKey { key_id, wrapped };
        let key = SecretBox::new(Box::new(key));
        Ok((DataKey { account, entropy: self.inner.entropy, key }, wrapped))
    }

    /// An account's key, of what is kept of it.
    pub(crate) fn key(&self, account: AccountId, wrapped: &[u8]) -> Result<DataKey, Error> {
        let key = self.inner.wrapping.unwrap(&of_account(account), wrapped)?;
        let key: [u8; 32] = key.try_into().map_err(|_| WrappingError::Unopenable)?;
        let key = SecretBox::new(Box::new(key));
        Ok(DataKey { account, entropy: self.inner.entropy, key })
    }

    /// Seals a text of an account that is there, for one column.
    pub(crate) async fn seal_for(
        &self,
        tx: &Tx,
        account: AccountId,
        field: Field,
        text: &str,
    ) -> Result<Vec<u8>, StoreError> {
        Ok(self.key_of(tx, account).await?.seal(field, text)?)
    }

    /// Opens what [`Vault::seal_for`] sealed.
    pub(crate) async fn open_for(
        &self,
        tx: &Tx,
        account: AccountId,
        field: Field,
        sealed: &[u8],
    ) -> Result<String, StoreError> {
        Ok(self.key_of(tx, account).await?.open(field, sealed)?)
    }

    async fn key_of(&self, tx: &Tx, account: AccountId) -> Result<DataKey, StoreError> {
        let wrapped = store::data_key(tx, account).await?.ok_or(Error::NoKey)?;
        Ok(self.key(account, &wrapped)?)
    }
}

impl DataKey {
    /// Seals a text for one column.
    pub(crate) fn seal(&self, field: Field, text: &str) -> Result<Vec<u8>, Error> {
        let key = self.key.expose_secret();
        let sealed = seal::seal(self.entropy, key, &self.place(field), text.as_bytes());
        Ok([&[VERSION], sealed.ok_or(Error::Sealing)?.as_slice()].concat())
    }

    /// Opens what was sealed for that column.
    pub(crate) fn open(&self, field: Field, sealed: &[u8]) -> Result<String, Error> {
        let Some((&VERSION, sealed)) = sealed.split_first() else { return Err(Error::Unopenable(field)) };
        let text = seal::open(self.key.expose_secret(), &self.place(field), sealed);
        text.and_then(|text| String::from_utf8(text).ok()).ok_or(Error::Unopenable(field))
    }

    /// No name of ours holds a zero byte, so no two places are spelt alike.
    fn place(&self, field: Field) -> Vec<u8> {
        let Field { table, column } = field;
        let account = self.account.0.as_bytes().as_slice();
        [b"petty sealed\0", table.as_bytes(), b"\0", column.as_bytes(), b"\0", account].concat()
    }
}

fn of_account(account: AccountId) -> Vec<u8> {
    [b"petty data key\0".as_slice(), account.0.as_bytes()].concat()
}

fn of_own(name: &str) -> Vec<u8> {
    [b"petty vault key\0", name.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use petty_chassis::types::Clock;

    use super::*;

    fn vault() -> Vault {
        let ring = Ring::parse("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=").unwrap();
        let wrapping = Wrapping::new(Entropy, KeySource::Fixed(ring));
        let index = SecretBox::new(Box::new(Entropy.bytes()));
        Vault { inner: Arc::new(Inner { entropy: Entropy, wrapping, index }) }
    }

    #[test]
    fn what_is_sealed_opens_for_its_account_and_column_alone() {
        let (vault, clock) = (vault(), Clock::system());
        let (one, two) = (AccountId::new(&clock), AccountId::new(&clock));
        let (key, kept) = vault.new_key(one).unwrap();
        let sealed = key.seal(Field::EMAIL, "ada@example.org").unwrap();
        assert_ne!(sealed, key.seal(Field::EMAIL, "ada@example.org").unwrap());
        let again = vault.key(one, &kept.wrapped).unwrap();
        assert_eq!(again.open(Field::EMAIL, &sealed).unwrap(), "ada@example.org");
        assert!(again.open(Field::NAME, &sealed).is_err());
        // Neither the value nor the key moves to another account.
        assert!(vault.key(two, &kept.wrapped).is_err());
        let (other, _) = vault.new_key(two).unwrap();
        assert!(other.open(Field::EMAIL, &sealed).is_err());
        let moved = DataKey {
            account: two,
            entropy: Entropy,
            key: SecretBox::new(Box::new(*again.key.expose_secret())),
        };
        assert!(moved.open(Field::EMAIL, &sealed).is_err());
        for index in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[index] ^= 1;
            assert!(again.open(Field::EMAIL, &changed).is_err(), "{index}");
        }
    }

    #[test]
    fn blind_indexes_differ_by_text_purpose_and_secret() {
        let (one, two) = (vault(), vault());
        let index = one.blind_index(Purpose::EMAIL, "ada@example.org");
        assert_eq!(index, one.blind_index(Purpose::EMAIL, "ada@example.org"));
        assert_ne!(index, one.blind_index(Purpose::EMAIL, "bob@example.org"));
        assert_ne!(index, one.blind_index(Purpose("other"), "ada@example.org"));
        assert_ne!(index, two.blind_index(Purpose::EMAIL, "ada@example.org"));
        assert_ne!(index, [0; 32]);
    }

    #[test]
    fn keys_are_not_shown() {
        let (key, kept) = vault().new_key(AccountId::new(&Clock::system())).unwrap();
        let bytes = format!("{:?}", key.key.expose_secret());
        let shown = format!("{key:?}{kept:?}{:?}", vault());
        assert!(!shown.contains(&bytes) && !shown.contains("[0, 1, 2, 3"), "{shown}");
    }
}
