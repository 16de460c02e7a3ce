//! Signing keys: made at the first boot, once for all replicas, kept sealed, and replaced when their time has come.
//!
//! Invariants: of several replicas one takes each step, in a transaction under one lock; every replica signs with what the
//! database says within seconds, and one that does not yet know signs with a key that is still published; nothing is
//! remembered but the key that signs.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use petty_chassis::caller::KeySource;
use petty_chassis::periodic;
use petty_chassis::postgres::{Db, Error as StoreError, Tx};
use petty_chassis::service::Context;
use petty_chassis::types::{self, Clock};
use petty_chassis::{ApiError, TaskLost};
use petty_proto::auth::v1 as wire;
use serde_json::json;

use crate::domain::rotation::{self, Step};
use crate::domain::token::Algorithm;
use crate::grpc::convert;
use crate::signer::{self, PublicKey, SigningKey};
use crate::store::audit::{self, Actor, Entry, Origin};
use crate::store::keys::{self, State, StoredKey};
use crate::vault::{Wrapping, WrappingError};

/// Why keys could not be seen to.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The key that is there cannot be opened, or the one that was made cannot be sealed.
    #[error("a signing key and what keys are wrapped under do not fit")]
    Wrapping(#[from] WrappingError),
    /// After all steps there is no key.
    #[error("there is no signing key")]
    None,
    /// A key cannot be made or read.
    #[error(transparent)]
    Signer(#[from] signer::Error),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What made a key was lost.
    #[error(transparent)]
    Lost(#[from] TaskLost),
}

/// The key that signs, as this replica knows it. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Signing(Arc<RwLock<Arc<SigningKey>>>);

impl Signing {
    /// The key to sign with now.
    pub(crate) fn key(&self) -> Arc<SigningKey> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn replace(&self, key: SigningKey) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(key);
    }
}

/// Sees to the keys.
#[derive(Clone, Debug)]
pub(crate) struct Keeper {
    pub(crate) context: Context,
    pub(crate) db: Db,
    pub(crate) wrapping: Wrapping,
    /// How long a key signs.
    pub(crate) lifetime: SignedDuration,
}

impl Keeper {
    /// The key that signs. At the first boot it is made; where the configuration names another algorithm than it has, its time
    /// is up.
    pub(crate) async fn boot(&self, algorithm: Algorithm) -> Result<Signing, Error> {
        self.settle(algorithm).await?;
        let (read, now) = (self.db.clone(), self.now());
        let known = read.read("list_keys", |tx| async move { keys::list(&tx, Timestamp::MAX).await }).await?;
        let differs = |state| known.iter().any(|key| key.state == state && key.algorithm != algorithm);
        if differs(State::Next) {
            let made = &self.make(algorithm).await?;
            self.db
                .transaction("replace_next_key", |tx| async move {
                    keys::lock(&tx).await?;
                    keys::put_next(&tx, made, now).await
                })
                .await?;
        }
        if differs(State::Current) {
            let bring_forward = |tx: Tx| async move {
                keys::lock(&tx).await?;
                keys::bring_forward(&tx, now).await
            };
            self.db.transaction("bring_key_forward", bring_forward).await?;
            tracing::info!(
                algorithm = algorithm.as_str(),
                "the signing key gives way to one of another algorithm"
            );
        }
        let key = self.open(self.current().await?)?;
        tracing::info!(kid = key.public().kid, algorithm = key.algorithm().as_str(), "tokens are signed");
        Ok(Signing(Arc::new(RwLock::new(Arc::new(key)))))
    }

    /// Sees to the keys again and again.
    pub(crate) fn keep(&self, signing: &Signing, interval: Duration) {
        let (keeper, signing) = (self.clone(), signing.clone());
        periodic::every(&self.context, "signing-keys", interval, move || {
            let (keeper, signing) = (keeper.clone(), signing.clone());
            async move { keeper.look(&signing).await }
        });
    }

    /// Takes the steps that are due, and signs with what the database says.
    pub(crate) async fn look(&self, signing: &Signing) -> Result<(), Error> {
        self.settle(signing.key().algorithm()).await?;
        let stored = self.current().await?;
        if stored.public.kid != signing.key().public().kid {
            let key = self.open(stored)?;
            tracing::info!(kid = key.public().kid, "tokens are signed with another key");
            signing.replace(key);
        }
        Ok(())
    }

    /// Takes steps until there is none left. The first key is made for `algorithm`.
    async fn settle(&self, algorithm: Algorithm) -> Result<(), Error> {
        loop {
            let (lifetime, now) = (self.lifetime, self.now());
            let standing =
                self.db.read("key_standing", |tx| async move { keys::standing(&tx, lifetime).await }).await?;
            match rotation::step(standing, now) {
                Step::Rest => return Ok(()),
                Step::Make => {
                    // The next key is of the kind that signs; which kind that is, is decided at a boot.
                    let current =
                        self.db.read("current_key", |tx| async move { keys::current(&tx).await }).await?;
                    let algorithm = current.map_or(algorithm, |current| current.algorithm);
                    self.take(Step::Make, Some(&self.make(algorithm).await?), now).await?;
                }
                Step::Promote => self.take(Step::Promote, None, now).await?,
            }
        }
    }

    /// Takes a step, unless another replica was faster.
    async fn take(&self, step: Step, made: Option<&StoredKey>, now: Timestamp) -> Result<(), Error> {
        let lifetime = self.lifetime;
        let taken = self
            .db
            .transaction("turn_keys", |tx| async move {
                keys::lock(&tx).await?;
                if rotation::step(keys::standing(&tx, lifetime).await?, now) != step {
                    return Ok(false);
                }
                match made {
                    Some(key) => keys::put_next(&tx, key, now).await?,
                    None => promote(&tx, (now, lifetime), Actor::Service("auth"), "".into()).await?,
                }
                Ok::<_, StoreError>(true)
            })
            .await?;
        tracing::debug!(?step, taken, "a step of the signing keys");
        Ok(())
    }

    /// A new key, sealed. RSA takes a second or so.
    async fn make(&self, algorithm: Algorithm) -> Result<StoredKey, Error> {
        let make = move || signer::generate(algorithm);
        let private = self.context.tasks.spawn_blocking("make-signing-key", make).await??;
        let public = SigningKey::read(algorithm, &private)?.public().clone();
        let private_sealed = self.wrapping.wrap(public.kid.as_bytes(), &private)?;
        Ok(StoredKey { algorithm, public, private_sealed })
    }

    async fn current(&self) -> Result<StoredKey, Error> {
        let found = self.db.read("current_key", |tx| async move { keys::current(&tx).await }).await?;
        found.ok_or(Error::None)
    }

    fn open(&self, stored: StoredKey) -> Result<SigningKey, Error> {
        let private = self.wrapping.unwrap(stored.public.kid.as_bytes(), &stored.private_sealed)?;
        Ok(SigningKey::read(stored.algorithm, &private)?)
    }

    fn now(&self) -> Timestamp {
        types::micros(self.context.clock.now())
    }
}

/// Has the next key sign, by whom it may concern. Under the lock.
pub(crate) async fn promote(
    tx: &Tx,
    (now, lifetime): (Timestamp, SignedDuration),
    actor: Actor<'_>,
    origin: Origin<'_>,
) -> Result<(), StoreError> {
    let kid_of = |key: Option<StoredKey>| key.map(|key| key.public.kid).unwrap_or_default();
    let before = kid_of(keys::current(tx).await?);
    keys::promote(tx, now, now + lifetime).await?;
    let after = kid_of(keys::current(tx).await?);
    keys::forget_retired(tx, now - rotation::PUBLISHED).await?;
    let entry = Entry::done(actor, "ROTATE_SIGNING_KEY", after, origin);
    audit::write(tx, now, &entry.with(json!({"retired": before}))).await
}

/// The public keys that may have signed a valid token, and the one that will sign next.
pub(crate) async fn published(db: &Db, now: Timestamp) -> Result<Vec<PublicKey>, ApiError> {
    let since = now - rotation::PUBLISHED;
    Ok(db.read("published_keys", |tx| async move { keys::published(&tx, since).await }).await?)
}

/// auth's own tables, as the source of keys for its own gate.
#[derive(Clone, Debug)]
pub(crate) struct LocalKeys {
    pub(crate) db: Db,
    pub(crate) clock: Clock,
}

#[async_trait::async_trait]
impl KeySource for LocalKeys {
    async fn keys(&self) -> Result<wire::Jwks, ApiError> {
        Ok(convert::jwks(published(&self.db, self.clock.now()).await?))
    }
}
