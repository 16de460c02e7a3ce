//! Calls between two services over loopback.

mod client;
mod server;
mod stream;
