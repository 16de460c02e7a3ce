//! `petty up`, and what is done around it, as a person does it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod control;
mod operator;
mod running;
mod up;
