//! Attempts that are counted: each before it is made, by one statement that refuses it where it may not be made.
//!
//! Invariant: whatever comes at once, from however many replicas, no more attempts are let through than the rule says. Who
//! counts several does so in the order of [`Counter`](crate::domain::throttle::Counter)s that all keep: source first.

use jiff::Timestamp;
use petty_chassis::postgres::{Error, Tx};
use petty_chassis::types::AccountId;

use super::{inconsistent, one};
use crate::domain::throttle::{self, Counter, Rule};

const TABLE: &str = "throttles";

/// A row: whom an attempt is counted against.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    pub(crate) key: [u8; 32],
    pub(crate) kind: &'static str,
    pub(crate) account: Option<AccountId>,
    pub(crate) rule: Rule,
}

/// What became of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Counted {
    /// It may be made, and is counted as failed until it is taken back or forgotten.
    Yes,
    /// It may be made then.
    Wait(Timestamp),
    /// None may be made any more.
    Never,
}

/// Counts an attempt, or says why it may not be made.
pub(crate) async fn count(tx: &Tx, row: &Row, now: Timestamp) -> Result<Counted, Error> {
    let (key, account) = (row.key.as_slice(), row.account.map(|account| account.0));
    match row.rule {
        Rule::InARow { free, most } => {
            let sql = "-- count_in_a_row\nINSERT INTO throttles AS t (key, kind, account_id, failures, next_at, updated_at)
                       VALUES ($1, $2, $3, 1, $4::timestamptz + ($5::int[])[1] * interval '1 s', $4)
                       ON CONFLICT (key) DO UPDATE SET account_id = $3, failures = t.failures + 1, updated_at = $4,
                           next_at = $4 + ($5::int[])[least(t.failures + 1, cardinality($5::int[]))] * interval '1 s'
                       WHERE t.next_at <= $4 AND t.failures < $6";
            let pauses = throttle::pauses(free);
            if tx.execute(sql, &[&key, &row.kind, &account, &now, &pauses, &most]).await? == 1 {
                return Ok(Counted::Yes);
            }
            let (failures, next_at) = read(tx, key).await?;
            Ok(if failures >= most { Counted::Never } else { Counted::Wait(next_at) })
        }
        Rule::PerTime { burst, every } => {
            let sql = "-- count_per_time\nINSERT INTO throttles AS t (key, kind, account_id, failures, next_at, updated_at)
                       VALUES ($1, $2, $3, 0, $4::timestamptz + $5::int * interval '1 s', $4)
                       ON CONFLICT (key) DO UPDATE SET updated_at = $4,
                           next_at = greatest(t.next_at, $4) + $5 * interval '1 s'
                       WHERE t.next_at <= $4 + $6::int * interval '1 s'";
            let ahead = every * (burst - 1);
            if tx.execute(sql, &[&key, &row.kind, &account, &now, &every, &ahead]).await? == 1 {
                return Ok(Counted::Yes);
            }
            let (_, next_at) = read(tx, key).await?;
            Ok(Counted::Wait(next_at - jiff::SignedDuration::from_secs(ahead.into())))
        }
    }
}

/// The row that refused an attempt: the statement that did so has locked it.
async fn read(tx: &Tx, key: &[u8]) -> Result<(i32, Timestamp), Error> {
    let sql = "-- throttle\nSELECT failures, next_at FROM throttles WHERE key = $1";
    let row = tx.query_opt(sql, &[&key]).await?.ok_or_else(|| inconsistent(TABLE, "number of rows"))?;
    Ok((Error::column(&row, TABLE, 0)?, Error::column(&row, TABLE, 1)?))
}

/// Takes back an attempt that was counted and was none, or did not fail.
pub(crate) async fn take_back(tx: &Tx, row: &Row, now: Timestamp) -> Result<(), Error> {
    let key = row.key.as_slice();
    let touched = match row.rule {
        Rule::InARow { .. } => {
            let sql = "-- take_back_in_a_row\nUPDATE throttles SET failures = failures - 1, next_at = least(next_at, $2)
                       WHERE key = $1 AND failures > 0";
            tx.execute(sql, &[&key, &now]).await?
        }
        Rule::PerTime { every, .. } => {
            let sql = "-- take_back_per_time\nUPDATE throttles SET next_at = next_at - $2::int * interval '1 s' WHERE key = $1";
            tx.execute(sql, &[&key, &every]).await?
        }
    };
    // Forgotten meanwhile is as good.
    if touched == 0 { Ok(()) } else { one(touched, TABLE) }
}

/// Forgets all that was counted.
pub(crate) async fn forget(tx: &Tx, key: &[u8; 32]) -> Result<(), Error> {
    tx.execute("-- forget_throttle\nDELETE FROM throttles WHERE key = $1", &[&key.as_slice()])
        .await
        .map(|_| ())
}

/// Forgets what nobody was counted against since a time, unless it is about an account that is still there. Addresses that
/// somebody signs in with have a time of their own, with an account or without: what is left would tell the two apart.
pub(crate) async fn forget_old(tx: &Tx, before: Timestamp, addresses: Timestamp) -> Result<u64, Error> {
    let sql = "-- forget_throttles\nDELETE FROM throttles t
               WHERE CASE WHEN kind = $3 THEN updated_at < $2
                          ELSE updated_at < $1
                               AND NOT EXISTS (SELECT FROM accounts a WHERE a.account_id = t.account_id) END";
    tx.execute(sql, &[&before, &addresses, &Counter::Address.as_str()]).await
}
