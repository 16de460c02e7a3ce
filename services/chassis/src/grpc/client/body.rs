//! An answer that stops at the deadline, and that fails in one way: where its connection breaks the service is not available, whatever
//! the transport calls it.

use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::Response;
use http_body::{Body as _, Frame, SizeHint};
use tokio::time::Sleep;
use tonic::Status;
use tonic::body::Body;

use crate::error::{ApiError, Code};
use crate::grpc::Deadline;

/// Lets the answer's body fail at the deadline: a peer may begin to answer and then stand still.
pub(super) fn with_deadline(response: Response<Body>, deadline: Deadline) -> Response<Body> {
    if response.body().is_end_stream() {
        return response;
    }
    response.map(|inner| Body::new(Limited { inner, until: Box::pin(tokio::time::sleep_until(deadline.0)) }))
}

fn cut_off(broken: &Status) -> Status {
    ApiError::unavailable("UPSTREAM_UNAVAILABLE", format!("an answer broke off: {}", broken.message())).into()
}

struct Limited {
    inner: Body,
    until: Pin<Box<Sleep>>,
}

impl http_body::Body for Limited {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.inner).poll_frame(context) {
            return Poll::Ready(frame.map(|frame| frame.map_err(|broken| cut_off(&broken))));
        }
        match self.until.as_mut().poll(context) {
            Poll::Ready(()) => {
                let error = ApiError::new(Code::DeadlineExceeded, "DEADLINE_EXCEEDED", "time ran out");
                Poll::Ready(Some(Err(error.into())))
            }
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
