//! Signing keys, sealed.
//!
//! Invariant: what changes them holds the lock, to the end of its transaction.

use jiff::{SignedDuration, Timestamp};
use petty_chassis::postgres::{Error, Row, Tx};

use super::{inconsistent, one};
use crate::domain::rotation::Standing;
use crate::domain::token::Algorithm;
use crate::signer::PublicKey;

const TABLE: &str = "signing_keys";
/// Any number: only one replica changes keys at a time.
const LOCK: i64 = 7_239_500;

/// A key as it is stored.
#[derive(Clone, Debug)]
pub(crate) struct StoredKey {
    pub(crate) algorithm: Algorithm,
    pub(crate) public: PublicKey,
    pub(crate) private_sealed: Vec<u8>,
}

/// What a key is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Next,
    Current,
    Retired,
}

/// A key, as operators see it.
#[derive(Clone, Debug)]
pub(crate) struct KeyInfo {
    pub(crate) kid: String,
    pub(crate) algorithm: Algorithm,
    pub(crate) state: State,
    pub(crate) created_at: Timestamp,
    /// When it gives way; of the current one, where that is said.
    pub(crate) due_at: Option<Timestamp>,
    pub(crate) retired_at: Option<Timestamp>,
}

/// The key that signs, if there is one.
pub(crate) async fn current(tx: &Tx) -> Result<Option<StoredKey>, Error> {
    let sql = "-- current_key\nSELECT algorithm, public_jwk, private_sealed FROM signing_keys WHERE state = 'current'";
    tx.query_opt(sql, &[]).await?.map(|row| read(&row)).transpose()
}

/// Waits until no other replica changes keys, to the end of the transaction.
pub(crate) async fn lock(tx: &Tx) -> Result<(), Error> {
    tx.query("-- lock_keys\nSELECT pg_advisory_xact_lock($1)", &[&LOCK]).await.map(|_| ())
}

/// All keys that are published: the next one, the current one, and those retired since `since`, youngest first.
pub(crate) async fn list(tx: &Tx, since: Timestamp) -> Result<Vec<KeyInfo>, Error> {
    let sql = "-- list_keys\nSELECT kid, algorithm, state, created_at, due_at, retired_at FROM signing_keys
               WHERE state IN ('next', 'current') OR retired_at > $1
               ORDER BY array_position(ARRAY['next', 'current'], state), retired_at DESC, created_at DESC, kid";
    tx.query(sql, &[&since]).await?.iter().map(info).collect()
}

/// When the current key is due, `lifetime` after it was made where nobody said so, and since when there is a next one.
pub(crate) async fn standing(tx: &Tx, lifetime: SignedDuration) -> Result<Standing, Error> {
    let mut standing = Standing::default();
    // Retired ones do not matter here, but cost nothing either: there are few.
    for key in list(tx, Timestamp::MAX).await? {
        match key.state {
            State::Next => standing.next_made_at = Some(key.created_at),
            State::Current => standing.due_at = Some(key.due_at.unwrap_or(key.created_at + lifetime)),
            State::Retired => {}
        }
    }
    Ok(standing)
}

/// Adds the next key, instead of the one that is next, if there is one: that one has signed nothing.
pub(crate) async fn put_next(tx: &Tx, key: &StoredKey, now: Timestamp) -> Result<(), Error> {
    tx.execute("-- drop_next_key\nDELETE FROM signing_keys WHERE state = 'next'", &[]).await?;
    let sql = "-- put_next_key\nINSERT INTO signing_keys (kid, algorithm, state, public_jwk, private_sealed, created_at)
               VALUES ($1, $2, 'next', $3, $4, $5)";
    let public = serde_json::to_value(&key.public).map_err(|_| inconsistent(TABLE, "public_jwk"))?;
    let touched = tx
        .execute(sql, &[&key.public.kid, &key.algorithm.as_str(), &public, &key.private_sealed, &now])
        .await?;
    one(touched, TABLE)
}

/// Has the next key sign until `due_at`; the one that did is retired, and published on.
pub(crate) async fn promote(tx: &Tx, now: Timestamp, due_at: Timestamp) -> Result<(), Error> {
    let sql = "-- retire_key\nUPDATE signing_keys SET state = 'retired', retired_at = $1, due_at = NULL WHERE state = 'current'";
    tx.execute(sql, &[&now]).await?;
    let sql = "-- promote_key\nUPDATE signing_keys SET state = 'current', due_at = $1 WHERE state = 'next'";
    one(tx.execute(sql, &[&due_at]).await?, TABLE)
}

/// Has the current key give way at `due_at` at the latest.
pub(crate) async fn bring_forward(tx: &Tx, due_at: Timestamp) -> Result<(), Error> {
    let sql =
        "-- bring_key_forward\nUPDATE signing_keys SET due_at = least(due_at, $1) WHERE state = 'current'";
    one(tx.execute(sql, &[&due_at]).await?, TABLE)
}

/// Forgets keys that were retired before `before`: nothing that they signed is valid any more.
pub(crate) async fn forget_retired(tx: &Tx, before: Timestamp) -> Result<u64, Error> {
    tx.execute("-- forget_keys\nDELETE FROM signing_keys WHERE retired_at <= $1", &[&before]).await
}

/// Forgets a retired key at once, and with it all that it signed.
pub(crate) async fn forget(tx: &Tx, kid: &str) -> Result<(), Error> {
    let sql = "-- forget_key\nDELETE FROM signing_keys WHERE kid = $1 AND state = 'retired'";
    one(tx.execute(sql, &[&kid]).await?, TABLE)
}

/// The public halves of all keys that may have signed a valid token, and of the one that will: those retired since `since`
/// included.
pub(crate) async fn published(tx: &Tx, since: Timestamp) -> Result<Vec<PublicKey>, Error> {
    let sql = "-- published_keys\nSELECT public_jwk FROM signing_keys
               WHERE state IN ('next', 'current') OR retired_at > $1 ORDER BY created_at DESC, kid";
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
    Ok(StoredKey {
        algorithm: algorithm(row, 0)?,
        public: public(row, 1)?,
        private_sealed: Error::column(row, TABLE, 2)?,
    })
}

fn info(row: &Row) -> Result<KeyInfo, Error> {
    let state: String = Error::column(row, TABLE, 2)?;
    let state = match state.as_str() {
        "next" => State::Next,
        "current" => State::Current,
        "retired" => State::Retired,
        _ => return Err(inconsistent(TABLE, "state")),
    };
    Ok(KeyInfo {
        kid: Error::column(row, TABLE, 0)?,
        algorithm: algorithm(row, 1)?,
        state,
        created_at: Error::column(row, TABLE, 3)?,
        due_at: Error::column(row, TABLE, 4)?,
        retired_at: Error::column(row, TABLE, 5)?,
    })
}

fn algorithm(row: &Row, index: usize) -> Result<Algorithm, Error> {
    let name: String = Error::column(row, TABLE, index)?;
    Algorithm::parse(&name).ok_or_else(|| inconsistent(TABLE, "algorithm"))
}

fn public(row: &Row, index: usize) -> Result<PublicKey, Error> {
    let json: serde_json::Value = Error::column(row, TABLE, index)?;
    serde_json::from_value(json).map_err(|_| inconsistent(TABLE, "public_jwk"))
}
