//! [`AsyncRead`] and [`AsyncWrite`] of `futures-io` for a [`Stream`], so that protocols of other libraries run on it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_io::{AsyncRead, AsyncWrite};

use crate::stream::{Socket, Stream};

impl<S: Socket + Unpin> AsyncRead for Stream<S> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let stream = self.get_mut();
        if buffer.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let Some(bytes) = stream.try_read(buffer.len())? else {
            stream.readable().wake(context);
            return Poll::Pending;
        };
        buffer[..bytes.len()].copy_from_slice(&bytes);
        Poll::Ready(Ok(bytes.len()))
    }
}

impl<S: Socket + Unpin> AsyncWrite for Stream<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let stream = self.get_mut();
        let written = stream.try_write(bytes)?;
        if written.is_none() {
            stream.writable().wake(context);
        }
        written.map_or(Poll::Pending, |written| Poll::Ready(Ok(written)))
    }

    /// Waits until the system has taken everything that was written.
    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let stream = self.get_mut();
        if stream.is_write_in_flight() {
            stream.writable().wake(context);
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }

    /// Flushes, and tells the peer that nothing more will be written. The stream can still be read.
    fn poll_close(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.as_mut().poll_flush(context))?;
        self.shutdown_write();
        Poll::Ready(Ok(()))
    }
}
