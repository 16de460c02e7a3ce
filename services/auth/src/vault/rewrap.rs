//! Rolls the wrapping key while everything goes on: each wrapped key is unwrapped, wrapped under the current
//! key-encryption key, and put in the place of what it was.
//!
//! The keys themselves stay, and so does what they seal: nothing that is under way notices. Some keys a transaction, so that
//! it can be stopped anywhere; what is left is found by the id of the key that it is wrapped under.

use jiff::Timestamp;
use petty_chassis::ApiError;
use petty_chassis::postgres::{Db, Error as StoreError, Tx};
use serde_json::json;

use super::{Error, KeyId, Vault, WrappedKey, of_account, of_own};
use crate::store::audit::{self, Actor, Entry, Origin};
use crate::store::{keys, vault as store};

/// How far it has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Progress {
    /// So many keys were wrapped anew by this step.
    pub(crate) rewrapped: u64,
    /// So many are wrapped under another key than the current one still.
    pub(crate) remaining: u64,
    /// The current one.
    pub(crate) key_id: KeyId,
}

/// Who asks, for the audit log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct By<'a> {
    pub(crate) actor: Actor<'a>,
    pub(crate) origin: Origin<'a>,
    pub(crate) now: Timestamp,
}

/// Does the next `most` accounts' keys, and all of the service's own.
pub(crate) async fn step(db: &Db, vault: &Vault, most: i64, by: By<'_>) -> Result<Progress, ApiError> {
    let progress = db
        .transaction("rewrap_keys", |tx| async move {
            let mut rewrapped = accounts(&tx, vault, most).await?;
            rewrapped += own(&tx, vault).await?;
            rewrapped += signing(&tx, vault).await?;
            let key_id = vault.wrapping().current();
            let remaining = store::wrapped_under_others(&tx, key_id).await?;
            if rewrapped > 0 {
                let entry = Entry::done(by.actor, "REENCRYPT_DATA", key_id, by.origin)
                    .with(json!({"rewrapped": rewrapped, "remaining": remaining}));
                audit::write(&tx, by.now, &entry).await?;
            }
            Ok::<_, StoreError>(Progress { rewrapped, remaining, key_id })
        })
        .await?;
    Ok(progress)
}

async fn accounts(tx: &Tx, vault: &Vault, most: i64) -> Result<u64, StoreError> {
    let wrapping = vault.wrapping();
    let current = wrapping.current();
    let (mut ids, mut keys) = (Vec::new(), Vec::new());
    for (account, wrapped) in store::lock_under_others(tx, current, most).await? {
        let place = of_account(account);
        let key = wrapping.unwrap(&place, &wrapped).map_err(Error::from)?;
        ids.push(account.0);
        keys.push(wrapping.wrap_under(current, &place, &key).map_err(Error::from)?);
    }
    store::rewrap(tx, &ids, &keys, current).await
}

async fn own(tx: &Tx, vault: &Vault) -> Result<u64, StoreError> {
    let wrapping = vault.wrapping();
    let current = wrapping.current();
    let mut rewrapped = 0;
    for (name, wrapped) in store::lock_own_under_others(tx, current).await? {
        let place = of_own(&name);
        let key = wrapping.unwrap(&place, &wrapped).map_err(Error::from)?;
        let wrapped = wrapping.wrap_under(current, &place, &key).map_err(Error::from)?;
        rewrapped += store::rewrap_own(tx, &name, &WrappedKey { key_id: current, wrapped }).await?;
    }
    Ok(rewrapped)
}

/// Signing keys say in their own heads what they are wrapped under. There are a handful.
async fn signing(tx: &Tx, vault: &Vault) -> Result<u64, StoreError> {
    let wrapping = vault.wrapping();
    let mut rewrapped = 0;
    for (kid, sealed) in keys::lock_sealed(tx).await? {
        if wrapping.is_current(&sealed) {
            continue;
        }
        let private = wrapping.unwrap(kid.as_bytes(), &sealed).map_err(Error::from)?;
        let sealed = wrapping.wrap(kid.as_bytes(), &private).map_err(Error::from)?;
        rewrapped += keys::reseal(tx, &kid, &sealed).await?;
    }
    Ok(rewrapped)
}
