//! Alerts as they were told, and what owners want of them.
//!
//! Invariant: of a pet and kind one alert is open at most, by an index; a version replaces only the one before it.

use jiff::Timestamp;
use jiff::civil::Time;
use petty_chassis::page::{Page, Place, Span};
use petty_chassis::postgres::{Error, Row, Tx};
use petty_chassis::types::{Clock, PetId, micros};
use serde_json::Value;
use uuid::Uuid;

use crate::domain::alerts::machine::{Alert, Settings, Status};
use crate::domain::alerts::{Kind, Severity};

const TABLE: &str = "alerts";

/// The pet's last alert of a kind.
pub(crate) async fn last(tx: &Tx, pet: PetId, kind: Kind) -> Result<Option<Alert>, Error> {
    let sql = "-- last_alert\nSELECT alert_id, kind, severity, status, raised_at, acknowledged_at, escalated_at, cleared_at, escalate_at,
                      notify, zone_id, evidence, rule_version, version
               FROM alerts WHERE pet_id = $1 AND kind = $2
               ORDER BY status = 'cleared', raised_at DESC, alert_id DESC LIMIT 1";
    tx.query_opt(sql, &[&pet.0, &kind.slug()]).await?.as_ref().map(alert).transpose()
}

/// Whose an alert is.
pub(crate) async fn pet_of(tx: &Tx, id: Uuid) -> Result<Option<PetId>, Error> {
    let sql = "-- find_alert_pet\nSELECT pet_id FROM alerts WHERE alert_id = $1";
    let row = tx.query_opt(sql, &[&id]).await?;
    row.map(|row| Error::column(&row, TABLE, 0).map(PetId)).transpose()
}

/// A pet's alert, locked.
pub(crate) async fn lock(tx: &Tx, pet: PetId, id: Uuid) -> Result<Option<Alert>, Error> {
    let sql = "-- lock_alert\nSELECT alert_id, kind, severity, status, raised_at, acknowledged_at, escalated_at, cleared_at, escalate_at,
                      notify, zone_id, evidence, rule_version, version
               FROM alerts WHERE pet_id = $1 AND alert_id = $2 FOR UPDATE";
    tx.query_opt(sql, &[&pet.0, &id]).await?.as_ref().map(alert).transpose()
}

/// Writes an alert's next version.
pub(crate) async fn put(tx: &Tx, clock: &Clock, pet: PetId, alert: &Alert) -> Result<(), Error> {
    let evidence = serde_json::to_value(&alert.evidence).map_err(|_| inconsistent("evidence"))?;
    let sql = "-- put_alert\nINSERT INTO alerts (alert_id, pet_id, kind, severity, status, raised_at, acknowledged_at, escalated_at,
                   cleared_at, escalate_at, notify, zone_id, evidence, rule_version, version, updated_at)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
               ON CONFLICT (alert_id) DO UPDATE
               SET severity = EXCLUDED.severity, status = EXCLUDED.status, acknowledged_at = EXCLUDED.acknowledged_at,
                   escalated_at = EXCLUDED.escalated_at, cleared_at = EXCLUDED.cleared_at, escalate_at = EXCLUDED.escalate_at,
                   notify = EXCLUDED.notify, evidence = EXCLUDED.evidence, version = EXCLUDED.version,
                   updated_at = EXCLUDED.updated_at
               WHERE alerts.pet_id = EXCLUDED.pet_id AND alerts.version = EXCLUDED.version - 1";
    let whole = |time: Option<Timestamp>| time.map(micros);
    let parameters: [&(dyn petty_chassis::postgres::ToSql + Sync); 16] = [
        &alert.id,
        &pet.0,
        &alert.kind.slug(),
        &alert.severity.slug(),
        &alert.status.slug(),
        &micros(alert.raised_at),
        &whole(alert.acknowledged_at),
        &whole(alert.escalated_at),
        &whole(alert.cleared_at),
        &whole(alert.escalate_at),
        &alert.notify,
        &alert.zone,
        &evidence,
        &alert.rule_version,
        &alert.version,
        &micros(clock.now()),
    ];
    if tx.execute(sql, &parameters).await? == 1 { Ok(()) } else { Err(inconsistent("version")) }
}

/// Some alerts that are to be told once more, the longest due first. Nothing is taken yet.
pub(crate) async fn due(tx: &Tx, now: Timestamp, limit: i64) -> Result<Vec<(PetId, Uuid)>, Error> {
    let sql = "-- due_alerts\nSELECT pet_id, alert_id FROM alerts WHERE escalate_at <= $1 ORDER BY escalate_at, alert_id LIMIT $2";
    let rows = tx.query(sql, &[&micros(now), &limit]).await?;
    rows.iter().map(|row| Ok((PetId(Error::column(row, TABLE, 0)?), Error::column(row, TABLE, 1)?))).collect()
}

/// A page of a pet's alerts that were raised in a span, newest first.
pub(crate) async fn list(
    tx: &Tx,
    pet: PetId,
    open_only: bool,
    page: &Page<Uuid, Span>,
) -> Result<Vec<Alert>, Error> {
    let (Span { start, end }, limit) = (page.span, page.limit());
    let (time, id) = page.after.as_ref().map_or((None, None), |Place { time, id }| (Some(*time), Some(*id)));
    let sql = "-- list_alerts\nSELECT alert_id, kind, severity, status, raised_at, acknowledged_at, escalated_at, cleared_at, escalate_at,
                      notify, zone_id, evidence, rule_version, version
               FROM alerts
               WHERE pet_id = $1 AND raised_at >= $2 AND raised_at < $3 AND (NOT $4 OR status <> 'cleared')
               AND ($5::timestamptz IS NULL OR (raised_at, alert_id) < ($5, $6::uuid))
               ORDER BY raised_at DESC, alert_id DESC LIMIT $7";
    let rows = tx.query(sql, &[&pet.0, &start, &end, &open_only, &time, &id, &limit]).await?;
    rows.iter().map(alert).collect()
}

/// What the owner wants, and its version; what is usual, and 0, where nobody said.
pub(crate) async fn settings(tx: &Tx, pet: PetId) -> Result<(Settings, i32), Error> {
    const TABLE: &str = "alert_settings";
    let sql = "-- alert_settings\nSELECT disabled, quiet_start, quiet_end, escalate_after_minutes, version
               FROM alert_settings WHERE pet_id = $1";
    let Some(row) = tx.query_opt(sql, &[&pet.0]).await? else { return Ok((Settings::default(), 0)) };
    let disabled: Vec<String> = Error::column(&row, TABLE, 0)?;
    let (start, end): (Option<Time>, Option<Time>) =
        (Error::column(&row, TABLE, 1)?, Error::column(&row, TABLE, 2)?);
    let settings = Settings {
        // A kind of a later version is not known to this one: it raises none.
        disabled: disabled.iter().filter_map(|slug| Kind::from_slug(slug)).collect(),
        quiet: start.zip(end),
        escalate_after_minutes: Error::column(&row, TABLE, 3)?,
    };
    Ok((settings, Error::column(&row, TABLE, 4)?))
}

/// Replaces what the owner wants; the version that it has now.
pub(crate) async fn put_settings(
    tx: &Tx,
    clock: &Clock,
    pet: PetId,
    settings: &Settings,
) -> Result<i32, Error> {
    let disabled: Vec<&str> = settings.disabled.iter().map(|kind| kind.slug()).collect();
    let (start, end) = settings.quiet.unzip();
    let sql = "-- put_alert_settings\nINSERT INTO alert_settings
                   (pet_id, disabled, quiet_start, quiet_end, escalate_after_minutes, version, updated_at)
               VALUES ($1, $2, $3, $4, $5, 1, $6)
               ON CONFLICT (pet_id) DO UPDATE
               SET disabled = EXCLUDED.disabled, quiet_start = EXCLUDED.quiet_start, quiet_end = EXCLUDED.quiet_end,
                   escalate_after_minutes = EXCLUDED.escalate_after_minutes, version = alert_settings.version + 1,
                   updated_at = EXCLUDED.updated_at
               RETURNING version";
    let parameters: [&(dyn petty_chassis::postgres::ToSql + Sync); 6] =
        [&pet.0, &disabled, &start, &end, &settings.escalate_after_minutes, &micros(clock.now())];
    Error::column(&tx.query_one(sql, &parameters).await?, "alert_settings", 0)
}

/// Forgets all of a pet's.
pub(crate) async fn delete_all(tx: &Tx, pet: PetId) -> Result<(), Error> {
    tx.execute("-- delete_alerts\nDELETE FROM alerts WHERE pet_id = $1", &[&pet.0]).await?;
    tx.execute("-- delete_alert_settings\nDELETE FROM alert_settings WHERE pet_id = $1", &[&pet.0]).await?;
    forget_dues(tx, pet).await
}

/// Forgets when to look at a pet.
pub(crate) async fn forget_dues(tx: &Tx, pet: PetId) -> Result<(), Error> {
    tx.execute("-- delete_dues\nDELETE FROM dues WHERE pet_id = $1", &[&pet.0]).await.map(|_| ())
}

/// Notes when to look at a pet, where nothing is noted.
pub(crate) async fn arm(tx: &Tx, pet: PetId, what: &str, due: Timestamp) -> Result<(), Error> {
    let sql = "-- arm_due\nINSERT INTO dues (pet_id, what, due_at) VALUES ($1, $2, $3) ON CONFLICT (pet_id, what) DO NOTHING";
    tx.execute(sql, &[&pet.0, &what, &micros(due)]).await.map(|_| ())
}

/// Notes when to look at a pet, where nothing or something later is noted.
pub(crate) async fn arm_sooner(tx: &Tx, pet: PetId, what: &str, due: Timestamp) -> Result<(), Error> {
    let sql = "-- arm_due_sooner\nINSERT INTO dues (pet_id, what, due_at) VALUES ($1, $2, $3)
               ON CONFLICT (pet_id, what) DO UPDATE SET due_at = EXCLUDED.due_at WHERE dues.due_at > EXCLUDED.due_at";
    tx.execute(sql, &[&pet.0, &what, &micros(due)]).await.map(|_| ())
}

/// Notes that a pet was looked at, whenever that was due. The caller holds the pet's lock.
pub(crate) async fn disarm(tx: &Tx, pet: PetId, what: &str) -> Result<(), Error> {
    let sql = "-- disarm_due\nDELETE FROM dues WHERE pet_id = $1 AND what = $2";
    tx.execute(sql, &[&pet.0, &what]).await.map(|_| ())
}

/// Some of what is due, the longest first. Nothing is taken yet.
pub(crate) async fn dues(tx: &Tx, now: Timestamp, limit: i64) -> Result<Vec<(PetId, String)>, Error> {
    let sql = "-- list_dues\nSELECT pet_id, what FROM dues WHERE due_at <= $1 ORDER BY due_at, pet_id, what LIMIT $2";
    let rows = tx.query(sql, &[&micros(now), &limit]).await?;
    rows.iter()
        .map(|row| Ok((PetId(Error::column(row, "dues", 0)?), Error::column(row, "dues", 1)?)))
        .collect()
}

/// Takes what is due away, and says since when it was; `None` where somebody else did. The caller holds the pet's lock.
pub(crate) async fn take_due(
    tx: &Tx,
    pet: PetId,
    what: &str,
    now: Timestamp,
) -> Result<Option<Timestamp>, Error> {
    let sql =
        "-- take_due\nDELETE FROM dues WHERE pet_id = $1 AND what = $2 AND due_at <= $3 RETURNING due_at";
    let row = tx.query_opt(sql, &[&pet.0, &what, &micros(now)]).await?;
    row.map(|row| Error::column(&row, "dues", 0)).transpose()
}

fn alert(row: &Row) -> Result<Alert, Error> {
    let [kind, severity, status] = [1, 2, 3].map(|index| Error::column::<String>(row, TABLE, index));
    let evidence: Value = Error::column(row, TABLE, 11)?;
    Ok(Alert {
        id: Error::column(row, TABLE, 0)?,
        kind: Kind::from_slug(&kind?).ok_or_else(|| inconsistent("kind"))?,
        severity: Severity::from_slug(&severity?).ok_or_else(|| inconsistent("severity"))?,
        status: Status::from_slug(&status?).ok_or_else(|| inconsistent("status"))?,
        raised_at: Error::column(row, TABLE, 4)?,
        acknowledged_at: Error::column(row, TABLE, 5)?,
        escalated_at: Error::column(row, TABLE, 6)?,
        cleared_at: Error::column(row, TABLE, 7)?,
        escalate_at: Error::column(row, TABLE, 8)?,
        notify: Error::column(row, TABLE, 9)?,
        zone: Error::column(row, TABLE, 10)?,
        evidence: serde_json::from_value(evidence).map_err(|_| inconsistent("evidence"))?,
        rule_version: Error::column(row, TABLE, 12)?,
        version: Error::column(row, TABLE, 13)?,
    })
}

fn inconsistent(column: &str) -> Error {
    Error::Inconsistent { table: TABLE, column: column.to_owned() }
}
