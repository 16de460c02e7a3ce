//! Notices collars that have stopped: each second those that are due are looked at, by whichever replica comes first.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use petty_chassis::postgres::Error;
use petty_chassis::{Context, periodic, telemetry};

use crate::store::Store;

/// With the shortest interval that counts, 5 s, noticing may take 2.5 s.
const INTERVAL: Duration = Duration::from_secs(1);
/// So many collars at once.
const BATCH: usize = 500;
const MEASURE_INTERVAL: Duration = Duration::from_secs(10);

/// Begins to look.
pub fn notice(context: &Context, store: &Store) {
    let meter = telemetry::meter();
    let told = meter
        .u64_counter("petty_collars_fell_silent")
        .with_description("Collars that were noticed to have stopped")
        .build();
    let looking = store.clone();
    periodic::every(context, "silent-collars", INTERVAL, move || {
        let (store, told) = (looking.clone(), told.clone());
        async move {
            loop {
                let looked = store.look_at_collars(i64::try_from(BATCH).unwrap_or(i64::MAX)).await?;
                told.add(u64::try_from(looked.fell_silent).unwrap_or_default(), &[]);
                if looked.collars < BATCH {
                    return Ok::<(), Error>(());
                }
            }
        }
    });
    let silent = meter.u64_gauge("petty_collars_silent").with_description("Collars that are silent").build();
    let reporting =
        meter.u64_gauge("petty_collars_reporting").with_description("Collars that are not silent").build();
    let overdue = meter
        .f64_gauge("petty_collar_looks_overdue")
        .with_unit("s")
        .with_description("How long the look at a collar that has waited the longest has been due")
        .build();
    let store = store.clone();
    let last = Arc::new(Mutex::new((0.0, Instant::now())));
    periodic::every(context, "silence-measures", MEASURE_INTERVAL, move || {
        let (store, silent, reporting) = (store.clone(), silent.clone(), reporting.clone());
        let (overdue, last) = (overdue.clone(), last.clone());
        async move {
            let measured = store.silence().await;
            let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
            match measured {
                Ok((count, others, seconds)) => {
                    silent.record(u64::try_from(count).unwrap_or_default(), &[]);
                    reporting.record(u64::try_from(others).unwrap_or_default(), &[]);
                    *last = (seconds, Instant::now());
                    overdue.record(seconds, &[]);
                    Ok::<(), Error>(())
                }
                // Nobody looks while the database is away.
                Err(error) => {
                    overdue.record(last.0 + last.1.elapsed().as_secs_f64(), &[]);
                    Err(error)
                }
            }
        }
    });
}
