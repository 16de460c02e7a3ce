//! Ingest on a real Postgres and Redis, behind a real gate; auth's answers are the tests' own.

#![expect(clippy::unwrap_used, reason = "a test may panic, in its helpers too")]

mod access;
mod batch;
mod concurrency;
mod erasure;
mod group;
mod list;
mod overload;
mod realtime;
mod relay;
mod rollups;
mod served;
mod service;
mod silence;
mod single;
mod takeover;
mod world;
