//! What is measured of what a service remembers: how often that helped.

use opentelemetry::KeyValue;
use opentelemetry::metrics::Counter;

use super::meter;

/// The counts of one memory: `petty_cache_lookups_total` by result, and `petty_cache_forgotten_total`.
#[derive(Clone, Debug)]
pub struct CacheMeasures {
    lookups: Counter<u64>,
    forgotten: Counter<u64>,
    hit: [KeyValue; 3],
    miss: [KeyValue; 3],
    joined: [KeyValue; 3],
    named: [KeyValue; 2],
}

impl CacheMeasures {
    /// Of a memory of this name.
    #[must_use]
    pub fn new(cache: &'static str, service: &'static str) -> Self {
        let named = [KeyValue::new("cache", cache), KeyValue::new("service", service)];
        let with = |result: &'static str| {
            let [cache, service] = named.clone();
            [cache, service, KeyValue::new("result", result)]
        };
        let lookups = meter()
            .u64_counter("petty_cache_lookups")
            .with_description("How often something was looked for in memory, and whether it was there")
            .build();
        let forgotten = meter()
            .u64_counter("petty_cache_forgotten")
            .with_description("How often something was forgotten because it no longer held")
            .build();
        Self { lookups, forgotten, hit: with("hit"), miss: with("miss"), joined: with("joined"), named }
    }

    /// It was there.
    pub fn hit(&self) {
        self.lookups.add(1, &self.hit);
    }

    /// It was not.
    pub fn missed(&self) {
        self.lookups.add(1, &self.miss);
    }

    /// It was not, but somebody else was fetching it.
    pub fn joined(&self) {
        self.lookups.add(1, &self.joined);
    }

    /// Something, or all of it, was forgotten.
    pub fn forgot(&self) {
        self.forgotten.add(1, &self.named);
    }
}
