//! What was said.
//!
//! Invariants: of the words of one account on one event the newest counts, and no other; what counts is in one object of the
//! archive at most, and stays in it.

use std::collections::BTreeSet;

use jiff::Timestamp;
use petty_chassis::page::{Page, Place};
use petty_chassis::postgres::{Error, Row, ToSql, Tx};
use petty_chassis::types::{AccountId, PetId};
use uuid::Uuid;

use super::{Table, behavior, evidence, inconsistent, one};
use crate::domain::{Behavior, Episode, Feedback, RuleStats, Verdict, Words};

const TABLE: &str = "feedback";

/// What is written when somebody says something.
#[derive(Debug)]
pub(crate) struct New<'a> {
    pub(crate) id: Uuid,
    pub(crate) account: AccountId,
    pub(crate) words: &'a Words,
    pub(crate) created_at: Timestamp,
    /// The event, as it is known now.
    pub(crate) episode: &'a Episode,
}

/// Keeps what somebody says; answers the object that must do without the account's word before this one, if any.
pub(crate) async fn insert(tx: &Tx, new: &New<'_>) -> Result<Option<Uuid>, Error> {
    let New { id, account, words, created_at, episode } = new;
    let sql = "-- counting_feedback\nSELECT feedback_id, said_at, object_id FROM feedback
               WHERE event_id = $1 AND account_id = $2 AND counts FOR UPDATE";
    let before = tx.query_opt(sql, &[&episode.id, &account.0]).await?;
    let (mut counts, mut left) = (true, None);
    if let Some(row) = before {
        let (before, said_at): (Uuid, Timestamp) =
            (Error::column(&row, TABLE, 0)?, Error::column(&row, TABLE, 1)?);
        // Of two that were said at one time, the one that came in last is the newer one.
        counts = said_at <= words.said_at;
        if counts {
            let sql = "-- feedback_counts_no_more\nUPDATE feedback SET counts = false WHERE feedback_id = $1 AND counts";
            one(tx.execute(sql, &[&before]).await?, TABLE, before)?;
            left = Error::column(&row, TABLE, 2)?;
        }
    }
    let sql = "-- insert_feedback\nINSERT INTO feedback
               (feedback_id, event_id, pet_id, account_id, verdict, actual_behavior, comment, segment, said_at, created_at, counts,
                version, behavior, rule, rule_version, start_at, end_at, open, evidence, replaced_by, secondhand)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21)";
    let told = &episode.told;
    let evidence = evidence(&told.evidence, TABLE)?;
    let parameters: [&(dyn ToSql + Sync); 21] = [
        id,
        &episode.id,
        &episode.pet.0,
        &account.0,
        &words.opinion.verdict.slug(),
        &words.actual_behavior.map(Behavior::slug),
        &words.opinion.comment,
        &words.segment,
        &words.said_at,
        created_at,
        &counts,
        &told.version,
        &told.behavior.slug(),
        &told.rule,
        &told.rule_version,
        &told.start_at,
        &told.end_at,
        &told.open,
        &evidence,
        &episode.replaced_by,
        &episode.secondhand,
    ];
    tx.execute(sql, &parameters).await?;
    Ok(left)
}

/// Says what was told of events, where that was known at second hand only.
pub(crate) async fn learn(tx: &Tx, episodes: &[&Episode]) -> Result<u64, Error> {
    if episodes.is_empty() {
        return Ok(0);
    }
    let table = Table::of(episodes, TABLE)?;
    let sql = "-- learn_what_was_told\nUPDATE feedback f
               SET version = e.version, behavior = e.behavior, rule = e.rule, rule_version = e.rule_version, start_at = e.start_at,
                   end_at = e.end_at, open = e.open, evidence = e.evidence, replaced_by = e.replaced_by::uuid[], secondhand = false
               FROM unnest($1::uuid[], $2::uuid[], $3::int8[], $4::text[], $5::text[], $6::text[], $7::timestamptz[],
                           $8::timestamptz[], $9::bool[], $10::jsonb[], $11::text[])
                    AS e (event_id, pet_id, version, behavior, rule, rule_version, start_at, end_at, open, evidence, replaced_by)
               WHERE f.event_id = e.event_id AND f.pet_id = e.pet_id AND f.secondhand";
    tx.execute(sql, &table.parameters()).await
}

/// What was said of an event, newest first.
pub(crate) async fn list(tx: &Tx, event: Uuid, page: &Page<Uuid>) -> Result<Vec<Feedback>, Error> {
    let limit = page.limit();
    let rows = match page.after {
        None => {
            let sql = "-- list_feedback\nSELECT feedback_id, event_id, pet_id, account_id, verdict, actual_behavior, comment, said_at,
                              behavior, rule, rule_version
                       FROM feedback WHERE event_id = $1 ORDER BY said_at DESC, feedback_id DESC LIMIT $2";
            tx.query(sql, &[&event, &limit]).await?
        }
        Some(Place { time, id }) => {
            let sql = "-- list_more_feedback\nSELECT feedback_id, event_id, pet_id, account_id, verdict, actual_behavior, comment, said_at,
                              behavior, rule, rule_version
                       FROM feedback WHERE event_id = $1 AND (said_at, feedback_id) < ($3, $4)
                       ORDER BY said_at DESC, feedback_id DESC LIMIT $2";
            tx.query(sql, &[&event, &limit, &time, &id]).await?
        }
    };
    rows.iter().map(feedback).collect()
}

/// How often each rule was right: of what was said within a span, what counts.
pub(crate) async fn stats(
    tx: &Tx,
    start: Option<Timestamp>,
    end: Option<Timestamp>,
    rule_version: &str,
) -> Result<Vec<RuleStats>, Error> {
    let sql = "-- feedback_stats\nSELECT rule_version, rule, behavior, count(*) FILTER (WHERE verdict = 'correct'),
                      count(*) FILTER (WHERE verdict = 'wrong'), count(*) FILTER (WHERE verdict = 'unsure')
               FROM feedback
               WHERE counts AND NOT secondhand AND ($1::timestamptz IS NULL OR said_at >= $1) AND ($2::timestamptz IS NULL OR said_at < $2)
                 AND ($3 = '' OR rule_version = $3)
               GROUP BY rule_version, rule, behavior ORDER BY rule_version, rule, behavior";
    let rows = tx.query(sql, &[&start, &end, &rule_version]).await?;
    let stats = rows.iter().map(|row| {
        Ok(RuleStats {
            rule_version: Error::column(row, TABLE, 0)?,
            rule: Error::column(row, TABLE, 1)?,
            behavior: behavior(row, TABLE, 2)?,
            correct: Error::column(row, TABLE, 3)?,
            wrong: Error::column(row, TABLE, 4)?,
            unsure: Error::column(row, TABLE, 5)?,
        })
    });
    stats.collect()
}

/// Forgets all of a pet's; the objects that may hold some of it.
pub(crate) async fn delete_all(tx: &Tx, pet: PetId) -> Result<BTreeSet<Uuid>, Error> {
    let sql = "-- delete_feedback\nDELETE FROM feedback WHERE pet_id = $1 RETURNING object_id";
    let rows = tx.query(sql, &[&pet.0]).await?;
    let objects = rows.iter().filter_map(|row| Error::column(row, TABLE, 0).transpose());
    objects.collect()
}

/// Forgets all that an account said; the objects that may hold some of it.
pub(crate) async fn delete_of_account(tx: &Tx, account: AccountId) -> Result<BTreeSet<Uuid>, Error> {
    let sql = "-- delete_feedback_of_account\nDELETE FROM feedback WHERE account_id = $1 RETURNING object_id";
    let rows = tx.query(sql, &[&account.0]).await?;
    rows.iter().filter_map(|row| Error::column(row, TABLE, 0).transpose()).collect()
}

fn feedback(row: &Row) -> Result<Feedback, Error> {
    let verdict: &str = Error::column(row, TABLE, 4)?;
    let actual: Option<&str> = Error::column(row, TABLE, 5)?;
    let actual_behavior = actual
        .map(|slug| Behavior::from_slug(slug).ok_or_else(|| inconsistent(TABLE, "actual_behavior")))
        .transpose()?;
    Ok(Feedback {
        id: Error::column(row, TABLE, 0)?,
        event: Error::column(row, TABLE, 1)?,
        pet: PetId(Error::column(row, TABLE, 2)?),
        account: AccountId(Error::column(row, TABLE, 3)?),
        verdict: Verdict::from_slug(verdict).ok_or_else(|| inconsistent(TABLE, "verdict"))?,
        actual_behavior,
        comment: Error::column(row, TABLE, 6)?,
        said_at: Error::column(row, TABLE, 7)?,
        behavior: behavior(row, TABLE, 8)?,
        rule: Error::column(row, TABLE, 9)?,
        rule_version: Error::column(row, TABLE, 10)?,
    })
}
