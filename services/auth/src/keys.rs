//! The signing key: made at the first boot, once for all replicas, and kept sealed.

use jiff::{SignedDuration, Timestamp};
use petty_chassis::caller::KeySource;
use petty_chassis::postgres::Db;
use petty_chassis::service::Context;
use petty_chassis::types::Clock;
use petty_chassis::{ApiError, types};
use petty_proto::auth::v1 as wire;

use crate::domain::token::Algorithm;
use crate::grpc::convert;
use crate::signer::{self, PublicKey, SigningKey};
use crate::store::keys::{self, StoredKey};
use crate::vault::Wrapping;

/// A retired key is published this long: longer than any token it signed is valid.
const PUBLISHED: SignedDuration = SignedDuration::from_hours(48);

/// The current signing key; made where there is none, or the one there is is for another algorithm.
pub(crate) async fn load(
    context: &Context,
    db: &Db,
    wrapping: &Wrapping,
    algorithm: Algorithm,
) -> anyhow::Result<SigningKey> {
    let found = db.read("current_key", |tx| async move { keys::current(&tx).await }).await?;
    let stored = match found {
        Some(stored) if stored.algorithm == algorithm => stored,
        _ => install(context, db, wrapping, algorithm).await?,
    };
    let private = wrapping.unwrap(stored.public.kid.as_bytes(), &stored.private_sealed)?;
    let key = SigningKey::read(stored.algorithm, &private)?;
    tracing::info!(kid = key.public().kid, algorithm = algorithm.as_str(), "tokens are signed");
    Ok(key)
}

/// Makes a key, unless another replica was faster.
async fn install(
    context: &Context,
    db: &Db,
    wrapping: &Wrapping,
    algorithm: Algorithm,
) -> anyhow::Result<StoredKey> {
    let private =
        context.tasks.spawn_blocking("make-signing-key", move || signer::generate(algorithm)).await??;
    let public = SigningKey::read(algorithm, &private)?.public().clone();
    let private_sealed = wrapping.wrap(public.kid.as_bytes(), &private)?;
    let made = &StoredKey { algorithm, public, private_sealed };
    let now = types::micros(context.clock.now());
    let installed = db
        .transaction("install_key", |tx| async move {
            keys::lock(&tx).await?;
            if let Some(faster) = keys::current(&tx).await?
                && faster.algorithm == algorithm
            {
                return Ok(faster);
            }
            keys::install(&tx, made, now).await?;
            Ok::<_, petty_chassis::postgres::Error>(made.clone())
        })
        .await?;
    Ok(installed)
}

/// The public keys that may have signed a valid token.
pub(crate) async fn published(db: &Db, now: Timestamp) -> Result<Vec<PublicKey>, ApiError> {
    let since = now - PUBLISHED;
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
