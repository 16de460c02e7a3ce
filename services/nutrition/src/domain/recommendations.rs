//! What is recommended for a pet, each with its reason in the pet's own numbers and its source.
//!
//! Invariant: the same advice always has the same code, and a code comes at most once for each food or once at all.

mod body;
mod diet;

use serde::{Deserialize, Serialize};

use super::plan::{self, Inputs};

/// How much it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Severity {
    /// Good to know.
    Info,
    /// To be done.
    Advice,
    /// Ask a vet.
    SeeAVet,
}

/// Something recommended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recommendation {
    /// `WEIGHT_UNKNOWN`.
    pub code: String,
    /// How much it matters.
    pub severity: Severity,
    /// What to do, for people.
    pub text: String,
    /// Why, for people, with the pet's own numbers.
    pub reason: String,
    /// The literature; empty for what is missing.
    pub source: String,
}

impl Recommendation {
    fn info(code: &str, text: impl Into<String>, reason: impl Into<String>, source: &str) -> Self {
        Self::new(code, Severity::Info, text, reason, source)
    }

    fn advice(code: &str, text: impl Into<String>, reason: impl Into<String>, source: &str) -> Self {
        Self::new(code, Severity::Advice, text, reason, source)
    }

    fn vet(code: &str, text: impl Into<String>, reason: impl Into<String>, source: &str) -> Self {
        Self::new(code, Severity::SeeAVet, text, reason, source)
    }

    fn new(
        code: &str,
        severity: Severity,
        text: impl Into<String>,
        reason: impl Into<String>,
        source: &str,
    ) -> Self {
        Self {
            code: code.to_owned(),
            severity,
            text: text.into(),
            reason: reason.into(),
            source: source.to_owned(),
        }
    }
}

/// What is recommended of these inputs, the most urgent first.
#[must_use]
pub fn recommendations(inputs: &Inputs) -> Vec<Recommendation> {
    let (plan, findings) = plan::found(inputs);
    let mut told = Vec::new();
    body::recommend(&plan, &findings, &mut told);
    diet::recommend(&plan, &findings, &mut told);
    // Stable: within a severity the order above.
    told.sort_by_key(|recommendation| std::cmp::Reverse(recommendation.severity));
    told
}
