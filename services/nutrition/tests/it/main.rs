//! The nutrition service on a real Postgres and a real Redis.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod access;
mod alone;
mod bench;
mod consuming;
mod daily;
mod foods;
mod of_collar;
mod plans;
mod profiles;
mod reach;
mod replanning;
mod weights;
