//! The behavior service on a real Postgres and a real Redis.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod alerts;
mod alone;
mod bench;
mod consuming;
mod days;
mod describing;
mod growing;
mod insights;
mod odd;
mod owners;
mod reading;
mod revising;
