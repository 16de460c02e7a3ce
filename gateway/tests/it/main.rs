//! The gateway over a real socket, before stand-ins of the services.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

mod answers;
mod asking_again;
mod coding;
mod docs;
mod draining;
mod floods;
mod hanging;
mod json_suite;
mod last_known;
mod limits;
mod lines;
mod order;
mod personal;
mod quotas;
mod reader;
mod requests;
mod sending_again;
mod sockets;
mod staff;
mod stand_in;
mod streams;
mod tickets;
mod tls;
mod transport;
mod unread;
mod uploads;
mod world;
