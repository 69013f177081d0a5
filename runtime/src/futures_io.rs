//! The traits of `futures-io` for a stream, so that the protocols of other libraries run on it.
//!
//! A call that is not ready leaves the waker of its task with the reactor until the stream is ready, or dropped. So a task that
//! gives up such a call may be woken once without a reason; no byte is lost.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_io::{AsyncRead, AsyncWrite};

use crate::stream::{Socket, Stream};

impl<S: Socket + Unpin> AsyncRead for Stream<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        if buffer.is_empty() {
            return Poll::Ready(Ok(0));
        }
        loop {
            if let Some(bytes) = self.try_read(buffer.len())? {
                buffer[..bytes.len()].copy_from_slice(&bytes);
                return Poll::Ready(Ok(bytes.len()));
            }
            ready!(self.readable().poll_ready(context, false));
        }
    }
}

impl<S: Socket + Unpin> AsyncWrite for Stream<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            if let Some(written) = self.try_write(bytes)? {
                return Poll::Ready(Ok(written));
            }
            ready!(self.writable().poll_ready(context, false));
        }
    }

    /// Waits until no written byte is in flight in this program any more: the system has taken them all.
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.permitted()? == 0 {
            ready!(self.writable().poll_ready(context, false));
        }
        Poll::Ready(Ok(()))
    }

    /// Flushes the stream, and then shuts down its write side, so that the peer sees the end.
    fn poll_close(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.as_mut().poll_flush(context))?;
        self.shutdown_write();
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::time::Duration;

    use futures_util::future::join3;
    use futures_util::io::{AsyncReadExt, AsyncWriteExt};

    use crate::model::{Client, Line, Model, NetworkListener, ROOM};
    use crate::{Either, Runtime, Stream, race};

    fn connection() -> (Runtime<Model>, Stream<Line>, Client) {
        let model = Model::new();
        let runtime = Runtime::new(model.clone());
        let (mut listener, network) = NetworkListener::listen(&model, &runtime);
        let client = network.connect();
        let (stream, _) = listener.try_accept().expect("no error").expect("a connection");
        (runtime, stream, client)
    }

    #[test]
    fn a_read_and_a_write_of_one_stream_may_wait_at_once_and_no_byte_is_lost() {
        let (runtime, stream, client) = connection();
        let (mut reader, mut writer) = stream.split();
        let (clock, written) = (runtime.clone(), "x".repeat(64 * ROOM));
        let expected = written.clone();
        let (received, read) = runtime.block_on(async move {
            let write = async {
                writer.write_all(written.as_bytes()).await.expect("the client reads");
                writer.close().await.expect("the client reads");
            };
            let read = async {
                let mut read = String::new();
                reader.read_to_string(&mut read).await.expect("the client sends");
                read
            };
            let client = async {
                for piece in ["one ", "two"] {
                    // By then both wait.
                    clock.sleep_until(clock.now() + Duration::from_secs(1)).await;
                    client.send(piece.as_bytes());
                }
                let received = client.receive_all().await;
                client.shutdown_write();
                received
            };
            let ((), read, received) = join3(write, read, client).await;
            (received, read)
        });
        assert!(received == expected, "{} of {} bytes", received.len(), expected.len());
        assert_eq!(read, "one two");
    }

    #[test]
    fn a_read_that_is_given_up_loses_no_byte() {
        let (runtime, mut stream, client) = connection();
        let clock = runtime.clone();
        let read = runtime.block_on(async move {
            let mut buffer = [0; 8];
            let timeout = clock.sleep_until(clock.now() + Duration::from_secs(1));
            let given_up = race(pin!(AsyncReadExt::read(&mut stream, &mut buffer)), pin!(timeout)).await;
            assert!(matches!(given_up, Either::Second(())), "nothing has come");
            client.send(b"hello");
            let read = AsyncReadExt::read(&mut stream, &mut buffer).await.expect("the client sends");
            buffer[..read].to_vec()
        });
        assert_eq!(read, b"hello");
    }

    #[test]
    fn a_stream_closes_when_the_system_has_all_that_was_written() {
        let (runtime, mut stream, client) = connection();
        let clock = runtime.clone();
        runtime.block_on(async move {
            let written = AsyncWriteExt::write(&mut stream, &[b'x'; ROOM + 1]).await;
            assert_eq!(written.expect("the client is there"), ROOM + 1);
            let timeout = clock.sleep_until(clock.now() + Duration::from_secs(1));
            let mut close = pin!(AsyncWriteExt::close(&mut stream));
            assert!(matches!(race(close.as_mut(), pin!(timeout)).await, Either::Second(())), "a write is in flight");
            assert!(!client.is_closed());
            assert_eq!(client.receive().await.len(), ROOM);
            close.await.expect("the client is there");
            assert!(client.is_closed());
            assert_eq!(client.receive_all().await, "x");
        });
    }

    #[test]
    fn a_lost_connection_is_an_error_of_every_call() {
        let (runtime, mut stream, client) = connection();
        client.reset();
        runtime.block_on(async move {
            assert!(AsyncReadExt::read(&mut stream, &mut [0]).await.is_err());
            assert!(AsyncWriteExt::write(&mut stream, b"x").await.is_err());
            assert!(AsyncWriteExt::flush(&mut stream).await.is_err());
            assert!(AsyncWriteExt::close(&mut stream).await.is_err());
        });
    }
}
