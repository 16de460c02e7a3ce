//! The feedback service on a real Postgres and a real Redis.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod alone;
mod archiving;
mod asking;
mod bench;
mod bucket;
mod consuming;
mod counting;
mod erasing;
mod listing;
mod saying;
mod together;
