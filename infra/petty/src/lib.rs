//! The whole mesh on one machine, and what feeds it: `petty up`, `petty replay`, `petty simulate`; and what tells of it
//! and stops it: `petty status`, `petty down`; and what operates it: `petty keys`, `petty audit`,
//! `petty dlq`, `petty outbox`. `petty bench` and `petty eval` say how fast
//! and how good it is.
//!
//! A library too, so that tests replay recordings the way the command does.

pub mod audit;
pub mod bench;
pub mod cli;
pub mod client;
pub mod dlq;
pub mod down;
mod envoy;
pub mod eval;
pub mod keys;
pub mod mesh;
pub mod operator;
pub mod outbox;
mod process;
mod progress;
pub mod ready;
pub mod replay;
pub mod simulate;
pub mod sse;
pub mod status;
pub mod up;
