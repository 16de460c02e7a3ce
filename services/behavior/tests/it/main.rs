//! The behavior service on a real Postgres and a real Redis.

mod bench;
mod consuming;
mod reading;
mod revising;
