//! What auth keeps. The only place with SQL.
//!
//! Functions take the transaction they are part of: a change, its audit entry and its events are one.

pub(crate) mod access;
pub(crate) mod account_changes;
pub(crate) mod accounts;
pub(crate) mod audit;
pub(crate) mod devices;
pub(crate) mod erasures;
pub(crate) mod keys;
pub(crate) mod links;
pub(crate) mod looks;
pub(crate) mod mails;
pub(crate) mod pairings;
pub(crate) mod personal_tokens;
pub(crate) mod pets;
pub(crate) mod second_factors;
pub(crate) mod secrets;
pub(crate) mod session_list;
pub(crate) mod sessions;
pub(crate) mod shares;
pub(crate) mod staff;
pub(crate) mod throttles;
pub(crate) mod tickets;
pub(crate) mod vault;

use petty_chassis::postgres::Error;

/// Names the constraint that refused a row.
pub(crate) fn conflict(error: &Error) -> Option<&str> {
    match error {
        Error::Conflict { constraint } => Some(constraint),
        Error::Db(_)
        | Error::Pool(_)
        | Error::Closed
        | Error::Inconsistent { .. }
        | Error::TooManyRetries { .. } => None,
    }
}

/// A value that a row must not hold.
fn inconsistent(table: &'static str, column: &str) -> Error {
    Error::Inconsistent { table, column: column.to_owned() }
}

/// A statement that must touch one row did.
fn one(touched: u64, table: &'static str) -> Result<(), Error> {
    if touched == 1 { Ok(()) } else { Err(inconsistent(table, "number of rows")) }
}
