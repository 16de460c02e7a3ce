//! Answers that go on: counted while they are open, and each within the logs of its call.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::Response;
use http_body::{Body as _, Frame, SizeHint};
use tokio::sync::OwnedSemaphorePermit;
use tonic::Status;
use tonic::body::Body;
use tracing::Span;

use super::measure::OpenStream;

/// Keeps the place that the stream takes, and the count of it, until the answer was sent or given up.
pub(super) fn keep_open(
    response: Response<Body>,
    place: OwnedSemaphorePermit,
    counted: OpenStream,
    span: Span,
) -> Response<Body> {
    if response.body().is_end_stream() {
        return response;
    }
    response.map(|inner| Body::new(Open { inner, span, _place: place, _counted: counted }))
}

struct Open {
    inner: Body,
    span: Span,
    _place: OwnedSemaphorePermit,
    _counted: OpenStream,
}

impl http_body::Body for Open {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let open = &mut *self;
        let _entered = open.span.enter();
        Pin::new(&mut open.inner).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
