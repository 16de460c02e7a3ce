//! The messages of a caller that sends a stream of them.
//!
//! Invariants: they are read only while the answer is asked for, so never while it is being decided whether the caller still
//! may; none is handed on whose caller's token is no longer valid.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::Stream;
use tonic::{Code as GrpcCode, Status};

use super::Call;
use crate::error::{ApiError, Code, FieldError};

/// What a caller sends, message by message. The end: there are no more. An error is the last.
pub struct Requests<T> {
    messages: tonic::Streaming<T>,
    call: Call,
    ended: bool,
}

impl<T> Requests<T> {
    pub(super) fn new(messages: tonic::Streaming<T>, call: Call) -> Self {
        Self { messages, call, ended: false }
    }
}

impl<T> fmt::Debug for Requests<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Requests").field("call", &self.call).finish_non_exhaustive()
    }
}

impl<T> Stream for Requests<T> {
    type Item = Result<T, ApiError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<T, ApiError>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let next = match Pin::new(&mut self.messages).poll_next(context) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(next) => next,
        };
        let next = next.map(|message| {
            let message = message.map_err(|status| unreadable(&status))?;
            self.call.is_still_valid().map(|()| message)
        });
        self.ended = !matches!(next, Some(Ok(_)));
        Poll::Ready(next)
    }
}

/// Why there is no next message.
fn unreadable(status: &Status) -> ApiError {
    match status.code() {
        // The transport's words for a message that is too long, and for one that is none.
        GrpcCode::OutOfRange | GrpcCode::ResourceExhausted => {
            FieldError::out_of_range("message", "is too long").into()
        }
        GrpcCode::Internal | GrpcCode::InvalidArgument | GrpcCode::DataLoss => {
            FieldError::malformed("message", "cannot be read").into()
        }
        _ => ApiError::new(Code::Unavailable, "CALLER_GONE", "the caller is gone"),
    }
}
