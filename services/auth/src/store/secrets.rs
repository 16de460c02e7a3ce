//! Collars' secrets that were replaced and are still good for a while.

use jiff::Timestamp;
use petty_chassis::postgres::{Error, Tx};
use petty_chassis::types::{PairingId, SessionId};

use super::one;
use crate::domain::pairing::{Pairing, Secret};

const TABLE: &str = "replaced_secrets";

/// Keeps a pairing's present secret, which is about to be replaced, until a time. The pairing is locked.
pub(crate) async fn keep(
    tx: &Tx,
    pairing: &Pairing,
    now: Timestamp,
    ends_at: Timestamp,
) -> Result<(), Error> {
    let sql = "-- keep_secret\nINSERT INTO replaced_secrets (credential_id, pairing_id, secret_hash, replaced_at, ends_at)
               SELECT credential_id, pairing_id, secret_hash, $3, $4 FROM pairings
               WHERE pairing_id = $1 AND credential_id = $2 AND end_at IS NULL";
    let Pairing { pairing_id, credential_id, .. } = pairing;
    one(tx.execute(sql, &[&pairing_id.0, &credential_id.0, &now, &ends_at]).await?, TABLE)
}

/// A pairing's replaced secrets that are still good, the newest first.
pub(crate) async fn good(tx: &Tx, pairing: PairingId, now: Timestamp) -> Result<Vec<Secret>, Error> {
    let sql = "-- good_secrets\nSELECT credential_id, secret_hash FROM replaced_secrets
               WHERE pairing_id = $1 AND ends_at > $2 ORDER BY replaced_at DESC";
    let rows = tx.query(sql, &[&pairing.0, &now]).await?;
    rows.iter()
        .map(|row| {
            let credential_id = SessionId(Error::column(row, TABLE, 0)?);
            Ok(Secret { credential_id, hash: Error::column(row, TABLE, 1)? })
        })
        .collect()
}

/// Ends all replaced secrets of a pairing at once: the credentials that were still good, or are not forgotten yet.
pub(crate) async fn end_all(tx: &Tx, pairing: PairingId) -> Result<Vec<SessionId>, Error> {
    let sql = "-- end_secrets\nDELETE FROM replaced_secrets WHERE pairing_id = $1 RETURNING credential_id";
    let rows = tx.query(sql, &[&pairing.0]).await?;
    rows.iter().map(|row| Ok(SessionId(Error::column(row, TABLE, 0)?))).collect()
}

/// Forgets those that are good no more.
pub(crate) async fn forget_ended(tx: &Tx, now: Timestamp) -> Result<u64, Error> {
    tx.execute("-- forget_secrets\nDELETE FROM replaced_secrets WHERE ends_at <= $1", &[&now]).await
}
