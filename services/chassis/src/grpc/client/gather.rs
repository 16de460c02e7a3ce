//! A connection that lets what is ready to be sent come together, so that it leaves in one system call.
//!
//! A connection's task runs as soon as one call has a frame for it, before those that are about to have one too. So it steps back
//! once before it writes: whatever is ready to run by then runs, and what that has to send goes along. Where nothing is ready it writes
//! at once.
//!
//! Invariant: it steps back once between two flushes, and has itself woken when it does.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use http::Uri;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tower::Service;

/// Connects without TLS.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plain;

impl Service<Uri> for Plain {
    type Response = TokioIo<Gathering<TcpStream>>;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Self::Response>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        Box::pin(async move {
            let no_address = || io::Error::other("an endpoint without an address");
            let host = uri.host().ok_or_else(no_address)?;
            // Of an address in brackets they are no part.
            let host = host.trim_start_matches('[').trim_end_matches(']');
            let stream = TcpStream::connect((host, uri.port_u16().unwrap_or(80))).await?;
            stream.set_nodelay(true)?;
            Ok(TokioIo::new(Gathering::new(stream)))
        })
    }
}

/// A connection.
#[derive(Debug)]
pub(in crate::grpc) struct Gathering<T> {
    inner: T,
    /// Whether it has stepped back since the last flush.
    has_waited: bool,
}

impl<T> Gathering<T> {
    pub(in crate::grpc) fn new(inner: T) -> Self {
        Self { inner, has_waited: false }
    }

    /// Ready, but for the first time since the last flush.
    fn poll_gathered(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.has_waited {
            return Poll::Ready(());
        }
        self.has_waited = true;
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Gathering<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(context, buffer)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Gathering<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        std::task::ready!(self.poll_gathered(context));
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        std::task::ready!(self.poll_gathered(context));
        Pin::new(&mut self.inner).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.inner).poll_flush(context);
        if flushed.is_ready() {
            self.has_waited = false;
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::AsyncReadExt as _;

    use super::*;

    #[tokio::test]
    async fn what_is_ready_meanwhile_goes_along_and_nothing_is_held_back() {
        let (ours, mut theirs) = tokio::io::duplex(64);
        let mut gathering = Gathering::new(ours);
        for text in ["one", "two"] {
            let mut waits = 0;
            let wrote = poll_fn(|context| {
                let wrote = Pin::new(&mut gathering).poll_write(context, text.as_bytes());
                waits += u32::from(wrote.is_pending());
                wrote
            });
            assert_eq!(wrote.await.unwrap(), 3);
            assert_eq!(waits, 1, "once before each flush, and woken");
            let more = poll_fn(|context| Pin::new(&mut gathering).poll_write(context, b"!"));
            assert_eq!(futures::FutureExt::now_or_never(more).unwrap().unwrap(), 1, "not again before it");
            poll_fn(|context| Pin::new(&mut gathering).poll_flush(context)).await.unwrap();
        }
        let mut read = [0; 8];
        theirs.read_exact(&mut read).await.unwrap();
        assert_eq!(&read, b"one!two!");
    }
}
