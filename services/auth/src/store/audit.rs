//! The audit log: written in the transaction of what it tells of, or that is not done.
//!
//! Invariant: ids only. No address, name, secret or token is in it.

use jiff::Timestamp;
use petty_chassis::postgres::{Error, Tx};
use petty_chassis::types::{AccountId, CollarId};

use super::one;

/// Who did it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Actor<'a> {
    /// An account.
    Account(AccountId),
    /// A collar.
    Collar(&'a CollarId),
    /// A service of the mesh, auth included.
    Service(&'a str),
    /// Somebody who proved nothing.
    Anybody,
}

/// How it ended.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Outcome {
    /// It was done.
    Done,
    /// It was refused.
    Refused,
}

/// An entry.
#[derive(Debug)]
pub(crate) struct Entry<'a> {
    pub(crate) actor: Actor<'a>,
    /// In UPPER_SNAKE.
    pub(crate) action: &'static str,
    /// The id of whom it was done to; empty where that is nobody known.
    pub(crate) subject: String,
    pub(crate) outcome: Outcome,
    pub(crate) request_id: &'a str,
    pub(crate) detail: serde_json::Value,
}

impl<'a> Entry<'a> {
    /// Something that was done.
    pub(crate) fn done(
        actor: Actor<'a>,
        action: &'static str,
        subject: impl ToString,
        request_id: &'a str,
    ) -> Self {
        let detail = serde_json::json!({});
        Self { actor, action, subject: subject.to_string(), outcome: Outcome::Done, request_id, detail }
    }

    /// With more to say.
    pub(crate) fn with(self, detail: serde_json::Value) -> Self {
        Self { detail, ..self }
    }
}

/// Writes an entry.
pub(crate) async fn write(tx: &Tx, now: Timestamp, entry: &Entry<'_>) -> Result<(), Error> {
    let sql = "-- write_audit\nINSERT INTO audit_log (at, actor_kind, actor, action, subject, outcome, request_id, detail)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    let (kind, actor) = match entry.actor {
        Actor::Account(account) => ("ACCOUNT", account.to_string()),
        Actor::Collar(collar) => ("COLLAR", collar.to_string()),
        Actor::Service(name) => ("SERVICE", name.to_owned()),
        Actor::Anybody => ("ANYBODY", String::new()),
    };
    let outcome = match entry.outcome {
        Outcome::Done => "DONE",
        Outcome::Refused => "REFUSED",
    };
    let Entry { action, subject, request_id, detail, .. } = entry;
    let touched =
        tx.execute(sql, &[&now, &kind, &actor, action, subject, &outcome, request_id, detail]).await?;
    one(touched, "audit_log")
}
