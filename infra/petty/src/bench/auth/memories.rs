//! What remembering saves: how often a token or a decision was in memory while readings came in, and how long auth took where it
//! was not. From the metrics that every service shows, of the whole run.

use std::collections::BTreeMap;

use petty_chassis::telemetry::{Metric, MetricFamily};
use serde_json::{Map, Value, json};

const LOOKUPS: &str = "petty_cache_lookups_total";
const CHECKS: &str = "petty_access_check_duration_seconds";

/// Tells of every service that looked something up.
pub(super) fn tell(families: &[MetricFamily], details: &mut Map<String, Value>) {
    let mut lookups: BTreeMap<(String, String), [f64; 2]> = BTreeMap::new();
    for metric in named(families, LOOKUPS) {
        let value = metric.get_counter().get_value();
        let [hits, all] = lookups.entry((label(metric, "cache"), label(metric, "service"))).or_default();
        *all += value;
        if label(metric, "result") == "hit" {
            *hits += value;
        }
    }
    for ((cache, service), [hits, all]) in lookups {
        let part = if all > 0.0 { json!(round(hits / all)) } else { Value::Null };
        details.insert(format!("{cache} in {service}'s memory, of all looked up"), part);
    }
    for metric in named(families, CHECKS) {
        let taken = metric.get_histogram();
        let mean = taken.get_sample_sum() / count(taken.get_sample_count());
        let seconds = Some(mean).filter(|mean| mean.is_finite());
        let name = format!("{} asks auth for a decision, mean, ms", label(metric, "service"));
        details.insert(name, json!(seconds.map(|seconds| round(seconds * 1e3))));
    }
}

fn named<'a>(families: &'a [MetricFamily], name: &'a str) -> impl Iterator<Item = &'a Metric> {
    families.iter().filter(move |family| family.name() == name).flat_map(MetricFamily::get_metric)
}

fn label(metric: &Metric, name: &str) -> String {
    let found = metric.get_label().iter().find(|label| label.name() == name);
    found.map(|label| label.value().to_owned()).unwrap_or_default()
}

fn round(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}

#[expect(clippy::cast_precision_loss, reason = "a count of some minutes")]
fn count(count: u64) -> f64 {
    count as f64
}
