//! One-time links. A link is gone with its use: no two uses of one can both find it. There is one a purpose and subject: a
//! new one takes the place of the one before.

use jiff::Timestamp;
use petty_chassis::postgres::{Error, Row, Tx};
use petty_chassis::types::AccountId;
use uuid::Uuid;

use super::{inconsistent, one};
use crate::domain::link::Purpose;

const TABLE: &str = "one_time_links";

/// A link to be sent.
#[derive(Debug)]
pub(crate) struct NewLink<'a> {
    pub(crate) link_id: Uuid,
    pub(crate) token_hash: [u8; 32],
    pub(crate) purpose: Purpose,
    pub(crate) subject: &'a [u8],
    pub(crate) account_id: Option<AccountId>,
    pub(crate) sealed: Option<&'a [u8]>,
    pub(crate) password_hash: Option<&'a str>,
    pub(crate) created_at: Timestamp,
    pub(crate) expires_at: Timestamp,
}

/// A link that is good.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) link_id: Uuid,
    pub(crate) purpose: Purpose,
    pub(crate) account_id: Option<AccountId>,
    pub(crate) sealed: Option<Vec<u8>>,
    /// The link's own, or that of its account.
    pub(crate) password_hash: Option<String>,
}

/// Issues a link in place of the one before.
pub(crate) async fn issue(tx: &Tx, link: &NewLink<'_>) -> Result<(), Error> {
    let sql = "-- issue_link\nINSERT INTO one_time_links
                   (link_id, token_hash, purpose, subject, account_id, sealed, password_hash, created_at, expires_at)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
               ON CONFLICT (purpose, subject) DO UPDATE SET
                   link_id = excluded.link_id, token_hash = excluded.token_hash, account_id = excluded.account_id,
                   sealed = excluded.sealed, password_hash = excluded.password_hash,
                   created_at = excluded.created_at, expires_at = excluded.expires_at";
    let NewLink {
        link_id,
        token_hash,
        purpose,
        subject,
        account_id,
        sealed,
        password_hash,
        created_at,
        expires_at,
    } = link;
    let touched = tx
        .execute(
            sql,
            &[
                link_id,
                &token_hash.as_slice(),
                &purpose.as_str(),
                subject,
                &account_id.map(|account| account.0),
                sealed,
                password_hash,
                created_at,
                expires_at,
            ],
        )
        .await?;
    one(touched, TABLE)
}

/// A link that is good, by its token.
pub(crate) async fn find(tx: &Tx, token: &[u8; 32], now: Timestamp) -> Result<Option<Link>, Error> {
    let sql = "-- find_link\nSELECT l.link_id, l.purpose, l.account_id, l.sealed, coalesce(l.password_hash, a.password_hash)
               FROM one_time_links l LEFT JOIN accounts a USING (account_id)
               WHERE l.token_hash = $1 AND l.expires_at > $2 AND l.purpose <> 'NOTHING'";
    tx.query_opt(sql, &[&token.as_slice(), &now]).await?.map(|row| read(&row)).transpose()
}

/// The sign-up that waits for its address to be confirmed.
pub(crate) async fn waiting_sign_up(tx: &Tx, subject: &[u8], now: Timestamp) -> Result<Option<Link>, Error> {
    let sql =
        "-- waiting_sign_up\nSELECT link_id, purpose, account_id, sealed, password_hash FROM one_time_links
               WHERE purpose = 'SIGN_UP' AND subject = $1 AND expires_at > $2";
    tx.query_opt(sql, &[&subject, &now]).await?.map(|row| read(&row)).transpose()
}

/// Uses a link up; false where somebody was faster, or another link has taken its place.
pub(crate) async fn use_up(tx: &Tx, token: &[u8; 32], now: Timestamp) -> Result<bool, Error> {
    let sql = "-- use_link\nDELETE FROM one_time_links WHERE token_hash = $1 AND expires_at > $2";
    Ok(tx.execute(sql, &[&token.as_slice(), &now]).await? == 1)
}

/// Voids an account's links of all purposes.
pub(crate) async fn void(tx: &Tx, account: AccountId) -> Result<u64, Error> {
    tx.execute("-- void_links\nDELETE FROM one_time_links WHERE account_id = $1", &[&account.0]).await
}

/// Forgets links that nobody used in time.
pub(crate) async fn forget_expired(tx: &Tx, now: Timestamp) -> Result<u64, Error> {
    tx.execute("-- forget_links\nDELETE FROM one_time_links WHERE expires_at <= $1", &[&now]).await
}

fn read(row: &Row) -> Result<Link, Error> {
    let purpose: String = Error::column(row, TABLE, 1)?;
    let account: Option<Uuid> = Error::column(row, TABLE, 2)?;
    Ok(Link {
        link_id: Error::column(row, TABLE, 0)?,
        purpose: Purpose::parse(&purpose).ok_or_else(|| inconsistent(TABLE, "purpose"))?,
        account_id: account.map(AccountId),
        sealed: Error::column(row, TABLE, 3)?,
        password_hash: Error::column(row, TABLE, 4)?,
    })
}
