//! What stands between an upstream's stream and a client that reads it.
//!
//! Invariants: a stream takes one message from its upstream for each that its client has taken; it ends with the client, and
//! the upstream's call with it; a client that takes nothing is not waited for; nobody's stream holds a place of the requests.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use opentelemetry::metrics::UpDownCounter;
use petty_chassis::grpc::RequestId;
use petty_chassis::{Shutdown, Tasks, telemetry};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tracing::Instrument as _;

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

    /// The answer that these frames are.
    pub(crate) fn answer(
        &self,
        frames: Frames,
        form: Form,
        place: Place,
        route: &'static Route,
        request_id: &RequestId,
    ) -> AnswerBody {
        let (sender, receiver) = mpsc::channel(WAITING);
        let (heartbeat, patience) = (self.heartbeat, self.patience);
        let (shutdown, request_id) = (self.shutdown.clone(), request_id.clone());
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
        let pump = async move {
            let pump = Pump { sender, form, heartbeat, patience, shutdown };
            let ended = pump.run(frames, request_id.as_str()).await;
            tracing::debug!(?ended, "a stream ended");
            drop(place);
        };
        drop(self.tasks.spawn("http-events", pump.instrument(span)));
        AnswerBody::events(receiver)
    }
}

struct Pump {
    sender: mpsc::Sender<Bytes>,
    form: Form,
    heartbeat: Duration,
    patience: Duration,
    shutdown: Shutdown,
}

impl Pump {
    async fn run(&self, mut frames: Frames, request_id: &str) -> Ended {
        if let Some(opening) = self.form.opening()
            && let Err(ended) = self.send(opening).await
        {
            return ended;
        }
        loop {
            let next = tokio::select! {
                biased;
                () = self.sender.closed() => return Ended::Gone,
                () = self.shutdown.draining() => return self.last(self.form.going(), Ended::Draining).await,
                next = tokio::time::timeout(self.heartbeat, frames.next()) => next,
            };
            let frame = match next {
                Err(_) => self.form.heartbeat(),
                Ok(Some(Ok(frame))) => frame,
                Ok(Some(Err(End::Going))) => return self.last(self.form.going(), Ended::Upstream).await,
                Ok(Some(Err(End::Problem(problem)))) => {
                    let last = self.form.problem(&problem, request_id);
                    return self.last(Some(last), Ended::Upstream).await;
                }
                Ok(None) => return Ended::Upstream,
            };
            if let Err(ended) = self.send(frame).await {
                return ended;
            }
        }
    }

    /// Sends, unless the client takes nothing for too long.
    async fn send(&self, frame: Bytes) -> Result<(), Ended> {
        tokio::select! {
            biased;
            sent = tokio::time::timeout(self.patience, self.sender.send(frame)) => match sent {
                Ok(Ok(())) => Ok(()),
                Ok(Err(_)) => Err(Ended::Gone),
                Err(_) => Err(Ended::Stuck),
            },
            () = self.shutdown.draining() => Err(Ended::Draining),
        }
    }

    /// The last, if there is one, to a client that has room for it.
    async fn last(&self, frame: Option<Bytes>, ended: Ended) -> Ended {
        let Some(frame) = frame else { return ended };
        match tokio::time::timeout(self.patience, self.sender.send(frame)).await {
            Ok(Ok(())) => ended,
            Ok(Err(_)) => Ended::Gone,
            Err(_) => Ended::Stuck,
        }
    }
}
