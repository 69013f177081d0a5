//! The traits for connections, time, and tasks over which the server is generic. In a component [`hello_runtime`] implements
//! these traits on WASI; in the tests it implements them on a model of the host.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use hello_runtime::{Host, ListeningSocket, Socket};

/// One connection: bytes in, bytes out. It may be dropped at any time.
pub trait Stream {
    /// Reads at most `most` bytes, and waits while there are none. No bytes mean that the peer has finished sending; it may still
    /// read. Nothing is lost when the future is dropped. Any error means that the connection is lost.
    fn read(&mut self, most: usize) -> impl Future<Output = io::Result<Vec<u8>>>;

    /// Writes as many of `bytes` as there is room for, and returns how many; waits while there is no room. When the future is
    /// dropped before it is ready, nothing was written. Any error means that the connection is lost.
    fn write(&mut self, bytes: &[u8]) -> impl Future<Output = io::Result<usize>>;

    /// Tells the peer that nothing more will be written, behind what was written before.
    fn shutdown_write(&mut self);

    /// Waits until no written byte is in flight in this program: the system has taken them all, or they are lost.
    fn flushed(&mut self) -> impl Future<Output = ()>;

    /// Stops waiting for the peer to read: asks the system to take over the bytes in flight, so that
    /// [`flushed`](Stream::flushed) is ready soon. If the system cannot do that, `flushed` still waits for the peer.
    fn abandon_writes(&mut self);
}

/// A listener.
pub trait Listener {
    /// An accepted connection.
    type Stream: Stream + 'static;

    /// Accepts the next connection, if one is pending, and returns it with the address of its peer.
    ///
    /// # Errors
    /// [`ConnectionAborted`](std::io::ErrorKind::ConnectionAborted): the peer has closed the connection while it was pending. Any other
    /// kind: no connection can be accepted just now.
    fn accept(&mut self) -> io::Result<Option<(Self::Stream, SocketAddr)>>;

    /// Waits until a connection may be pending.
    fn ready(&mut self) -> impl Future<Output = ()>;

    /// Whether a connection is pending. Asks the host anew, which takes a few milliseconds at most; no task runs meanwhile.
    fn has_pending(&mut self) -> bool;
}

/// A runtime: time, and tasks.
pub trait Runtime: Clone + 'static {
    /// The time since some moment in the past, by a clock that is never set. It may stand still while a task runs.
    fn now(&self) -> Duration;

    /// The time of day.
    fn wall_clock(&self) -> SystemTime;

    /// Waits until [`now`](Runtime::now) has reached `deadline`.
    fn sleep_until(&self, deadline: Duration) -> impl Future<Output = ()>;

    /// Waits until the host has noticed everything that has come by now.
    fn host_turn(&self) -> impl Future<Output = ()>;

    /// Starts `task` beside the others.
    fn spawn(&self, task: impl Future<Output = ()> + 'static);
}

impl<S: Socket> Stream for hello_runtime::Stream<S> {
    fn read(&mut self, most: usize) -> impl Future<Output = io::Result<Vec<u8>>> {
        self.read_chunk(most)
    }

    fn write(&mut self, bytes: &[u8]) -> impl Future<Output = io::Result<usize>> {
        Self::write(self, bytes)
    }

    fn shutdown_write(&mut self) {
        Self::shutdown_write(self);
    }

    fn flushed(&mut self) -> impl Future<Output = ()> {
        Self::flushed(self)
    }

    fn abandon_writes(&mut self) {
        Self::abandon_writes(self);
    }
}

impl<L: ListeningSocket> Listener for hello_runtime::Listener<L> {
    type Stream = hello_runtime::Stream<L::Socket>;

    fn accept(&mut self) -> io::Result<Option<(Self::Stream, SocketAddr)>> {
        self.try_accept()
    }

    async fn ready(&mut self) {
        Self::ready(self).await;
    }

    fn has_pending(&mut self) -> bool {
        Self::has_pending(self)
    }
}

impl<H: Host> Runtime for hello_runtime::Runtime<H> {
    fn now(&self) -> Duration {
        Self::now(self)
    }

    fn wall_clock(&self) -> SystemTime {
        Self::wall_clock(self)
    }

    fn sleep_until(&self, deadline: Duration) -> impl Future<Output = ()> {
        Self::sleep_until(self, deadline)
    }

    fn host_turn(&self) -> impl Future<Output = ()> {
        Self::host_turn(self)
    }

    fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        Self::spawn(self, task);
    }
}
