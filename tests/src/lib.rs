//! The mesh from outside: services as separate processes on a private Postgres and Redis, and a client that talks REST as
//! the mobile app and the collars do.

pub mod forge;
pub mod grpc;
pub mod literal;
pub mod mesh;
pub mod methods;
pub mod relay;
pub mod rest;
pub mod socket;
pub mod sse;
pub mod tables;
pub mod totp;

use std::time::Duration;

/// Waits until something holds; says what it was when it does not in time. Never a fixed sleep.
///
/// # Panics
/// Where it does not hold within `within`.
pub async fn eventually<F: Future<Output = bool>>(what: &str, within: Duration, holds: impl Fn() -> F) {
    let deadline = tokio::time::Instant::now() + within;
    while !holds().await {
        assert!(tokio::time::Instant::now() < deadline, "not within {within:?}: {what}");
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
}

/// The folder of recordings, or `None` where it is not there; then the test says that it was skipped.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "PETTY_DATA is for tests alone, and no service reads it")]
pub fn recordings() -> Option<std::path::PathBuf> {
    let path = std::env::var_os("PETTY_DATA").map_or_else(
        || std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data"),
        std::path::PathBuf::from,
    );
    path.is_dir().then_some(path)
}

/// Whether this machine is there to find faults: what cannot be tried there is a fault itself, and not left out.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "CI is what says so to every program, and no service reads it")]
pub fn is_ci() -> bool {
    std::env::var_os("CI").is_some_and(|value| value == "true")
}
