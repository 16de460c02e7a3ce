//! Requests over HTTP/2, and clients that do not read the answer: a connection that is well says nothing of a stream whose window is full.
//!
//! Invariants: what its client has not made room for in the whole of the patience is let go of, and its stream reset; who waits for a
//! service, or for the next event of one, is not cut. A timer is there only while somebody waits for room.

use std::cell::Cell;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

tokio::task_local! {
    /// How the answer goes out that this task is about.
    static COURSE: Cell<Course>;
}

/// How an answer goes out.
#[derive(Clone, Copy, Debug, Default)]
struct Course {
    /// How many pieces of it were handed on.
    pieces: u64,
    /// Whether the last waits for its client, or else the client for the next.
    is_held: bool,
}

/// Whether this is a task of one answer, which is asked for the next piece only where there is room for one.
pub(crate) fn is_watched() -> bool {
    COURSE.try_with(|_| ()).is_ok()
}

/// Notes what came of asking an answer's body for its next piece.
pub(crate) fn note<T>(polled: &Poll<T>) {
    // Over HTTP/1.1 there is no such task: its connection waits by itself.
    let _unwatched = COURSE.try_with(|course| {
        let Course { pieces, .. } = course.get();
        let is_held = polled.is_ready();
        course.set(Course { pieces: pieces + u64::from(is_held), is_held });
    });
}

/// One request's task, which ends where its client leaves the answer unread for so long: `None`.
pub(crate) fn watched<F>(task: F, patience: Duration) -> impl Future<Output = Option<F::Output>> + Send
where
    F: Future + Send,
{
    // In a box, as whatever holds it would hold it several times.
    let watched = Watched { task: Box::pin(task), patience, pieces: 0, end: None };
    COURSE.scope(Cell::default(), watched)
}

struct Watched<F> {
    task: Pin<Box<F>>,
    patience: Duration,
    /// How many pieces were handed on when it was last waited for room.
    pieces: u64,
    /// When that has taken too long.
    end: Option<Pin<Box<Sleep>>>,
}

impl<F: Future> Future for Watched<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<F::Output>> {
        if let Poll::Ready(output) = self.task.as_mut().poll(context) {
            return Poll::Ready(Some(output));
        }
        let course = COURSE.try_with(Cell::get).unwrap_or_default();
        if !course.is_held {
            self.end = None;
            return Poll::Pending;
        }
        let moved = std::mem::replace(&mut self.pieces, course.pieces) != course.pieces;
        let patience = self.patience;
        let end = match &mut self.end {
            Some(end) => end,
            none => none.insert(Box::pin(tokio::time::sleep(patience))),
        };
        if moved {
            end.as_mut().reset(Instant::now() + patience);
        }
        ready!(end.as_mut().poll(context));
        tracing::debug!("a stream was cut: its client does not read");
        Poll::Ready(None)
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, poll_fn};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    #[tokio::test(start_paused = true)]
    async fn who_takes_a_piece_in_time_is_not_cut_and_who_takes_none_is() {
        let began = Instant::now();
        let slow = async {
            for _ in 0..10 {
                note(&Poll::Ready(()));
                tokio::time::sleep(PATIENCE - Duration::from_secs(1)).await;
            }
            pending::<()>().await;
        };
        assert_eq!(watched(slow, PATIENCE).await, None);
        assert_eq!(began.elapsed(), (PATIENCE - Duration::from_secs(1)) * 9 + PATIENCE);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_for_a_service_is_not_cut() {
        let long = PATIENCE * 10;
        let quiet = async {
            tokio::time::sleep(long).await;
            note(&Poll::Ready(()));
            note(&Poll::<()>::Pending);
            tokio::time::sleep(long).await;
        };
        assert_eq!(watched(quiet, PATIENCE).await, Some(()));
    }

    #[tokio::test]
    async fn elsewhere_nothing_is_noted() {
        note(&Poll::Ready(()));
        assert!(!is_watched());
        let inside = poll_fn(|_| Poll::Ready(is_watched()));
        assert_eq!(watched(inside, PATIENCE).await, Some(true));
    }
}
