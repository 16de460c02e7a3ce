//! What stands between an upstream's stream and a client that reads it.
//!
//! Invariants: a stream takes one message from its upstream for each that its client has taken; it ends with the client, and
//! the upstream's call with it; a client that takes nothing is not waited for; nobody's stream holds a place of the requests.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use http::Version;
use opentelemetry::metrics::UpDownCounter;
use petty_chassis::grpc::RequestId;
use petty_chassis::{Shutdown, Tasks, telemetry};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{Instant, Sleep};
use tracing::Span;

use crate::answer::AnswerBody;
use crate::config::Limits;
use crate::events::{End, Frames};
use crate::form::Form;
use crate::problem::Problem;
use crate::routes::Route;

/// How many events wait for their client, besides those that its connection holds.
const WAITING: usize = 4;

/// All open streams.
#[derive(Debug)]
pub(crate) struct Streams {
    places: Arc<Semaphore>,
    heartbeat: Duration,
    patience: Duration,
    open: UpDownCounter<i64>,
    tasks: Tasks,
    shutdown: Shutdown,
}

/// A place among them.
#[derive(Debug)]
pub(crate) struct Place {
    open: UpDownCounter<i64>,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.open.add(-1, &[]);
    }
}

/// How a stream ended.
#[derive(Clone, Copy, Debug)]
enum Ended {
    /// The client is gone.
    Gone,
    /// The client takes nothing.
    Stuck,
    /// The gateway goes away.
    Draining,
    /// The upstream had no more, or failed.
    Upstream,
}

impl Streams {
    pub(crate) fn new(limits: Limits, tasks: Tasks, shutdown: Shutdown) -> Self {
        let open = telemetry::meter()
            .i64_up_down_counter("petty_http_streams_open")
            .with_description("Streams of events that are open")
            .build();
        let places = Arc::new(Semaphore::new(limits.streams));
        Self { places, heartbeat: limits.heartbeat, patience: limits.write_timeout, open, tasks, shutdown }
    }

    /// A place for one more.
    pub(crate) fn place(&self) -> Result<Place, Problem> {
        let permit = Arc::clone(&self.places).try_acquire_owned().map_err(|_| Problem::overloaded())?;
        self.open.add(1, &[]);
        Ok(Place { open: self.open.clone(), _permit: permit })
    }

    /// The answer that these frames are. Over HTTP/1.1 the connection asks for them itself, and does not wait for who reads nothing;
    /// over HTTP/2 it asks no more for a stream that is full, and so somebody beside it must.
    pub(crate) fn answer(
        &self,
        (frames, form): (Frames, Form),
        version: Version,
        place: Place,
        route: &'static Route,
        request_id: RequestId,
    ) -> AnswerBody {
        // Not the request's own span, which ends with the head of the answer.
        let span = tracing::info_span!(
            target: telemetry::SCOPE,
            parent: None,
            "stream",
            http.route = route.template,
            request_id = request_id.as_str(),
        );
        if let Some(traceparent) = telemetry::traceparent() {
            telemetry::follow(&span, &traceparent);
        }
        let course = Course {
            frames,
            form,
            beat: Box::pin(tokio::time::sleep(self.heartbeat)),
            heartbeat: self.heartbeat,
            draining: Box::pin(self.shutdown.draining()),
            has_begun: false,
            ended: None,
            request_id,
            _place: place,
        };
        let events = Events { course, span };
        if version < Version::HTTP_2 {
            return AnswerBody::events(events);
        }
        let (sender, receiver) = mpsc::channel(WAITING);
        let (patience, draining) = (self.patience, self.shutdown.draining());
        drop(self.tasks.spawn("http-events", Box::pin(pass_on(events, sender, patience, draining))));
        AnswerBody::passed_on(receiver)
    }
}

/// A stream as its client gets it: what begins it, each message, a word now and then where there is none, and what ends it.
pub(crate) struct Events {
    course: Course,
    span: Span,
}

struct Course {
    frames: Frames,
    form: Form,
    /// When it is time to say that the stream is there.
    beat: Pin<Box<Sleep>>,
    heartbeat: Duration,
    draining: Pin<Box<dyn Future<Output = ()> + Send>>,
    has_begun: bool,
    ended: Option<Ended>,
    request_id: RequestId,
    _place: Place,
}

impl Stream for Events {
    type Item = Bytes;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let Self { course, span } = &mut *self;
        span.in_scope(|| course.poll(context))
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        let ended = self.course.ended.unwrap_or(Ended::Gone);
        self.span.in_scope(|| tracing::debug!(?ended, "a stream ended"));
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Events").field("form", &self.course.form).finish_non_exhaustive()
    }
}

impl Course {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if self.ended.is_some() {
            return Poll::Ready(None);
        }
        if !std::mem::replace(&mut self.has_begun, true)
            && let Some(opening) = self.form.opening()
        {
            return Poll::Ready(Some(opening));
        }
        if self.draining.as_mut().poll(context).is_ready() {
            return self.end(Ended::Draining, self.form.going());
        }
        let frame = match self.frames.poll_next_unpin(context) {
            Poll::Ready(Some(Ok(frame))) => frame,
            Poll::Ready(Some(Err(End::Going))) => return self.end(Ended::Upstream, self.form.going()),
            Poll::Ready(Some(Err(End::Problem(problem)))) => {
                let last = self.form.problem(&problem, self.request_id.as_str());
                return self.end(Ended::Upstream, Some(last));
            }
            Poll::Ready(None) => return self.end(Ended::Upstream, None),
            Poll::Pending => {
                ready!(self.beat.as_mut().poll(context));
                self.form.heartbeat()
            }
        };
        self.beat.as_mut().reset(Instant::now() + self.heartbeat);
        Poll::Ready(Some(frame))
    }

    /// The last, if there is one.
    fn end(&mut self, ended: Ended, last: Option<Bytes>) -> Poll<Option<Bytes>> {
        self.ended = Some(ended);
        // The upstream's call ends here, however long the client takes for the last.
        self.frames = futures::stream::empty().boxed();
        Poll::Ready(last)
    }
}

/// Hands over what comes, unless the client takes nothing for too long.
async fn pass_on(
    mut events: Events,
    sender: mpsc::Sender<Bytes>,
    patience: Duration,
    draining: impl Future<Output = ()>,
) {
    tokio::pin!(draining);
    loop {
        let next = tokio::select! {
            biased;
            () = sender.closed() => return,
            next = events.next() => next,
        };
        let Some(frame) = next else { return };
        let is_last = events.course.ended.is_some();
        let sent = tokio::select! {
            biased;
            sent = tokio::time::timeout(patience, sender.send(frame)) => sent,
            () = &mut draining, if !is_last => {
                events.course.ended = Some(Ended::Draining);
                return;
            }
        };
        match sent {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return,
            Err(_) => {
                events.course.ended = Some(Ended::Stuck);
                return;
            }
        }
    }
}
