//! The table of differences in docs/gateway.md.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::Context as _;

use super::Pair;
use super::rules::RULES;
use crate::envoy;

/// Where it stands.
pub(super) const PLACE: &str = "docs/gateway.md";
const BEGIN: &str = "<!-- written by `cargo petty eval gateway` -->";
const END: &str = "<!-- until here -->";

/// The table, from what was found.
pub(super) fn table(requests: usize, by_rule: &BTreeMap<usize, Vec<&Pair>>) -> String {
    let mut text = format!(
        "{requests} requests over all routes, Envoy {}. All else was alike: the status, the message that arrived\n\
         at the service, the JSON that was answered.\n\n\
         | what | Petty | Envoy | why |\n|---|---|---|---|\n",
        envoy::RELEASE
    );
    for rule in by_rule.keys().filter_map(|rule| RULES.get(*rule)) {
        // A String takes everything.
        let _infallible =
            writeln!(text, "| {} | {} | {} | {} |", rule.subject, rule.petty, rule.envoy, rule.reason);
    }
    text
}

/// The page with this table in its place.
pub(super) fn with_table(page: &str, table: &str) -> anyhow::Result<String> {
    let (before, rest) = page.split_once(BEGIN).with_context(|| format!("no {BEGIN} in {PLACE}"))?;
    let (_, after) = rest.split_once(END).with_context(|| format!("no {END} in {PLACE}"))?;
    Ok(format!("{before}{BEGIN}\n{table}{END}{after}"))
}
