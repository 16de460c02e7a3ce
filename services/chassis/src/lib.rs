//! What every Petty service is bolted to.
//!
//! A service names itself, its configuration and one async function; configuration, telemetry, shutdown, the admin port,
//! gRPC with both identities of a call, access checks, Postgres and events come from here.
//!
//! Invariants kept here: only the chassis touches signals, environment, spawning and wall-clock time; no call is served
//! that the [gate](grpc::gate) did not let through; no event is acknowledged before its effects are committed.

pub mod access;
pub mod admin;
pub mod breeds;
pub mod calendar;
pub mod caller;
pub mod config;
pub mod error;
pub mod events;
pub mod foundation;
pub mod grpc;
pub mod memory;
pub mod page;
pub mod periodic;
pub mod pets;
pub mod postgres;
pub mod service;
pub mod shutdown;
pub mod tasks;
pub mod telemetry;
pub mod types;

pub use error::{ApiError, Code, FieldError};
pub use foundation::{Foundation, FoundationConfig};
pub use service::{Context, Running, Service, embed, main};
pub use shutdown::Shutdown;
pub use tasks::{TaskLost, Tasks};
