//! A consumer group's member.
//!
//! Each shard is read by one replica at a time, and handed to the worker of its shard. A worker takes what waits, splits it by pet and runs one
//! transaction for all, in order of pet id: first the inbox rows, then the handler's effects; where that fails, one for each
//! half of the pets, and so on, down to one for each event and pet. Workers take turns as long as they are not behind. Entries are
//! acknowledged after the last commit. Where a reader
//! dies its shards are another's after twice the handling deadline, who begins with what is not acknowledged.

mod reader;
mod redrive;
mod shards;
mod together;
mod turns;
mod worker;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tracing::Instrument as _;

use super::redis::Connector;
use super::{Event, EventsConfig};
use crate::error::ApiError;
use crate::postgres::{Class, Db, Error, TransactionError, Tx};
use crate::service::Context;
use crate::types::PetId;

/// One pet's part of an event.
#[derive(Clone, Debug)]
pub struct Part {
    /// The pet.
    pub pet: PetId,
    /// Its share of the payload, as the handler split it.
    pub body: Bytes,
}

/// Why a part was not applied.
#[derive(Debug)]
pub enum Failure {
    /// It would fail again: decoding, domain. Counts towards the dead letter.
    Poison(String),
    /// The database, or something else this depends on; backed off from, never counted.
    Away(Box<dyn std::error::Error + Send + Sync>),
    /// The transaction lost a race, and runs again.
    Store(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error.class() {
            Class::Race => Self::Store(error),
            Class::Away => Self::Away(Box::new(error)),
            // A value that the schema refuses will be refused again.
            Class::Lasting => Self::Poison(crate::error::chain(&error)),
        }
    }
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        use crate::error::Code;
        match error.code {
            Code::Unavailable | Code::DeadlineExceeded | Code::ResourceExhausted => {
                Self::Away(Box::new(error))
            }
            Code::InvalidArgument
            | Code::Unauthenticated
            | Code::PermissionDenied
            | Code::NotFound
            | Code::Conflict
            | Code::RequestIdReused
            | Code::Internal => Self::Poison(crate::error::chain(&error)),
        }
    }
}

impl TransactionError for Failure {
    fn database(&self) -> Option<&Error> {
        match self {
            Self::Store(error) => Some(error),
            Self::Poison(_) | Self::Away(_) => None,
        }
    }
}

/// What a service does with the events it consumes.
#[async_trait]
pub trait Handler: Send + Sync + 'static {
    /// Splits an event by pet. By default it is about one: its subject.
    ///
    /// # Errors
    /// `Poison`, where the payload cannot be read.
    fn split(&self, event: &Event) -> Result<Vec<Part>, Failure> {
        Ok(vec![Part { pet: PetId(event.subject), body: event.payload.clone() }])
    }

    /// The payload with one pet's part alone, as it is kept where that is given up on, so that no other pet's is kept with it.
    /// By default all of it: it is about one.
    fn alone(&self, event: &Event, _part: &Part) -> Bytes {
        event.payload.clone()
    }

    /// Applies one pet's part. Every effect, outbox rows included, goes through the transaction.
    ///
    /// # Errors
    /// `Poison` where it would fail again.
    async fn apply(&self, tx: &Tx, event: &Event, part: &Part) -> Result<(), Failure>;

    /// Applies parts of several events in one transaction: by pet, and those of a pet as they arrived. By default one after the
    /// other.
    ///
    /// # Errors
    /// Where one of them fails; half of them are tried then, and so on, down to each by itself.
    async fn apply_all(&self, tx: &Tx, parts: &[(&Event, &Part)]) -> Result<(), Failure> {
        one_by_one(self, tx, parts).await
    }
}

/// Applies parts one after the other, each in the trace of its event.
///
/// # Errors
/// Where one of them fails.
pub async fn one_by_one(
    handler: &(impl Handler + ?Sized),
    tx: &Tx,
    parts: &[(&Event, &Part)],
) -> Result<(), Failure> {
    for (event, part) in parts {
        handler.apply(tx, event, part).instrument(event.span()).await?;
    }
    Ok(())
}

/// A member of the service's consumer group.
pub struct Consumer {
    pub(super) context: Context,
    pub(super) db: Db,
    pub(super) redis: Connector,
    pub(super) handler: Arc<dyn Handler>,
    pub(super) config: EventsConfig,
}

impl std::fmt::Debug for Consumer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Consumer").field("service", &self.context.service).finish_non_exhaustive()
    }
}

impl Consumer {
    /// Begins to consume all topics of the service.
    pub(super) fn start(self) -> Arc<Self> {
        let consumer = Arc::new(self);
        let tasks = consumer.context.tasks.clone();
        tasks.spawn_vital("event-consumer", reader::run(consumer.clone()));
        consumer
    }

    /// A replica that says nothing for this long reads its shards no more; and an entry that is not handled within it is looked at
    /// again.
    fn lease(&self) -> Duration {
        self.config.handling_deadline * 2
    }
}
