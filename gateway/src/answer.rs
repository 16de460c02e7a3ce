//! The body of an answer: whole, or a stream of events that are handed over as they come.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::Stream as _;
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use tokio::sync::mpsc;

use crate::stream::Events;

/// The body of an answer.
#[derive(Debug)]
pub struct AnswerBody(Kind);

#[derive(Debug)]
enum Kind {
    Whole(Full<Bytes>),
    /// Taken from one at a time, and only when the connection has room: what is not taken holds its source up.
    Events(Box<Events>),
    /// The same, from who takes it from there.
    PassedOn(mpsc::Receiver<Bytes>),
}

impl AnswerBody {
    /// A stream, as it comes.
    pub(crate) fn events(events: Events) -> Self {
        Self(Kind::Events(Box::new(events)))
    }

    /// What somebody sends as it comes, until they let go of the sender.
    pub(crate) fn passed_on(events: mpsc::Receiver<Bytes>) -> Self {
        Self(Kind::PassedOn(events))
    }

    /// How many bytes it has, where that is known.
    pub(crate) fn length(&self) -> Option<u64> {
        self.size_hint().exact()
    }
}

impl Default for AnswerBody {
    fn default() -> Self {
        Self(Kind::Whole(Full::default()))
    }
}

impl From<Bytes> for AnswerBody {
    fn from(bytes: Bytes) -> Self {
        Self(Kind::Whole(Full::new(bytes)))
    }
}

impl From<String> for AnswerBody {
    fn from(text: String) -> Self {
        Bytes::from(text).into()
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match &mut self.0 {
            Kind::Whole(whole) => Pin::new(whole).poll_frame(context),
            Kind::Events(events) => {
                Pin::new(&mut **events).poll_next(context).map(|event| Some(Ok(Frame::data(event?))))
            }
            Kind::PassedOn(events) => events.poll_recv(context).map(|event| Some(Ok(Frame::data(event?)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Whole(whole) => whole.is_end_stream(),
            Kind::Events(_) | Kind::PassedOn(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Whole(whole) => whole.size_hint(),
            Kind::Events(_) | Kind::PassedOn(_) => SizeHint::default(),
        }
    }
}
