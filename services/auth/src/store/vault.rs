//! Keys, wrapped: each account's, and the vault's own.

use jiff::Timestamp;
use petty_chassis::postgres::{Error, Tx};
use petty_chassis::types::AccountId;

use super::one;
use crate::vault::KeyId;

const DATA_KEYS: &str = "data_keys";
const OWN_KEYS: &str = "vault_keys";

/// A key as it is kept.
#[derive(Clone)]
pub(crate) struct WrappedKey {
    /// The key that it is wrapped under.
    pub(crate) key_id: KeyId,
    pub(crate) wrapped: Vec<u8>,
}

impl std::fmt::Debug for WrappedKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("WrappedKey").field("key_id", &self.key_id).finish_non_exhaustive()
    }
}

/// An account's key; `None` where it has none, or none any more.
pub(crate) async fn data_key(tx: &Tx, account: AccountId) -> Result<Option<Vec<u8>>, Error> {
    let sql = "-- data_key\nSELECT wrapped FROM data_keys WHERE account_id = $1";
    let row = tx.query_opt(sql, &[&account.0]).await?;
    row.map(|row| Error::column(&row, DATA_KEYS, 0)).transpose()
}

/// Gives an account its key.
pub(crate) async fn add_data_key(
    tx: &Tx,
    account: AccountId,
    key: &WrappedKey,
    now: Timestamp,
) -> Result<(), Error> {
    let sql = "-- add_data_key\nINSERT INTO data_keys (account_id, wrapped, key_id, created_at) VALUES ($1, $2, $3, $4)";
    one(tx.execute(sql, &[&account.0, &key.wrapped, &key.key_id.as_bytes(), &now]).await?, DATA_KEYS)
}

/// One of the vault's own keys.
pub(crate) async fn own_key(tx: &Tx, name: &str) -> Result<Option<Vec<u8>>, Error> {
    let sql = "-- own_key\nSELECT wrapped FROM vault_keys WHERE name = $1";
    let row = tx.query_opt(sql, &[&name]).await?;
    row.map(|row| Error::column(&row, OWN_KEYS, 0)).transpose()
}

/// Adds one, unless it is there.
pub(crate) async fn add_own_key(tx: &Tx, name: &str, key: &WrappedKey, now: Timestamp) -> Result<(), Error> {
    let sql =
        "-- add_own_key\nINSERT INTO vault_keys (name, wrapped, key_id, created_at) VALUES ($1, $2, $3, $4)
               ON CONFLICT (name) DO NOTHING";
    tx.execute(sql, &[&name, &key.wrapped, &key.key_id.as_bytes(), &now]).await.map(|_| ())
}

/// Locks accounts' keys that are wrapped under another key than this one; what somebody else has locked is for later.
pub(crate) async fn lock_under_others(
    tx: &Tx,
    current: KeyId,
    most: i64,
) -> Result<Vec<(AccountId, Vec<u8>)>, Error> {
    let sql = "-- lock_data_keys\nSELECT account_id, wrapped FROM data_keys WHERE key_id <> $1
               ORDER BY account_id LIMIT $2 FOR UPDATE SKIP LOCKED";
    let rows = tx.query(sql, &[&current.as_bytes(), &most]).await?;
    rows.iter()
        .map(|row| Ok((AccountId(Error::column(row, DATA_KEYS, 0)?), Error::column(row, DATA_KEYS, 1)?)))
        .collect()
}

/// Puts keys that are locked into the place of what they were.
pub(crate) async fn rewrap(
    tx: &Tx,
    accounts: &[uuid::Uuid],
    wrapped: &[Vec<u8>],
    key_id: KeyId,
) -> Result<u64, Error> {
    let sql = "-- rewrap_data_keys\nUPDATE data_keys d SET wrapped = n.wrapped, key_id = $3
               FROM unnest($1::uuid[], $2::bytea[]) AS n (account_id, wrapped) WHERE d.account_id = n.account_id";
    tx.execute(sql, &[&accounts, &wrapped, &key_id.as_bytes()]).await
}

/// Locks the vault's own keys that are wrapped under another key than this one.
pub(crate) async fn lock_own_under_others(tx: &Tx, current: KeyId) -> Result<Vec<(String, Vec<u8>)>, Error> {
    let sql =
        "-- lock_own_keys\nSELECT name, wrapped FROM vault_keys WHERE key_id <> $1 ORDER BY name FOR UPDATE";
    let rows = tx.query(sql, &[&current.as_bytes()]).await?;
    rows.iter().map(|row| Ok((Error::column(row, OWN_KEYS, 0)?, Error::column(row, OWN_KEYS, 1)?))).collect()
}

/// Puts one that is locked into its place.
pub(crate) async fn rewrap_own(tx: &Tx, name: &str, key: &WrappedKey) -> Result<u64, Error> {
    let sql = "-- rewrap_own_key\nUPDATE vault_keys SET wrapped = $2, key_id = $3 WHERE name = $1";
    tx.execute(sql, &[&name, &key.wrapped, &key.key_id.as_bytes()]).await
}

/// How many keys are wrapped under another key than this one.
pub(crate) async fn wrapped_under_others(tx: &Tx, current: KeyId) -> Result<u64, Error> {
    // A signing key's own head begins with a version and the id of its wrapping key.
    let sql = "-- wrapped_under_others\nSELECT (SELECT count(*) FROM data_keys WHERE key_id <> $1)
                      + (SELECT count(*) FROM vault_keys WHERE key_id <> $1)
                      + (SELECT count(*) FROM signing_keys WHERE substr(private_sealed, 2, 8) <> $1)";
    let row = tx.query_one(sql, &[&current.as_bytes()]).await?;
    let count: i64 = Error::column(&row, DATA_KEYS, 0)?;
    Ok(count.unsigned_abs())
}
