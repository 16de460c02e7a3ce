//! What ingest does beside requests: keeps partitions, sums minutes and hours, and forgets pets.

use std::time::Duration;

use async_trait::async_trait;
use petty_chassis::events::{Event, Failure, Handler, Part, topics, versions};
use petty_chassis::postgres::{Error, Tx};
use petty_chassis::{Context, periodic, telemetry};
use petty_proto::events::v1::PetChanged;

use crate::domain::reading::Window;
use crate::store::{Retention, Store};

const PARTITIONS_INTERVAL: Duration = Duration::from_secs(3_600);

/// A minute that is still being written into is summed this often at most.
const ROLLUP_INTERVAL: Duration = Duration::from_secs(5);

/// So long a pet that is forgotten waits at most for its readings to begin to go.
const ERASURES_INTERVAL: Duration = Duration::from_secs(1);

/// Makes partitions now, so that there is one for every reading, and every hour from now on; then drops what is too old.
///
/// # Errors
/// Where the database says no the first time.
pub async fn keep_partitions(
    context: &Context,
    store: &Store,
    window: Window,
    retention: Retention,
) -> Result<(), Error> {
    store.make_partitions(window).await?;
    let store = store.clone();
    periodic::every(context, "partitions", PARTITIONS_INTERVAL, move || {
        let store = store.clone();
        async move {
            store.make_partitions(window).await?;
            let dropped = store.drop_partitions(retention).await?;
            if dropped > 0 {
                tracing::info!(dropped, "dropped partitions that are older than they are kept");
            }
            Ok::<_, Error>(())
        }
    });
    Ok(())
}

/// Sums minutes and hours that were written into.
pub fn roll_up(context: &Context, store: &Store) {
    let store = store.clone();
    periodic::every(context, "rollups", ROLLUP_INTERVAL, move || {
        let store = store.clone();
        async move {
            while store.roll_up().await? {}
            Ok::<_, Error>(())
        }
    });
}

/// Deletes what is left of pets that are forgotten.
pub fn delete_erased(context: &Context, store: &Store) {
    let meter = telemetry::meter();
    let waiting = meter
        .u64_gauge("petty_erasures_waiting")
        .with_description("Forgotten pets whose readings are not all deleted yet")
        .build();
    let age = meter
        .f64_gauge("petty_erasures_age")
        .with_unit("s")
        .with_description(
            "How long the forgotten pet that has waited the longest has been waiting for its readings to go",
        )
        .build();
    let store = store.clone();
    periodic::every(context, "erasures", ERASURES_INTERVAL, move || {
        let (store, waiting, age) = (store.clone(), waiting.clone(), age.clone());
        async move {
            let measure = async || {
                let (pets, seconds) = store.erasures().await?;
                waiting.record(u64::try_from(pets).unwrap_or_default(), &[]);
                age.record(seconds, &[]);
                Ok::<_, Error>(pets)
            };
            if measure().await? == 0 {
                return Ok::<(), Error>(());
            }
            while store.delete_erased().await? {
                measure().await?;
            }
            Ok(())
        }
    });
}

/// What ingest does with other services' events: it forgets pets that are gone.
#[derive(Debug)]
pub struct Events {
    store: Store,
}

impl Events {
    /// Over a store.
    #[must_use]
    pub fn new(store: &Store) -> Self {
        Self { store: store.clone() }
    }
}

#[async_trait]
impl Handler for Events {
    async fn apply(&self, tx: &Tx, event: &Event, part: &Part) -> Result<(), Failure> {
        if *event.topic == topics::PET_ERASING {
            self.store.erase(tx, part.pet, true).await?;
        } else if *event.topic == topics::PET_CHANGED {
            let changed: PetChanged = event.read()?;
            // What a pet is does not concern readings; that it is gone does.
            let advanced =
                versions::advance(tx, "pet", event.subject, event.version, changed.deleted).await?;
            if advanced && changed.deleted {
                self.store.erase(tx, part.pet, false).await?;
            }
        }
        Ok(())
    }
}
