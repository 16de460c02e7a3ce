//! Shares of pets.

use jiff::Timestamp;
use petty_chassis::access::Role;
use petty_chassis::page::Page;
use petty_chassis::postgres::{Error, Row, Tx};
use petty_chassis::types::{AccountId, EventId, PetId, ShareId};

use super::pets::after;
use super::{inconsistent, one};
use crate::domain::access::Share;
use crate::domain::account::Email;
use crate::vault::{Field, Vault};

const TABLE: &str = "shares";
/// The constraint that allows one share a pet and account.
pub(crate) const EXISTS: &str = "shares_live";

/// A conflict with [`EXISTS`] where the account has a share that is in force.
pub(crate) async fn insert(tx: &Tx, share: &Share) -> Result<(), Error> {
    let sql = "-- withdraw_expired\nUPDATE shares SET withdrawn_at = expires_at
               WHERE pet_id = $1 AND account_id = $2 AND withdrawn_at IS NULL AND expires_at <= $3";
    tx.execute(sql, &[&share.pet_id.0, &share.account_id.0, &share.created_at]).await?;
    let sql =
        "-- insert_share\nINSERT INTO shares (share_id, pet_id, account_id, role, created_at, expires_at)
               VALUES ($1, $2, $3, $4, $5, $6)";
    let Share { share_id, pet_id, account_id, email: _, role, expires_at, created_at } = share;
    let touched = tx
        .execute(sql, &[&share_id.0, &pet_id.0, &account_id.0, &role.as_str(), created_at, expires_at])
        .await?;
    one(touched, TABLE)
}

/// A page of a pet's shares in force, newest first, and one more.
pub(crate) async fn list(
    tx: &Tx,
    vault: &Vault,
    pet: PetId,
    now: Timestamp,
    page: &Page,
) -> Result<Vec<Share>, Error> {
    let sql = "-- list_shares\nSELECT s.share_id, s.pet_id, s.account_id, a.email_sealed, s.role, s.expires_at, s.created_at, k.wrapped
               FROM shares s JOIN accounts a USING (account_id) JOIN data_keys k USING (account_id)
               WHERE s.pet_id = $1 AND s.withdrawn_at IS NULL AND (s.expires_at IS NULL OR s.expires_at > $2)
                 AND ($3::timestamptz IS NULL OR (s.created_at, s.share_id) < ($3, $4::uuid))
               ORDER BY s.created_at DESC, s.share_id DESC LIMIT $5";
    let (time, id) = after(page);
    tx.query(sql, &[&pet.0, &now, &time, &id, &page.limit()])
        .await?
        .iter()
        .map(|row| read(row, vault))
        .collect()
}

/// Locks a share of a pet: with whom, and, where it was withdrawn, the event that told of it.
pub(crate) async fn lock(
    tx: &Tx,
    pet: PetId,
    share: ShareId,
) -> Result<Option<(AccountId, Option<EventId>)>, Error> {
    let sql = "-- lock_share\nSELECT account_id, withdrawn_event FROM shares WHERE pet_id = $1 AND share_id = $2 FOR UPDATE";
    let row = tx.query_opt(sql, &[&pet.0, &share.0]).await?;
    row.map(|row| {
        let event: Option<uuid::Uuid> = Error::column(&row, TABLE, 1)?;
        Ok((AccountId(Error::column(&row, TABLE, 0)?), event.map(EventId)))
    })
    .transpose()
}

/// Withdraws a share that is locked.
pub(crate) async fn withdraw(tx: &Tx, share: ShareId, now: Timestamp, event: EventId) -> Result<(), Error> {
    let sql =
        "-- withdraw_share\nUPDATE shares SET withdrawn_at = coalesce(withdrawn_at, $2), withdrawn_event = $3
               WHERE share_id = $1 AND withdrawn_event IS NULL";
    one(tx.execute(sql, &[&share.0, &now, &event.0]).await?, TABLE)
}

fn read(row: &Row, vault: &Vault) -> Result<Share, Error> {
    let account_id = AccountId(Error::column(row, TABLE, 2)?);
    let key = vault.key(account_id, Error::column(row, "data_keys", 7)?)?;
    let role: String = Error::column(row, TABLE, 4)?;
    Ok(Share {
        share_id: ShareId(Error::column(row, TABLE, 0)?),
        pet_id: PetId(Error::column(row, TABLE, 1)?),
        account_id,
        email: Email::stored(key.open(Field::EMAIL, Error::column(row, "accounts", 3)?)?),
        role: Role::parse(&role).ok_or_else(|| inconsistent(TABLE, "role"))?,
        expires_at: Error::column(row, TABLE, 5)?,
        created_at: Error::column(row, TABLE, 6)?,
    })
}
