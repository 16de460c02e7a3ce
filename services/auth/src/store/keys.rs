//! Signing keys, sealed.

use jiff::Timestamp;
use petty_chassis::postgres::{Error, Row, Tx};

use super::{inconsistent, one};
use crate::domain::token::Algorithm;
use crate::signer::PublicKey;

const TABLE: &str = "signing_keys";
/// Any number: only one replica makes a key at a time.
const LOCK: i64 = 7_239_500;

/// A key as it is stored.
#[derive(Clone, Debug)]
pub(crate) struct StoredKey {
    pub(crate) algorithm: Algorithm,
    pub(crate) public: PublicKey,
    pub(crate) private_sealed: Vec<u8>,
}

/// The key that signs, if there is one.
pub(crate) async fn current(tx: &Tx) -> Result<Option<StoredKey>, Error> {
    let sql = "-- current_key\nSELECT algorithm, public_jwk, private_sealed FROM signing_keys WHERE state = 'current'";
    tx.query_opt(sql, &[]).await?.map(|row| read(&row)).transpose()
}

/// Waits until no other replica is making a key, to the end of the transaction.
pub(crate) async fn lock(tx: &Tx) -> Result<(), Error> {
    tx.query("-- lock_keys\nSELECT pg_advisory_xact_lock($1)", &[&LOCK]).await.map(|_| ())
}

/// Makes a key the current one; the one before it is retired, and published on.
pub(crate) async fn install(tx: &Tx, key: &StoredKey, now: Timestamp) -> Result<(), Error> {
    let sql =
        "-- retire_key\nUPDATE signing_keys SET state = 'retired', retired_at = $1 WHERE state = 'current'";
    tx.execute(sql, &[&now]).await?;
    let sql = "-- install_key\nINSERT INTO signing_keys (kid, algorithm, state, public_jwk, private_sealed, created_at)
               VALUES ($1, $2, 'current', $3, $4, $5)";
    let public = serde_json::to_value(&key.public).map_err(|_| inconsistent(TABLE, "public_jwk"))?;
    let touched = tx
        .execute(sql, &[&key.public.kid, &key.algorithm.as_str(), &public, &key.private_sealed, &now])
        .await?;
    one(touched, TABLE)
}

/// The public halves of all keys that may have signed a valid token: those retired since `since` included.
pub(crate) async fn published(tx: &Tx, since: Timestamp) -> Result<Vec<PublicKey>, Error> {
    let sql = "-- published_keys\nSELECT public_jwk FROM signing_keys
               WHERE state = 'current' OR retired_at > $1 ORDER BY created_at DESC, kid";
    tx.query(sql, &[&since]).await?.iter().map(|row| public(row, 0)).collect()
}

/// Locks all keys, as they are sealed.
pub(crate) async fn lock_sealed(tx: &Tx) -> Result<Vec<(String, Vec<u8>)>, Error> {
    let sql = "-- lock_sealed_keys\nSELECT kid, private_sealed FROM signing_keys ORDER BY kid FOR UPDATE";
    let rows = tx.query(sql, &[]).await?;
    rows.iter().map(|row| Ok((Error::column(row, TABLE, 0)?, Error::column(row, TABLE, 1)?))).collect()
}

/// Puts a key that is locked, sealed anew, into its place.
pub(crate) async fn reseal(tx: &Tx, kid: &str, sealed: &[u8]) -> Result<u64, Error> {
    let sql = "-- reseal_key\nUPDATE signing_keys SET private_sealed = $2 WHERE kid = $1";
    tx.execute(sql, &[&kid, &sealed]).await
}

fn read(row: &Row) -> Result<StoredKey, Error> {
    let algorithm: String = Error::column(row, TABLE, 0)?;
    Ok(StoredKey {
        algorithm: Algorithm::parse(&algorithm).ok_or_else(|| inconsistent(TABLE, "algorithm"))?,
        public: public(row, 1)?,
        private_sealed: Error::column(row, TABLE, 2)?,
    })
}

fn public(row: &Row, index: usize) -> Result<PublicKey, Error> {
    let json: serde_json::Value = Error::column(row, TABLE, index)?;
    serde_json::from_value(json).map_err(|_| inconsistent(TABLE, "public_jwk"))
}
