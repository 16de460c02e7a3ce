//! The events that were told.
//!
//! Invariant: an event's row is what its highest version said, and a superseded one stays so (`versions::advance` is asked
//! before each writing).

use petty_chassis::events::versions;
use petty_chassis::postgres::{Error, ToSql, Tx};
use petty_chassis::types::{Clock, PetId, micros};
use uuid::Uuid;

use super::{evidence, one, told};
use crate::domain::Episode;

const TABLE: &str = "episodes";

/// Writes what is told of an event, unless that or more is known already.
pub(crate) async fn put(tx: &Tx, clock: &Clock, episode: &Episode) -> Result<bool, Error> {
    let Episode { id, pet, told, superseded, replaced_by, .. } = episode;
    if !versions::advance(tx, "episode", *id, told.version, *superseded).await? {
        return Ok(false);
    }
    let sql = "-- put_episode\nINSERT INTO episodes
               (event_id, pet_id, behavior, rule, rule_version, start_at, end_at, open, evidence, version, superseded, replaced_by,
                updated_at)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
               ON CONFLICT (event_id) DO UPDATE
               SET behavior = EXCLUDED.behavior, rule = EXCLUDED.rule, rule_version = EXCLUDED.rule_version,
                   start_at = EXCLUDED.start_at, end_at = EXCLUDED.end_at, open = EXCLUDED.open, evidence = EXCLUDED.evidence,
                   version = EXCLUDED.version, superseded = EXCLUDED.superseded, replaced_by = EXCLUDED.replaced_by,
                   updated_at = EXCLUDED.updated_at
               WHERE episodes.pet_id = EXCLUDED.pet_id AND episodes.version < EXCLUDED.version AND NOT episodes.superseded";
    let (evidence, now) = (evidence(&told.evidence, TABLE)?, micros(clock.now()));
    let parameters: [&(dyn ToSql + Sync); 13] = [
        id,
        &pet.0,
        &told.behavior.slug(),
        &told.rule,
        &told.rule_version,
        &told.start_at,
        &told.end_at,
        &told.open,
        &evidence,
        &told.version,
        superseded,
        replaced_by,
        &now,
    ];
    one(tx.execute(sql, &parameters).await?, TABLE, *id)?;
    Ok(true)
}

/// An event that was told.
pub(crate) async fn find(tx: &Tx, id: Uuid) -> Result<Option<Episode>, Error> {
    let sql = "-- find_episode\nSELECT pet_id, superseded, replaced_by,
                      version, behavior, rule, rule_version, start_at, end_at, open, evidence
               FROM episodes WHERE event_id = $1";
    let Some(row) = tx.query_opt(sql, &[&id]).await? else { return Ok(None) };
    Ok(Some(Episode {
        id,
        pet: PetId(Error::column(&row, TABLE, 0)?),
        superseded: Error::column(&row, TABLE, 1)?,
        replaced_by: Error::column(&row, TABLE, 2)?,
        told: told(&row, TABLE, 3)?,
        secondhand: false,
    }))
}

/// Forgets all of a pet's.
pub(crate) async fn delete_all(tx: &Tx, pet: PetId) -> Result<u64, Error> {
    tx.execute("-- delete_episodes\nDELETE FROM episodes WHERE pet_id = $1", &[&pet.0]).await
}
