//! What remembering saves: how often a token or a decision was in memory while readings came in, and how long auth took where it
//! was not. From the metrics that every service shows, of the whole run.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

const LOOKUPS: &str = "petty_cache_lookups_total";
const CHECKS: &str = "petty_access_check_duration_seconds";

/// Tells of every service that looked something up.
pub(super) fn tell(text: &str, details: &mut Map<String, Value>) {
    let mut lookups: BTreeMap<(String, String), [f64; 2]> = BTreeMap::new();
    let mut checks: BTreeMap<String, [f64; 2]> = BTreeMap::new();
    for sample in text.lines().filter_map(Sample::read) {
        let service = sample.label("service");
        if sample.name == LOOKUPS {
            let [hits, all] = lookups.entry((sample.label("cache"), service)).or_default();
            *all += sample.value;
            if sample.label("result") == "hit" {
                *hits += sample.value;
            }
        } else if let Some(part) = sample.name.strip_prefix(CHECKS) {
            let [sum, count] = checks.entry(service).or_default();
            match part {
                "_sum" => *sum += sample.value,
                "_count" => *count += sample.value,
                _ => {}
            }
        }
    }
    for ((cache, service), [hits, all]) in lookups {
        if all > 0.0 {
            details
                .insert(format!("{cache} in {service}'s memory, of all looked up"), json!(round(hits / all)));
        }
    }
    for (service, [sum, count]) in checks {
        if count > 0.0 {
            let ms = json!(round(sum / count * 1e3));
            details.insert(format!("{service} asks auth for a decision, mean, ms"), ms);
        }
    }
}

fn round(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}

/// A line of the Prometheus text format. No label of ours holds a comma or a quotation mark.
struct Sample<'a> {
    name: &'a str,
    labels: &'a str,
    value: f64,
}

impl<'a> Sample<'a> {
    fn read(line: &'a str) -> Option<Self> {
        let (name, rest) = line.split_once('{')?;
        let (labels, value) = rest.rsplit_once('}')?;
        Some(Self { name, labels, value: value.trim().parse().ok()? })
    }

    fn label(&self, name: &str) -> String {
        let labels = self.labels.split(',').filter_map(|label| label.split_once('='));
        let mut found = labels.filter(|(label, _)| *label == name);
        found.next().map(|(_, value)| value.trim_matches('"').to_owned()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hits_and_means_are_read_from_what_services_show() {
        let text = r#"# TYPE petty_cache_lookups_total counter
petty_cache_lookups_total{cache="tokens",result="hit",service="ingest"} 30
petty_cache_lookups_total{cache="tokens",result="miss",service="ingest"} 9
petty_cache_lookups_total{cache="tokens",result="joined",service="ingest"} 1
petty_access_check_duration_seconds_bucket{service="ingest",le="0.1"} 4
petty_access_check_duration_seconds_sum{service="ingest"} 0.01
petty_access_check_duration_seconds_count{service="ingest"} 4
"#;
        let mut details = Map::new();
        tell(text, &mut details);
        let expected = json!({
            "tokens in ingest's memory, of all looked up": 0.75,
            "ingest asks auth for a decision, mean, ms": 2.5,
        });
        assert_eq!(Value::Object(details), expected);
    }
}
