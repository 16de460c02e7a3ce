//! An account's sessions, all together.

use jiff::Timestamp;
use petty_chassis::page::Page;
use petty_chassis::postgres::{Error, Row, Tx};
use petty_chassis::types::{AccountId, EventId, SessionId};

use super::pets::after;
use super::sessions::EndReason;

const TABLE: &str = "sessions";

/// A session, as its account sees it.
#[derive(Debug)]
pub(crate) struct Listed {
    pub(crate) session_id: SessionId,
    pub(crate) created_at: Timestamp,
    pub(crate) used_at: Timestamp,
    pub(crate) expires_at: Timestamp,
    pub(crate) client: Option<String>,
}

/// A page of the sessions of an account that stand, newest first, and one more.
pub(crate) async fn list(
    tx: &Tx,
    account: AccountId,
    now: Timestamp,
    page: &Page,
) -> Result<Vec<Listed>, Error> {
    let sql = "-- list_sessions\nSELECT s.session_id, s.created_at, t.used_at, s.expires_at, s.client
               FROM sessions s CROSS JOIN LATERAL (
                   SELECT max(created_at) AS used_at FROM refresh_tokens WHERE session_id = s.session_id
               ) t
               WHERE s.account_id = $1 AND s.ended_at IS NULL AND s.expires_at > $2
                 AND ($3::timestamptz IS NULL OR (s.created_at, s.session_id) < ($3, $4::uuid))
               ORDER BY s.created_at DESC, s.session_id DESC LIMIT $5";
    let (time, id) = after(page);
    tx.query(sql, &[&account.0, &now, &time, &id, &page.limit()]).await?.iter().map(read).collect()
}

/// Locks the sessions of an account that stand, but for one, in one order.
pub(crate) async fn lock_standing(
    tx: &Tx,
    account: AccountId,
    except: Option<SessionId>,
    now: Timestamp,
) -> Result<Vec<SessionId>, Error> {
    let sql = "-- lock_sessions\nSELECT session_id FROM sessions
               WHERE account_id = $1 AND ended_at IS NULL AND expires_at > $2 AND session_id IS DISTINCT FROM $3
               ORDER BY session_id FOR UPDATE";
    ids(&tx.query(sql, &[&account.0, &now, &except.map(|session| session.0)]).await?)
}

/// Locks the sessions of an account that stand, in one order, but for so many that were used last. The account is locked: no other
/// session of it begins meanwhile.
pub(crate) async fn lock_surplus(
    tx: &Tx,
    account: AccountId,
    kept: i64,
    now: Timestamp,
) -> Result<Vec<SessionId>, Error> {
    // A chain's live end is as old as the last use of its session. Who locked one meanwhile may have ended it.
    let sql = "-- lock_surplus_sessions\nSELECT session_id FROM sessions
               WHERE ended_at IS NULL AND session_id IN (
                   SELECT s.session_id FROM sessions s
                   LEFT JOIN refresh_tokens t ON t.session_id = s.session_id AND t.used_at IS NULL
                   WHERE s.account_id = $1 AND s.ended_at IS NULL AND s.expires_at > $2
                   ORDER BY coalesce(t.created_at, s.created_at) DESC, s.session_id DESC OFFSET $3
               )
               ORDER BY session_id FOR UPDATE";
    ids(&tx.query(sql, &[&account.0, &now, &kept]).await?)
}

/// The events that told of the ends of an account's sessions for a reason, since then.
pub(crate) async fn told_ends(
    tx: &Tx,
    account: AccountId,
    reason: EndReason,
    since: Timestamp,
) -> Result<Vec<EventId>, Error> {
    let sql = "-- told_ends\nSELECT ended_event FROM sessions
               WHERE account_id = $1 AND end_reason = $2 AND ended_at > $3 AND ended_event IS NOT NULL";
    let rows = tx.query(sql, &[&account.0, &reason.as_str(), &since]).await?;
    rows.iter().map(|row| Ok(EventId(Error::column(row, TABLE, 0)?))).collect()
}

fn ids(rows: &[Row]) -> Result<Vec<SessionId>, Error> {
    rows.iter().map(|row| Ok(SessionId(Error::column(row, TABLE, 0)?))).collect()
}

fn read(row: &Row) -> Result<Listed, Error> {
    let created_at: Timestamp = Error::column(row, TABLE, 1)?;
    let used_at: Option<Timestamp> = Error::column(row, TABLE, 2)?;
    Ok(Listed {
        session_id: SessionId(Error::column(row, TABLE, 0)?),
        created_at,
        used_at: used_at.unwrap_or(created_at),
        expires_at: Error::column(row, TABLE, 3)?,
        client: Error::column(row, TABLE, 4)?,
    })
}
