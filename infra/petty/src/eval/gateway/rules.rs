//! Why the gateway and Envoy differ where they do.
//!
//! Invariant: a rule explains a difference of the shapes that it names whole, and only where both made of the request what the
//! rule says they make. What a shape close by gets, or another answer to the same, is left unexplained.

mod holds;
mod table;

use std::fmt;

use serde_json::Value;

use super::samples;
use super::{Outcome, Pair};
pub(super) use table::RULES;

/// One thing in which they differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Difference {
    /// Petty answers what Envoy refuses.
    PettyTakes,
    /// Envoy answers what Petty refuses.
    EnvoyTakes,
    /// Both refuse, with different statuses.
    Refusal,
    /// Another message arrived, or at another method.
    Message,
    /// A message arrived by one alone, though both answer, or both refuse.
    Arrival,
    /// Success has another status.
    Status,
    /// Success has other JSON.
    Json,
}

/// A difference that is meant.
pub(super) struct Rule {
    /// What it is about.
    pub(super) subject: &'static str,
    pub(super) petty: &'static str,
    pub(super) envoy: &'static str,
    pub(super) reason: &'static str,
    meant: &'static [Meant],
}

/// What a rule lets pass.
struct Meant {
    difference: Difference,
    /// Of requests of these shapes, by their whole names; of every shape where none is named.
    shapes: &'static [&'static str],
    /// Whether both made of the request what the rule says.
    holds: fn(&Pair) -> bool,
}

/// What explains a difference: a rule, and which of its shapes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Meaning {
    /// Which of [`RULES`].
    pub(super) rule: usize,
    difference: Difference,
    shape: &'static str,
}

impl fmt::Display for Meaning {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let subject = RULES.get(self.rule).map_or("", |rule| rule.subject);
        let shape = if self.shape.is_empty() { "of any shape" } else { self.shape };
        write!(formatter, "{subject}: {:?}, {shape}", self.difference)
    }
}

/// All differences of a request.
pub(super) fn differences(pair: &Pair) -> Vec<Difference> {
    let mut found = Vec::new();
    let (petty, envoy) = (&pair.petty, &pair.envoy);
    let (one, other) = (&petty.reply, &envoy.reply);
    let succeeded = |outcome: &Outcome| outcome.reply.status / 100 == 2;
    match (succeeded(petty), succeeded(envoy)) {
        (true, true) => {
            if one.status != other.status {
                found.push(Difference::Status);
            }
            // An answer without content has none to compare.
            let is_alike = match one.status {
                204 => one.body.is_empty(),
                _ => one.body == other.body || same_json(one.json().as_ref(), other.json().as_ref()),
            };
            if !is_alike {
                found.push(Difference::Json);
            }
        }
        (true, false) => found.push(Difference::PettyTakes),
        (false, true) => found.push(Difference::EnvoyTakes),
        (false, false) if one.status != other.status => found.push(Difference::Refusal),
        (false, false) => {}
    }
    match (&petty.asked, &envoy.asked) {
        (Some(one), Some(other))
            if one.method != other.method || !samples::same(&one.message, &other.message) =>
        {
            found.push(Difference::Message);
        }
        // Where one alone refuses, that is said already.
        (Some(_), None) | (None, Some(_)) if succeeded(petty) == succeeded(envoy) => {
            found.push(Difference::Arrival);
        }
        _ => {}
    }
    found
}

fn same_json(one: Option<&Value>, other: Option<&Value>) -> bool {
    matches!((one, other), (Some(one), Some(other)) if same_value(one, other))
}

/// Alike but for how a number is written: 0 and 0.0 are one.
fn same_value(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => one == other || one.as_f64() == other.as_f64(),
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same_value(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one.iter().all(|(name, one)| other.get(name).is_some_and(|other| same_value(one, other)))
        }
        _ => one == other,
    }
}

/// What explains a difference. The first that fits.
pub(super) fn explain(pair: &Pair, difference: &Difference) -> Option<Meaning> {
    RULES.iter().enumerate().find_map(|(rule, Rule { meant, .. })| {
        let fits = |meant: &&Meant| meant.difference == *difference && (meant.holds)(pair);
        let shape = meant.iter().filter(fits).find_map(|meant| match meant.shapes {
            [] => Some(""),
            shapes => shapes.iter().copied().find(|shape| *shape == pair.case.shape),
        })?;
        Some(Meaning { rule, difference: *difference, shape })
    })
}

/// All that rules let pass.
pub(super) fn meanings() -> impl Iterator<Item = Meaning> {
    RULES.iter().enumerate().flat_map(|(rule, Rule { meant, .. })| {
        meant.iter().flat_map(move |Meant { difference, shapes, .. }| {
            let shapes = if shapes.is_empty() { &[""] } else { *shapes };
            shapes.iter().map(move |shape| Meaning { rule, difference: *difference, shape })
        })
    })
}

#[cfg(test)]
mod tests;
