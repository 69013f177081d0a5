//! What hyper needs of a runtime, with the feature `hyper`: its traits for a stream, a [`Timer`] and an [`Executor`].
//!
//! ```no_run
//! use std::convert::Infallible;
//!
//! use hello_runtime::hyper::Timer;
//! use hello_runtime::net::TcpStream;
//! use hyper::body::Incoming;
//! use hyper::server::conn::http1;
//! use hyper::service::service_fn;
//! use hyper::{Request, Response};
//!
//! async fn serve_connection(stream: TcpStream) -> hyper::Result<()> {
//!     let service = service_fn(async |_: Request<Incoming>| Ok::<_, Infallible>(Response::new("Hello World".to_owned())));
//!     http1::Builder::new().timer(Timer::new()).serve_connection(stream, service).await
//! }
//! ```
//!
//! hyper's server writes the head and the body of a response in one piece where both are known, because a stream of this runtime
//! takes no list of pieces.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use ::hyper::rt;

use crate::spawn;
use crate::stream::{Socket, Stream};
use crate::time::{self, Sleep};

impl<S: Socket + Unpin> rt::Read for Stream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        mut buffer: rt::ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        while buffer.remaining() > 0 {
            if let Some(bytes) = self.try_read(buffer.remaining())? {
                buffer.put_slice(&bytes);
                break;
            }
            ready!(self.readable().poll_ready(context, false));
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: Socket + Unpin> rt::Write for Stream<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            if let Some(written) = self.try_write(bytes)? {
                return Poll::Ready(Ok(written));
            }
            ready!(self.writable().poll_ready(context, false));
        }
    }

    /// Is ready at once, as for a TCP stream of tokio: the host sends written bytes by itself.
    fn poll_flush(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Waits until the system has taken all written bytes, and then shuts down the write side, so that the peer sees the end.
    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.permitted()? == 0 {
            ready!(self.writable().poll_ready(context, false));
        }
        self.shutdown_write();
        Poll::Ready(Ok(()))
    }
}

/// Runs the tasks of hyper as tasks of this runtime. The tasks need not be `Send`.
///
/// A server for HTTP/1 spawns no tasks; a client, and HTTP/2, do.
#[derive(Debug, Clone, Copy, Default)]
pub struct Executor;

impl<F: Future + 'static> rt::Executor<F> for Executor {
    fn execute(&self, future: F) {
        spawn(async {
            future.await;
        });
    }
}

/// The clock of this runtime, for the timeouts of hyper.
///
/// Its time stands still while the tasks of a round run, so a timeout costs no call of the host.
#[derive(Debug, Clone, Copy)]
pub struct Timer {
    /// The same moment on the clock of the standard library and on that of the runtime.
    epoch: (Instant, time::Instant),
}

impl Timer {
    /// A timer. hyper takes a clone for each connection.
    pub fn new() -> Self {
        Timer { epoch: (Instant::now(), time::Instant::now()) }
    }

    /// The moment `instant` on the clock of the runtime.
    fn on_our_clock(&self, instant: Instant) -> time::Instant {
        self.epoch.1 + instant.saturating_duration_since(self.epoch.0)
    }
}

impl Default for Timer {
    fn default() -> Self {
        Timer::new()
    }
}

impl rt::Timer for Timer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn rt::Sleep>> {
        Box::pin(time::sleep(duration))
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn rt::Sleep>> {
        Box::pin(time::sleep_until(self.on_our_clock(deadline)))
    }

    fn now(&self) -> Instant {
        self.epoch.0 + self.epoch.1.elapsed()
    }

    fn reset(&self, sleep: &mut Pin<Box<dyn rt::Sleep>>, deadline: Instant) {
        match sleep.as_mut().downcast_mut_pin::<Sleep>() {
            Some(sleep) => sleep.get_mut().reset(self.on_our_clock(deadline)),
            None => *sleep = self.sleep_until(deadline),
        }
    }
}

impl rt::Sleep for Sleep {}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::time::Duration;

    use ::hyper::body::{Bytes, Incoming};
    use ::hyper::server::conn::http1;
    use ::hyper::service::service_fn;
    use ::hyper::{Request, Response};
    use http_body_util::{BodyExt, Full};

    use crate::Runtime;
    use crate::model::{Model, NetworkListener, ROOM};

    /// Sends `request`, in pieces, to hyper's server, which answers with the body. Returns what the client receives until the server
    /// closes the connection, in the pieces of each round.
    fn receive(request: &[&str]) -> Vec<String> {
        let model = Model::new();
        let runtime = Runtime::new(model.clone());
        let (mut listener, network) = NetworkListener::listen(&model, &runtime);
        let client = network.connect();
        let (stream, _) = listener.try_accept().expect("no error").expect("a connection");
        runtime.spawn(async {
            let echo = async |request: Request<Incoming>| {
                let body = request.into_body().collect().await.expect("a whole body").to_bytes();
                Ok::<_, Infallible>(Response::new(Full::<Bytes>::new(body)))
            };
            http1::Builder::new()
                .serve_connection(stream, service_fn(echo))
                .await
                .expect("a conversation without a fault");
        });
        let (clock, request) = (runtime.clone(), request.iter().map(|piece| piece.to_string()).collect::<Vec<_>>());
        runtime.block_on(async move {
            for piece in request {
                client.send(piece.as_bytes());
                clock.sleep_until(clock.now() + Duration::from_secs(1)).await;
            }
            let mut received = Vec::new();
            loop {
                let bytes = client.receive().await;
                if bytes.is_empty() {
                    return received;
                }
                received.push(String::from_utf8(bytes).expect("text"));
            }
        })
    }

    #[test]
    fn a_response_leaves_in_one_write_with_its_body() {
        let received = receive(&["POST / HTTP/1.1\r\nConnection: close\r\nContent-Length: 4\r\n\r\nbo", "dy"]);
        assert_eq!(received.len(), 1, "{received:?}");
        assert!(
            received[0].starts_with("HTTP/1.1 200 OK\r\n") && received[0].ends_with("\r\n\r\nbody"),
            "{received:?}"
        );
    }

    #[test]
    fn a_response_that_is_longer_than_the_room_arrives_whole() {
        let body = "x".repeat(16 * ROOM);
        let head = format!("POST / HTTP/1.1\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len());
        let received = receive(&[&head, &body]).concat();
        assert!(received.ends_with(&format!("\r\n\r\n{body}")), "{} bytes", received.len());
    }
}
