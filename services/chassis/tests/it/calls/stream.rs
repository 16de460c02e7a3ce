//! Answers that go on: what ends them, and what they must not hold up.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::stream;
use jiff::SignedDuration;
use petty_chassis::access::Role;
use petty_chassis::grpc::gate::{Call, Streaming, TimelineServiceHandler};
use petty_chassis::grpc::{Channel, Deadline, Server};
use petty_chassis::types::{Clock, PetId};
use petty_chassis::{ApiError, Context, telemetry};
use petty_proto::timeline::v1 as wire;
use petty_proto::timeline::v1::timeline_service_client::TimelineServiceClient;
use petty_proto::timeline::v1::timeline_service_server::{TimelineService as _, TimelineServiceServer};
use tokio::sync::broadcast;
use tonic::{Code, Request, Status};

use crate::callers::{Auth, Says};
use crate::fixture::{Keys, SOON, context, eventually, reason};

const METHOD: &str = "/petty.timeline.v1.TimelineService/StreamTimeline";

/// Streams what the test ticks; which way is in `last_event_id`.
#[derive(Clone)]
struct Ticker {
    ticks: broadcast::Sender<&'static str>,
    open: Arc<AtomicUsize>,
    sent: Arc<AtomicUsize>,
}

/// Counts a stream while the handler has it.
struct Open(Arc<AtomicUsize>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

fn update(id: &str) -> wire::TimelineUpdate {
    wire::TimelineUpdate { id: id.to_owned(), ..wire::TimelineUpdate::default() }
}

#[tonic::async_trait]
impl TimelineServiceHandler for Ticker {
    async fn stream_timeline(
        &self,
        call: Call,
        request: wire::StreamTimelineRequest,
    ) -> Result<Streaming<wire::TimelineUpdate>, ApiError> {
        match request.last_event_id.as_str() {
            "unasked" => return Ok(Box::pin(stream::empty())),
            "late" => std::future::pending().await,
            _ => call.pet().await?,
        };
        self.open.fetch_add(1, Ordering::AcqRel);
        let open = Open(Arc::clone(&self.open));
        let ticks = self.ticks.subscribe();
        let ticker = self.clone();
        let kind = request.last_event_id;
        Ok(Box::pin(stream::unfold((ticks, open, true), move |(mut ticks, open, first)| {
            let (kind, call, ticker) = (kind.clone(), call.clone(), ticker.clone());
            async move {
                let told = match kind.as_str() {
                    _ if first => Ok(update("ready")),
                    "panics" => panic!("hunter2 panics"),
                    "fails" => Err(ApiError::internal("hunter2 fails")),
                    "ends" => return None,
                    "floods" => {
                        ticker.sent.fetch_add(1, Ordering::AcqRel);
                        Ok(update(&"x".repeat(32 << 10)))
                    }
                    "asks" => {
                        ticks.recv().await.unwrap();
                        call.pet().await.map(|access| update(access.role.as_str()))
                    }
                    _ => Ok(update(ticks.recv().await.unwrap())),
                };
                Some((told, (ticks, open, false)))
            }
        })))
    }

    async fn list_timeline(
        &self,
        call: Call,
        _request: wire::ListTimelineRequest,
    ) -> Result<wire::ListTimelineResponse, ApiError> {
        call.pet().await?;
        Ok(wire::ListTimelineResponse::default())
    }

    async fn get_day(&self, _call: Call, _request: wire::GetDayRequest) -> Result<wire::Day, ApiError> {
        Err(ApiError::internal("not asked for here"))
    }

    async fn get_pet_timeline(
        &self,
        _call: Call,
        _request: wire::GetPetTimelineRequest,
    ) -> Result<wire::GetPetTimelineResponse, ApiError> {
        Err(ApiError::internal("not asked for here"))
    }
}

struct Scene {
    context: Context,
    auth: Auth,
    ticker: Ticker,
    client: TimelineServiceClient<Channel>,
    pet: PetId,
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.context.shutdown.cancel();
    }
}

impl Scene {
    async fn new() -> Self {
        Self::with("timeline", &[]).await
    }

    /// Under another name, so that nobody else's streams are counted with its own.
    async fn with(service: &'static str, settings: &[(&'static str, &str)]) -> Self {
        let keys = Keys::new();
        let mut environment = keys.environment(service);
        for (name, value) in settings {
            environment = environment.with(*name, *value);
        }
        let context = context(service, &environment);
        let auth = Auth::new(Says::Is(Role::Viewer));
        let ticks = broadcast::channel(16).0;
        let ticker = Ticker { ticks, open: Arc::default(), sent: Arc::default() };
        let guarded = auth.gate().guard(Arc::new(ticker.clone()));
        let server = Server::new(&context).add(TimelineServiceServer::new(guarded)).bind().await.unwrap();
        let address: SocketAddr = server.address();
        context.tasks.spawn_critical("server", async move { Ok(server.serve().await?) });
        context.readiness.ready().await;
        let variable = format!("PETTY_ENDPOINT_{}", service.to_uppercase());
        let environment = keys.environment("gateway").with(variable, format!("http://{address}"));
        let mesh = petty_chassis::grpc::Mesh::new(&crate::fixture::context("gateway", &environment)).unwrap();
        let client = TimelineServiceClient::new(mesh.channel(service));
        Self { context, auth, ticker, client, pet: PetId::new(&Clock::system()) }
    }

    fn request(&self, kind: &str) -> Request<wire::StreamTimelineRequest> {
        self.auth.request(wire::StreamTimelineRequest {
            pet_id: self.pet.to_string(),
            last_event_id: kind.to_owned(),
        })
    }

    /// One that has begun.
    async fn open(&self, kind: &str) -> Stream {
        let answer = self.client.clone().stream_timeline(self.request(kind)).await.unwrap();
        let mut stream = Stream(answer.into_inner());
        assert_eq!(stream.next().await.unwrap().unwrap(), "ready");
        stream
    }

    async fn refused(&self, kind: &str) -> (Code, String) {
        let refused = self.client.clone().stream_timeline(self.request(kind)).await.unwrap_err();
        (refused.code(), reason(&refused))
    }

    fn tick(&self, id: &'static str) {
        self.ticker.ticks.send(id).unwrap();
    }

    /// Another call on the same channel.
    async fn list(&self) {
        let request = wire::ListTimelineRequest { pet_id: self.pet.to_string(), ..Default::default() };
        self.client.clone().list_timeline(self.auth.request(request)).await.unwrap();
    }

    async fn let_go(&self) {
        eventually("the handler's stream is dropped", async || self.ticker.open.load(Ordering::Acquire) == 0)
            .await;
    }
}

struct Stream(tonic::Streaming<wire::TimelineUpdate>);

impl Stream {
    async fn next(&mut self) -> Result<Option<String>, Status> {
        let next = tokio::time::timeout(SOON, self.0.message()).await.expect("in time");
        next.map(|message| message.map(|update| update.id))
    }

    /// How it ended, with nothing before.
    async fn end(&mut self) -> (Code, String) {
        let ended = self.next().await.unwrap_err();
        (ended.code(), reason(&ended))
    }
}

fn told(code: Code, reason: &str) -> (Code, String) {
    (code, reason.to_owned())
}

#[tokio::test]
async fn the_deadline_is_that_of_the_beginning() {
    let scene = Scene::new().await;
    let within = Duration::from_millis(300);
    let mut request = scene.request("");
    request.extensions_mut().insert(Deadline::after(within));
    let mut client = scene.client.clone();
    let mut stream = Stream(client.stream_timeline(request).await.unwrap().into_inner());
    assert_eq!(stream.next().await.unwrap().unwrap(), "ready");
    // Not an effect that is waited for: the deadline must have passed.
    tokio::time::sleep(2 * within).await;
    scene.tick("after");
    assert_eq!(stream.next().await.unwrap().unwrap(), "after");

    let mut request = scene.request("late");
    request.extensions_mut().insert(Deadline::after(within));
    let late = client.stream_timeline(request).await.unwrap_err();
    assert_eq!((late.code(), reason(&late).as_str()), (Code::DeadlineExceeded, "DEADLINE_EXCEEDED"));
}

#[tokio::test]
async fn a_stream_asks_with_time_of_its_own_long_after_its_beginning() {
    let scene = Scene::new().await;
    let within = Duration::from_millis(200);
    let mut request = scene.request("asks");
    request.extensions_mut().insert(Deadline::after(within));
    let mut stream = Stream(scene.client.clone().stream_timeline(request).await.unwrap().into_inner());
    assert_eq!(stream.next().await.unwrap().unwrap(), "ready");
    tokio::time::sleep(2 * within).await;
    scene.tick("ask");
    assert_eq!(stream.next().await.unwrap().unwrap(), "VIEWER");
}

#[tokio::test]
async fn a_drain_ends_streams_at_once_and_opens_none() {
    let scene = Scene::new().await;
    let (mut one, mut other) = (scene.open("").await, scene.open("").await);
    scene.context.shutdown.begin();
    assert_eq!(one.end().await, told(Code::Unavailable, "DRAINING"));
    assert_eq!(other.end().await, told(Code::Unavailable, "DRAINING"));
    let within = Duration::from_secs(5);
    assert!(scene.context.tasks.wait(within).await, "the server has nothing left to wait for");
    assert_eq!(scene.context.shutdown.failure(), None);

    // Past the server, which takes nothing any more.
    let guarded = scene.auth.gate().guard(Arc::new(scene.ticker.clone()));
    let mut request = scene.request("");
    request.extensions_mut().insert(scene.context.shutdown.clone());
    let Err(refused) = guarded.stream_timeline(request).await else { panic!("it opened") };
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::Unavailable, "DRAINING"));
}

#[tokio::test]
async fn a_stream_ends_with_its_token() {
    let scene = Scene::new().await;
    let mut stream = scene.open("").await;
    let expiry = scene.auth.expiry();
    scene.auth.clock.set(expiry - SignedDuration::from_secs(1));
    let asked = scene.auth.asked();
    eventually("it is asked again", async || scene.auth.asked() > asked + 1).await;
    scene.tick("still");
    assert_eq!(stream.next().await.unwrap().unwrap(), "still");
    // Clocks may differ by five seconds.
    scene.auth.clock.set(expiry + SignedDuration::from_secs(5));
    assert_eq!(stream.end().await, told(Code::Unauthenticated, "TOKEN_EXPIRED"));
    scene.let_go().await;
}

#[tokio::test]
async fn a_stream_ends_with_what_it_was_opened_with() {
    for (says, code, reason) in [
        (Says::Nothing, Code::NotFound, "PET_NOT_FOUND"),
        (Says::SessionEnded, Code::Unauthenticated, "SESSION_ENDED"),
        (Says::Away, Code::Unavailable, "ACCESS_UNKNOWN"),
    ] {
        let scene = Scene::new().await;
        let mut stream = scene.open("").await;
        scene.auth.say(Says::Is(Role::Owner));
        let asked = scene.auth.asked();
        eventually("it is asked again", async || scene.auth.asked() > asked).await;
        scene.tick("still");
        assert_eq!(stream.next().await.unwrap().unwrap(), "still");
        scene.auth.say(says);
        assert_eq!(stream.end().await, told(code, reason));
        scene.let_go().await;
    }
}

#[tokio::test]
async fn nothing_is_sent_while_it_is_not_known_whether_the_caller_still_may() {
    let scene = Scene::new().await;
    let mut stream = scene.open("").await;
    scene.auth.say(Says::Silent);
    let asked = scene.auth.asked();
    eventually("it is asked again", async || scene.auth.asked() > asked).await;
    scene.tick("secret");
    assert_eq!(stream.end().await, told(Code::Unavailable, "ACCESS_UNKNOWN"));
}

#[tokio::test]
async fn what_fails_in_a_stream_ends_it_and_nothing_else() {
    let scene = Scene::new().await;
    let mut other = scene.open("").await;
    for kind in ["panics", "fails"] {
        let mut stream = scene.open(kind).await;
        let ended = stream.next().await.unwrap_err();
        assert_eq!((ended.code(), reason(&ended).as_str()), (Code::Internal, "INTERNAL"), "{kind}");
        assert!(!format!("{ended:?}").contains("hunter2"), "{ended:?}");
    }
    assert_eq!(scene.open("ends").await.next().await.unwrap(), None);
    scene.tick("still");
    assert_eq!(other.next().await.unwrap().unwrap(), "still");
}

#[tokio::test]
async fn a_handler_that_streams_without_having_asked_is_refused() {
    let scene = Scene::new().await;
    assert_eq!(scene.refused("unasked").await, told(Code::Internal, "INTERNAL"));
    scene.auth.say(Says::Nothing);
    assert_eq!(scene.refused("").await, told(Code::NotFound, "PET_NOT_FOUND"));
    assert_eq!(scene.ticker.open.load(Ordering::Acquire), 0);
}

/// The value of the service's metric of streams.
fn metric(name: &str, service: &str) -> Option<String> {
    let text = telemetry::prometheus_text();
    let mut lines = text.lines().filter(|line| line.starts_with(&format!("{name}{{")));
    let labels = [format!("service=\"{service}\""), format!("method=\"{METHOD}\"")];
    let line = lines.find(|line| labels.iter().all(|label| line.contains(label)))?;
    line.rsplit_once(' ').map(|(_, value)| value.to_owned())
}

#[tokio::test]
async fn open_streams_are_counted_limited_and_hold_no_call_s_place() {
    let settings = [("PETTY_GRPC_CONCURRENCY", "1"), ("PETTY_GRPC_STREAMS", "2")];
    let scene = Scene::with("nutrition", &settings).await;
    let open = || metric("petty_grpc_streams_open", "nutrition").unwrap_or_default();
    let (mut one, other) = (scene.open("").await, scene.open("").await);
    assert_eq!(open(), "2");
    let answered = || metric("rpc_server_duration_seconds_count", "nutrition").unwrap_or_default();
    assert_eq!(answered(), "2", "the time to the beginning is measured");
    assert_eq!(scene.refused("").await, told(Code::ResourceExhausted, "TOO_MANY_STREAMS"));
    scene.list().await;

    drop(other);
    eventually("its place is free", async || open() == "1").await;
    eventually("the handler hears of it", async || scene.ticker.open.load(Ordering::Acquire) == 1).await;
    let again = scene.open("").await;
    scene.tick("both");
    assert_eq!(one.next().await.unwrap().unwrap(), "both");
    drop((one, again));
    eventually("both places are free", async || open() == "0").await;
    assert_eq!(scene.refused("unasked").await, told(Code::Internal, "INTERNAL"));
    assert_eq!(open(), "0", "what did not begin is not open");
}

#[tokio::test]
async fn who_does_not_read_holds_up_nobody_else() {
    let scene = Scene::new().await;
    let mut unread = Vec::new();
    for _ in 0..8 {
        unread.push(scene.open("floods").await);
    }
    let sent = || scene.ticker.sent.load(Ordering::Acquire);
    eventually("the floods stand still", async || {
        let before = sent();
        tokio::time::sleep(Duration::from_millis(200)).await;
        before > 0 && before == sent()
    })
    .await;
    scene.list().await;
    let mut read = scene.open("").await;
    scene.tick("through");
    assert_eq!(read.next().await.unwrap().unwrap(), "through");
}
