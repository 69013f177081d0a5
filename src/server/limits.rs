//! The limits and timeouts of the server, with their defaults.

use std::time::Duration;

/// The limits and timeouts of the server. Each has an option on the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Connections at a time. At this limit the server closes the connection that has been idle longest; if none is idle, the
    /// slowest one: its request or response has been under way longest, and for more than a second. While no connection is idle
    /// or slow, new connections wait in the backlog. Default is 10,000.
    pub connections: usize,
    /// How long a client may take for the head of a request, counted from its first byte; and as long again for the
    /// body. Then the server sends a 408. Default is 60 seconds: people type requests by hand.
    pub header_timeout: Duration,
    /// How long a client may send no request, at first and after each response; then the server closes the connection without
    /// a response, as RFC 9112 section 9.5 allows. Default is 60 seconds.
    pub idle_timeout: Duration,
    /// How long a client may take for a response, or for several that are sent at once, from the start of the write; progress
    /// does not extend the time. Then the server sends nothing more on the connection, and closes it. The 64 KiB that the kernel
    /// keeps for the client count as taken. A system that does not take over the bytes in flight
    /// ([`abandon_writes`](crate::net::Stream::abandon_writes)) keeps the connection, and its permit, until the client has read
    /// these bytes or is gone. Default is 30 seconds.
    pub write_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            connections: 10_000,
            header_timeout: Duration::from_secs(60),
            idle_timeout: Duration::from_secs(60),
            write_timeout: Duration::from_secs(30),
        }
    }
}
