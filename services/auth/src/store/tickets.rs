//! Tickets for streams. A ticket is gone with its use: no two uses of one can both find it.

use jiff::Timestamp;
use petty_chassis::postgres::{Error, Tx};
use petty_chassis::types::{AccountId, SessionId};

use super::one;

const TABLE: &str = "stream_tickets";
const SESSIONS: &str = "sessions";

/// The session that a ticket stands for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Redeemed {
    pub(crate) session_id: SessionId,
    pub(crate) account_id: AccountId,
    /// When the session ends.
    pub(crate) expires_at: Timestamp,
}

/// Adds a ticket of a session's.
pub(crate) async fn add(
    tx: &Tx,
    ticket: &[u8; 32],
    session: SessionId,
    expires_at: Timestamp,
) -> Result<(), Error> {
    let sql =
        "-- add_ticket\nINSERT INTO stream_tickets (ticket_hash, session_id, expires_at) VALUES ($1, $2, $3)";
    one(tx.execute(sql, &[&ticket.as_slice(), &session.0, &expires_at]).await?, TABLE)
}

/// Uses a ticket up: the session it stood for, where both were good.
pub(crate) async fn redeem(tx: &Tx, ticket: &[u8; 32], now: Timestamp) -> Result<Option<Redeemed>, Error> {
    let sql = "-- redeem_ticket\nWITH used AS (
                   DELETE FROM stream_tickets WHERE ticket_hash = $1 RETURNING session_id, expires_at
               )
               SELECT s.session_id, s.account_id, s.expires_at FROM used JOIN sessions s USING (session_id)
               WHERE used.expires_at > $2 AND s.ended_at IS NULL AND s.expires_at > $2";
    let row = tx.query_opt(sql, &[&ticket.as_slice(), &now]).await?;
    row.map(|row| {
        Ok(Redeemed {
            session_id: SessionId(Error::column(&row, SESSIONS, 0)?),
            account_id: AccountId(Error::column(&row, SESSIONS, 1)?),
            expires_at: Error::column(&row, SESSIONS, 2)?,
        })
    })
    .transpose()
}

/// Forgets a session's tickets that nobody used in time.
pub(crate) async fn forget_expired_of(tx: &Tx, session: SessionId, now: Timestamp) -> Result<u64, Error> {
    let sql =
        "-- forget_session_tickets\nDELETE FROM stream_tickets WHERE session_id = $1 AND expires_at <= $2";
    tx.execute(sql, &[&session.0, &now]).await
}

/// Forgets all tickets that nobody used in time.
pub(crate) async fn forget_expired(tx: &Tx, now: Timestamp) -> Result<u64, Error> {
    tx.execute("-- forget_tickets\nDELETE FROM stream_tickets WHERE expires_at <= $1", &[&now]).await
}
