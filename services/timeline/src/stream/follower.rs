//! One stream's way through its pet's changes.

use std::sync::Arc;
use std::time::Duration;

use opentelemetry::metrics::Histogram;
use petty_chassis::types::Clock;
use petty_chassis::{ApiError, telemetry};

use super::reader::{Reader, Unread};
use super::seats::Seat;
use crate::domain::{Next, next};
use crate::store::{Change, Read};

/// The pause before a failed read is tried again.
const RETRY: Duration = Duration::from_millis(500);

/// What a stream tells.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Update {
    /// It is open; what comes has higher numbers than this.
    Ready(i64),
    /// What happened until this number is not known any more; what comes has higher ones.
    Resync(i64),
    /// A change.
    Change(Box<Change>),
}

/// How long changes take from their commit to a stream.
#[derive(Clone, Debug)]
pub(super) struct Delay(Histogram<f64>);

impl Delay {
    pub(super) fn new() -> Self {
        let histogram = telemetry::meter()
            .f64_histogram("petty_timeline_stream_delay")
            .with_unit("s")
            .with_description(
                "From the writing of a change to its handing to a stream that was waiting for it",
            )
            .build();
        Self(histogram)
    }
}

/// Where a stream stands.
pub(super) struct Follower {
    seat: Seat,
    reader: Reader,
    clock: Clock,
    delay: Delay,
    /// The number last sent, or to go on from.
    last: i64,
    /// What is to be said before anything else.
    notice: Option<Update>,
    page: Arc<Read>,
    /// How much of the page was sent, and how much of it follows without a gap.
    sent: usize,
    following: usize,
    /// There may be more behind the page.
    unread: bool,
    /// All was sent once: what comes now was waited for.
    live: bool,
}

impl Follower {
    /// Begins behind a number, or at the head.
    pub(super) async fn open(
        seat: Seat,
        reader: Reader,
        after: Option<i64>,
        clock: Clock,
        delay: Delay,
    ) -> Result<Self, ApiError> {
        // Nothing is behind the highest number there is.
        let read = reader.read(seat.pet, after.unwrap_or(i64::MAX)).await;
        let read = read.map_err(|failure| ApiError::unavailable("STORE_UNAVAILABLE", failure))?;
        let mut follower = Self {
            seat,
            reader,
            clock,
            delay,
            last: after.unwrap_or(read.head),
            notice: after.is_none().then_some(Update::Ready(read.head)),
            page: Arc::default(),
            sent: 0,
            following: 0,
            unread: false,
            live: after.is_none(),
        };
        follower.take(read);
        Ok(follower)
    }

    /// The next update, once there is one.
    pub(super) async fn next(mut self) -> Option<(Update, Self)> {
        loop {
            if let Some(notice) = self.notice.take() {
                return Some((notice, self));
            }
            if self.sent < self.following
                && let Some(change) = self.page.changes.get(self.sent)
            {
                let change = change.clone();
                self.sent += 1;
                self.last = change.sequence;
                if self.live {
                    let since = self.clock.now().duration_since(change.written_at);
                    self.delay.0.record(since.as_secs_f64().max(0.0), &[]);
                }
                return Some((Update::Change(Box::new(change)), self));
            }
            if !self.unread {
                self.live = true;
                // Whoever waits holds nothing.
                self.page = Arc::default();
                self.seat.news().await;
            }
            match self.reader.read(self.seat.pet, self.last).await {
                Ok(read) => self.take(read),
                Err(Unread) => {
                    self.unread = true;
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
    }

    fn take(&mut self, read: Arc<Read>) {
        let numbers = read.changes.iter().map(|change| change.sequence);
        (self.sent, self.following, self.unread) = (0, 0, false);
        match next(self.last, read.head, numbers) {
            Next::Nothing => {}
            Next::Resync(head) => {
                self.last = head;
                self.notice = Some(Update::Resync(head));
            }
            Next::Changes(count) => {
                self.following = count;
                self.unread = read.changes.get(count - 1).is_some_and(|newest| newest.sequence < read.head);
            }
        }
        self.page = read;
    }
}
