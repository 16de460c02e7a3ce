//! Platform roles of accounts.

use jiff::Timestamp;
use petty_chassis::page::Page;
use petty_chassis::postgres::{Error, Row, Tx};
use petty_chassis::types::AccountId;

use super::one;
use super::pets::after;
use crate::domain::staff::PlatformRole;

const TABLE: &str = "accounts";

/// A member of the staff.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) account_id: AccountId,
    pub(crate) roles: Vec<String>,
    /// When the account was opened.
    pub(crate) created_at: Timestamp,
}

/// Waits until nobody else is changing roles, to the end of the transaction: how many admins there are is decided on.
pub(crate) async fn lock(tx: &Tx) -> Result<(), Error> {
    let sql = "-- lock_roles\nSELECT pg_advisory_xact_lock(hashtextextended('platform roles', 0))";
    tx.query(sql, &[]).await.map(|_| ())
}

/// An account's roles; `None` where there is no such account.
pub(crate) async fn roles(tx: &Tx, account: AccountId) -> Result<Option<Vec<String>>, Error> {
    let sql = "-- platform_roles\nSELECT roles FROM accounts WHERE account_id = $1";
    let row = tx.query_opt(sql, &[&account.0]).await?;
    row.map(|row| Error::column(&row, TABLE, 0)).transpose()
}

/// How many admins there are.
pub(crate) async fn admins(tx: &Tx) -> Result<usize, Error> {
    let sql = "-- admins\nSELECT account_id FROM accounts WHERE roles <> '{}' AND 'admin' = ANY (roles)";
    Ok(tx.query(sql, &[]).await?.len())
}

/// Gives a role; whether that changed anything.
pub(crate) async fn grant(tx: &Tx, account: AccountId, role: PlatformRole) -> Result<bool, Error> {
    let sql = "-- grant_role\nUPDATE accounts SET roles = array_append(roles, $2)
               WHERE account_id = $1 AND NOT $2 = ANY (roles)";
    Ok(tx.execute(sql, &[&account.0, &role.as_str()]).await? == 1)
}

/// Takes a role.
pub(crate) async fn withdraw(tx: &Tx, account: AccountId, role: PlatformRole) -> Result<(), Error> {
    let sql = "-- withdraw_role\nUPDATE accounts SET roles = array_remove(roles, $2)
               WHERE account_id = $1 AND $2 = ANY (roles)";
    one(tx.execute(sql, &[&account.0, &role.as_str()]).await?, TABLE)
}

/// A page of the accounts that have a role, oldest first, and one more.
pub(crate) async fn list(tx: &Tx, page: &Page) -> Result<Vec<Member>, Error> {
    let sql = "-- list_staff\nSELECT account_id, roles, created_at FROM accounts
               WHERE roles <> '{}' AND ($1::timestamptz IS NULL OR (created_at, account_id) > ($1, $2::uuid))
               ORDER BY created_at, account_id LIMIT $3";
    let read = |row: &Row| {
        Ok(Member {
            account_id: AccountId(Error::column(row, TABLE, 0)?),
            roles: Error::column(row, TABLE, 1)?,
            created_at: Error::column(row, TABLE, 2)?,
        })
    };
    let (time, id) = after(page);
    tx.query(sql, &[&time, &id, &page.limit()]).await?.iter().map(read).collect()
}
