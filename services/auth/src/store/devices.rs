//! Devices that signed in before. A token of theirs opens nothing: whoever shows it is counted apart.

use jiff::{SignedDuration, Timestamp};
use petty_chassis::postgres::{Error, Tx};
use petty_chassis::types::AccountId;

use super::one;

const TABLE: &str = "known_devices";
/// How long a device is known that does not sign in.
const KEPT: SignedDuration = SignedDuration::from_hours(180 * 24);
/// So many of an account's are remembered.
const MOST: i64 = 20;

/// Whether a token is a known device's of that account.
pub(crate) async fn is_known(
    tx: &Tx,
    token: &[u8; 32],
    account: Option<AccountId>,
    now: Timestamp,
) -> Result<bool, Error> {
    let sql = "-- known_device\nSELECT 1 FROM known_devices WHERE token_hash = $1 AND account_id = $2 AND expires_at > $3";
    let account = account.map(|account| account.0);
    Ok(tx.query_opt(sql, &[&token.as_slice(), &account, &now]).await?.is_some())
}

/// Remembers a new device, and forgets what is too many: those first that never came back.
pub(crate) async fn remember(
    tx: &Tx,
    token: &[u8; 32],
    account: AccountId,
    now: Timestamp,
) -> Result<(), Error> {
    let sql = "-- forget_devices_over\nDELETE FROM known_devices WHERE token_hash IN (
                   SELECT token_hash FROM known_devices WHERE account_id = $1
                   ORDER BY used_at DESC NULLS LAST, created_at DESC, token_hash OFFSET $2
               )";
    tx.execute(sql, &[&account.0, &(MOST - 1)]).await?;
    let sql = "-- remember_device\nINSERT INTO known_devices (token_hash, account_id, created_at, expires_at)
               VALUES ($1, $2, $3, $4)";
    one(tx.execute(sql, &[&token.as_slice(), &account.0, &now, &(now + KEPT)]).await?, TABLE)
}

/// Notes that a device signed in again.
pub(crate) async fn came_back(tx: &Tx, token: &[u8; 32], now: Timestamp) -> Result<(), Error> {
    let sql =
        "-- device_came_back\nUPDATE known_devices SET used_at = $2, expires_at = $3 WHERE token_hash = $1";
    // One that was forgotten meanwhile is forgotten.
    tx.execute(sql, &[&token.as_slice(), &now, &(now + KEPT)]).await.map(|_| ())
}

/// Forgets all of an account's: somebody else may have known its passphrase.
pub(crate) async fn forget_of(tx: &Tx, account: AccountId) -> Result<u64, Error> {
    tx.execute("-- forget_devices_of\nDELETE FROM known_devices WHERE account_id = $1", &[&account.0]).await
}

/// Forgets those that did not come back in time.
pub(crate) async fn forget_expired(tx: &Tx, now: Timestamp) -> Result<u64, Error> {
    tx.execute("-- forget_devices\nDELETE FROM known_devices WHERE expires_at <= $1", &[&now]).await
}
