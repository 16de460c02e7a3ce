//! The service behind both: it answers every method there is, and keeps what it was asked.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, ensure};
use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Request, Response, header};
use bytes::{BufMut as _, Bytes, BytesMut};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use petty_chassis::{Shutdown, Tasks};
use petty_proto::auth::v1::{Jwk, Jwks};
use prost_reflect::prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage, MethodDescriptor};
use tokio::net::TcpListener;

use super::samples;

/// What the gateway itself asks for.
const KEYS: &str = "petty.auth.v1.TokenService.GetJwks";

/// What the service answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// With every field set.
    Full,
    /// With none.
    Empty,
    /// With this status code of gRPC's.
    Error(u16),
}

/// A call as it arrived.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) method: String,
    pub(super) message: DynamicMessage,
}

/// The service.
#[derive(Clone)]
pub(super) struct Service {
    pool: DescriptorPool,
    keys: Bytes,
    state: Arc<Mutex<State>>,
    pub(super) address: SocketAddr,
}

struct State {
    answer: Answer,
    /// Whether it is asked for keys. The gateway asks for them on its own account too, at any time, which is nobody's call.
    keys: bool,
    asked: VecDeque<Asked>,
}

impl Service {
    /// Listens, and answers for as long as tasks run.
    pub(super) async fn start(
        pool: DescriptorPool,
        jwk: Jwk,
        shutdown: &Shutdown,
        tasks: &Tasks,
    ) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let keys = petty_message(&Jwks { keys: vec![jwk] });
        let state = State { answer: Answer::Full, keys: false, asked: VecDeque::new() };
        let service =
            Self { pool, keys, state: Arc::new(Mutex::new(state)), address: listener.local_addr()? };
        let answering = service.clone();
        let router = axum::Router::new().fallback(move |request| {
            let service = answering.clone();
            async move { service.answer(request).await }
        });
        let shutdown = shutdown.clone();
        drop(tasks.spawn("service", async move {
            let end = async move { shutdown.draining().await };
            if let Err(error) = axum::serve(listener, router).with_graceful_shutdown(end).await {
                tracing::error!(%error, "the service of an evaluation failed");
            }
        }));
        Ok(service)
    }

    /// From now on it answers that to calls of a method.
    pub(super) fn answers(&self, answer: Answer, method: &MethodDescriptor) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.answer = answer;
        state.keys = method.full_name() == KEYS;
        state.asked.clear();
    }

    /// The last call since then.
    pub(super) fn asked(&self) -> Option<Asked> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).asked.pop_back()
    }

    async fn answer(&self, request: Request<Body>) -> Response<Body> {
        match self.call(request).await {
            Ok(answer) => grpc(Some(answer), 0),
            Err(Refused::Status(code)) => grpc(None, code),
            Err(Refused::Bad(error)) => {
                tracing::error!(
                    error = format!("{error:#}"),
                    "the service of an evaluation was asked nonsense"
                );
                grpc(None, 13)
            }
        }
    }

    async fn call(&self, request: Request<Body>) -> Result<Bytes, Refused> {
        let method = self.method(request.uri().path())?;
        let body = request.into_body().collect().await.context("a request").map_err(Refused::Bad)?.to_bytes();
        let body = body.get(5..).context("no message").map_err(Refused::Bad)?;
        let message =
            DynamicMessage::decode(method.input(), body).context("a message").map_err(Refused::Bad)?;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let keys = method.full_name() == KEYS;
        if !keys || state.keys {
            state.asked.push_back(Asked { method: method.full_name().to_owned(), message });
        }
        if keys {
            return Ok(self.keys.clone());
        }
        match state.answer {
            Answer::Full => Ok(samples::message(&method.output(), 0).encode_to_vec().into()),
            Answer::Empty => Ok(Bytes::new()),
            Answer::Error(code) => Err(Refused::Status(code)),
        }
    }

    fn method(&self, path: &str) -> Result<MethodDescriptor, Refused> {
        let named = || {
            let (service, method) = path.strip_prefix('/')?.split_once('/')?;
            self.pool.get_service_by_name(service)?.methods().find(|found| found.name() == method)
        };
        named().ok_or(Refused::Status(12))
    }
}

enum Refused {
    Status(u16),
    Bad(anyhow::Error),
}

fn petty_message(message: &impl prost_reflect::prost::Message) -> Bytes {
    message.encode_to_vec().into()
}

/// An answer as gRPC writes it: a message, and how it went.
fn grpc(message: Option<Bytes>, code: u16) -> Response<Body> {
    let mut frames = Vec::new();
    if let Some(message) = message {
        let mut framed = BytesMut::with_capacity(message.len() + 5);
        framed.put_u8(0);
        framed.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
        framed.extend_from_slice(&message);
        frames.push(Frame::data(framed.freeze()));
    }
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from(code));
    if code != 0 {
        trailers.insert("grpc-message", HeaderValue::from_static("so%20it%20was%20asked"));
    }
    frames.push(Frame::trailers(trailers));
    let frames = futures::stream::iter(frames.into_iter().map(Ok::<_, Infallible>));
    let mut response = Response::new(Body::new(StreamBody::new(frames)));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response
}

/// The descriptors of everything, as both gateways have them.
pub(super) fn pool() -> anyhow::Result<DescriptorPool> {
    let pool = DescriptorPool::decode(petty_proto::FILE_DESCRIPTOR_SET)?;
    ensure!(pool.get_extension_by_name("google.api.http").is_some(), "no google.api.http");
    Ok(pool)
}
