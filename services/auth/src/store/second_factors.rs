//! Second factors and their recovery codes. A code is used up by one statement: no two uses of one can both succeed.

use jiff::Timestamp;
use petty_chassis::postgres::{Error, Tx};
use petty_chassis::types::AccountId;

use super::one;

const TABLE: &str = "second_factors";
const CODES: &str = "recovery_codes";

/// An account's second factor.
pub(crate) struct Factor {
    pub(crate) secret_sealed: Vec<u8>,
    pub(crate) confirmed_at: Option<Timestamp>,
}

/// An account's second factor, confirmed or not, locked.
pub(crate) async fn lock(tx: &Tx, account: AccountId) -> Result<Option<Factor>, Error> {
    let sql = "-- lock_second_factor\nSELECT secret_sealed, confirmed_at FROM second_factors WHERE account_id = $1 FOR UPDATE";
    let row = tx.query_opt(sql, &[&account.0]).await?;
    row.map(|row| {
        Ok(Factor {
            secret_sealed: Error::column(&row, TABLE, 0)?,
            confirmed_at: Error::column(&row, TABLE, 1)?,
        })
    })
    .transpose()
}

/// When an account's second factor was confirmed, if it was.
pub(crate) async fn active_since(tx: &Tx, account: AccountId) -> Result<Option<Timestamp>, Error> {
    let sql = "-- second_factor\nSELECT confirmed_at FROM second_factors WHERE account_id = $1";
    let row = tx.query_opt(sql, &[&account.0]).await?;
    Ok(row.map(|row| Error::column(&row, TABLE, 0)).transpose()?.flatten())
}

/// Whether an account has a second factor, which then stays until the transaction ends: where a passphrase is chosen that
/// is enough beside another factor alone.
pub(crate) async fn keep_active(tx: &Tx, account: AccountId) -> Result<bool, Error> {
    let sql = "-- keep_second_factor\nSELECT 1 FROM second_factors
               WHERE account_id = $1 AND confirmed_at IS NOT NULL FOR SHARE";
    Ok(tx.query_opt(sql, &[&account.0]).await?.is_some())
}

/// Keeps a new secret, in place of one that was not confirmed; false where there is one that was.
pub(crate) async fn enrol(tx: &Tx, account: AccountId, sealed: &[u8], now: Timestamp) -> Result<bool, Error> {
    let sql = "-- enrol_second_factor\nINSERT INTO second_factors AS f (account_id, secret_sealed, created_at) VALUES ($1, $2, $3)
               ON CONFLICT (account_id) DO UPDATE SET secret_sealed = $2, created_at = $3 WHERE f.confirmed_at IS NULL";
    Ok(tx.execute(sql, &[&account.0, &sealed, &now]).await? == 1)
}

/// Confirms a secret that is locked and was not confirmed, by the code of a step.
pub(crate) async fn confirm(tx: &Tx, account: AccountId, step: i64, now: Timestamp) -> Result<(), Error> {
    let sql = "-- confirm_second_factor\nUPDATE second_factors SET confirmed_at = $3, last_step = $2
               WHERE account_id = $1 AND confirmed_at IS NULL";
    one(tx.execute(sql, &[&account.0, &step, &now]).await?, TABLE)
}

/// Uses a step's code up; false where it, or a later one, was used.
pub(crate) async fn use_step(tx: &Tx, account: AccountId, step: i64) -> Result<bool, Error> {
    let sql = "-- use_step\nUPDATE second_factors SET last_step = $2
               WHERE account_id = $1 AND last_step < $2 AND confirmed_at IS NOT NULL";
    Ok(tx.execute(sql, &[&account.0, &step]).await? == 1)
}

/// Uses a recovery code up; false where there is no such, or it was used.
pub(crate) async fn use_recovery_code(
    tx: &Tx,
    account: AccountId,
    code: &[u8; 32],
    now: Timestamp,
) -> Result<bool, Error> {
    let sql = "-- use_recovery_code\nUPDATE recovery_codes SET used_at = $3
               WHERE account_id = $1 AND code_hash = $2 AND used_at IS NULL";
    Ok(tx.execute(sql, &[&account.0, &code.as_slice(), &now]).await? == 1)
}

/// How many recovery codes were not used.
pub(crate) async fn recovery_codes_left(tx: &Tx, account: AccountId) -> Result<i32, Error> {
    let sql = "-- recovery_codes_left\nSELECT count(*)::int FROM recovery_codes WHERE account_id = $1 AND used_at IS NULL";
    Error::column(&tx.query_one(sql, &[&account.0]).await?, CODES, 0)
}

/// Puts new recovery codes in the place of all others.
pub(crate) async fn renew_recovery_codes(
    tx: &Tx,
    account: AccountId,
    codes: &[[u8; 32]],
) -> Result<(), Error> {
    let sql = "-- forget_recovery_codes\nDELETE FROM recovery_codes WHERE account_id = $1";
    tx.execute(sql, &[&account.0]).await?;
    let sql = "-- add_recovery_code\nINSERT INTO recovery_codes (account_id, code_hash) VALUES ($1, $2)";
    for code in codes {
        one(tx.execute(sql, &[&account.0, &code.as_slice()]).await?, CODES)?;
    }
    Ok(())
}

/// Removes a second factor that is confirmed, with its recovery codes; false where there is none.
pub(crate) async fn remove(tx: &Tx, account: AccountId) -> Result<bool, Error> {
    let sql = "-- remove_second_factor\nDELETE FROM second_factors WHERE account_id = $1 AND confirmed_at IS NOT NULL";
    Ok(tx.execute(sql, &[&account.0]).await? == 1)
}
