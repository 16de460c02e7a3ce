//! The events that were told.
//!
//! Invariant: an event's row is what its highest version said, and a superseded one stays so.

use petty_chassis::events::versions;
use petty_chassis::postgres::{Error, ToSql, Tx};
use petty_chassis::types::{Clock, PetId, micros};
use uuid::Uuid;

use super::{Table, inconsistent, told};
use crate::domain::Episode;

const TABLE: &str = "episodes";
/// What events' versions are noted under.
pub(crate) const KIND: &str = "episode";

/// Writes what is told of events, each once. Which versions may be written is decided before.
pub(crate) async fn put(tx: &Tx, clock: &Clock, episodes: &[&Episode]) -> Result<(), Error> {
    if episodes.is_empty() {
        return Ok(());
    }
    let table = Table::of(episodes, TABLE)?;
    let superseded: Vec<bool> = episodes.iter().map(|episode| episode.superseded).collect();
    let sql = "-- put_episodes\nINSERT INTO episodes
               (event_id, pet_id, version, behavior, rule, rule_version, start_at, end_at, open, evidence, replaced_by, superseded,
                updated_at)
               SELECT e.event_id, e.pet_id, e.version, e.behavior, e.rule, e.rule_version, e.start_at, e.end_at, e.open, e.evidence,
                      e.replaced_by::uuid[], e.superseded, $13
               FROM unnest($1::uuid[], $2::uuid[], $3::int8[], $4::text[], $5::text[], $6::text[], $7::timestamptz[],
                           $8::timestamptz[], $9::bool[], $10::jsonb[], $11::text[], $12::bool[])
                    AS e (event_id, pet_id, version, behavior, rule, rule_version, start_at, end_at, open, evidence, replaced_by,
                          superseded)
               ON CONFLICT (event_id) DO UPDATE
               SET behavior = EXCLUDED.behavior, rule = EXCLUDED.rule, rule_version = EXCLUDED.rule_version,
                   start_at = EXCLUDED.start_at, end_at = EXCLUDED.end_at, open = EXCLUDED.open, evidence = EXCLUDED.evidence,
                   version = EXCLUDED.version, superseded = EXCLUDED.superseded, replaced_by = EXCLUDED.replaced_by,
                   updated_at = EXCLUDED.updated_at
               WHERE episodes.pet_id = EXCLUDED.pet_id AND episodes.version < EXCLUDED.version AND NOT episodes.superseded";
    let now = micros(clock.now());
    let mut parameters = table.parameters();
    parameters.extend::<[&(dyn ToSql + Sync); 2]>([&superseded, &now]);
    let touched = tx.execute(sql, &parameters).await?;
    if touched == episodes.len() as u64 { Ok(()) } else { Err(inconsistent(TABLE, "version")) }
}

/// Writes what is said of an event, unless that or more was told already.
pub(crate) async fn keep(tx: &Tx, clock: &Clock, episode: &Episode) -> Result<(), Error> {
    let Episode { id, told, superseded, .. } = episode;
    if versions::advance(tx, KIND, *id, told.version, *superseded).await? {
        put(tx, clock, &[episode]).await?;
    }
    Ok(())
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
