//! The events of the server, and the trait of their observers.

use std::net::SocketAddr;
use std::rc::Rc;

use crate::http::Fault;

/// An event of the server.
#[derive(Debug, Clone, Copy)]
pub enum Event<'e> {
    /// A socket was created, to listen on this address.
    SocketCreated(SocketAddr),
    /// The socket was bound to this address.
    Bound(SocketAddr),
    /// The socket listens.
    Listening {
        /// The address of the socket.
        address: SocketAddr,
        /// How many pending connections the system was asked to keep.
        backlog: u32,
    },
    /// A connection was accepted.
    Accepted(Peer),
    /// These bytes were read from the connection: a part of a request, or several requests. There is at least one.
    Received(Peer, &'e [u8]),
    /// These bytes were written to the connection: a part of a response, or several responses. There is at least one.
    Sent(Peer, &'e [u8]),
    /// A response to a request was made.
    Responded(Exchange<'e>),
    /// The connection is closed: nothing more is sent or received. Its socket may stay for a while, until the last response has
    /// arrived.
    Closed(Peer, CloseReason),
    /// An accept failed, for the first time in a while. The server goes on trying.
    AcceptFailed {
        /// Why the accept failed, in a sentence.
        cause: &'e str,
    },
}

/// The other end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// The number of the connection: 1 for the first one that was accepted, and so on.
    pub id: u64,
    /// The address of the peer.
    pub address: SocketAddr,
}

/// Why a connection was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseReason {
    /// The last response was sent, with `Connection: close`.
    LastResponse,
    /// The peer has finished sending, between requests.
    PeerFinished,
    /// The peer sent no request within the idle timeout.
    IdleTimeout,
    /// The peer did not read its responses within the write timeout.
    WriteTimeout,
    /// The server needed room for another connection.
    Evicted,
    /// The peer was idle when the server stopped.
    Stopping,
    /// The connection is lost.
    Disconnected,
}

/// A request and its response, for a log.
#[derive(Debug, Clone, Copy)]
pub struct Exchange<'e> {
    /// The peer that sent the request.
    pub peer: Peer,
    /// When the response was made, as an HTTP date (RFC 9110 section 5.6.7).
    pub date: &'e str,
    /// The request line, byte for byte as it came. It may contain anything.
    pub line: &'e [u8],
    /// How many bytes the request has: head and body. If the bytes were no request: how many came.
    pub request_bytes: usize,
    /// The fault, if the bytes were no request.
    pub fault: Option<Fault>,
    /// The status code of the response.
    pub status: u16,
    /// How many bytes of body the response has on the wire.
    pub bytes: usize,
}

/// Observes the events of the server.
pub trait Observer {
    /// Takes note of `event`. The server calls this in the middle of a connection, so it must not wait.
    fn observe(&self, event: Event<'_>);
}

/// Each observer gets each event, in the order of the vector.
impl Observer for Vec<Box<dyn Observer>> {
    // Not inlined: a copy for each event would make the component 3 KiB larger.
    #[inline(never)]
    fn observe(&self, event: Event<'_>) {
        for observer in self {
            observer.observe(event);
        }
    }
}

/// A shared observer.
impl<O: Observer + ?Sized> Observer for Rc<O> {
    fn observe(&self, event: Event<'_>) {
        O::observe(self, event);
    }
}
