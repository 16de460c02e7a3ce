//! The chassis from outside: real sockets, real processes, a real Postgres and a real Redis.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod access;
mod away;
mod callers;
mod calls;
mod embedded;
mod events;
mod fixture;
mod gate;
mod mtls;
mod otlp;
mod partitions;
mod pipeline;
mod postgres;
mod postgres_tls;
mod process;
mod wake;
mod world;
