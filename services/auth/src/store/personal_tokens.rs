//! Personal access tokens. Not kept themselves, only their SHA-256.

use jiff::Timestamp;
use petty_chassis::page::Page;
use petty_chassis::postgres::{Error, Row, Tx};
use petty_chassis::types::{AccountId, EventId, SessionId};

use super::one;
use super::pets::after;
use crate::domain::personal::PersonalToken;
use crate::vault::{Field, Vault};

const TABLE: &str = "personal_tokens";

/// How many of an account's are good, which is locked: its next is not made before this transaction ends.
pub(crate) async fn count(tx: &Tx, account: AccountId, now: Timestamp) -> Result<usize, Error> {
    let sql = "-- count_personal_tokens\nSELECT 1 FROM personal_tokens
               WHERE account_id = $1 AND deleted_at IS NULL AND expires_at > $2";
    Ok(tx.query(sql, &[&account.0, &now]).await?.len())
}

/// Adds one.
pub(crate) async fn insert(
    tx: &Tx,
    vault: &Vault,
    account: AccountId,
    token: &PersonalToken,
    hash: &[u8; 32],
) -> Result<(), Error> {
    let sql = "-- insert_personal_token\nINSERT INTO personal_tokens
               (token_id, account_id, token_hash, name_sealed, scope, created_at, expires_at)
               VALUES ($1, $2, $3, $4, $5, $6, $7)";
    let PersonalToken { token_id, name, scope, created_at, expires_at, last_used_at: _ } = token;
    let name = vault.seal_for(tx, account, Field::TOKEN_NAME, name).await?;
    let touched = tx
        .execute(sql, &[&token_id.0, &account.0, &hash.as_slice(), &name, scope, created_at, expires_at])
        .await?;
    one(touched, TABLE)
}

/// A page of an account's that are good, newest first, and one more.
pub(crate) async fn list(
    tx: &Tx,
    vault: &Vault,
    account: AccountId,
    now: Timestamp,
    page: &Page,
) -> Result<Vec<PersonalToken>, Error> {
    let sql = "-- list_personal_tokens\nSELECT token_id, scope, created_at, expires_at, last_used_at, name, name_sealed
               FROM personal_tokens WHERE account_id = $1 AND deleted_at IS NULL AND expires_at > $2
                 AND ($3::timestamptz IS NULL OR (created_at, token_id) < ($3, $4::uuid))
               ORDER BY created_at DESC, token_id DESC LIMIT $5";
    let (time, id) = after(page);
    let mut tokens = Vec::new();
    for row in tx.query(sql, &[&account.0, &now, &time, &id, &page.limit()]).await? {
        let (plain, sealed): (Option<String>, Option<Vec<u8>>) =
            (Error::column(&row, TABLE, 5)?, Error::column(&row, TABLE, 6)?);
        let name = match sealed {
            Some(sealed) => vault.open_for(tx, account, Field::TOKEN_NAME, &sealed).await?,
            None => plain.unwrap_or_default(),
        };
        tokens.push(PersonalToken { name, ..read(&row)? });
    }
    Ok(tokens)
}

/// Whose a token is, where it is good, but for its name; that it was used is noted, once a minute.
pub(crate) async fn used(
    tx: &Tx,
    hash: &[u8; 32],
    now: Timestamp,
    minute: Timestamp,
) -> Result<Option<(AccountId, PersonalToken)>, Error> {
    let sql =
        "-- good_personal_token\nSELECT token_id, scope, created_at, expires_at, last_used_at, account_id
               FROM personal_tokens WHERE token_hash = $1 AND deleted_at IS NULL AND expires_at > $2";
    let Some(row) = tx.query_opt(sql, &[&hash.as_slice(), &now]).await? else { return Ok(None) };
    let token = read(&row)?;
    if token.last_used_at.is_none_or(|last| last < minute) {
        let sql = "-- note_token_use\nUPDATE personal_tokens SET last_used_at = $2
                   WHERE token_id = $1 AND (last_used_at IS NULL OR last_used_at < $2)";
        tx.execute(sql, &[&token.token_id.0, &minute]).await?;
    }
    Ok(Some((AccountId(Error::column(&row, TABLE, 5)?), token)))
}

/// Locks a token by its hash, unless it ended by itself: whose it is, its id, and the event that told of its end, if it was
/// ended.
pub(crate) async fn lock_shown(
    tx: &Tx,
    hash: &[u8; 32],
    now: Timestamp,
) -> Result<Option<(AccountId, SessionId, Option<EventId>)>, Error> {
    let sql = "-- lock_shown_token\nSELECT account_id, token_id, deleted_event FROM personal_tokens
               WHERE token_hash = $1 AND (deleted_at IS NOT NULL OR expires_at > $2) FOR UPDATE";
    let Some(row) = tx.query_opt(sql, &[&hash.as_slice(), &now]).await? else { return Ok(None) };
    let event: Option<uuid::Uuid> = Error::column(&row, TABLE, 2)?;
    let (account, token) = (Error::column(&row, TABLE, 0)?, Error::column(&row, TABLE, 1)?);
    Ok(Some((AccountId(account), SessionId(token), event.map(EventId))))
}

/// Locks an account's tokens that are good, in one order.
pub(crate) async fn lock_good(tx: &Tx, account: AccountId, now: Timestamp) -> Result<Vec<SessionId>, Error> {
    let sql = "-- lock_good_tokens\nSELECT token_id FROM personal_tokens
               WHERE account_id = $1 AND deleted_at IS NULL AND expires_at > $2 ORDER BY token_id FOR UPDATE";
    let rows = tx.query(sql, &[&account.0, &now]).await?;
    rows.iter().map(|row| Ok(SessionId(Error::column(row, TABLE, 0)?))).collect()
}

/// Locks an account's token: `None` where there is none; otherwise the event that told of its end, if it was ended.
pub(crate) async fn lock(
    tx: &Tx,
    account: AccountId,
    token: SessionId,
) -> Result<Option<Option<EventId>>, Error> {
    let sql = "-- lock_personal_token\nSELECT deleted_event FROM personal_tokens
               WHERE token_id = $1 AND account_id = $2 FOR UPDATE";
    let row = tx.query_opt(sql, &[&token.0, &account.0]).await?;
    row.map(|row| Ok(Error::column::<Option<uuid::Uuid>>(&row, TABLE, 0)?.map(EventId))).transpose()
}

/// Ends a token that is locked and has not ended.
pub(crate) async fn end(tx: &Tx, token: SessionId, now: Timestamp, event: EventId) -> Result<(), Error> {
    let sql = "-- end_personal_token\nUPDATE personal_tokens SET deleted_at = $2, deleted_event = $3
               WHERE token_id = $1 AND deleted_at IS NULL";
    one(tx.execute(sql, &[&token.0, &now, &event.0]).await?, TABLE)
}

/// Forgets those that ended before a time, either way.
pub(crate) async fn forget_ended(tx: &Tx, before: Timestamp) -> Result<u64, Error> {
    let sql =
        "-- forget_personal_tokens\nDELETE FROM personal_tokens WHERE expires_at < $1 OR deleted_at < $1";
    tx.execute(sql, &[&before]).await
}

fn read(row: &Row) -> Result<PersonalToken, Error> {
    Ok(PersonalToken {
        token_id: SessionId(Error::column(row, TABLE, 0)?),
        name: String::new(),
        scope: Error::column(row, TABLE, 1)?,
        created_at: Error::column(row, TABLE, 2)?,
        expires_at: Error::column(row, TABLE, 3)?,
        last_used_at: Error::column(row, TABLE, 4)?,
    })
}
