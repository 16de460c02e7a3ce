//! The archive of labelled events, for whoever improves the rules: lines of JSON in an object store.
//!
//! Invariants: what is said is accepted whatever the store does; the database says what every object must hold, and an
//! object that holds something else is written as a whole, until it holds just that; a pet is told as erased only once no
//! object holds anything of it. Of one account's words on one event only the newest is there, and it says what was told
//! when it was said.

mod line;
mod place;

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use opentelemetry::metrics::{Counter, Gauge};
use petty_chassis::admin::CheckHandle;
use petty_chassis::error::chain;
use petty_chassis::events::outbox;
use petty_chassis::postgres::{Db, Error, Tx};
use petty_chassis::{Context, telemetry};
use tokio::sync::Notify;

use crate::config::ArchiveConfig;
use crate::store::objects::{Backlog, Leased};
use crate::store::{erasures, objects};
use place::{Away, Place};

/// Where nobody woke it, it looks after this time: another replica may have left something.
const POLL: Duration = Duration::from_secs(5);
/// What comes in within this time is written together.
const SETTLE: Duration = Duration::from_millis(250);
/// The first pause after a failure, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(30));

/// What a round came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Round {
    /// Objects that were written or removed.
    pub written: usize,
    /// Objects that could not be.
    pub failed: usize,
    /// What the last of them failed with.
    pub failure: Option<String>,
}

/// Keeps the archive as the database says it must be. Clones are the same.
#[derive(Clone)]
pub struct Archive {
    inner: Arc<Inner>,
}

struct Inner {
    context: Context,
    db: Db,
    shards: i16,
    config: Option<ArchiveConfig>,
    place: OnceLock<Place>,
    wake: Notify,
    check: CheckHandle,
    dirty: Gauge<i64>,
    unassigned: Gauge<i64>,
    failures: Counter<u64>,
}

impl fmt::Debug for Archive {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Archive").field("config", &self.inner.config).finish_non_exhaustive()
    }
}

impl Archive {
    /// One at this place, or at none. The store may be away: readiness says so, but does not depend on it.
    #[must_use]
    pub fn new(context: &Context, db: &Db, shards: i16, config: Option<ArchiveConfig>) -> Self {
        let meter = telemetry::meter();
        let check = context.readiness.check("archive");
        check.ok(if config.is_some() { "not looked at yet" } else { NONE });
        if config.is_none() {
            tracing::info!("PETTY_ARCHIVE_URL is not set: what is said is kept, but not archived");
        }
        let inner = Inner {
            context: context.clone(),
            db: db.clone(),
            shards,
            config,
            place: OnceLock::new(),
            wake: Notify::new(),
            check,
            dirty: meter
                .i64_gauge("petty_feedback_archive_dirty_objects")
                .with_description("Objects of the archive that do not hold yet what they must")
                .build(),
            unassigned: meter
                .i64_gauge("petty_feedback_archive_unassigned")
                .with_description("Words that are in no object of the archive yet")
                .build(),
            failures: meter
                .u64_counter("petty_feedback_archive_failures")
                .with_description("Objects of the archive that could not be written")
                .build(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// There is something to write once the transaction is committed.
    pub(crate) fn wake_after(&self, tx: &Tx) {
        let archive = self.clone();
        tx.after_commit(move || archive.inner.wake.notify_one());
    }

    /// Begins to write, until the drain.
    pub fn start(&self) {
        let archive = self.clone();
        self.inner.context.tasks.spawn_vital("archive", async move { archive.run().await });
    }

    async fn run(&self) {
        let Inner { context, wake, .. } = &*self.inner;
        let mut pause = PAUSES.0;
        loop {
            let went_well = match self.round().await {
                Ok(round) => round.failed == 0,
                Err(error) => {
                    tracing::warn!(error = chain(&error), "the archive waits for the database");
                    false
                }
            };
            let waiting = async {
                if went_well {
                    // Woken or not, it looks again.
                    let _ = tokio::time::timeout(POLL, wake.notified()).await;
                    tokio::time::sleep(SETTLE).await;
                } else {
                    tokio::time::sleep(pause.mul_f64(0.5 + context.entropy.fraction())).await;
                }
            };
            tokio::select! {
                () = context.shutdown.draining() => return,
                () = waiting => {}
            }
            pause = if went_well { PAUSES.0 } else { (pause * 2).min(PAUSES.1) };
        }
    }

    /// Assigns what is in no object yet, and writes what must be written, each object once.
    ///
    /// # Errors
    /// Where the database is away. That the store is away is part of the round.
    pub async fn round(&self) -> Result<Round, Error> {
        let Inner { context, db, config, .. } = &*self.inner;
        let mut round = Round::default();
        if config.is_some() {
            let (clock, entropy) = (&context.clock, context.entropy);
            let assign = |tx| async move { objects::assign(&tx, clock, entropy).await };
            while db.transaction("assign_feedback", assign).await? > 0 {}
            self.write_all(&mut round).await?;
        }
        let backlog = db.read("archive_backlog", |tx| async move { objects::backlog(&tx).await }).await?;
        self.report(&round, backlog);
        Ok(round)
    }

    async fn write_all(&self, round: &mut Round) -> Result<(), Error> {
        let Inner { context, db, failures, .. } = &*self.inner;
        let mut failed = Vec::new();
        loop {
            let but = failed.as_slice();
            let lease = |tx: Tx| async move { objects::lease(&tx, &context.clock, but).await };
            let Some(leased) = db.transaction("lease_object", lease).await? else { return Ok(()) };
            match self.write(&leased).await {
                Ok(()) => round.written += 1,
                Err(Trouble::Database(error)) => return Err(error),
                Err(Trouble::Store(away)) => {
                    failures.add(1, &[]);
                    tracing::warn!(object.id = %leased.id, error = chain(&away), "an object of the archive cannot be written");
                    // What took too long may still be under way, and come after what is written next: it has the rest of its lease to
                    // end in.
                    if !matches!(away, Away::Late) {
                        let release = |tx| async move { objects::release(&tx, &leased).await };
                        db.transaction("release_object", release).await?;
                    }
                    failed.push(leased.id);
                    round.failed += 1;
                    round.failure = Some(chain(&away));
                }
            }
        }
    }

    /// Writes one object, and tells of the pets that it was the last to hold something of.
    async fn write(&self, leased: &Leased) -> Result<(), Trouble> {
        let Inner { context, db, shards, .. } = &*self.inner;
        let content =
            db.read("object_content", |tx| async move { objects::content(&tx, leased.id).await }).await?;
        let bytes = line::lines(&content.labels)
            .map_err(|_| Error::Inconsistent { table: "feedback", column: "evidence".to_owned() })?;
        self.place()?.put(leased.day, leased.id, bytes).await?;
        let (clock, shards, generation) = (&context.clock, *shards, content.generation);
        db.transaction("object_written", |tx| async move {
            erasures::lock_waiting(&tx, leased.id, generation).await?;
            if !objects::written(&tx, clock, leased, generation).await? {
                return Ok(());
            }
            for pet in erasures::settle(&tx, leased.id, generation).await? {
                outbox::tell_erased(&tx, clock, "feedback", pet, shards).await?;
            }
            Ok::<_, Error>(())
        })
        .await?;
        Ok(())
    }

    /// The place, opened when it first can be.
    fn place(&self) -> Result<&Place, Away> {
        let Inner { config, place, .. } = &*self.inner;
        if let Some(place) = place.get() {
            return Ok(place);
        }
        let config = config.as_ref().ok_or(Away::None)?;
        let opened = Place::open(config)?;
        Ok(place.get_or_init(|| opened))
    }

    fn report(&self, round: &Round, Backlog { dirty, unassigned }: Backlog) {
        let Inner { config, check, dirty: dirty_gauge, unassigned: unassigned_gauge, .. } = &*self.inner;
        dirty_gauge.record(dirty, &[]);
        unassigned_gauge.record(unassigned, &[]);
        let detail = match (config, &round.failure) {
            (None, _) if dirty == 0 => NONE.to_owned(),
            (None, _) => {
                format!("{NONE}, but {dirty} objects of an earlier one must be written: erasures wait for it")
            }
            (Some(_), None) => format!("{dirty} objects to write"),
            (Some(_), Some(failure)) => format!("{dirty} objects to write; tried again: {failure}"),
        };
        check.ok(detail);
    }
}

/// Readiness, where there is no archive.
const NONE: &str = "none: PETTY_ARCHIVE_URL is not set";

/// Why an object was not written.
enum Trouble {
    Store(Away),
    Database(Error),
}

impl From<Away> for Trouble {
    fn from(away: Away) -> Self {
        Self::Store(away)
    }
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::Database(error)
    }
}
