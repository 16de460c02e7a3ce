//! Changes of accounts: passphrase, address, profile. The account's row is locked before anything about it is decided.

use jiff::Timestamp;
use petty_chassis::postgres::{Error, Tx};
use petty_chassis::types::AccountId;

use super::accounts::email_index;
use super::one;
use crate::domain::account::{Account, Email};
use crate::vault::{Field, Vault};

const TABLE: &str = "accounts";

/// Writes the hash of another passphrase of an account that is locked.
pub(crate) async fn set_password(tx: &Tx, account: AccountId, hash: &str) -> Result<(), Error> {
    let sql = "-- set_password\nUPDATE accounts SET password_hash = $2 WHERE account_id = $1";
    one(tx.execute(sql, &[&account.0, &hash]).await?, TABLE)
}

/// Notes that an account's address is confirmed; the first time counts.
pub(crate) async fn confirm_email(tx: &Tx, account: AccountId, now: Timestamp) -> Result<(), Error> {
    let sql = "-- confirm_email\nUPDATE accounts SET email_verified_at = coalesce(email_verified_at, $2)
               WHERE account_id = $1";
    one(tx.execute(sql, &[&account.0, &now]).await?, TABLE)
}

/// Writes another address, which is confirmed; a conflict with [`super::accounts::EMAIL_TAKEN`] where it has an account.
pub(crate) async fn set_email(
    tx: &Tx,
    vault: &Vault,
    account: AccountId,
    email: &Email,
    now: Timestamp,
) -> Result<(), Error> {
    let sealed = vault.seal_for(tx, account, Field::EMAIL, email.address()).await?;
    let sql = "-- set_email\nUPDATE accounts SET email_sealed = $2, email_index = $3, email_verified_at = $4
               WHERE account_id = $1";
    one(tx.execute(sql, &[&account.0, &sealed, &email_index(vault, email), &now]).await?, TABLE)
}

/// Writes name and time zone.
pub(crate) async fn set_profile(tx: &Tx, vault: &Vault, account: &Account) -> Result<(), Error> {
    let Account { account_id, name, time_zone, .. } = account;
    let name = match name {
        Some(name) => Some(vault.seal_for(tx, *account_id, Field::NAME, name).await?),
        None => None,
    };
    let sql = "-- set_profile\nUPDATE accounts SET name_sealed = $2, time_zone = $3 WHERE account_id = $1";
    one(tx.execute(sql, &[&account_id.0, &name, &time_zone.as_str()]).await?, TABLE)
}

/// An account by its address, and whether that is confirmed. Opens nothing: as much work whether there is one or not.
pub(crate) async fn holder(
    tx: &Tx,
    vault: &Vault,
    email: &Email,
) -> Result<Option<(AccountId, bool)>, Error> {
    let sql =
        "-- holder\nSELECT account_id, email_verified_at IS NOT NULL FROM accounts WHERE email_index = $1";
    let row = tx.query_opt(sql, &[&email_index(vault, email)]).await?;
    row.map(|row| Ok((AccountId(Error::column(&row, TABLE, 0)?), Error::column(&row, TABLE, 1)?))).transpose()
}
