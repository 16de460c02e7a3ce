//! The episodes told so far.
//!
//! Invariant: a version replaces only lower ones, and an episode that was superseded stays so. Where what stands was not told,
//! the row says what was.

use std::collections::HashMap;

use jiff::Timestamp;
use petty_chassis::page::{Page, Place, Span};
use petty_chassis::postgres::{Error, Row, Tx};
use petty_chassis::types::{Clock, PetId, micros};
use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

use crate::domain::telling::Told;
use crate::domain::v1::{self, Known};
use crate::domain::{Behavior, EpisodeChange, Superseded};

/// An episode, as it is kept.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Episode {
    pub(crate) id: Uuid,
    pub(crate) pet: PetId,
    pub(crate) behavior: Behavior,
    pub(crate) start_at: Timestamp,
    pub(crate) end_at: Timestamp,
    pub(crate) open: bool,
    pub(crate) confidence: f64,
    pub(crate) evidence: Evidence,
    pub(crate) version: i64,
}

/// What is told of an episode's evidence; more of it is kept.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(crate) struct Evidence {
    pub(crate) rule: String,
    pub(crate) rule_version: String,
    pub(crate) readings: u32,
    pub(crate) mean_heart_rate: Option<f64>,
    pub(crate) sd_heart_rate: Option<f64>,
    pub(crate) path_m: Option<f64>,
    pub(crate) max_speed_mps: Option<f64>,
    /// Absent in `spine/1`'s.
    #[serde(default)]
    pub(crate) baseline_bpm: Option<f64>,
    #[serde(default)]
    pub(crate) baseline_days: Option<u8>,
    /// By channel.
    #[serde(default)]
    pub(crate) weights: Vec<f32>,
}

impl Episode {
    /// A new or revised episode of a pet.
    pub(crate) fn of(pet: PetId, change: &EpisodeChange) -> Self {
        let EpisodeChange { id, episode, .. } = change;
        let evidence = &episode.evidence;
        Self {
            id: *id,
            pet,
            behavior: episode.behavior,
            start_at: episode.start,
            end_at: episode.end,
            open: episode.open,
            confidence: episode.confidence,
            evidence: Evidence::of(evidence),
            version: version(change.version),
        }
    }
}

impl Evidence {
    /// What is told of the interpreter's.
    pub(crate) fn of(evidence: &v1::Evidence) -> Self {
        Self {
            rule: evidence.rule.to_owned(),
            rule_version: evidence.rule_version.to_owned(),
            readings: evidence.readings,
            mean_heart_rate: evidence.mean_heart_rate,
            sd_heart_rate: evidence.sd_heart_rate,
            path_m: evidence.path_m,
            max_speed_mps: evidence.max_speed_mps,
            baseline_bpm: Some(evidence.baseline_bpm),
            baseline_days: Some(evidence.baseline_days),
            weights: evidence.weights.to_vec(),
        }
    }
}

/// A domain's version as it is kept. One change a second would take longer than the sun to get out of range.
pub(crate) fn version(version: u64) -> i64 {
    i64::try_from(version).unwrap_or(i64::MAX)
}

/// An episode that changed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Upsert<'a> {
    pub(crate) pet: PetId,
    pub(crate) change: &'a EpisodeChange,
    /// What was told of it last, where that has to do for now; `None`: it is told as it is.
    pub(crate) told: Option<Told>,
}

/// What was told last of some episodes, of those that are there.
pub(crate) async fn told_of(tx: &Tx, ids: &[Uuid]) -> Result<HashMap<Uuid, Told>, Error> {
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let sql = "-- told_of\nSELECT episode_id, behavior, start_at, coalesce(told_end_at, end_at), open, coalesce(told_confidence, confidence)
               FROM episodes WHERE episode_id = ANY($1) AND NOT superseded";
    let told = |row: &Row| {
        let behavior: &str = Error::column(row, "episodes", 1)?;
        let told = Told {
            behavior: Behavior::from_slug(behavior).ok_or_else(|| inconsistent("behavior"))?,
            start: Error::column(row, "episodes", 2)?,
            end: Error::column(row, "episodes", 3)?,
            open: Error::column(row, "episodes", 4)?,
            confidence: Error::column(row, "episodes", 5)?,
        };
        Ok((Error::column(row, "episodes", 0)?, told))
    };
    tx.query(sql, &[&ids]).await?.iter().map(told).collect()
}

/// Writes new and revised episodes, all in one statement. The caller holds the locks of all their pets.
pub(crate) async fn upsert(tx: &Tx, clock: &Clock, changed: &[Upsert<'_>]) -> Result<(), Error> {
    if changed.is_empty() {
        return Ok(());
    }
    let pets: Vec<Uuid> = changed.iter().map(|upsert| upsert.pet.0).collect();
    let changes: Vec<&EpisodeChange> = changed.iter().map(|upsert| upsert.change).collect();
    let told_ends: Vec<Option<Timestamp>> =
        changed.iter().map(|upsert| upsert.told.map(|told| told.end)).collect();
    let told_confidences: Vec<Option<f64>> =
        changed.iter().map(|upsert| upsert.told.map(|told| told.confidence)).collect();
    let ids: Vec<Uuid> = changes.iter().map(|change| change.id).collect();
    let behaviors: Vec<&str> = changes.iter().map(|change| change.episode.behavior.slug()).collect();
    let starts: Vec<Timestamp> = changes.iter().map(|change| change.episode.start).collect();
    let ends: Vec<Timestamp> = changes.iter().map(|change| change.episode.end).collect();
    let opens: Vec<bool> = changes.iter().map(|change| change.episode.open).collect();
    let confidences: Vec<f64> = changes.iter().map(|change| change.episode.confidence).collect();
    let evidences = changes.iter().map(|change| serde_json::to_value(change.episode.evidence));
    let evidences: Vec<Value> = evidences.collect::<Result<_, _>>().map_err(|_| inconsistent("evidence"))?;
    let versions: Vec<i64> = changes.iter().map(|change| version(change.version)).collect();
    let digests: Vec<i64> = changes.iter().map(|change| change.digest).collect();
    let sql = "-- upsert_episodes\nINSERT INTO episodes
               (episode_id, pet_id, behavior, start_at, end_at, open, confidence, evidence, version, digest, updated_at, told_end_at,
                told_confidence)
               SELECT new.id, new.pet_id, new.behavior, new.start_at, new.end_at, new.open, new.confidence, new.evidence, new.version,
                      new.digest, $11, new.told_end_at, new.told_confidence
               FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::timestamptz[], $5::timestamptz[], $6::bool[], $7::float8[],
                           $8::jsonb[], $9::int8[], $10::int8[], $12::timestamptz[], $13::float8[])
                    AS new (pet_id, id, behavior, start_at, end_at, open, confidence, evidence, version, digest, told_end_at,
                            told_confidence)
               ON CONFLICT (episode_id) DO UPDATE
               SET behavior = EXCLUDED.behavior, start_at = EXCLUDED.start_at, end_at = EXCLUDED.end_at,
                   open = EXCLUDED.open, confidence = EXCLUDED.confidence, evidence = EXCLUDED.evidence,
                   version = EXCLUDED.version, digest = EXCLUDED.digest, updated_at = EXCLUDED.updated_at,
                   told_end_at = EXCLUDED.told_end_at, told_confidence = EXCLUDED.told_confidence
               WHERE episodes.pet_id = EXCLUDED.pet_id AND episodes.version < EXCLUDED.version AND NOT episodes.superseded";
    let now = micros(clock.now());
    let parameters: [&(dyn petty_chassis::postgres::ToSql + Sync); 13] = [
        &pets,
        &ids,
        &behaviors,
        &starts,
        &ends,
        &opens,
        &confidences,
        &evidences,
        &versions,
        &digests,
        &now,
        &told_ends,
        &told_confidences,
    ];
    let touched = tx.execute(sql, &parameters).await?;
    // Under the pets' locks state and episodes agree; where they do not, nothing is better than half.
    if touched == changes.len() as u64 { Ok(()) } else { Err(inconsistent("version")) }
}

/// Marks episodes as superseded, all in one statement, and answers each as it last was.
pub(crate) async fn supersede(
    tx: &Tx,
    clock: &Clock,
    superseded: &[(PetId, &Superseded)],
) -> Result<Vec<Episode>, Error> {
    if superseded.is_empty() {
        return Ok(Vec::new());
    }
    let pets: Vec<Uuid> = superseded.iter().map(|(pet, _)| pet.0).collect();
    let gone: Vec<&Superseded> = superseded.iter().map(|(_, superseded)| *superseded).collect();
    let ids: Vec<Uuid> = gone.iter().map(|superseded| superseded.id).collect();
    let versions: Vec<i64> = gone.iter().map(|superseded| version(superseded.version)).collect();
    // An array of arrays cannot be unnested by row: each travels as its text.
    let replacements: Vec<String> =
        gone.iter().map(|superseded| array_text(&superseded.replaced_by)).collect();
    let sql = "-- supersede_episodes\nUPDATE episodes e
               SET superseded = true, version = gone.version, replaced_by = gone.replaced_by::uuid[], updated_at = $5,
                   told_end_at = NULL, told_confidence = NULL
               FROM unnest($1::uuid[], $2::uuid[], $3::int8[], $4::text[]) AS gone (pet_id, id, version, replaced_by)
               WHERE e.episode_id = gone.id AND e.pet_id = gone.pet_id AND e.version < gone.version AND NOT e.superseded
               RETURNING e.episode_id, e.pet_id, e.behavior, e.start_at, e.end_at, e.open, e.confidence, e.evidence, e.version";
    let now = micros(clock.now());
    let rows = tx.query(sql, &[&pets, &ids, &versions, &replacements, &now]).await?;
    if rows.len() != gone.len() {
        return Err(inconsistent("superseded"));
    }
    rows.iter().map(episode).collect()
}

/// Ends what goes on of a pet's since an instant, and answers it as it is now. What is computed again is another than this, whatever it is.
/// The caller holds the pet's lock.
pub(crate) async fn end_open(
    tx: &Tx,
    clock: &Clock,
    pet: PetId,
    since: Timestamp,
) -> Result<Vec<Episode>, Error> {
    let sql = "-- end_open_episodes\nUPDATE episodes SET open = false, version = version + 1, digest = 0, updated_at = $3,
                   told_end_at = NULL, told_confidence = NULL
               WHERE pet_id = $1 AND NOT superseded AND end_at >= $2 AND open
               RETURNING episode_id, pet_id, behavior, start_at, end_at, open, confidence, evidence, version";
    let rows = tx.query(sql, &[&pet.0, &micros(since), &micros(clock.now())]).await?;
    rows.iter().map(episode).collect()
}

/// Locks pets of whose episodes something is untold since an instant, unless somebody works on them, until the transaction ends.
pub(crate) async fn lock_untold(tx: &Tx, since: Timestamp, limit: i64) -> Result<Vec<Uuid>, Error> {
    let sql = "-- lock_untold\nSELECT pet_id FROM pet_states
               WHERE pet_id IN (SELECT DISTINCT pet_id FROM episodes WHERE told_end_at IS NOT NULL AND updated_at <= $1 LIMIT $2)
               ORDER BY pet_id FOR UPDATE SKIP LOCKED";
    let rows = tx.query(sql, &[&micros(since), &limit]).await?;
    rows.iter().map(|row| Error::column(row, "pet_states", 0)).collect()
}

/// Notes that all of some locked pets' episodes are told as they stand; those that were not.
pub(crate) async fn take_untold(tx: &Tx, pets: &[Uuid]) -> Result<Vec<Episode>, Error> {
    let sql = "-- take_untold\nUPDATE episodes SET told_end_at = NULL, told_confidence = NULL
               WHERE pet_id = ANY($1) AND told_end_at IS NOT NULL
               RETURNING episode_id, pet_id, behavior, start_at, end_at, open, confidence, evidence, version";
    tx.query(sql, &[&pets]).await?.iter().map(episode).collect()
}

/// What was told of some pets and ends after an instant, of each its own, microseconds since 1970; by start.
pub(crate) async fn known_since(
    tx: &Tx,
    since: &[(PetId, i64)],
) -> Result<HashMap<PetId, Vec<Known>>, Error> {
    let mut all: HashMap<PetId, Vec<Known>> = HashMap::new();
    if since.is_empty() {
        return Ok(all);
    }
    let instant = |at: i64| Timestamp::from_microsecond(at).unwrap_or(Timestamp::MIN);
    let (pets, since): (Vec<Uuid>, Vec<Timestamp>) =
        since.iter().map(|(pet, since)| (pet.0, instant(*since))).unzip();
    // OFFSET 0: each pet's own part of the index.
    let sql = "-- known_since\nSELECT e.episode_id, e.version, e.behavior, e.start_at, e.end_at, e.digest, wanted.pet_id
               FROM unnest($1::uuid[], $2::timestamptz[]) AS wanted (pet_id, since),
                    LATERAL (SELECT episode_id, version, behavior, start_at, end_at, digest FROM episodes
                             WHERE pet_id = wanted.pet_id AND NOT superseded AND end_at > wanted.since OFFSET 0) e
               ORDER BY e.start_at, e.end_at, e.episode_id";
    for row in tx.query(sql, &[&pets, &since]).await? {
        let version: i64 = Error::column(&row, "episodes", 1)?;
        let behavior: &str = Error::column(&row, "episodes", 2)?;
        let [start, end] = [3, 4].map(|index| Error::column::<Timestamp>(&row, "episodes", index));
        let known = Known {
            id: Error::column(&row, "episodes", 0)?,
            version: u64::try_from(version).map_err(|_| inconsistent("version"))?,
            behavior: Behavior::from_slug(behavior).ok_or_else(|| inconsistent("behavior"))?,
            start: start?.as_microsecond(),
            end: end?.as_microsecond(),
            digest: Error::column(&row, "episodes", 5)?,
        };
        all.entry(PetId(Error::column(&row, "episodes", 6)?)).or_default().push(known);
    }
    Ok(all)
}

/// When the pet did one of some things since an instant: from and to, by start.
pub(crate) async fn times(
    tx: &Tx,
    pet: PetId,
    since: Timestamp,
    does: fn(Behavior) -> bool,
) -> Result<Vec<(Timestamp, Timestamp)>, Error> {
    let these: Vec<&str> =
        Behavior::ALL.into_iter().filter(|behavior| does(*behavior)).map(Behavior::slug).collect();
    let sql = "-- times_of_behaviors\nSELECT start_at, end_at FROM episodes
               WHERE pet_id = $1 AND NOT superseded AND end_at > $2 AND behavior = ANY($3) ORDER BY start_at";
    let rows = tx.query(sql, &[&pet.0, &since, &these]).await?;
    rows.iter()
        .map(|row| Ok((Error::column(row, "episodes", 0)?, Error::column(row, "episodes", 1)?)))
        .collect()
}

/// Forgets all of a pet's.
pub(crate) async fn delete_all(tx: &Tx, pet: PetId) -> Result<u64, Error> {
    tx.execute("-- delete_episodes\nDELETE FROM episodes WHERE pet_id = $1", &[&pet.0]).await
}

/// A pet's episodes that reach into a span, newest first; superseded ones left out.
pub(crate) async fn list(tx: &Tx, pet: PetId, page: &Page<Uuid, Span>) -> Result<Vec<Episode>, Error> {
    let (Span { start, end }, limit) = (page.span, page.limit());
    let rows = match page.after {
        None => {
            let sql = "-- list_episodes\nSELECT episode_id, pet_id, behavior, start_at, end_at, open, confidence, evidence, version
                       FROM episodes WHERE pet_id = $1 AND NOT superseded AND end_at >= $2 AND start_at < $3
                       ORDER BY start_at DESC, episode_id DESC LIMIT $4";
            tx.query(sql, &[&pet.0, &start, &end, &limit]).await?
        }
        Some(Place { time, id }) => {
            let sql = "-- list_more_episodes\nSELECT episode_id, pet_id, behavior, start_at, end_at, open, confidence, evidence, version
                       FROM episodes WHERE pet_id = $1 AND NOT superseded AND end_at >= $2 AND start_at < $3
                       AND (start_at, episode_id) < ($5, $6)
                       ORDER BY start_at DESC, episode_id DESC LIMIT $4";
            tx.query(sql, &[&pet.0, &start, &end, &limit, &time, &id]).await?
        }
    };
    rows.iter().map(episode).collect()
}

/// Whose an episode is, superseded or not.
pub(crate) async fn pet_of(tx: &Tx, id: Uuid) -> Result<Option<PetId>, Error> {
    let sql = "-- find_episode_pet\nSELECT pet_id FROM episodes WHERE episode_id = $1";
    let row = tx.query_opt(sql, &[&id]).await?;
    row.map(|row| Error::column(&row, "episodes", 0).map(PetId)).transpose()
}

/// A pet's episode of an id, or what stands in its place now: of several, the one that covers most of its time.
pub(crate) async fn find(tx: &Tx, pet: PetId, id: Uuid) -> Result<Option<Episode>, Error> {
    let sql = "-- find_episode\nWITH RECURSIVE asked AS (
                   SELECT start_at, end_at FROM episodes WHERE episode_id = $2 AND pet_id = $1
               ), chain (id) AS (
                   SELECT $2::uuid
                   UNION
                   SELECT heir.id FROM chain JOIN episodes e ON e.episode_id = chain.id AND e.pet_id = $1
                   CROSS JOIN LATERAL unnest(e.replaced_by) AS heir (id)
               )
               SELECT e.episode_id, e.pet_id, e.behavior, e.start_at, e.end_at, e.open, e.confidence, e.evidence, e.version
               FROM episodes e JOIN chain ON chain.id = e.episode_id CROSS JOIN asked
               WHERE e.pet_id = $1 AND NOT e.superseded
               ORDER BY least(e.end_at, asked.end_at) - greatest(e.start_at, asked.start_at) DESC, e.start_at, e.episode_id
               LIMIT 1";
    tx.query_opt(sql, &[&pet.0, &id]).await?.as_ref().map(episode).transpose()
}

fn episode(row: &Row) -> Result<Episode, Error> {
    const TABLE: &str = "episodes";
    let behavior: &str = Error::column(row, TABLE, 2)?;
    let evidence: Value = Error::column(row, TABLE, 7)?;
    Ok(Episode {
        id: Error::column(row, TABLE, 0)?,
        pet: PetId(Error::column(row, TABLE, 1)?),
        behavior: Behavior::from_slug(behavior).ok_or_else(|| inconsistent("behavior"))?,
        start_at: Error::column(row, TABLE, 3)?,
        end_at: Error::column(row, TABLE, 4)?,
        open: Error::column(row, TABLE, 5)?,
        confidence: Error::column(row, TABLE, 6)?,
        evidence: serde_json::from_value(evidence).map_err(|_| inconsistent("evidence"))?,
        version: Error::column(row, TABLE, 8)?,
    })
}

fn inconsistent(column: &str) -> Error {
    Error::Inconsistent { table: "episodes", column: column.to_owned() }
}

/// Postgres' text of an array of uuids.
fn array_text(ids: &[Uuid]) -> String {
    let ids: Vec<String> = ids.iter().map(Uuid::to_string).collect();
    format!("{{{}}}", ids.join(","))
}
