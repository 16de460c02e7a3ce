//! Entity versions: consumers apply only higher ones, and deleted is final.

use uuid::Uuid;

use crate::postgres::{Error, Row, Tx};

const TABLE: &str = "event_entity_versions";

/// What was applied of an entity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Applied {
    /// The highest version.
    pub version: i64,
    /// It is gone for good.
    pub deleted: bool,
}

impl Applied {
    /// Whether a version may be applied after this.
    #[must_use]
    pub const fn lets(self, version: i64) -> bool {
        self.version < version && !self.deleted
    }
}

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

/// What was applied of some entities, each named by its kind and subject: in the order in which they are asked. Whoever acts on
/// that holds a lock under which alone versions of these entities are applied.
///
/// # Errors
/// Where the database says no.
pub async fn applied_of(tx: &Tx, entities: &[(&'static str, Uuid)]) -> Result<Vec<Option<Applied>>, Error> {
    let (kinds, subjects): (Vec<&str>, Vec<Uuid>) = entities.iter().copied().unzip();
    let sql = "-- applied_versions\nSELECT v.version, v.deleted
               FROM unnest($1::text[], $2::uuid[]) WITH ORDINALITY AS asked (kind, subject, nth)
               LEFT JOIN event_entity_versions v ON v.kind = asked.kind AND v.subject = asked.subject ORDER BY asked.nth";
    let applied = |row: &Row| {
        let version: Option<i64> = Error::column(row, TABLE, 0)?;
        let deleted: Option<bool> = Error::column(row, TABLE, 1)?;
        Ok(version.zip(deleted).map(|(version, deleted)| Applied { version, deleted }))
    };
    tx.query(sql, &[&kinds, &subjects]).await?.iter().map(applied).collect()
}

/// Notes what is applied of some entities, each once, as [`advance`] does for one.
///
/// # Errors
/// `Inconsistent` where one of them was at that version, or gone, already: [`applied_of`] was not asked under a lock.
pub async fn advance_all(tx: &Tx, entities: &[(&'static str, Uuid, Applied)]) -> Result<(), Error> {
    if entities.is_empty() {
        return Ok(());
    }
    let kinds: Vec<&str> = entities.iter().map(|(kind, ..)| *kind).collect();
    let subjects: Vec<Uuid> = entities.iter().map(|(_, subject, _)| *subject).collect();
    let versions: Vec<i64> = entities.iter().map(|(.., applied)| applied.version).collect();
    let deleted: Vec<bool> = entities.iter().map(|(.., applied)| applied.deleted).collect();
    let sql = "-- advance_versions\nINSERT INTO event_entity_versions (kind, subject, version, deleted)
               SELECT * FROM unnest($1::text[], $2::uuid[], $3::int8[], $4::bool[]) AS e (kind, subject, version, deleted)
               ON CONFLICT (kind, subject) DO UPDATE SET version = EXCLUDED.version, deleted = EXCLUDED.deleted
               WHERE event_entity_versions.version < EXCLUDED.version AND NOT event_entity_versions.deleted";
    let touched = tx.execute(sql, &[&kinds, &subjects, &versions, &deleted]).await?;
    if touched == entities.len() as u64 {
        Ok(())
    } else {
        Err(Error::Inconsistent { table: TABLE, column: "version".to_owned() })
    }
}
