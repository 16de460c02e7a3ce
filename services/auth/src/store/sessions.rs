//! Sessions and their chains of refresh tokens. The session's row is locked before anything about its chain is decided.

use jiff::Timestamp;
use petty_chassis::postgres::{Error, Tx};
use petty_chassis::types::{AccountId, EventId, SessionId};

use super::one;
use crate::domain::session::{Presented, Standing};

const TABLE: &str = "sessions";
const TOKENS: &str = "refresh_tokens";

/// A session to be opened.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NewSession {
    pub(crate) session_id: SessionId,
    pub(crate) account_id: AccountId,
    pub(crate) created_at: Timestamp,
    pub(crate) expires_at: Timestamp,
    pub(crate) ends_at: Timestamp,
}

/// A session with a token of its chain, locked.
pub(crate) struct Chain {
    pub(crate) session_id: SessionId,
    pub(crate) account_id: AccountId,
    pub(crate) scope: String,
    pub(crate) ends_at: Timestamp,
    pub(crate) session: Standing,
    pub(crate) token: Presented,
    /// The sealed successor, where the token was used.
    pub(crate) successor: Option<Vec<u8>>,
}

/// Why a session ended.
#[derive(Clone, Copy, Debug)]
pub(crate) enum EndReason {
    LoggedOut,
    TokenReused,
    /// By its account, from another session.
    Ended,
    /// There were too many.
    Surplus,
    PasswordChanged,
    PasswordReset,
}

impl EndReason {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::LoggedOut => "LOGGED_OUT",
            Self::TokenReused => "TOKEN_REUSED",
            Self::Ended => "ENDED",
            Self::Surplus => "SURPLUS",
            Self::PasswordChanged => "PASSWORD_CHANGED",
            Self::PasswordReset => "PASSWORD_RESET",
        }
    }
}

/// Opens a session with the first token of its chain.
pub(crate) async fn open(tx: &Tx, session: &NewSession, scope: &str, token: &[u8; 32]) -> Result<(), Error> {
    let sql = "-- open_session\nINSERT INTO sessions (session_id, account_id, scope, created_at, expires_at, ends_at)
               VALUES ($1, $2, $3, $4, $5, $6)";
    let NewSession { session_id, account_id, created_at, expires_at, ends_at } = session;
    let touched =
        tx.execute(sql, &[&session_id.0, &account_id.0, &scope, created_at, expires_at, ends_at]).await?;
    one(touched, TABLE)?;
    add_token(tx, *session_id, 1, token, *created_at).await
}

/// Finds a token's chain and locks it.
pub(crate) async fn lock_chain(tx: &Tx, token: &[u8; 32]) -> Result<Option<Chain>, Error> {
    let sql = "-- session_of_token\nSELECT session_id FROM refresh_tokens WHERE token_hash = $1";
    let Some(row) = tx.query_opt(sql, &[&token.as_slice()]).await? else { return Ok(None) };
    let session_id: uuid::Uuid = Error::column(&row, TOKENS, 0)?;
    let sql = "-- lock_session\nSELECT account_id, scope, ends_at, expires_at, ended_at FROM sessions
               WHERE session_id = $1 FOR UPDATE";
    let Some(session) = tx.query_opt(sql, &[&session_id]).await? else { return Ok(None) };
    // A statement of its own: it sees what whoever held the lock before has committed.
    let sql = "-- lock_chain\nSELECT t.generation, t.used_at, t.successor_sealed,
                      (SELECT max(generation) FROM refresh_tokens WHERE session_id = $2)
               FROM refresh_tokens t WHERE t.token_hash = $1 AND t.session_id = $2";
    let Some(row) = tx.query_opt(sql, &[&token.as_slice(), &session_id]).await? else { return Ok(None) };
    let ended_at: Option<Timestamp> = Error::column(&session, TABLE, 4)?;
    Ok(Some(Chain {
        session_id: SessionId(session_id),
        account_id: AccountId(Error::column(&session, TABLE, 0)?),
        scope: Error::column(&session, TABLE, 1)?,
        ends_at: Error::column(&session, TABLE, 2)?,
        session: Standing {
            expires_at: Error::column(&session, TABLE, 3)?,
            ended: ended_at.is_some(),
            live_generation: Error::column(&row, TOKENS, 3)?,
        },
        token: Presented {
            generation: Error::column(&row, TOKENS, 0)?,
            used_at: Error::column(&row, TOKENS, 1)?,
        },
        successor: Error::column(&row, TOKENS, 2)?,
    }))
}

/// Uses a token up and adds its successor to the chain, which is locked.
pub(crate) async fn rotate(
    tx: &Tx,
    chain: &Chain,
    (used, successor): (&[u8; 32], &[u8; 32]),
    sealed: &[u8],
    (now, expires_at): (Timestamp, Timestamp),
) -> Result<(), Error> {
    let sql = "-- use_token\nUPDATE refresh_tokens SET used_at = $2, successor_sealed = $3
               WHERE token_hash = $1 AND used_at IS NULL";
    one(tx.execute(sql, &[&used.as_slice(), &now, &sealed]).await?, TOKENS)?;
    // What is past its grace opens nothing any more.
    let sql = "-- forget_sealed\nUPDATE refresh_tokens SET successor_sealed = NULL
               WHERE session_id = $1 AND generation < $2 AND successor_sealed IS NOT NULL";
    tx.execute(sql, &[&chain.session_id.0, &chain.token.generation]).await?;
    add_token(tx, chain.session_id, chain.token.generation + 1, successor, now).await?;
    let sql = "-- slide_session\nUPDATE sessions SET expires_at = $2 WHERE session_id = $1";
    one(tx.execute(sql, &[&chain.session_id.0, &expires_at]).await?, TABLE)
}

async fn add_token(
    tx: &Tx,
    session: SessionId,
    generation: i32,
    token: &[u8; 32],
    now: Timestamp,
) -> Result<(), Error> {
    let sql = "-- add_token\nINSERT INTO refresh_tokens (token_hash, session_id, generation, created_at)
               VALUES ($1, $2, $3, $4)";
    one(tx.execute(sql, &[&token.as_slice(), &session.0, &generation, &now]).await?, TOKENS)
}

/// Locks a session: `None` where there is none of that account's; otherwise the event that told of its end, if it ended.
pub(crate) async fn lock_end(
    tx: &Tx,
    session: SessionId,
    account: AccountId,
) -> Result<Option<Option<EventId>>, Error> {
    let sql = "-- lock_session_end\nSELECT ended_event FROM sessions WHERE session_id = $1 AND account_id = $2 FOR UPDATE";
    let row = tx.query_opt(sql, &[&session.0, &account.0]).await?;
    row.map(|row| Ok(Error::column::<Option<uuid::Uuid>>(&row, TABLE, 0)?.map(EventId))).transpose()
}

/// Ends a session that is locked and has not ended.
pub(crate) async fn end(
    tx: &Tx,
    session: SessionId,
    reason: EndReason,
    now: Timestamp,
    event: EventId,
) -> Result<(), Error> {
    let sql = "-- end_session\nUPDATE sessions SET ended_at = $2, end_reason = $3, ended_event = $4
               WHERE session_id = $1 AND ended_at IS NULL";
    one(tx.execute(sql, &[&session.0, &now, &reason.as_str(), &event.0]).await?, TABLE)
}

/// Forgets the sealed successors of tokens that were used before a time: their grace is over.
pub(crate) async fn forget_sealed(tx: &Tx, before: Timestamp) -> Result<u64, Error> {
    let sql = "-- forget_old_sealed\nUPDATE refresh_tokens SET successor_sealed = NULL
               WHERE successor_sealed IS NOT NULL AND used_at < $1";
    tx.execute(sql, &[&before]).await
}

/// Forgets sessions that expired before a time, with their chains.
pub(crate) async fn forget_expired(tx: &Tx, before: Timestamp) -> Result<u64, Error> {
    tx.execute("-- forget_sessions\nDELETE FROM sessions WHERE expires_at < $1", &[&before]).await
}
