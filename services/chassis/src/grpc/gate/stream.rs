//! An answer that goes on, and what ends it.
//!
//! Invariant: a stream lives no longer than what it was opened with. It ends when the process drains, when the token
//! expires, and within a second of a decision that takes the access away; nothing is sent while that decision is awaited,
//! and a decision that cannot be had takes it away as well.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::Stream;
use futures::future::BoxFuture;
use tokio::time::{Instant, Interval, MissedTickBehavior};
use tonic::Status;

use super::Call;
use crate::error::{ApiError, Code};
use crate::tasks::panic_text;

/// How often it is asked again whether the caller may.
const AGAIN: Duration = Duration::from_secs(1);
/// How long that may take.
const ANSWER: Duration = Duration::from_secs(2);

/// What the handler of a streaming method answers with.
pub type Streaming<T> = Pin<Box<dyn Stream<Item = Result<T, ApiError>> + Send>>;

/// What becomes of it behind the gate.
pub(super) type StatusStream<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// A handler's answer, while the gate allows it.
struct Watched<T> {
    /// `None`: ended.
    answer: Option<Streaming<T>>,
    call: Call,
    draining: BoxFuture<'static, ()>,
    again: Interval,
    asking: Option<BoxFuture<'static, Result<(), ApiError>>>,
}

/// Watches over a stream that has begun.
pub(super) fn watch<T: 'static>(call: Call, answer: Streaming<T>) -> StatusStream<T> {
    let mut again = tokio::time::interval_at(Instant::now() + AGAIN, AGAIN);
    again.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let draining = Box::pin(call.inner.shutdown.draining());
    Box::pin(Watched { answer: Some(answer), call, draining, again, asking: None })
}

/// The answer of a process that is about to go.
pub(super) fn draining() -> ApiError {
    ApiError::new(Code::Unavailable, "DRAINING", "this server is going away; connect again")
}

impl<T> Watched<T> {
    /// Why the stream must end now; pending where nothing may be sent yet.
    fn poll_end(&mut self, context: &mut Context<'_>) -> Poll<Option<ApiError>> {
        if self.draining.as_mut().poll(context).is_ready() {
            return Poll::Ready(Some(draining()));
        }
        loop {
            if let Some(asking) = &mut self.asking {
                match asking.as_mut().poll(context) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(Err(error)) => return Poll::Ready(Some(error)),
                    Poll::Ready(Ok(())) => self.asking = None,
                }
            }
            if self.again.poll_tick(context).is_pending() {
                return Poll::Ready(None);
            }
            self.asking = Some(Box::pin(ask_again(self.call.clone())));
        }
    }

    fn poll_answer(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<T, ApiError>>> {
        let Some(answer) = &mut self.answer else { return Poll::Ready(None) };
        let polled = std::panic::catch_unwind(AssertUnwindSafe(|| answer.as_mut().poll_next(context)));
        polled.unwrap_or_else(|panic| Poll::Ready(Some(Err(panicked(panic.as_ref())))))
    }
}

impl<T> Stream for Watched<T> {
    type Item = Result<T, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<T, Status>>> {
        if self.answer.is_none() {
            return Poll::Ready(None);
        }
        let end = match self.poll_end(context) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Some(error)) => Some(Err(error)),
            Poll::Ready(None) => match self.poll_answer(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Some(Ok(message))) => return Poll::Ready(Some(Ok(message))),
                Poll::Ready(end) => end,
            },
        };
        // What the handler holds on to is let go at once, and not when the peer has read the end.
        self.answer = None;
        self.asking = None;
        Poll::Ready(end.map(|error| error.map_err(Status::from)))
    }
}

/// Whether the caller still may. What takes too long is as good as no answer.
async fn ask_again(call: Call) -> Result<(), ApiError> {
    let deadline = Instant::now() + ANSWER;
    tokio::time::timeout_at(deadline, call.still_granted(deadline)).await.unwrap_or_else(|_| {
        Err(ApiError::unavailable("ACCESS_UNKNOWN", "whether the caller still may was not answered in time"))
    })
}

fn panicked(panic: &(dyn Any + Send)) -> ApiError {
    ApiError::internal(format!("the handler panicked: {}", panic_text(panic)))
}
