//! What is wrong with one field of what somebody asks for, in business words.

/// What is wrong with one field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The field's path, `foods[1].share`.
    pub field: String,
    /// What is wrong, for people.
    pub reason: String,
    /// What is wrong, for programs: `REQUIRED`, `MALFORMED`, `OUT_OF_RANGE`, `FORBIDDEN_FOOD`, `NOT_FOR_THIS_PET`.
    pub code: &'static str,
}

impl Fault {
    pub(crate) fn required(field: impl Into<String>) -> Self {
        Self { field: field.into(), reason: "is required".into(), code: "REQUIRED" }
    }

    pub(crate) fn malformed(field: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { field: field.into(), reason: reason.into(), code: "MALFORMED" }
    }

    pub(crate) fn out_of_range(field: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { field: field.into(), reason: reason.into(), code: "OUT_OF_RANGE" }
    }

    /// Right for another animal.
    pub(crate) const UNFIT: &str = "NOT_FOR_THIS_PET";

    pub(crate) fn unfit(field: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { field: field.into(), reason: reason.into(), code: Self::UNFIT }
    }

    pub(crate) fn forbidden(field: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { field: field.into(), reason: reason.into(), code: "FORBIDDEN_FOOD" }
    }
}

/// Notes a number that is not within its bounds, or no number at all.
pub(crate) fn check(faults: &mut Vec<Fault>, field: &str, value: f64, low: f64, high: f64, unit: &str) {
    if !(low..=high).contains(&value) {
        faults.push(Fault::out_of_range(field, format!("must be {low} to {high}{unit}")));
    }
}
