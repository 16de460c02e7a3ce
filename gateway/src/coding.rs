//! Answers in fewer bytes: gzip, br or zstd, whichever the client takes.
//!
//! Invariants: nothing that holds a secret is packed together with what a client sent: how small it gets would tell of both. What
//! packs is there for an answer that is packed, and for no other: it is many times as large as an answer.

use std::convert::Infallible;
use std::future::ready;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING};
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::{Body, Frame, SizeHint};
use petty_proto::policy::{MethodPolicy, RateClass, Repeat};
use tower::{Layer as _, ServiceExt as _};
use tower_http::CompressionLevel;
use tower_http::compression::predicate::Predicate;
use tower_http::compression::{CompressionBody, CompressionLayer};

use crate::answer::AnswerBody;
use crate::upstream::BoxError;

/// Below this a packed answer costs more than it saves: all of it fits in a segment.
const LEAST: u64 = 1_024;

/// An extension of an answer that holds a secret.
#[derive(Clone, Copy, Debug)]
struct Secret;

/// Marks the answer of a method that answers secrets.
pub(crate) fn mark<B>(policy: &MethodPolicy, response: &mut Response<B>) {
    if policy.rate_class == RateClass::Credentials
        || matches!(policy.repeat, Repeat::RequestIdSecret | Repeat::NewSession)
    {
        response.extensions_mut().insert(Secret);
    }
}

/// What codings a client takes.
pub(crate) struct Codings(Vec<HeaderValue>);

impl Codings {
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        Self(headers.get_all(ACCEPT_ENCODING).iter().cloned().collect())
    }

    /// The answer as it goes out.
    pub(crate) async fn pack(self, response: Response<AnswerBody>) -> Response<Coded> {
        if Worth.should_compress(&response) {
            return Box::pin(self.pack_worthy(response)).await;
        }
        response.map(Coded::Plain)
    }

    async fn pack_worthy(self, response: Response<AnswerBody>) -> Response<Coded> {
        let mut request = Request::new(response);
        for value in self.0 {
            request.headers_mut().append(ACCEPT_ENCODING, value);
        }
        let packing = CompressionLayer::new().quality(CompressionLevel::Fastest).compress_when(Worth);
        let answer = |request: Request<Response<AnswerBody>>| ready(Ok::<_, Infallible>(request.into_body()));
        let Ok(packed) = packing.layer(tower::service_fn(answer)).oneshot(request).await;
        if packed.headers().contains_key(CONTENT_ENCODING) {
            return packed.map(|body| Coded::Packed(Box::pin(body)));
        }
        packed.map(|body| Coded::Plain(body.into_inner()))
    }
}

/// The body of an answer, as it is or packed.
pub(crate) enum Coded {
    Plain(AnswerBody),
    Packed(Pin<Box<CompressionBody<AnswerBody>>>),
}

impl Body for Coded {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut *self {
            Self::Plain(body) => Pin::new(body).poll_frame(context).map_err(|never| match never {}),
            Self::Packed(body) => body.as_mut().poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Plain(body) => body.is_end_stream(),
            Self::Packed(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Plain(body) => body.size_hint(),
            Self::Packed(body) => body.size_hint(),
        }
    }
}

/// Which answers are packed. Of a stream, whose size nobody knows, each event is to arrive when it is sent.
#[derive(Clone, Copy, Debug)]
struct Worth;

impl Predicate for Worth {
    fn should_compress<B: Body>(&self, response: &Response<B>) -> bool {
        response.body().size_hint().exact().is_some_and(|size| size >= LEAST)
            && response.extensions().get::<Secret>().is_none()
    }
}
