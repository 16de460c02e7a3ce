//! Answers in fewer bytes: gzip, br or zstd, whichever the client takes.
//!
//! Invariants: nothing that holds a secret is packed together with what a client sent: how small it gets would tell of both. What
//! packs is there for an answer that is packed, and for no other: it is many times as large as an answer. How a client would have an
//! answer packed changes nothing of what became of its request. HEAD says what GET says.

use std::convert::Infallible;
use std::future::ready;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH};
use http::{HeaderMap, HeaderValue, Method, Request, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use petty_proto::policy::{MethodPolicy, RateClass, Repeat};
use tokio::sync::OnceCell;
use tower::{Layer as _, ServiceExt as _};
use tower_http::CompressionLevel;
use tower_http::compression::predicate::Predicate;
use tower_http::compression::{CompressionBody, CompressionLayer};

use crate::answer::AnswerBody;
use crate::stall;
use crate::upstream::BoxError;

/// Below this a packed answer costs more than it saves: all of it fits in a segment.
const LEAST: u64 = 1_024;

/// The most of an answer that is handed on at once over HTTP/2, where so much is held for a client that does not read: one frame.
const PIECE: usize = 16 << 10;

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

/// What is answered often and is always the same, and what it was packed to: once for each coding, when somebody takes that.
#[derive(Debug)]
pub(crate) struct Kept {
    whole: Bytes,
    gzip: OnceCell<Bytes>,
    br: OnceCell<Bytes>,
    zstd: OnceCell<Bytes>,
}

impl Kept {
    pub(crate) fn new(whole: Bytes) -> Self {
        Self { whole, gzip: OnceCell::new(), br: OnceCell::new(), zstd: OnceCell::new() }
    }

    /// The answer that it is.
    pub(crate) fn answer(&'static self) -> Response<AnswerBody> {
        let mut response = Response::new(AnswerBody::from(self.whole.clone()));
        response.extensions_mut().insert(self);
        response
    }

    fn packed(&self, coding: &HeaderValue) -> Option<&OnceCell<Bytes>> {
        match coding.as_bytes() {
            b"gzip" => Some(&self.gzip),
            b"br" => Some(&self.br),
            b"zstd" => Some(&self.zstd),
            _ => None,
        }
    }
}

/// How a client takes its answer.
pub(crate) struct Codings {
    accepted: Vec<HeaderValue>,
    is_head: bool,
}

impl Codings {
    pub(crate) fn of(method: &Method, headers: &HeaderMap) -> Self {
        let accepted = headers.get_all(ACCEPT_ENCODING).iter().cloned().collect();
        Self { accepted, is_head: method == Method::HEAD }
    }

    /// The answer as it goes out.
    pub(crate) async fn pack(self, response: Response<AnswerBody>) -> Response<Coded> {
        let is_head = self.is_head;
        let response = if Worth.should_compress(&response) {
            Box::pin(self.pack_worthy(response)).await
        } else {
            response.map(Coded::Plain)
        };
        if is_head { head_of(response) } else { response }
    }

    async fn pack_worthy(self, response: Response<AnswerBody>) -> Response<Coded> {
        let status = response.status();
        let mut request = Request::new(response);
        for value in self.accepted {
            request.headers_mut().append(ACCEPT_ENCODING, value);
        }
        let packing = CompressionLayer::new().quality(CompressionLevel::Fastest).compress_when(Worth);
        let answer = |request: Request<Response<AnswerBody>>| ready(Ok::<_, Infallible>(request.into_body()));
        let Ok(mut packed) = packing.layer(tower::service_fn(answer)).oneshot(request).await;
        // To whom no coding is right it says 406, when the request has had its effect. Such an answer goes out unpacked (RFC 9110,
        // 12.5.3), and says what became of the request.
        *packed.status_mut() = status;
        let Some(coding) = packed.headers().get(CONTENT_ENCODING) else {
            return packed.map(|body| Coded::Plain(body.into_inner()));
        };
        let kept = packed.extensions().get::<&'static Kept>().copied();
        let kept = kept.and_then(|kept| Some((kept, kept.packed(coding)?)));
        let (mut parts, body) = packed.into_parts();
        let body = Box::pin(body);
        let Some((kept, cell)) = kept else { return Response::from_parts(parts, Coded::Packed(body)) };
        let packing = async || body.collect().await.map(|collected| collected.to_bytes());
        let bytes = match cell.get_or_try_init(packing).await {
            Ok(bytes) => bytes.clone(),
            Err(error) => {
                tracing::error!(error, "a file cannot be packed");
                parts.headers.remove(CONTENT_ENCODING);
                kept.whole.clone()
            }
        };
        Response::from_parts(parts, Coded::Plain(bytes.into()))
    }
}

/// An answer without its body, which says how long that is where the answer would. Over HTTP/2, hyper would send the body.
pub(crate) fn head_of<B: Body + Default>(response: Response<B>) -> Response<B> {
    let (mut parts, body) = response.into_parts();
    if let Some(length) = body.size_hint().exact().filter(|length| *length > 0) {
        parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    Response::from_parts(parts, B::default())
}

/// The body of an answer, as it is or packed.
pub(crate) enum Coded {
    Plain(AnswerBody),
    Packed(Pin<Box<CompressionBody<AnswerBody>>>),
}

impl Default for Coded {
    fn default() -> Self {
        Self::Plain(AnswerBody::default())
    }
}

impl Body for Coded {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let polled = match &mut *self {
            Self::Plain(body) => {
                let most = if stall::is_watched() { PIECE } else { usize::MAX };
                body.poll_piece(context, most).map(|piece| Some(Ok(Frame::data(piece?))))
            }
            Self::Packed(body) => body.as_mut().poll_frame(context),
        };
        stall::note(&polled);
        polled
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

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use super::*;

    static FILE: LazyLock<Kept> = LazyLock::new(|| Kept::new(Bytes::from(vec![b' '; 100_000])));

    async fn answer(method: Method, accepted: &'static str) -> (HeaderMap, Bytes) {
        let accepted = HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static(accepted))]);
        let packed = Codings::of(&method, &accepted).pack(FILE.answer()).await;
        let (parts, body) = packed.into_parts();
        (parts.headers, body.collect().await.unwrap().to_bytes())
    }

    #[tokio::test]
    async fn what_is_kept_is_packed_once_for_each_coding() {
        for coding in ["gzip", "br", "zstd"] {
            let (headers, first) = answer(Method::GET, coding).await;
            assert_eq!(headers[CONTENT_ENCODING], coding);
            assert!(first.len() < 1_000, "{coding}: {}", first.len());
            let (headers, again) = answer(Method::GET, coding).await;
            assert_eq!(headers[CONTENT_ENCODING], coding);
            assert_eq!(again.as_ptr(), first.as_ptr(), "{coding}: the same bytes");
            let (headers, none) = answer(Method::HEAD, coding).await;
            assert_eq!(headers[CONTENT_LENGTH], first.len().to_string(), "{coding}");
            assert!(none.is_empty());
        }
        let (headers, whole) = answer(Method::GET, "identity").await;
        assert!(!headers.contains_key(CONTENT_ENCODING));
        assert_eq!(whole.as_ptr(), FILE.whole.as_ptr());
    }
}
