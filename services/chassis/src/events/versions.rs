//! Entity versions: consumers apply only higher ones, and deleted is final.

use uuid::Uuid;

use crate::postgres::{Error, Tx};

/// Notes that a version of an entity is being applied; false where the same or a higher one was, or the entity is gone.
/// One statement: two replicas cannot both be told yes for one version.
///
/// # Errors
/// Where the database says no.
pub async fn advance(
    tx: &Tx,
    kind: &'static str,
    subject: Uuid,
    version: i64,
    deleted: bool,
) -> Result<bool, Error> {
    let sql = "-- advance_version\nINSERT INTO event_entity_versions (kind, subject, version, deleted) VALUES ($1, $2, $3, $4)
               ON CONFLICT (kind, subject) DO UPDATE SET version = EXCLUDED.version, deleted = EXCLUDED.deleted
               WHERE event_entity_versions.version < EXCLUDED.version AND NOT event_entity_versions.deleted";
    Ok(tx.execute(sql, &[&kind, &subject, &version, &deleted]).await? == 1)
}
