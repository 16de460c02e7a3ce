//! `GET /v1/stream`: the updates of many pets over one WebSocket (RFC 6455).
//!
//! Each subscription is the pet's own stream of the timeline service, opened with the client's token: the service decides on
//! access, and ends it. Invariants: a socket takes a bounded amount of memory, however slow its client; it ends with the token
//! that opened it, and with the gateway, by a close code that says so; who says nothing for too long is gone.

mod messages;
mod subscription;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::{SinkExt as _, StreamExt as _};
use http::header::{
    CONNECTION, HeaderName, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL,
    SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::request::Parts;
use http::{HeaderMap, Response, StatusCode, Version};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use petty_chassis::grpc::CallScope;
use petty_chassis::types::Clock;
use petty_chassis::{Shutdown, Tasks};
use petty_proto::policy::RateClass;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Bytes as FrameBytes, Error, Message};

use crate::answer::AnswerBody;
use crate::body::Content;
use crate::events::Frames;
use crate::form::Form;
use crate::idempotency::Sendings;
use crate::presence::Presence;
use crate::problem::Problem;
use crate::quota::{Quotas, Who};
use crate::routes::{Route, Way};
use crate::stream::Place;
use crate::turn::Openings;
use crate::upstream::{Channel, Exchange};
use messages::{Said, Told, raw, read};
use subscription::{News, Subscription};

/// Where it is.
pub(crate) const PATH: &str = "/v1/stream";
/// Its verbs.
pub(crate) const ALLOW: HeaderValue = HeaderValue::from_static("GET, OPTIONS");
/// What is spoken over it; a client may name it, and need not.
const PROTOCOL: &str = "petty.v1";
/// The most pets of one socket.
const MOST_PETS: usize = 100;
/// How many messages wait for their client, over all its pets.
const WAITING: usize = 64;
/// The most messages of a client that are none.
const MOST_MISUNDERSTOOD: u32 = 20;
/// The most pings and pongs of a client between two heartbeats: so many, and so many more for each second.
const MOST_PINGS: u64 = 100;
const PINGS_A_SECOND: u64 = 10;
/// The largest message of a client.
const MOST_MESSAGE: usize = 4 << 10;
/// How much of what is sent may wait in the socket itself.
const MOST_UNSENT: usize = 256 << 10;
/// A client that sent nothing for so many heartbeats, not even a pong, is gone.
const MOST_SILENT: u32 = 3;
/// A stream that is given up is closed at its service too, after so long at most: an account that has as many as it may can open another.
const GIVEN_UP: Duration = Duration::from_millis(500);

/// The token that opened the socket is worth nothing any more: as 401.
const UNAUTHENTICATED: u16 = 4401;
/// There was too much of something: as 429.
const TOO_MUCH: u16 = 4429;

/// A handshake that a client began: what is needed to finish it.
pub(crate) struct Handshake {
    upgrade: OnUpgrade,
    accept: HeaderValue,
    names_protocol: bool,
}

impl Handshake {
    /// Reads a request's handshake.
    pub(crate) fn of(parts: &Parts) -> Result<Self, Problem> {
        let headers = &parts.headers;
        let wants = names(headers, &CONNECTION, "upgrade") && names(headers, &UPGRADE, "websocket");
        let upgrade =
            parts.extensions.get::<OnUpgrade>().filter(|_| wants && parts.version == Version::HTTP_11);
        let Some(upgrade) = upgrade else { return Err(required("This is a WebSocket, over HTTP/1.1.")) };
        if headers.get(SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
            return Err(required("The version of WebSocket here is 13."));
        }
        let key = headers.get(SEC_WEBSOCKET_KEY).map(HeaderValue::as_bytes).unwrap_or_default();
        if STANDARD.decode(key).map_or(0, |key| key.len()) != 16 {
            let text = "Sec-WebSocket-Key must be 16 bytes in base64.";
            return Err(Problem::new(StatusCode::BAD_REQUEST, "HANDSHAKE_BROKEN", text));
        }
        let accept = HeaderValue::try_from(derive_accept_key(key)).map_err(|_| Problem::internal())?;
        let names_protocol = names(headers, &SEC_WEBSOCKET_PROTOCOL, PROTOCOL);
        Ok(Self { upgrade: upgrade.clone(), accept, names_protocol })
    }

    /// Finishes it: the answer, and the socket that is run once that was sent.
    pub(crate) fn finish(self, socket: Socket, tasks: &Tasks) -> Response<AnswerBody> {
        let mut response = Response::new(AnswerBody::default());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(SEC_WEBSOCKET_ACCEPT, self.accept);
        if self.names_protocol {
            headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(PROTOCOL));
        }
        let upgrade = self.upgrade;
        drop(tasks.spawn("http-socket", async move {
            match upgrade.await {
                Ok(upgraded) => {
                    let config = WebSocketConfig::default()
                        .read_buffer_size(MOST_MESSAGE)
                        .write_buffer_size(0)
                        .max_write_buffer_size(MOST_UNSENT)
                        .max_message_size(Some(MOST_MESSAGE))
                        .max_frame_size(Some(MOST_MESSAGE));
                    let stream = TokioIo::new(upgraded);
                    let stream = WebSocketStream::from_raw_socket(stream, Role::Server, Some(config)).await;
                    socket.run(stream).await;
                }
                Err(error) => tracing::debug!(%error, "a connection failed before it was a socket"),
            }
        }));
        response
    }
}

fn required(detail: &'static str) -> Problem {
    Problem::new(StatusCode::UPGRADE_REQUIRED, "UPGRADE_REQUIRED", detail)
        .with(UPGRADE, HeaderValue::from_static("websocket"))
        .with(CONNECTION, HeaderValue::from_static("upgrade"))
        .with(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"))
}

/// Whether a list of tokens names this one.
fn names(headers: &HeaderMap, name: &HeaderName, wanted: &str) -> bool {
    let lines = headers.get_all(name).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).any(|token| token.trim().eq_ignore_ascii_case(wanted))
}

/// Opens pets' streams as the client of a socket.
pub(crate) struct Opener {
    pub(crate) route: &'static Route,
    pub(crate) channel: Channel,
    pub(crate) openings: Openings,
    pub(crate) subject: String,
    pub(crate) authorization: Option<HeaderValue>,
    pub(crate) scope: CallScope,
}

impl Opener {
    async fn open(&self, pet_id: &str, last_event_id: Option<String>) -> Result<Frames, Problem> {
        match self.try_open(pet_id, last_event_id.clone()).await {
            Err(problem) if problem.code == "TOO_MANY_STREAMS" => {
                tokio::time::sleep(GIVEN_UP).await;
                self.try_open(pet_id, last_event_id).await
            }
            opened => opened,
        }
    }

    async fn try_open(&self, pet_id: &str, last_event_id: Option<String>) -> Result<Frames, Problem> {
        let Way::Stream(open) = self.route.way else { return Err(Problem::internal()) };
        // Held until the service has opened the stream: an open one has no place.
        let _opening = self.openings.take().await?;
        open(Exchange {
            route: self.route,
            channel: self.channel.clone(),
            path: vec![("pet_id", pet_id.to_owned())],
            query: None,
            body: Content::default(),
            subject: self.subject.clone(),
            authorization: self.authorization.clone(),
            access_reason: None,
            idempotency_key: None,
            last_event_id,
            form: Form::Lines("application/x-ndjson"),
            scope: self.scope.clone(),
            sendings: Sendings::unrecorded(),
        })
        .await
    }
}

/// A socket to be.
pub(crate) struct Socket {
    pub(crate) opener: Arc<Opener>,
    pub(crate) quotas: Arc<Quotas>,
    pub(crate) presence: Presence,
    pub(crate) clock: Clock,
    pub(crate) expires_at: jiff::Timestamp,
    pub(crate) heartbeat: Duration,
    pub(crate) patience: Duration,
    pub(crate) tasks: Tasks,
    pub(crate) shutdown: Shutdown,
    pub(crate) place: Place,
}

/// Why a socket is closed by us.
struct Close(CloseCode, &'static str);

/// One that is open.
struct Open<S> {
    socket: Socket,
    stream: WebSocketStream<S>,
    news: mpsc::Sender<News>,
    /// Its subscriptions, each with its number.
    pets: HashMap<String, (u64, JoinHandle<Option<()>>)>,
    /// How many subscriptions there were.
    count: u64,
    /// How many messages were not understood.
    misunderstood: u32,
    /// How many pings and pongs there were since the last heartbeat.
    pings: u64,
    heard: Instant,
}

impl Socket {
    async fn run<S: AsyncRead + AsyncWrite + Unpin>(self, stream: WebSocketStream<S>) {
        let (news, mut receiver) = mpsc::channel(WAITING);
        let pets = HashMap::new();
        let heard = Instant::now();
        let mut open = Open { socket: self, stream, news, pets, count: 0, misunderstood: 0, pings: 0, heard };
        let closed = open.run(&mut receiver).await;
        for (_, (_, subscription)) in open.pets.drain() {
            subscription.abort();
        }
        if let Err(Some(Close(code, reason))) = closed {
            let frame = CloseFrame { code, reason: reason.into() };
            // The client answers, or is gone: neither is waited for longer.
            let close = async {
                open.stream.close(Some(frame)).await?;
                while open.stream.next().await.transpose()?.is_some() {}
                Ok::<_, Error>(())
            };
            let _gone = tokio::time::timeout(Duration::from_secs(2), close).await;
        }
        drop(open.socket.place);
    }
}

/// `Err(None)`: the client closed it, or is gone.
type Ended = Result<(), Option<Close>>;

impl<S: AsyncRead + AsyncWrite + Unpin> Open<S> {
    async fn run(&mut self, news: &mut mpsc::Receiver<News>) -> Ended {
        let draining = self.socket.shutdown.draining();
        let life = self.socket.expires_at.duration_since(self.socket.clock.now());
        let expired = tokio::time::sleep(Duration::try_from(life).unwrap_or_default());
        let mut heartbeat = tokio::time::interval(self.socket.heartbeat);
        heartbeat.reset();
        tokio::pin!(draining, expired);
        loop {
            tokio::select! {
                biased;
                () = &mut draining => return Err(Some(Close(CloseCode::Away, "going away, come back"))),
                () = &mut expired => return Err(Some(nobody())),
                _ = heartbeat.tick() => {
                    if self.heard.elapsed() > self.socket.heartbeat * MOST_SILENT {
                        return Err(None);
                    }
                    self.pings = 0;
                    self.send(Message::Ping(FrameBytes::new())).await?;
                }
                said = self.stream.next() => self.take(said).await?,
                news = news.recv() => match news {
                    Some(News::Text(text)) => self.send(Message::text(text)).await?,
                    Some(News::Ended { pet_id, number, text }) => {
                        // Not of one that took its place.
                        if self.pets.get(&pet_id).is_some_and(|(current, _)| *current == number) {
                            self.pets.remove(&pet_id);
                        }
                        self.send(Message::text(text)).await?;
                    }
                    Some(News::Nobody) => return Err(Some(nobody())),
                    // This end of it is ours.
                    None => return Err(None),
                },
            }
        }
    }

    async fn take(&mut self, said: Option<Result<Message, Error>>) -> Ended {
        self.heard = Instant::now();
        match said {
            Some(Ok(Message::Text(text))) => match read(&text) {
                Ok(said) => self.do_so(said).await,
                Err(problem) => {
                    self.misunderstood += 1;
                    if self.misunderstood > MOST_MISUNDERSTOOD {
                        return Err(Some(Close(
                            CloseCode::Policy,
                            "too many messages that are none of ours",
                        )));
                    }
                    self.refuse(&problem).await
                }
            },
            Some(Ok(Message::Binary(_))) => Err(Some(Close(CloseCode::Unsupported, "messages are text"))),
            // A ping is answered by the library, with the next that is sent or read.
            Some(Ok(Message::Ping(_))) => {
                self.ping()?;
                self.stream.flush().await.map_err(|_| None)
            }
            Some(Ok(Message::Pong(_) | Message::Frame(_))) => self.ping(),
            Some(Ok(Message::Close(_))) | None => Err(None),
            Some(Err(Error::Capacity(_))) => Err(Some(Close(CloseCode::Size, "the message is too large"))),
            Some(Err(Error::Utf8(_))) => Err(Some(Close(CloseCode::Invalid, "the message is not UTF-8"))),
            Some(Err(Error::Protocol(_))) => Err(Some(Close(CloseCode::Protocol, "this is no WebSocket"))),
            Some(Err(_)) => Err(None),
        }
    }

    /// Counts a ping or a pong.
    fn ping(&mut self) -> Ended {
        self.pings += 1;
        if self.pings > MOST_PINGS + PINGS_A_SECOND * self.socket.heartbeat.as_secs() {
            return Err(Some(Close(CloseCode::Library(TOO_MUCH), "too many pings")));
        }
        Ok(())
    }

    async fn do_so(&mut self, said: Said) -> Ended {
        let taken = self.socket.quotas.take(RateClass::Read, Who::Caller(&self.socket.opener.subject));
        if taken.await.is_err() {
            return Err(Some(Close(CloseCode::Library(TOO_MUCH), "too many requests")));
        }
        match said {
            Said::Subscribe { pet_id, last_event_id } => {
                if !self.pets.contains_key(&pet_id) && self.pets.len() >= MOST_PETS {
                    let text = "One socket has at most 100 pets.";
                    return self.refuse(&Problem::new(StatusCode::BAD_REQUEST, "TOO_MANY_PETS", text)).await;
                }
                self.count += 1;
                let subscription = Subscription {
                    number: self.count,
                    opener: Arc::clone(&self.socket.opener),
                    presence: self.socket.presence.clone(),
                    pet_id: pet_id.clone(),
                    last_event_id,
                    socket: self.news.clone(),
                };
                // Whoever subscribes again begins anew, once the one before has given up its stream.
                let before = self.pets.remove(&pet_id).map(|(_, before)| before);
                before.iter().for_each(JoinHandle::abort);
                let subscription = self.socket.tasks.spawn("http-subscription", async move {
                    if let Some(before) = before {
                        let _aborted = before.await;
                    }
                    subscription.run().await;
                });
                self.pets.insert(pet_id, (self.count, subscription));
                Ok(())
            }
            Said::Unsubscribe { pet_id } => {
                if let Some((_, subscription)) = self.pets.remove(&pet_id) {
                    subscription.abort();
                }
                let text = Told::Unsubscribed { pet_id: &pet_id, problem: None }.text();
                self.send(Message::text(text)).await
            }
        }
    }

    async fn refuse(&mut self, problem: &Problem) -> Ended {
        let problem = raw(problem, self.socket.opener.scope.request_id.as_str());
        self.send(Message::text(Told::Error { problem: &problem }.text())).await
    }

    /// Sends, unless the client takes nothing for too long.
    async fn send(&mut self, message: Message) -> Ended {
        match tokio::time::timeout(self.socket.patience, self.stream.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(None),
        }
    }
}

fn nobody() -> Close {
    Close(CloseCode::Library(UNAUTHENTICATED), "the access token is worth nothing any more")
}
