//! Accounts.

use petty_chassis::postgres::{Error, Row, Tx};
use petty_chassis::types::AccountId;

use super::one;
use crate::domain::account::{Account, Email};
use crate::domain::text::TimeZoneName;

const TABLE: &str = "accounts";
/// The constraint that refuses an address twice.
pub(crate) const EMAIL_TAKEN: &str = "accounts_email_key";

/// What a log-in is checked against.
pub(crate) struct Credentials {
    pub(crate) account_id: AccountId,
    pub(crate) password_hash: String,
    pub(crate) scope: String,
}

/// Opens an account; a conflict with [`EMAIL_TAKEN`] where the address has one.
pub(crate) async fn insert(
    tx: &Tx,
    account: &Account,
    password_hash: &str,
    scope: &str,
) -> Result<(), Error> {
    let sql = "-- insert_account\nINSERT INTO accounts
               (account_id, email, email_key, name, time_zone, password_hash, scope, created_at)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    let Account { account_id, email, name, time_zone, created_at } = account;
    let touched = tx
        .execute(
            sql,
            &[
                &account_id.0,
                &email.address(),
                &email.key(),
                name,
                &time_zone.as_str(),
                &password_hash,
                &scope,
                created_at,
            ],
        )
        .await?;
    one(touched, TABLE)
}

pub(crate) async fn credentials(tx: &Tx, email: &Email) -> Result<Option<Credentials>, Error> {
    let sql = "-- credentials\nSELECT account_id, password_hash, scope FROM accounts WHERE email_key = $1";
    let row = tx.query_opt(sql, &[&email.key()]).await?;
    row.map(|row| {
        Ok(Credentials {
            account_id: AccountId(Error::column(&row, TABLE, 0)?),
            password_hash: Error::column(&row, TABLE, 1)?,
            scope: Error::column(&row, TABLE, 2)?,
        })
    })
    .transpose()
}

pub(crate) async fn get(tx: &Tx, account_id: AccountId) -> Result<Option<Account>, Error> {
    let sql = "-- get_account\nSELECT account_id, email, name, time_zone, created_at FROM accounts WHERE account_id = $1";
    tx.query_opt(sql, &[&account_id.0]).await?.map(|row| read(&row)).transpose()
}

pub(crate) async fn by_email(tx: &Tx, email: &Email) -> Result<Option<Account>, Error> {
    let sql = "-- account_by_email\nSELECT account_id, email, name, time_zone, created_at FROM accounts WHERE email_key = $1";
    tx.query_opt(sql, &[&email.key()]).await?.map(|row| read(&row)).transpose()
}

fn read(row: &Row) -> Result<Account, Error> {
    Ok(Account {
        account_id: AccountId(Error::column(row, TABLE, 0)?),
        email: Email::stored(Error::column(row, TABLE, 1)?),
        name: Error::column(row, TABLE, 2)?,
        time_zone: TimeZoneName::stored(Error::column(row, TABLE, 3)?),
        created_at: Error::column(row, TABLE, 4)?,
    })
}
