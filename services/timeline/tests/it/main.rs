//! The timeline service on a real Postgres and a real Redis.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod alone;
mod bench;
mod collars;
mod consuming;
mod days;
mod following;
mod notes;
mod reading;
mod replicas;
mod retention;
mod streaming;
mod together;
