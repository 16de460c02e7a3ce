//! The plans last told, and when each is due to be made anew. Written under the pet's lock.
//!
//! Invariant: nothing is kept of what accounts call their foods, which goes with them.

use jiff::Timestamp;
use petty_chassis::postgres::{Error, Tx};
use petty_chassis::types::PetId;
use serde_json::Value;
use uuid::Uuid;

use super::{inconsistent, one};
use crate::domain::Plan;

const TABLE: &str = "plans";

/// A plan that was told.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) version: i32,
    pub(crate) kcal_per_day: Option<f64>,
    /// `None` where it was told by a program that wrote plans in another shape.
    pub(crate) plan: Option<Plan>,
    pub(crate) updated_at: Timestamp,
}

/// The plan last told of a pet.
pub(crate) async fn get(tx: &Tx, pet: PetId) -> Result<Option<Told>, Error> {
    let sql = "-- get_plan\nSELECT version, kcal_per_day, snapshot, updated_at FROM plans WHERE pet_id = $1";
    let Some(row) = tx.query_opt(sql, &[&pet.0]).await? else { return Ok(None) };
    let snapshot: Value = Error::column(&row, TABLE, 2)?;
    Ok(Some(Told {
        version: Error::column(&row, TABLE, 0)?,
        kcal_per_day: Error::column(&row, TABLE, 1)?,
        plan: serde_json::from_value(snapshot).ok(),
        updated_at: Error::column(&row, TABLE, 3)?,
    }))
}

/// Keeps what is told now.
pub(crate) async fn put(tx: &Tx, pet: PetId, told: &Told, due_at: Timestamp) -> Result<(), Error> {
    let compared = told.plan.as_ref().map(Plan::without_names);
    let snapshot = serde_json::to_value(&compared).map_err(|_| inconsistent(TABLE, "snapshot"))?;
    let sql = "-- put_plan\nINSERT INTO plans (pet_id, version, kcal_per_day, snapshot, updated_at, due_at)
               VALUES ($1, $2, $3, $4, $5, $6)
               ON CONFLICT (pet_id) DO UPDATE
               SET version = EXCLUDED.version, kcal_per_day = EXCLUDED.kcal_per_day, snapshot = EXCLUDED.snapshot,
                   updated_at = EXCLUDED.updated_at, due_at = EXCLUDED.due_at
               WHERE plans.version < EXCLUDED.version";
    let Told { version, kcal_per_day, updated_at, .. } = told;
    one(tx.execute(sql, &[&pet.0, version, kcal_per_day, &snapshot, updated_at, &due_at]).await?, TABLE)
}

/// Pets whose plans are due.
pub(crate) async fn due(tx: &Tx, now: Timestamp, limit: i64) -> Result<Vec<PetId>, Error> {
    let sql = "-- due_plans\nSELECT pet_id FROM plans WHERE due_at <= $1 ORDER BY due_at LIMIT $2";
    let rows = tx.query(sql, &[&now, &limit]).await?;
    rows.iter().map(|row| Error::column::<Uuid>(row, TABLE, 0).map(PetId)).collect()
}

/// Whether a locked pet's plan is due.
pub(crate) async fn is_due(tx: &Tx, pet: PetId, now: Timestamp) -> Result<bool, Error> {
    let sql = "-- is_plan_due\nSELECT 1 FROM plans WHERE pet_id = $1 AND due_at <= $2";
    Ok(tx.query_opt(sql, &[&pet.0, &now]).await?.is_some())
}

/// A locked pet's plan, where it has one, is due then.
pub(crate) async fn postpone(tx: &Tx, pet: PetId, due_at: Timestamp) -> Result<(), Error> {
    let sql = "-- postpone_plan\nUPDATE plans SET due_at = $2 WHERE pet_id = $1";
    tx.execute(sql, &[&pet.0, &due_at]).await.map(|_| ())
}
