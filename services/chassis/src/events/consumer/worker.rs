//! Handles events: what waits together in one transaction, or where that fails in halves, down to one per pet; dead letters for what can never be
//! handled, patience with everything else. What the database refuses to have buried is left for gap repair: nothing that comes behind it waits.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use opentelemetry::KeyValue;
use tokio::sync::mpsc;
use tracing::Instrument as _;

use super::reader::{Entry, Item};
use super::turns::{Turn, Turns};
use super::{Consumer, Failure, Part, together};
use crate::events::dead_letters::{self, Reason};
use crate::events::{Event, decode, inbox, topics};
use crate::postgres::{Class, Error, Tx};
use crate::telemetry::meter;
use crate::types::{Clock, PetId};

/// So many entries are handled together at most: of a pet with readings in many of them all are one part of the work.
pub(super) const TOGETHER: usize = 512;
/// The pause before a poisoned part is tried again: short, because it will fail alike, but not none.
const POISON_PAUSE: Duration = Duration::from_millis(20);
/// However short the handling deadline: a transaction that takes longer than this is not coming back.
const SHORTEST_PATIENCE: Duration = Duration::from_secs(15);

pub(super) async fn run(
    consumer: Arc<Consumer>,
    mut items: mpsc::Receiver<Item>,
    turns: Turns,
    done_with: mpsc::UnboundedSender<i16>,
) {
    let shutdown = consumer.context.shutdown.clone();
    let lag = meter()
        .f64_histogram("petty_events_lag")
        .with_unit("s")
        .with_description(
            "How long the first of some entries was in its stream when they began to be handled",
        )
        .build();
    let service = [KeyValue::new("service", consumer.context.service)];
    loop {
        let mut waiting = Vec::new();
        let count = tokio::select! {
            // In drain, what was begun is finished; what was only queued stays pending and is claimed by another replica.
            () = shutdown.draining() => return,
            count = items.recv_many(&mut waiting, TOGETHER) => count,
        };
        if count == 0 {
            return;
        }
        let came = waiting.first().and_then(came);
        let turn = tokio::select! {
            () = shutdown.draining() => return,
            turn = turns.take(|| behind(came, &consumer.context.clock)) => turn,
        };
        lag.record(behind(came, &consumer.context.clock).as_secs_f64(), &service);
        // What came meanwhile is handled with it.
        while waiting.len() < TOGETHER
            && let Ok(item) = items.try_recv()
        {
            waiting.push(item);
        }
        let (mut entries, mut left) = (Vec::with_capacity(waiting.len()), Vec::new());
        for item in waiting {
            match item {
                Item::Entry(entry) => entries.push(entry),
                Item::Left(shard) => left.push(shard),
            }
        }
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = consumer.handle_in_turn(entries, turn) => {}
        }
        for shard in left {
            let _ = done_with.send(shard);
        }
    }
}

/// When an entry came into its stream, by its id.
fn came(item: &Item) -> Option<i64> {
    let Item::Entry(Entry { id, .. }) = item else { return None };
    id.split('-').next()?.parse().ok()
}

/// For how long an entry of that instant, milliseconds since 1970, has been waiting.
fn behind(came: Option<i64>, clock: &Clock) -> Duration {
    let behind = came.map(|came| clock.now().as_millisecond().saturating_sub(came));
    Duration::from_millis(behind.and_then(|behind| u64::try_from(behind).ok()).unwrap_or_default())
}

impl Consumer {
    /// Handles entries, and gives the turn back: once they are handled, or have taken as long as that may take.
    async fn handle_in_turn(&self, entries: Vec<Entry>, turn: Turn) {
        let mut handling = std::pin::pin!(self.handle_entries(entries));
        if tokio::time::timeout(self.config.handling_deadline, &mut handling).await.is_err() {
            drop(turn);
            handling.await;
        }
    }

    async fn handle_entries(&self, entries: Vec<Entry>) {
        let mut events = Vec::with_capacity(entries.len());
        for entry in &entries {
            match decode(entry.bytes.clone()) {
                Ok(event) => events.push(event),
                Err(error) => self.bury_bytes(entry, &error).await,
            }
        }
        self.handle_all(&events).await;
        let mut acknowledge = redis::pipe();
        for run in entries.chunk_by(|a, b| a.source.key == b.source.key) {
            let Some(first) = run.first() else { continue };
            let ids: Vec<&str> = run.iter().map(|entry| entry.id.as_str()).collect();
            acknowledge.xack(&first.source.key, self.context.service, &ids).ignore();
        }
        let acknowledged: redis::RedisResult<()> = acknowledge.query_async(&mut self.redis.shared()).await;
        if let Err(error) = acknowledged {
            // They will be claimed and found handled.
            tracing::debug!(error = %error, "entries could not be acknowledged");
        }
    }

    /// Handles events that came together. Returns only when each is handled, or left for gap repair.
    pub(in crate::events) async fn handle_all(&self, events: &[Event]) {
        if !self.handle_together(events).await {
            for event in events {
                self.handle(event).await;
            }
        }
    }

    /// Handles all parts of an event, and notes its number. Returns only when every part is applied, skipped or buried, or where the database
    /// refuses to bury one.
    pub(super) async fn handle(&self, event: &Event) {
        if let Err(error) = self.handle_parts(event).instrument(event.span()).await {
            together::leave(event, &error);
        }
    }

    async fn handle_parts(&self, event: &Event) -> Result<(), Error> {
        match self.split(event) {
            Ok(mut parts) => {
                parts.sort_by_key(|part| part.pet);
                let mut handled = Ok(());
                for part in &parts {
                    handled = handled.and(self.handle_part(event, part).await);
                }
                handled?;
            }
            Err(error) => {
                let part = Part { pet: PetId(event.subject), body: event.payload.clone() };
                self.fail_until_buried(event, &part, &error).await?;
            }
        }
        self.patiently("mark_handled", || async move {
            let marking = |tx| async move { together::mark_handled(&tx, &[event]).await };
            self.db.transaction("mark_handled", marking).await
        })
        .await
    }

    pub(super) fn split(&self, event: &Event) -> Result<Vec<Part>, String> {
        if let Some(refused) = inbox::refuses(event, self.context.clock.now()) {
            return Err(refused);
        }
        match std::panic::catch_unwind(AssertUnwindSafe(|| self.handler.split(event))) {
            Ok(Ok(parts)) => Ok(parts),
            Ok(Err(Failure::Poison(error))) => Err(error),
            Ok(Err(Failure::Away(error))) => Err(error.to_string()),
            Ok(Err(Failure::Store(error))) => Err(error.to_string()),
            Err(_) => Err("panicked".to_owned()),
        }
    }

    /// Returns only when it is applied, skipped or buried.
    ///
    /// # Errors
    /// Where the database refuses to bury it.
    pub(super) async fn handle_part(&self, event: &Event, part: &Part) -> Result<(), Error> {
        let mut pause = Duration::from_millis(20);
        loop {
            match self.apply(event, part).await {
                Ok(()) => return Ok(()),
                Err(Failure::Poison(error)) => {
                    if self.count_failure(event, part, Reason::Poison, &error).await? {
                        return Ok(());
                    }
                    tokio::time::sleep(POISON_PAUSE).await;
                }
                Err(Failure::Away(error)) => {
                    tracing::warn!(
                        error = crate::error::chain(error.as_ref()),
                        "an event waits for what it depends on"
                    );
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(Duration::from_secs(1));
                }
                Err(Failure::Store(_)) => {
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(Duration::from_secs(1));
                }
            }
        }
    }

    /// However long a transaction may take.
    pub(super) fn patience(&self) -> Duration {
        (self.config.handling_deadline * 5).max(SHORTEST_PATIENCE)
    }

    /// One transaction: the inbox row, then the effects. A database that does not answer is one that is away.
    async fn apply(&self, event: &Event, part: &Part) -> Result<(), Failure> {
        let applied = tokio::time::timeout(self.patience(), self.apply_once(event, part)).await;
        applied.unwrap_or_else(|late| Err(Failure::Away(Box::new(late))))
    }

    async fn apply_once(&self, event: &Event, part: &Part) -> Result<(), Failure> {
        self.db
            .transaction("apply_event", |tx| async move {
                if !inbox::take(&tx, event, part.pet).await? {
                    return Ok(());
                }
                self.effects(&tx, event, part).await.map(|_| ())
            })
            .await
    }

    /// A part's effects, unless it is about somebody who is forgotten: false then.
    pub(super) async fn effects(&self, tx: &Tx, event: &Event, part: &Part) -> Result<bool, Failure> {
        let erasing = [&topics::PET_ERASING, &topics::ACCOUNT_ERASING].contains(&event.topic);
        if !erasing && inbox::is_erased(tx, part.pet).await? {
            return Ok(false);
        }
        match AssertUnwindSafe(self.handler.apply(tx, event, part)).catch_unwind().await {
            Ok(applied) => applied.map(|()| true),
            Err(_) => Err(Failure::Poison("panicked".to_owned())),
        }
    }

    /// Counts a deterministic failure; true where it was the last one and the part is buried, or done with by another.
    async fn count_failure(
        &self,
        event: &Event,
        part: &Part,
        reason: Reason,
        error: &str,
    ) -> Result<bool, Error> {
        let clock = &self.context.clock;
        self.patiently("count_failure", || async move {
            self.db
                .transaction("count_failure", |tx| async move {
                    let Some(failures) = dead_letters::count(&tx, clock, event, part.pet, error).await? else {
                        return Ok(true);
                    };
                    tracing::warn!(event.id = %event.id, pet.id = %part.pet, topic = event.topic.name, failures, error, "an event cannot be applied");
                    if failures < dead_letters::LIMIT {
                        return Ok::<bool, Error>(false);
                    }
                    let alone = self.alone(event, part, reason);
                    dead_letters::bury(&tx, clock, &alone, part.pet, reason, error).await?;
                    Ok(true)
                })
                .await
        })
        .await
    }

    /// The event as it is kept: with the part that failed, where it is known.
    fn alone(&self, event: &Event, part: &Part, reason: Reason) -> Event {
        let payload = match reason {
            Reason::Poison => {
                // Where its own code cannot take it apart, all of it is kept.
                let alone = std::panic::catch_unwind(AssertUnwindSafe(|| self.handler.alone(event, part)));
                alone.unwrap_or_else(|_| event.payload.clone())
            }
            Reason::Unreadable | Reason::BadEnvelope => event.payload.clone(),
        };
        Event { payload, ..event.clone() }
    }

    async fn fail_until_buried(&self, event: &Event, part: &Part, error: &str) -> Result<(), Error> {
        while !self.count_failure(event, part, Reason::Unreadable, error).await? {
            tokio::time::sleep(POISON_PAUSE).await;
        }
        Ok(())
    }

    async fn bury_bytes(&self, entry: &Entry, error: &str) {
        let clock = &self.context.clock;
        let (topic, shard) = (entry.source.topic.name, entry.source.shard);
        let burying = self.patiently("bury", || async move {
            self.db
                .transaction("bury", |tx| async move {
                    dead_letters::bury_bytes(&tx, clock, topic, shard, &entry.bytes, error).await
                })
                .await
        });
        // Where it is refused its number shows as a gap.
        drop(burying.await);
    }

    /// Does what must be done, however long the database is away.
    ///
    /// # Errors
    /// What the database refuses, and again and again: what waits behind it is not to wait for ever.
    pub(super) async fn patiently<T, W>(&self, what: &'static str, work: impl Fn() -> W) -> Result<T, Error>
    where
        W: Future<Output = Result<T, Error>>,
    {
        let (mut pause, mut refusals) = (Duration::from_millis(20), 0);
        loop {
            let error = match work().await {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            let text = crate::error::chain(&error);
            if error.class() == Class::Lasting {
                refusals += 1;
                tracing::error!(what, error = text, refusals, "the database refuses what must be done");
                if refusals == dead_letters::LIMIT {
                    return Err(error);
                }
            } else {
                tracing::warn!(what, error = text, "the database is away; trying again");
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(1));
        }
    }
}
