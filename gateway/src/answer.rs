//! The body of an answer: whole, or a stream of events that are handed over as they come.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::Stream as _;
use http_body::{Body, Frame, SizeHint};
use tokio::sync::mpsc;

use crate::stream::Events;

/// The body of an answer.
#[derive(Debug)]
pub struct AnswerBody(Kind);

#[derive(Debug)]
enum Kind {
    Whole {
        left: Bytes,
        /// Whether it was begun, in pieces.
        is_begun: bool,
    },
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

    /// What comes next; of a whole answer no more than so many bytes at once.
    pub(crate) fn poll_piece(&mut self, context: &mut Context<'_>, most: usize) -> Poll<Option<Bytes>> {
        match &mut self.0 {
            Kind::Whole { left, .. } if left.is_empty() => Poll::Ready(None),
            Kind::Whole { left, is_begun: false } if left.len() <= most => {
                Poll::Ready(Some(std::mem::take(left)))
            }
            Kind::Whole { left, is_begun } => {
                *is_begun = true;
                let piece = left.split_to(most.min(left.len()));
                // A copy: a part would keep all of it in memory, for as long as the client leaves the part unread.
                Poll::Ready(Some(Bytes::copy_from_slice(&piece)))
            }
            Kind::Events(events) => Pin::new(&mut **events).poll_next(context),
            Kind::PassedOn(events) => events.poll_recv(context),
        }
    }
}

impl Default for AnswerBody {
    fn default() -> Self {
        Bytes::new().into()
    }
}

impl From<Bytes> for AnswerBody {
    fn from(bytes: Bytes) -> Self {
        Self(Kind::Whole { left: bytes, is_begun: false })
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
        self.poll_piece(context, usize::MAX).map(|piece| Some(Ok(Frame::data(piece?))))
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Whole { left, .. } => left.is_empty(),
            Kind::Events(_) | Kind::PassedOn(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Whole { left, .. } => SizeHint::with_exact(left.len() as u64),
            Kind::Events(_) | Kind::PassedOn(_) => SizeHint::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    #[tokio::test]
    async fn a_piece_that_waits_keeps_nothing_of_the_rest() {
        let whole = Bytes::from(vec![b'x'; 100]);
        let mut body = AnswerBody::from(whole.clone());
        let mut pieces = Vec::new();
        while let Some(piece) = poll_fn(|context| body.poll_piece(context, 30)).await {
            pieces.push(piece.len());
            assert_eq!(body.size_hint().exact(), Some(100 - pieces.iter().sum::<usize>() as u64));
        }
        assert_eq!(pieces, [30, 30, 30, 10]);
        drop(body);
        let mut body = AnswerBody::from(whole.clone());
        let waits = poll_fn(|context| body.poll_piece(context, 30)).await;
        drop(body);
        assert!(whole.is_unique(), "{waits:?}");
        // What fits is handed on as it is.
        let mut body = AnswerBody::from(whole.clone());
        let all = poll_fn(|context| body.poll_piece(context, 100)).await.unwrap();
        assert_eq!(all.as_ptr(), whole.as_ptr());
        assert!(body.is_end_stream());
    }
}
