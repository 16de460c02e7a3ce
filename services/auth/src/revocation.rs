//! A revocation is answered once every service can hear of it.
//!
//! Invariant: whoever sends a revocation again waits for the same event again; an answer never comes before it.

use std::time::Duration;

use petty_chassis::ApiError;
use petty_chassis::events::relay;
use petty_chassis::postgres::Db;
use petty_chassis::types::{Clock, EventId};
use tokio::time::Instant;

/// So much of the call's time is left for the answer.
const MARGIN: Duration = Duration::from_millis(300);
/// The outbox keeps events this long once they were sent; one that is older is not waited for.
const KEPT_DAYS: i64 = 7;

/// The revocation is on disk, and on its way.
#[derive(Debug, thiserror::Error)]
#[error("the revocation is not in the stream yet")]
struct Pending;

/// Waits until the events are in their stream.
///
/// # Errors
/// `REVOCATION_PENDING`, where the call's time is nearly over.
pub(crate) async fn told(
    db: &Db,
    clock: &Clock,
    events: &[EventId],
    deadline: Instant,
) -> Result<(), ApiError> {
    let waiting = async {
        for event in events.iter().filter(|event| !is_old(**event, clock)) {
            relay::sent(db, *event).await?;
        }
        Ok(())
    };
    let last = deadline.checked_sub(MARGIN).unwrap_or(deadline);
    match tokio::time::timeout_at(last, waiting).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => {
            let error: petty_chassis::postgres::Error = error;
            Err(ApiError::unavailable("REVOCATION_PENDING", error))
        }
        Err(_) => Err(ApiError::unavailable("REVOCATION_PENDING", Pending)),
    }
}

/// By the time in its own id.
fn is_old(event: EventId, clock: &Clock) -> bool {
    let Some(made) = event.0.get_timestamp() else { return false };
    let (seconds, _) = made.to_unix();
    let age = clock.now().as_second() - i64::try_from(seconds).unwrap_or(i64::MAX);
    age > KEPT_DAYS * 24 * 60 * 60
}
