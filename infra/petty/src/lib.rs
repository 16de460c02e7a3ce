//! The whole mesh on one machine, and what feeds it: `petty up`, `petty replay`.
//!
//! A library too, so that tests replay recordings the way the command does.

pub mod cli;
pub mod mesh;
pub mod replay;
pub mod up;
