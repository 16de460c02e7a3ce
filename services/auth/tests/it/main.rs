//! auth as a whole, on a real Postgres and Redis, over gRPC, with a clock that the tests move.

#![expect(clippy::unwrap_used, reason = "a test may panic, in its helpers too")]

mod access;
mod accounts;
mod audit;
mod closing;
mod collars;
mod credentials;
mod harness;
mod keys;
mod looks;
mod mail;
mod mailbox;
mod passphrases;
mod personal;
mod pets;
mod revocation;
mod revoking;
mod rotation;
mod second_factor;
mod session_list;
mod sessions;
mod shares;
mod sign_in;
mod smtp;
mod staff;
mod storage;
mod tickets;
mod unaudited;
mod vault;
