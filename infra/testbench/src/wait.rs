//! Waiting for effects.

use std::time::Duration;

/// An effect that does not show within this time is missing.
const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until something holds; says what it was when it does not in time. Never a fixed sleep.
///
/// # Panics
/// Where it does not hold within 30 s.
pub async fn eventually<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while !holds().await {
        assert!(tokio::time::Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
