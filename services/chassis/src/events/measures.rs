//! What is measured of events: how many wait to be sent, and how many were given up on, each with how long.

use std::time::Duration;

use jiff::Timestamp;
use opentelemetry::KeyValue;
use opentelemetry::metrics::Gauge;

use super::{dead_letters, topics};
use crate::periodic;
use crate::postgres::{Db, Error};
use crate::service::Context;
use crate::telemetry::meter;

const INTERVAL: Duration = Duration::from_secs(10);

#[derive(Clone)]
struct Measures {
    waiting: Gauge<u64>,
    oldest: Gauge<f64>,
    unsent: Gauge<u64>,
    oldest_unsent: Gauge<f64>,
}

pub(super) fn start(context: &Context, db: &Db) {
    let count = |name, what| meter().u64_gauge(name).with_description(what).build();
    let age = |name, what| meter().f64_gauge(name).with_unit("s").with_description(what).build();
    let measures = Measures {
        waiting: count("petty_dead_letters_waiting", "Dead letters that are neither redriven nor dropped"),
        oldest: age("petty_dead_letters_oldest", "How long the oldest of them has been one"),
        unsent: count("petty_outbox_unsent", "Events that wait to be sent"),
        oldest_unsent: age("petty_outbox_oldest_unsent", "How long the oldest of them has waited"),
    };
    let (whole, db) = (context.clone(), db.clone());
    periodic::every(context, "events-measures", INTERVAL, move || {
        let (context, db, measures) = (whole.clone(), db.clone(), measures.clone());
        async move { measures.take(&context, &db).await }
    });
}

impl Measures {
    async fn take(&self, context: &Context, db: &Db) -> Result<(), Error> {
        let service = KeyValue::new("service", context.service);
        let now = context.clock.now();
        let age = |since: Timestamp| now.duration_since(since).as_secs_f64().max(0.0);
        let letters = dead_letters::waiting(db).await?;
        // None is told as well: a gauge that is not told keeps its last value.
        for topic in topics::consumed_by(context.service) {
            let labels = [service.clone(), KeyValue::new("topic", topic.name)];
            let found = letters.get(topic.name);
            let count = found.map_or(0, |(count, _)| u64::try_from(*count).unwrap_or_default());
            self.waiting.record(count, &labels);
            self.oldest.record(found.map_or(0.0, |(_, since)| age(*since)), &labels);
        }
        let (count, since) = unsent(db).await?;
        self.unsent.record(u64::try_from(count).unwrap_or_default(), std::slice::from_ref(&service));
        self.oldest_unsent.record(since.map_or(0.0, age), &[service]);
        Ok(())
    }
}

async fn unsent(db: &Db) -> Result<(i64, Option<Timestamp>), Error> {
    let sql = "-- unsent_events\nSELECT count(*), min(created_at) FROM event_outbox WHERE sent_at IS NULL";
    db.read("unsent_events", |tx| async move {
        let row = tx.query_one(sql, &[]).await?;
        Ok((Error::column(&row, "event_outbox", 0)?, Error::column(&row, "event_outbox", 1)?))
    })
    .await
}
