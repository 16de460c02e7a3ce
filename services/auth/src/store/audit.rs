//! The audit log: written in the transaction of what it tells of, or that is not done. Its hash chains are made by the
//! database at the commit, with rights that the service has not.
//!
//! Invariants: ids only, no address, name, secret or token; an entry that cannot be written sounds an alarm.

use std::net::IpAddr;

use jiff::Timestamp;
use petty_chassis::postgres::{Class, Error, Row, Tx};
use petty_chassis::types::{AccountId, CollarId};

use super::one;
use crate::domain::chain::{Head, Link, Written};
use crate::vault::{Purpose, Vault};

const LOG: &str = "audit_log";
const LINKS: &str = "audit_links";
const HEADS: &str = "audit_heads";

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

/// By which request it was asked, and from where.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin<'a> {
    pub(crate) request_id: &'a str,
    /// The client's address, as a keyed hash: equal ones can be told, none can be read.
    pub(crate) source: Option<[u8; 32]>,
}

impl<'a> Origin<'a> {
    /// Of a request, and from the client's address, where that is known.
    pub(crate) fn new(vault: &Vault, request_id: &'a str, address: Option<IpAddr>) -> Self {
        let index =
            |address: IpAddr| vault.blind_index(Purpose::CLIENT_ADDRESS, &address.to_canonical().to_string());
        Self { request_id, source: address.map(index) }
    }
}

impl<'a> From<&'a str> for Origin<'a> {
    /// Of a request without a client, as the service's own are.
    fn from(request_id: &'a str) -> Self {
        Self { request_id, source: None }
    }
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
    pub(crate) origin: Origin<'a>,
    pub(crate) detail: serde_json::Value,
}

impl<'a> Entry<'a> {
    /// Something that was done.
    pub(crate) fn done(
        actor: Actor<'a>,
        action: &'static str,
        subject: impl ToString,
        origin: impl Into<Origin<'a>>,
    ) -> Self {
        let (origin, detail) = (origin.into(), serde_json::json!({}));
        Self { actor, action, subject: subject.to_string(), outcome: Outcome::Done, origin, detail }
    }

    /// With more to say.
    pub(crate) fn with(self, detail: serde_json::Value) -> Self {
        Self { detail, ..self }
    }
}

/// Writes an entry.
pub(crate) async fn write(tx: &Tx, now: Timestamp, entry: &Entry<'_>) -> Result<(), Error> {
    // Its place in a chain is given at the commit, which may be refused as well.
    let action = entry.action;
    tx.at_refused_commit(move || alarm(action, &"the commit was refused"));
    let written = insert(tx, now, entry).await;
    if let Err(error) = &written
        && error.class() == Class::Lasting
    {
        alarm(action, &petty_chassis::error::chain(error));
    }
    written
}

/// What was asked is not done, and whoever watches is to know that this is why.
fn alarm(action: &'static str, error: &dyn std::fmt::Display) {
    petty_chassis::telemetry::meter()
        .u64_counter("petty_auth_audit_failures")
        .with_description("Changes that were not made because the audit log could not be written")
        .build()
        .add(1, &[]);
    tracing::error!(action, error = %error, "the audit log cannot be written, so nothing is changed");
}

async fn insert(tx: &Tx, now: Timestamp, entry: &Entry<'_>) -> Result<(), Error> {
    let sql = "-- write_audit\nINSERT INTO audit_log
               (at, actor_kind, actor, action, subject, outcome, request_id, detail, source)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
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
    let Entry { action, subject, origin: Origin { request_id, source }, detail, .. } = entry;
    let source = source.as_ref().map(<[u8; 32]>::as_slice);
    let touched = tx
        .execute(sql, &[&now, &kind, &actor, action, subject, &outcome, request_id, detail, &source])
        .await?;
    one(touched, LOG)
}

/// The ends of all chains.
pub(crate) async fn heads(tx: &Tx) -> Result<Vec<Head>, Error> {
    let sql = "-- audit_heads\nSELECT chain, place, hash FROM audit_heads ORDER BY chain";
    let rows = tx.query(sql, &[]).await?;
    let read = |row: &Row| {
        Ok(Head {
            chain: Error::column(row, HEADS, 0)?,
            place: Error::column(row, HEADS, 1)?,
            hash: Error::column(row, HEADS, 2)?,
        })
    };
    rows.iter().map(read).collect()
}

/// The next entries of a chain, behind a place and up to another, by place.
pub(crate) async fn links(tx: &Tx, chain: i16, after: i64, last: i64, most: i64) -> Result<Vec<Link>, Error> {
    let sql = "-- audit_links\nSELECT l.place, l.entry_id, l.hash, a.id, a.at, a.actor_kind, a.actor, a.action, a.subject,
                      a.outcome, a.request_id, a.detail::text, coalesce(a.source, '')
               FROM audit_links l LEFT JOIN audit_log a ON a.id = l.entry_id
               WHERE l.chain = $1 AND l.place > $2 AND l.place <= $3 ORDER BY l.place LIMIT $4";
    tx.query(sql, &[&chain, &after, &last, &most]).await?.iter().map(link).collect()
}

/// Entries that no chain leads to: without a place, or with one behind the end of its chain. One statement, so that what is
/// being written meanwhile is seen whole or not at all.
pub(crate) async fn unlinked(tx: &Tx, most: i64) -> Result<Vec<i64>, Error> {
    let sql = "-- audit_unlinked\nSELECT a.id FROM audit_log a LEFT JOIN audit_links l ON l.entry_id = a.id
                      LEFT JOIN audit_heads h ON h.chain = l.chain
               WHERE h.place IS NULL OR l.place > h.place ORDER BY a.id LIMIT $1";
    tx.query(sql, &[&most]).await?.iter().map(|row| Error::column(row, LOG, 0)).collect()
}

fn link(row: &Row) -> Result<Link, Error> {
    let id: Option<i64> = Error::column(row, LOG, 3)?;
    let entry = id.map(|id| {
        let text = |index| Error::column::<String>(row, LOG, index);
        Ok::<_, Error>(Written {
            id,
            at: Error::column(row, LOG, 4)?,
            texts: [text(5)?, text(6)?, text(7)?, text(8)?, text(9)?, text(10)?, text(11)?],
            source: Error::column(row, LOG, 12)?,
        })
    });
    Ok(Link {
        place: Error::column(row, LINKS, 0)?,
        entry_id: Error::column(row, LINKS, 1)?,
        hash: Error::column(row, LINKS, 2)?,
        entry: entry.transpose()?,
    })
}
