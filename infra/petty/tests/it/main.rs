//! `petty up` as a person runs it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod up;
