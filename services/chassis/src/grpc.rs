//! gRPC between services: what serves, what calls, and who is who.
//!
//! Invariants: one fixed order of layers on every server; every call has a deadline, a request id and a service that
//! proved itself; a call is sent again only where its policy says that this is harmless.

pub mod client;
pub mod gate;
pub mod identity;
pub(crate) mod scope;
pub mod server;
mod tls;

pub use client::{Channel, Mesh};
pub use identity::ServiceIdentity;
pub use scope::{CLIENT_ADDRESS, CallScope, ClientAddress, Deadline, RequestId};
pub use server::Server;
pub use tls::TlsError;
