//! The mesh from outside, as separate processes.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod access;
mod access_matrix;
mod bad_input;
mod bounds;
mod checker;
mod concurrency;
mod edge;
mod episodes;
mod faults;
mod feeding;
mod first_behavior;
mod forgery;
mod grants;
mod kill_auth;
mod kill_behavior;
mod matrix;
mod older_clients;
mod operating;
mod relaying;
mod replay;
mod roles;
mod simulated;
mod streaming;

/// The binary that is any service.
const NODE: &str = env!("CARGO_BIN_EXE_petty-node");
