//! Open episodes that grew since they were told, told once nothing more comes.
//!
//! Invariants: what stands is told at last, whether anything arrives any more or not; of several replicas one tells. Whoever
//! tells holds the pet's lock.

use std::time::Duration;

use jiff::SignedDuration;
use petty_chassis::events::{Outgoing, outbox, topics};
use petty_chassis::postgres::{Db, Error};
use petty_chassis::telemetry;
use petty_chassis::types::Clock;
use petty_proto::events::v1::BehaviorChanged;

use crate::grpc::convert;
use crate::store::episodes;

/// A pet of which nothing came for so long has its open episode told as it stands.
pub const QUIET: SignedDuration = SignedDuration::from_secs(2);
/// How often such pets are looked for.
pub const CHECK: Duration = Duration::from_secs(1);
/// So many pets are told of in one transaction.
const BATCH: usize = 256;

/// Tells them.
#[derive(Clone, Debug)]
pub struct Untold {
    db: Db,
    clock: Clock,
    shards: i16,
}

impl Untold {
    /// Over the service's own database, telling into so many shards.
    #[must_use]
    pub fn new(db: Db, clock: Clock, shards: i16) -> Self {
        Self { db, clock, shards }
    }

    /// Tells all that did not change for so long; how many episodes.
    ///
    /// # Errors
    /// Where the database says no.
    pub async fn tell(&self, quiet: SignedDuration) -> Result<usize, Error> {
        let mut all = 0;
        loop {
            let told = self.db.transaction("tell_untold", |tx| async move {
                let now = self.clock.now();
                let since = now.saturating_sub(quiet).unwrap_or(now);
                let pets =
                    episodes::lock_untold(&tx, since, i64::try_from(BATCH).unwrap_or(i64::MAX)).await?;
                if pets.is_empty() {
                    return Ok((0, 0));
                }
                let untold = episodes::take_untold(&tx, &pets).await?;
                let count = untold.len();
                let traceparent = telemetry::traceparent().unwrap_or_default();
                let mut news = outbox::Batch::new(&self.clock);
                for episode in untold {
                    let (pet, version) = (episode.pet, episode.version);
                    let told = BehaviorChanged {
                        episode: Some(convert::episode(episode)),
                        superseded: false,
                        replaced_by: Vec::new(),
                    };
                    let topic = &topics::BEHAVIOR_CHANGED;
                    let outgoing = Outgoing::of_pet(topic, pet, version, self.shards, &told);
                    news.add(&self.clock, &outgoing, &traceparent);
                }
                if count > 0 {
                    news.write(&tx).await?;
                }
                Ok::<_, Error>((pets.len(), count))
            });
            let (pets, count) = told.await?;
            all += count;
            // What is left is being worked on, or is found by the next look.
            if pets < BATCH {
                return Ok(all);
            }
        }
    }
}
