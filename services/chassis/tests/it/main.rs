//! The chassis on real sockets, a real Postgres and a real Redis.

mod events;
mod world;
