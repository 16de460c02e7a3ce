//! Private PostgreSQL and Redis servers for one machine: found or installed, started on loopback with ports and
//! passwords of their own, and gone again when their owner is.
//!
//! `petty up` runs on it, and so does every test that needs a database. Invariants: a data directory has one owner at
//! a time; a server never outlives the process that started it (on Linux even after `kill -9`); nothing listens
//! beyond loopback; no directory that was there before is opened up, chowned or removed.

mod error;
pub mod install;
pub mod locate;
mod lock;
pub mod owner;
mod place;
mod port;
mod postgres;
mod process;
mod prototype;
mod redis;
mod running;
mod secret;
mod spawn;
mod stack;
mod state;
mod temporary;

use std::pin::Pin;

pub use error::Error;
pub use owner::Owner;
pub use postgres::{Postgres, ServiceDatabase};
pub use prototype::Prototype;
pub use redis::Redis;
pub use stack::{Install, Options, Progress, Stack};
pub use temporary::shared;

/// What fallible calls of this crate return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The same of what takes a while.
pub type Doing<'a, T> = Pin<Box<dyn Future<Output = Result<T>> + Send + 'a>>;
