//! The timeline, whose streams the test feeds.

use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::{Stream, StreamExt as _, stream};
use petty_chassis::{ApiError, Code, FieldError};
use petty_proto::timeline::v1::timeline_service_server::TimelineService;
use petty_proto::timeline::v1::timeline_update::Type;
use petty_proto::timeline::v1::{self as timeline, TimelineUpdate};
use tokio::sync::mpsc;
use tonic::{Request, Response, Status};

use super::{Answer, StandIn, answers_default};
use crate::world::eventually;

type Update = Result<TimelineUpdate, Status>;

/// The streams that were opened.
#[derive(Clone, Debug, Default)]
pub(crate) struct Streams {
    feeds: Arc<Mutex<Vec<mpsc::UnboundedSender<Update>>>>,
    /// How many updates of floods were taken.
    taken: Arc<AtomicUsize>,
    /// How many floods are open.
    floods: Arc<AtomicUsize>,
}

/// An update of a type.
pub(crate) fn update(id: u64, kind: Type) -> TimelineUpdate {
    TimelineUpdate { id: id.to_string(), r#type: kind.into(), entry: None }
}

impl Streams {
    /// Sends on the stream that was opened `at` first, second, …
    pub(crate) fn send(&self, at: usize, update: impl Into<Result<TimelineUpdate, ApiError>>) {
        let update = update.into().map_err(Status::from);
        self.feeds.lock().unwrap()[at].send(update).unwrap();
    }

    /// As a connection that breaks would.
    pub(crate) fn break_off(&self, at: usize) {
        let status = Status::internal("h2 protocol error: 10.0.0.7 went away");
        self.feeds.lock().unwrap()[at].send(Err(status)).unwrap();
    }

    /// Ends a stream as a service does that has no more.
    pub(crate) fn end(&self) {
        self.feeds.lock().unwrap().clear();
    }

    /// How many are fed and not given up.
    pub(crate) fn open(&self) -> usize {
        self.feeds.lock().unwrap().iter().filter(|feed| !feed.is_closed()).count()
    }

    /// Waits until that many are open.
    pub(crate) async fn are_open(&self, count: usize) {
        eventually(|| self.open() == count).await;
    }

    /// How many updates of floods were taken.
    pub(crate) fn taken(&self) -> usize {
        self.taken.load(Ordering::SeqCst)
    }

    /// How many floods are open.
    pub(crate) fn floods(&self) -> usize {
        self.floods.load(Ordering::SeqCst)
    }
}

struct Flood(Arc<AtomicUsize>);

impl Drop for Flood {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[tonic::async_trait]
impl TimelineService for StandIn {
    type StreamTimelineStream = Pin<Box<dyn Stream<Item = Update> + Send>>;

    answers_default! {
        list_timeline(timeline::ListTimelineRequest) -> timeline::ListTimelineResponse;
        get_day(timeline::GetDayRequest) -> timeline::Day;
    }

    async fn get_pet_timeline(
        &self,
        request: Request<timeline::GetPetTimelineRequest>,
    ) -> Result<Response<timeline::GetPetTimelineResponse>, Status> {
        self.note("get_pet_timeline", request.metadata(), "");
        tokio::time::sleep(Duration::from_millis(300)).await;
        Ok(Response::new(timeline::GetPetTimelineResponse::default()))
    }

    async fn stream_timeline(
        &self,
        request: Request<timeline::StreamTimelineRequest>,
    ) -> Result<Response<Self::StreamTimelineStream>, Status> {
        let (metadata, message) = (request.metadata(), request.get_ref());
        self.note_whole("stream_timeline", metadata, "", message.last_event_id.clone());
        if message.last_event_id.starts_with('x') {
            return Err(ApiError::invalid(vec![FieldError::malformed("last_event_id", "is none")]).into());
        }
        let missing = || Status::from(ApiError::not_found("PET_NOT_FOUND", "no such pet"));
        match message.pet_id.as_str() {
            "missing" => Err(missing()),
            // The only one of its account.
            "alone" if self.streams.open() > 0 => {
                Err(ApiError::new(Code::ResourceExhausted, "TOO_MANY_STREAMS", "too many").into())
            }
            // Open, and refused all the same.
            "late" => Ok(Response::new(stream::iter([Err(missing())]).boxed())),
            "flood" => {
                self.streams.floods.fetch_add(1, Ordering::SeqCst);
                let (open, taken) = (Flood(self.streams.floods.clone()), self.streams.taken.clone());
                let updates = stream::unfold((0, open), move |(id, open)| {
                    taken.fetch_add(1, Ordering::SeqCst);
                    let entry = timeline::Entry { behavior: "x".repeat(32 << 10), ..Default::default() };
                    let update = TimelineUpdate { entry: Some(entry), ..update(id, Type::Entry) };
                    async move { Some((Ok(update), (id + 1, open))) }
                });
                Ok(Response::new(updates.boxed()))
            }
            _ => {
                let (feed, mut updates) = mpsc::unbounded_channel();
                self.streams.feeds.lock().unwrap().push(feed);
                Ok(Response::new(stream::poll_fn(move |context| updates.poll_recv(context)).boxed()))
            }
        }
    }
}
