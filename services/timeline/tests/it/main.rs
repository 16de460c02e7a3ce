//! The timeline service on a real Postgres and a real Redis.

mod bench;
mod collars;
mod consuming;
mod reading;
