//! A listener over any [`ListeningSocket`].

use std::fmt;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;

use crate::host::Host;
use crate::reactor::Source;
use crate::runtime::Runtime;
use crate::stream::{Socket, Stream};

/// How many nanoseconds [`Listener::has_pending`] may wait for the host to check the socket.
const LOOK_FOR: u64 = 1_000_000;

/// The calls of a listening socket. No call waits.
pub trait ListeningSocket: 'static {
    /// An accepted connection.
    type Socket: Socket;

    /// Accepts a connection; `None` when none is pending.
    ///
    /// # Errors
    /// No connection can be accepted just now. [`ConnectionAborted`](ErrorKind::ConnectionAborted): the next one was closed by
    /// its client while it was pending.
    fn accept(&self) -> Result<Option<(Self::Socket, SocketAddr)>, ErrorKind>;

    /// The address of the socket.
    ///
    /// # Errors
    /// The host does not know the address.
    fn local_addr(&self) -> Result<SocketAddr, ErrorKind>;

    /// Ready when a connection may be pending.
    fn acceptable(&self) -> <HostOf<Self> as Host>::Pollable;
}

/// The host of a listening socket.
type HostOf<L> = <<L as ListeningSocket>::Socket as Socket>::Host;

/// A listener over the socket `L`.
pub struct Listener<L: ListeningSocket> {
    // The pollable of the source belongs to the socket, and must be dropped before it.
    acceptable: Source<HostOf<L>>,
    socket: L,
    runtime: Runtime<HostOf<L>>,
}

impl<L: ListeningSocket> Listener<L> {
    /// A listener over `socket`, whose tasks run in `runtime`.
    pub(crate) fn new(runtime: &Runtime<HostOf<L>>, socket: L) -> Self {
        let acceptable = Source::new(runtime.reactor(), socket.acceptable());
        Listener { acceptable, socket, runtime: runtime.clone() }
    }

    /// The address of the listener: with the real port, if it was bound to port 0.
    ///
    /// # Errors
    /// The host does not know the address.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.socket.local_addr()?)
    }

    /// Accepts a connection, and waits while none is pending. Passes over a connection that its client has closed while it was
    /// pending: a server that paused for each of them would be stopped by clients that reset their connections.
    ///
    /// # Errors
    /// No connection can be accepted just now: see [`try_accept`](Listener::try_accept).
    pub async fn accept(&mut self) -> io::Result<(Stream<L::Socket>, SocketAddr)> {
        loop {
            match self.try_accept() {
                Ok(Some(accepted)) => return Ok(accepted),
                Ok(None) => self.ready().await,
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Accepts a connection, if one is pending.
    ///
    /// # Errors
    /// No connection can be accepted just now. No such error is permanent: the process may have no file descriptor left until a
    /// connection is closed. So wait a moment, and try again. [`ConnectionAborted`](ErrorKind::ConnectionAborted) means that the
    /// client has closed one pending connection: try again at once.
    pub fn try_accept(&mut self) -> io::Result<Option<(Stream<L::Socket>, SocketAddr)>> {
        let mut accepted = self.socket.accept()?;
        if accepted.is_none() {
            // Perhaps only the host's budget is spent; see `reactor.rs`.
            self.runtime.reactor().refresh();
            accepted = self.socket.accept()?;
        }
        Ok(accepted.map(|(socket, address)| (Stream::new(&self.runtime, socket), address)))
    }

    /// Waits until a connection may be pending.
    pub async fn ready(&mut self) {
        self.acceptable.ready().await;
    }

    /// Whether a connection is pending. Asks the host anew, which takes a few milliseconds at most; no task runs meanwhile. Use
    /// this at the end of a server, to accept all connections that the system has accepted already.
    pub fn has_pending(&mut self) -> bool {
        let host = self.runtime.reactor().host();
        // A call that waits makes the host ask the system, and renews its budget.
        host.poll(&[&self.socket.acceptable(), &host.alarm(LOOK_FOR)]).contains(&0)
    }
}

impl<L: ListeningSocket> fmt::Debug for Listener<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener").finish_non_exhaustive()
    }
}
