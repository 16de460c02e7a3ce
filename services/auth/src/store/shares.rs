//! Shares of pets: given to an address, or by the link of a token, and taken up by an account.

use jiff::Timestamp;
use petty_chassis::access::Role;
use petty_chassis::page::Page;
use petty_chassis::postgres::{Error, Row, Tx};
use petty_chassis::types::{AccountId, EventId, PetId, ShareId};

use super::pets::after;
use super::{accounts, inconsistent, one};
use crate::domain::access::Share;
use crate::domain::account::Email;
use crate::vault::{Field, Vault};

const TABLE: &str = "shares";
/// The constraint that allows one share a pet and address.
pub(crate) const EXISTS: &str = "shares_address";

/// A conflict with [`EXISTS`] where the address has a share that is in force. `account` is who has the address already.
pub(crate) async fn give(
    tx: &Tx,
    vault: &Vault,
    owner: AccountId,
    (share, email): (&Share, &Email),
    account: Option<AccountId>,
) -> Result<(), Error> {
    let Share { share_id, pet_id, email: _, accept_before: _, role, expires_at, created_at } = share;
    let index = accounts::email_index(vault, email);
    let sql = "-- withdraw_expired\nUPDATE shares SET withdrawn_at = expires_at
               WHERE pet_id = $1 AND withdrawn_at IS NULL AND expires_at <= $3
                 AND (email_index = $2 OR (email_index IS NULL AND account_id = $4))";
    tx.execute(sql, &[&pet_id.0, &index, created_at, &account.map(|account| account.0)]).await?;
    // A share from before addresses were kept was given to the account's own.
    let sql = "-- earlier_share\nSELECT 1 FROM shares WHERE pet_id = $1 AND account_id = $2 AND withdrawn_at IS NULL
               AND email_index IS NULL AND link_hash IS NULL";
    if tx.query_opt(sql, &[&pet_id.0, &account.map(|account| account.0)]).await?.is_some() {
        return Err(Error::Conflict { constraint: EXISTS.to_owned() });
    }
    let sealed = vault.seal_for(tx, owner, Field::SHARE_EMAIL, email.address()).await?;
    let sql = "-- give_share\nINSERT INTO shares
               (share_id, pet_id, account_id, email_index, email_sealed, role, created_at, expires_at, accepted_at)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, CASE WHEN $3::uuid IS NULL THEN NULL ELSE $7::timestamptz END)";
    let touched = tx
        .execute(
            sql,
            &[
                &share_id.0,
                &pet_id.0,
                &account.map(|account| account.0),
                &index,
                &sealed,
                &role.as_str(),
                created_at,
                expires_at,
            ],
        )
        .await?;
    one(touched, TABLE)
}

/// Adds a share that waits for whoever first shows the token of a link.
pub(crate) async fn offer(tx: &Tx, share: &Share, token: &[u8; 32]) -> Result<(), Error> {
    let sql =
        "-- offer_share\nINSERT INTO shares (share_id, pet_id, link_hash, accept_before, role, created_at, expires_at)
               VALUES ($1, $2, $3, $4, $5, $6, $7)";
    let Share { share_id, pet_id, email: _, accept_before, role, expires_at, created_at } = share;
    let touched = tx
        .execute(
            sql,
            &[
                &share_id.0,
                &pet_id.0,
                &token.as_slice(),
                accept_before,
                &role.as_str(),
                created_at,
                expires_at,
            ],
        )
        .await?;
    one(touched, TABLE)
}

/// What a link's token is good for.
pub(crate) struct Offered {
    pub(crate) share_id: ShareId,
    pub(crate) pet_id: PetId,
    pub(crate) role: Role,
    /// Whose the pet is.
    pub(crate) owner: AccountId,
    /// Who took it up before.
    pub(crate) taken_by: Option<AccountId>,
}

/// Locks the share of a link's token, where it is in force and waits, or was taken up: nobody else takes it up meanwhile.
pub(crate) async fn lock_offered(
    tx: &Tx,
    token: &[u8; 32],
    now: Timestamp,
) -> Result<Option<Offered>, Error> {
    let sql = "-- lock_offered\nSELECT s.share_id, s.pet_id, s.role, p.account_id, s.account_id
               FROM shares s JOIN pets p USING (pet_id)
               WHERE s.link_hash = $1 AND s.withdrawn_at IS NULL AND (s.expires_at IS NULL OR s.expires_at > $2)
                 AND (s.account_id IS NOT NULL OR s.accept_before > $2)
               FOR UPDATE OF s";
    let row = tx.query_opt(sql, &[&token.as_slice(), &now]).await?;
    row.map(|row| {
        Ok(Offered {
            share_id: ShareId(Error::column(&row, TABLE, 0)?),
            pet_id: PetId(Error::column(&row, TABLE, 1)?),
            role: role(&row, 2)?,
            owner: AccountId(Error::column(&row, "pets", 3)?),
            taken_by: Error::column::<Option<uuid::Uuid>>(&row, TABLE, 4)?.map(AccountId),
        })
    })
    .transpose()
}

/// Gives a share that is locked and waits to an account.
pub(crate) async fn take(tx: &Tx, share: ShareId, account: AccountId, now: Timestamp) -> Result<(), Error> {
    let sql = "-- take_share\nUPDATE shares SET account_id = $2, accepted_at = $3
               WHERE share_id = $1 AND account_id IS NULL AND withdrawn_at IS NULL";
    one(tx.execute(sql, &[&share.0, &account.0, &now]).await?, TABLE)
}

/// Gives an account the shares that wait for its address: each with its pet.
pub(crate) async fn take_up(
    tx: &Tx,
    vault: &Vault,
    (account, email): (AccountId, &Email),
    now: Timestamp,
) -> Result<Vec<(ShareId, PetId)>, Error> {
    let sql = "-- take_up_shares\nUPDATE shares s SET account_id = $1, accepted_at = $3 FROM pets p
               WHERE s.email_index = $2 AND s.account_id IS NULL AND s.withdrawn_at IS NULL
                 AND (s.expires_at IS NULL OR s.expires_at > $3) AND p.pet_id = s.pet_id AND p.account_id <> $1
               RETURNING s.share_id, s.pet_id";
    let rows = tx.query(sql, &[&account.0, &accounts::email_index(vault, email), &now]).await?;
    rows.iter()
        .map(|row| Ok((ShareId(Error::column(row, TABLE, 0)?), PetId(Error::column(row, TABLE, 1)?))))
        .collect()
}

/// A page of a pet's shares that are in force or wait, newest first, and one more.
pub(crate) async fn list(
    tx: &Tx,
    vault: &Vault,
    pet: PetId,
    now: Timestamp,
    page: &Page,
) -> Result<Vec<Share>, Error> {
    let sql = "-- list_shares\nSELECT s.share_id, s.pet_id, s.role, s.expires_at, s.created_at,
                      CASE WHEN s.account_id IS NULL THEN s.accept_before END, s.email_sealed, p.account_id, ok.wrapped,
                      a.email_sealed, a.account_id, ak.wrapped
               FROM shares s JOIN pets p USING (pet_id) JOIN data_keys ok ON ok.account_id = p.account_id
               LEFT JOIN accounts a ON a.account_id = s.account_id LEFT JOIN data_keys ak ON ak.account_id = s.account_id
               WHERE s.pet_id = $1 AND s.withdrawn_at IS NULL AND (s.expires_at IS NULL OR s.expires_at > $2)
                 AND (s.account_id IS NOT NULL OR s.accept_before IS NULL OR s.accept_before > $2)
                 AND ($3::timestamptz IS NULL OR (s.created_at, s.share_id) < ($3, $4::uuid))
               ORDER BY s.created_at DESC, s.share_id DESC LIMIT $5";
    let (time, id) = after(page);
    let rows = tx.query(sql, &[&pet.0, &now, &time, &id, &page.limit()]).await?;
    rows.iter().map(|row| read(row, vault)).collect()
}

/// Locks a share of a pet: with whom, and, where it was withdrawn, the event that told of it.
pub(crate) async fn lock(
    tx: &Tx,
    pet: PetId,
    share: ShareId,
) -> Result<Option<(Option<AccountId>, Option<EventId>)>, Error> {
    let sql = "-- lock_share\nSELECT account_id, withdrawn_event FROM shares WHERE pet_id = $1 AND share_id = $2 FOR UPDATE";
    let row = tx.query_opt(sql, &[&pet.0, &share.0]).await?;
    row.map(|row| {
        let account: Option<uuid::Uuid> = Error::column(&row, TABLE, 0)?;
        let event: Option<uuid::Uuid> = Error::column(&row, TABLE, 1)?;
        Ok((account.map(AccountId), event.map(EventId)))
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
    // As the owner wrote it; without that, the address of whoever took the share up.
    let written: Option<Vec<u8>> = Error::column(row, TABLE, 6)?;
    let of_account: Option<Vec<u8>> = Error::column(row, "accounts", 9)?;
    let email = match (written, of_account) {
        (Some(sealed), _) => {
            let owner = AccountId(Error::column(row, "pets", 7)?);
            let key = vault.key(owner, Error::column(row, "data_keys", 8)?)?;
            Some(key.open(Field::SHARE_EMAIL, &sealed)?)
        }
        (None, Some(sealed)) => {
            let account = AccountId(Error::column(row, "accounts", 10)?);
            let key = vault.key(account, Error::column(row, "data_keys", 11)?)?;
            Some(key.open(Field::EMAIL, &sealed)?)
        }
        (None, None) => None,
    };
    Ok(Share {
        share_id: ShareId(Error::column(row, TABLE, 0)?),
        pet_id: PetId(Error::column(row, TABLE, 1)?),
        role: role(row, 2)?,
        expires_at: Error::column(row, TABLE, 3)?,
        created_at: Error::column(row, TABLE, 4)?,
        accept_before: Error::column(row, TABLE, 5)?,
        email: email.map(Email::stored),
    })
}

fn role(row: &Row, column: usize) -> Result<Role, Error> {
    let role: String = Error::column(row, TABLE, column)?;
    Role::parse(&role).ok_or_else(|| inconsistent(TABLE, "role"))
}
