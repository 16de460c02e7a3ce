//! Mail on its way. Of several senders one has a row at a time: taking it puts its due time off.

use jiff::{SignedDuration, Timestamp};
use petty_chassis::postgres::{Error, Tx};
use uuid::Uuid;

use super::one;

const TABLE: &str = "mails";

/// A mail to be sent; without `sealed` one that is only counted.
#[derive(Debug)]
pub(crate) struct NewMail<'a> {
    pub(crate) mail_id: Uuid,
    pub(crate) recipient: &'a [u8],
    pub(crate) unasked: bool,
    pub(crate) sealed: Option<&'a [u8]>,
    pub(crate) created_at: Timestamp,
    pub(crate) expires_at: Timestamp,
}

/// A mail that was taken to be sent.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) mail_id: Uuid,
    pub(crate) sealed: Vec<u8>,
    pub(crate) created_at: Timestamp,
    /// This one included.
    pub(crate) attempts: i32,
}

pub(crate) async fn add(tx: &Tx, mail: &NewMail<'_>) -> Result<(), Error> {
    let sql =
        "-- add_mail\nINSERT INTO mails (mail_id, recipient, unasked, sealed, created_at, expires_at, due_at)
               VALUES ($1, $2, $3, $4, $5, $6, $5)";
    let NewMail { mail_id, recipient, unasked, sealed, created_at, expires_at } = mail;
    one(tx.execute(sql, &[mail_id, recipient, unasked, sealed, created_at, expires_at]).await?, TABLE)
}

/// How many mails that anybody could have sent went to a recipient since then.
pub(crate) async fn unasked_since(tx: &Tx, recipient: &[u8], since: Timestamp) -> Result<i64, Error> {
    let sql =
        "-- count_mails\nSELECT count(*) FROM mails WHERE recipient = $1 AND unasked AND created_at > $2";
    Error::column(&tx.query_one(sql, &[&recipient, &since]).await?, TABLE, 0)
}

/// Takes the mail that has been due longest; it is due again after a pause that doubles from attempt to attempt, unless it
/// is [`done`] by then.
pub(crate) async fn take(
    tx: &Tx,
    now: Timestamp,
    pauses: (SignedDuration, SignedDuration),
) -> Result<Option<Taken>, Error> {
    let sql = "-- take_mail\nUPDATE mails SET attempts = attempts + 1,
                      due_at = $1 + least(make_interval(secs => $2 * power(2, least(attempts, 20))),
                                          make_interval(secs => $3))
               WHERE mail_id = (
                   SELECT mail_id FROM mails WHERE sealed IS NOT NULL AND due_at <= $1 AND expires_at > $1
                   ORDER BY due_at LIMIT 1 FOR UPDATE SKIP LOCKED
               )
               RETURNING mail_id, sealed, created_at, attempts";
    let (first, longest) = (pauses.0.as_secs_f64(), pauses.1.as_secs_f64());
    let row = tx.query_opt(sql, &[&now, &first, &longest]).await?;
    row.map(|row| {
        Ok(Taken {
            mail_id: Error::column(&row, TABLE, 0)?,
            sealed: Error::column(&row, TABLE, 1)?,
            created_at: Error::column(&row, TABLE, 2)?,
            attempts: Error::column(&row, TABLE, 3)?,
        })
    })
    .transpose()
}

/// Nothing of a mail is to be sent any more: what it said is gone.
pub(crate) async fn done(tx: &Tx, mail_id: Uuid) -> Result<(), Error> {
    // Another sender may have been done with it, where this one took longer than its pause.
    let sql = "-- mail_is_done\nUPDATE mails SET sealed = NULL WHERE mail_id = $1";
    tx.execute(sql, &[&mail_id]).await.map(|_| ())
}

/// Forgets mails that expired; how many of them were never sent.
pub(crate) async fn forget_expired(tx: &Tx, now: Timestamp) -> Result<i64, Error> {
    let sql = "-- forget_mails\nWITH gone AS (DELETE FROM mails WHERE expires_at <= $1 RETURNING sealed)
               SELECT count(*) FROM gone WHERE sealed IS NOT NULL";
    Error::column(&tx.query_one(sql, &[&now]).await?, TABLE, 0)
}
