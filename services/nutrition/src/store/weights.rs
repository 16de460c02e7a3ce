//! Weights.

use jiff::Timestamp;
use petty_chassis::page::{Page, Place, Span};
use petty_chassis::postgres::{Error, Row, Tx};
use petty_chassis::types::PetId;
use uuid::Uuid;

use super::one;
use crate::domain::WeightPoint;

const TABLE: &str = "weights";

/// A measured weight.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Weight {
    pub(crate) id: Uuid,
    pub(crate) pet: PetId,
    pub(crate) kg: f64,
    pub(crate) measured_at: Timestamp,
    pub(crate) created_at: Timestamp,
}

impl Weight {
    /// What plans reckon with.
    pub(crate) fn point(self) -> WeightPoint {
        WeightPoint { kg: self.kg, at: self.measured_at }
    }
}

/// What became of a weight that is to be removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Removed {
    /// It is gone now.
    Now,
    /// It was gone before.
    Before,
}

/// Notes a weight of a locked pet.
pub(crate) async fn insert(tx: &Tx, weight: &Weight) -> Result<(), Error> {
    let sql = "-- insert_weight\nINSERT INTO weights (weight_id, pet_id, weight_kg, measured_at, created_at)
               VALUES ($1, $2, $3, $4, $5)";
    let Weight { id, pet, kg, measured_at, created_at } = weight;
    one(tx.execute(sql, &[id, &pet.0, kg, measured_at, created_at]).await?, TABLE)
}

/// The weight that was measured last.
pub(crate) async fn last(tx: &Tx, pet: PetId) -> Result<Option<Weight>, Error> {
    let sql = "-- last_weight\nSELECT weight_id, pet_id, weight_kg, measured_at, created_at FROM weights
               WHERE pet_id = $1 AND deleted_at IS NULL ORDER BY measured_at DESC, weight_id DESC LIMIT 1";
    tx.query_opt(sql, &[&pet.0]).await?.map(|row| read(&row)).transpose()
}

/// Whether a pet was weighed so at that time.
pub(crate) async fn is_noted(tx: &Tx, pet: PetId, point: WeightPoint) -> Result<bool, Error> {
    let sql = "-- is_weight_noted\nSELECT 1 FROM weights
               WHERE pet_id = $1 AND deleted_at IS NULL AND measured_at = $2 AND weight_kg = $3 LIMIT 1";
    Ok(tx.query_opt(sql, &[&pet.0, &point.at, &point.kg]).await?.is_some())
}

/// The weights measured last, newest first.
pub(crate) async fn newest(tx: &Tx, pet: PetId, limit: i64) -> Result<Vec<Weight>, Error> {
    let sql = "-- newest_weights\nSELECT weight_id, pet_id, weight_kg, measured_at, created_at FROM weights
               WHERE pet_id = $1 AND deleted_at IS NULL ORDER BY measured_at DESC, weight_id DESC LIMIT $2";
    tx.query(sql, &[&pet.0, &limit]).await?.iter().map(read).collect()
}

/// A page of a pet's weights, newest first, and one more.
pub(crate) async fn list(tx: &Tx, pet: PetId, page: &Page<Uuid, Span>) -> Result<Vec<Weight>, Error> {
    let (Span { start, end }, limit) = (page.span, page.limit());
    let rows = match page.after {
        None => {
            let sql =
                "-- list_weights\nSELECT weight_id, pet_id, weight_kg, measured_at, created_at FROM weights
                       WHERE pet_id = $1 AND deleted_at IS NULL AND measured_at >= $2 AND measured_at < $3
                       ORDER BY measured_at DESC, weight_id DESC LIMIT $4";
            tx.query(sql, &[&pet.0, &start, &end, &limit]).await?
        }
        Some(Place { time, id }) => {
            let sql =
                "-- list_more_weights\nSELECT weight_id, pet_id, weight_kg, measured_at, created_at FROM weights
                       WHERE pet_id = $1 AND deleted_at IS NULL AND measured_at >= $2 AND measured_at < $3
                             AND (measured_at, weight_id) < ($5, $6)
                       ORDER BY measured_at DESC, weight_id DESC LIMIT $4";
            tx.query(sql, &[&pet.0, &start, &end, &limit, &time, &id]).await?
        }
    };
    rows.iter().map(read).collect()
}

/// Removes a weight of a locked pet; `None` where it never had it.
pub(crate) async fn remove(tx: &Tx, pet: PetId, id: Uuid, now: Timestamp) -> Result<Option<Removed>, Error> {
    let sql = "-- remove_weight\nUPDATE weights SET weight_kg = NULL, deleted_at = $3
               WHERE weight_id = $1 AND pet_id = $2 AND deleted_at IS NULL";
    if tx.execute(sql, &[&id, &pet.0, &now]).await? == 1 {
        return Ok(Some(Removed::Now));
    }
    let sql = "-- removed_weight\nSELECT 1 FROM weights WHERE weight_id = $1 AND pet_id = $2";
    Ok(tx.query_opt(sql, &[&id, &pet.0]).await?.map(|_| Removed::Before))
}

fn read(row: &Row) -> Result<Weight, Error> {
    Ok(Weight {
        id: Error::column(row, TABLE, 0)?,
        pet: PetId(Error::column(row, TABLE, 1)?),
        kg: Error::column(row, TABLE, 2)?,
        measured_at: Error::column(row, TABLE, 3)?,
        created_at: Error::column(row, TABLE, 4)?,
    })
}
