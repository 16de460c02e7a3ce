//! Accounts. Addresses and names are sealed under the account's own key; addresses are found by their blind index.

use jiff::Timestamp;
use petty_chassis::postgres::{Error, Row, Tx};
use petty_chassis::types::{AccountId, EventId};

use super::vault as keys;
use super::{inconsistent, one};
use crate::domain::account::{Account, Email};
use crate::domain::text::TimeZoneName;
use crate::vault::{Field, Purpose, Vault};

const TABLE: &str = "accounts";
const CLOSED: &str = "closed_accounts";
/// The constraint that refuses an address twice.
pub(crate) const EMAIL_TAKEN: &str = "accounts_email_index";

/// What a log-in is checked against.
pub(crate) struct Credentials {
    pub(crate) account_id: AccountId,
    pub(crate) password_hash: String,
    pub(crate) scope: String,
    /// Platform roles.
    pub(crate) roles: Vec<String>,
}

/// What stands there as it is, from before the vault.
pub(crate) struct Plain {
    account_id: AccountId,
    email: String,
    name: Option<String>,
}

/// Opens an account; a conflict with [`EMAIL_TAKEN`] where the address has one.
pub(crate) async fn insert(
    tx: &Tx,
    vault: &Vault,
    account: &Account,
    password_hash: &str,
    scope: &str,
) -> Result<(), Error> {
    let sql = "-- insert_account\nINSERT INTO accounts
               (account_id, email_sealed, email_index, name_sealed, time_zone, password_hash, scope, created_at,
                email_verified_at)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
    let Account { account_id, email, name, time_zone, created_at, email_verified_at } = account;
    let (key, kept) = vault.new_key(*account_id)?;
    let name = name.as_deref().map(|name| key.seal(Field::NAME, name)).transpose()?;
    let touched = tx
        .execute(
            sql,
            &[
                &account_id.0,
                &key.seal(Field::EMAIL, email.address())?,
                &email_index(vault, email),
                &name,
                &time_zone.as_str(),
                &password_hash,
                &scope,
                created_at,
                email_verified_at,
            ],
        )
        .await?;
    one(touched, TABLE)?;
    keys::add_data_key(tx, *account_id, &kept, *created_at).await
}

pub(crate) async fn credentials(tx: &Tx, vault: &Vault, email: &Email) -> Result<Option<Credentials>, Error> {
    let sql =
        "-- credentials\nSELECT account_id, password_hash, scope, roles FROM accounts WHERE email_index = $1";
    let row = tx.query_opt(sql, &[&email_index(vault, email)]).await?;
    row.map(|row| {
        Ok(Credentials {
            account_id: AccountId(Error::column(&row, TABLE, 0)?),
            password_hash: Error::column(&row, TABLE, 1)?,
            scope: Error::column(&row, TABLE, 2)?,
            roles: Error::column(&row, TABLE, 3)?,
        })
    })
    .transpose()
}

/// The hash of an account's passphrase, which stays until the transaction ends.
pub(crate) async fn lock_password_hash(tx: &Tx, account_id: AccountId) -> Result<Option<String>, Error> {
    let sql = "-- lock_password_hash\nSELECT password_hash FROM accounts WHERE account_id = $1 FOR UPDATE";
    tx.query_opt(sql, &[&account_id.0]).await?.map(|row| Error::column(&row, TABLE, 0)).transpose()
}

/// Puts a passphrase's new hash in the place of its old one; nothing where that is not the passphrase's hash any more.
pub(crate) async fn rehash(tx: &Tx, account_id: AccountId, old: &str, new: &str) -> Result<(), Error> {
    let sql =
        "-- rehash\nUPDATE accounts SET password_hash = $3 WHERE account_id = $1 AND password_hash = $2";
    tx.execute(sql, &[&account_id.0, &old, &new]).await.map(|_| ())
}

pub(crate) async fn get(tx: &Tx, vault: &Vault, account_id: AccountId) -> Result<Option<Account>, Error> {
    let sql =
        "-- get_account\nSELECT a.account_id, a.email_sealed, a.name_sealed, a.time_zone, a.created_at, k.wrapped,
                      a.email_verified_at
               FROM accounts a JOIN data_keys k USING (account_id) WHERE a.account_id = $1";
    tx.query_opt(sql, &[&account_id.0]).await?.map(|row| read(&row, vault)).transpose()
}

pub(crate) async fn by_email(tx: &Tx, vault: &Vault, email: &Email) -> Result<Option<Account>, Error> {
    let sql =
        "-- account_by_email\nSELECT a.account_id, a.email_sealed, a.name_sealed, a.time_zone, a.created_at, k.wrapped,
                      a.email_verified_at
               FROM accounts a JOIN data_keys k USING (account_id) WHERE a.email_index = $1";
    tx.query_opt(sql, &[&email_index(vault, email)]).await?.map(|row| read(&row, vault)).transpose()
}

/// The hash that an account's passphrase is verified with.
pub(crate) async fn password_hash(tx: &Tx, account_id: AccountId) -> Result<Option<String>, Error> {
    let sql = "-- password_hash\nSELECT password_hash FROM accounts WHERE account_id = $1";
    let row = tx.query_opt(sql, &[&account_id.0]).await?;
    row.map(|row| Error::column(&row, TABLE, 0)).transpose()
}

/// Locks an account, so that nothing more becomes its own; false where it is gone.
pub(crate) async fn lock(tx: &Tx, account_id: AccountId) -> Result<bool, Error> {
    let sql = "-- lock_account\nSELECT 1 FROM accounts WHERE account_id = $1 FOR UPDATE";
    Ok(tx.query_opt(sql, &[&account_id.0]).await?.is_some())
}

/// Removes an account that is locked and has no pets, with its data key and all that hangs on it; what is left is that it
/// was.
pub(crate) async fn close(
    tx: &Tx,
    account_id: AccountId,
    now: Timestamp,
    event: EventId,
) -> Result<(), Error> {
    let sql = "-- forget_shares_given\nDELETE FROM shares WHERE account_id = $1";
    tx.execute(sql, &[&account_id.0]).await?;
    let sql = "-- close_account\nDELETE FROM accounts WHERE account_id = $1";
    one(tx.execute(sql, &[&account_id.0]).await?, TABLE)?;
    let sql = "-- remember_closed_account\nINSERT INTO closed_accounts (account_id, closed_at, closed_event)
               VALUES ($1, $2, $3)";
    one(tx.execute(sql, &[&account_id.0, &now, &event.0]).await?, CLOSED)
}

/// The event that told of the end of an account, if it was closed.
pub(crate) async fn closing(tx: &Tx, account_id: AccountId) -> Result<Option<EventId>, Error> {
    let sql = "-- closing\nSELECT closed_event FROM closed_accounts WHERE account_id = $1";
    let row = tx.query_opt(sql, &[&account_id.0]).await?;
    row.map(|row| Error::column(&row, CLOSED, 0).map(EventId)).transpose()
}

/// Locks accounts that are not sealed yet.
pub(crate) async fn lock_plain(tx: &Tx, most: i64) -> Result<Vec<Plain>, Error> {
    let sql = "-- lock_plain_accounts\nSELECT account_id, email, name FROM accounts WHERE email IS NOT NULL
               ORDER BY account_id LIMIT $1 FOR UPDATE";
    let rows = tx.query(sql, &[&most]).await?;
    rows.iter()
        .map(|row| {
            Ok(Plain {
                account_id: AccountId(Error::column(row, TABLE, 0)?),
                email: Error::column(row, TABLE, 1)?,
                name: Error::column(row, TABLE, 2)?,
            })
        })
        .collect()
}

/// Seals one that is locked, and empties what stood there.
pub(crate) async fn seal(tx: &Tx, vault: &Vault, plain: &Plain, now: Timestamp) -> Result<(), Error> {
    let Plain { account_id, email, name } = plain;
    let (key, kept) = vault.new_key(*account_id)?;
    keys::add_data_key(tx, *account_id, &kept, now).await?;
    let email = Email::stored(email.clone());
    let name = name.as_deref().map(|name| key.seal(Field::NAME, name)).transpose()?;
    let sql = "-- seal_account\nUPDATE accounts SET email = NULL, email_key = NULL, name = NULL,
                      email_sealed = $2, email_index = $3, name_sealed = $4
               WHERE account_id = $1 AND email IS NOT NULL";
    let sealed = key.seal(Field::EMAIL, email.address())?;
    one(tx.execute(sql, &[&account_id.0, &sealed, &email_index(vault, &email), &name]).await?, TABLE)
}

/// What an address is found by.
pub(crate) fn email_index(vault: &Vault, email: &Email) -> Vec<u8> {
    vault.blind_index(Purpose::EMAIL, email.key()).to_vec()
}

fn read(row: &Row, vault: &Vault) -> Result<Account, Error> {
    let account_id = AccountId(Error::column(row, TABLE, 0)?);
    let key = vault.key(account_id, Error::column(row, "data_keys", 5)?)?;
    let email: Option<Vec<u8>> = Error::column(row, TABLE, 1)?;
    let email = email.ok_or_else(|| inconsistent(TABLE, "email_sealed"))?;
    let name: Option<Vec<u8>> = Error::column(row, TABLE, 2)?;
    Ok(Account {
        account_id,
        email: Email::stored(key.open(Field::EMAIL, &email)?),
        name: name.map(|name| key.open(Field::NAME, &name)).transpose()?,
        time_zone: TimeZoneName::stored(Error::column(row, TABLE, 3)?),
        created_at: Error::column(row, TABLE, 4)?,
        email_verified_at: Error::column(row, TABLE, 6)?,
    })
}
