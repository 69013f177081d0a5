//! A connection over any [`Socket`]: a TCP socket of WASI, or a model of one in the tests.

use std::fmt;
use std::io::{self, ErrorKind};
use std::mem;

use crate::host::Host;
use crate::reactor::Source;
use crate::runtime::Runtime;

/// How often a connection may be read in one round while other tasks wait: a peer that sends faster than the program reads does
/// not keep the other connections out.
const READS_PER_ROUND: u32 = 4;

/// The calls of a connected socket. No call waits.
pub trait Socket: 'static {
    /// The host that the pollables belong to.
    type Host: Host + 'static;

    /// Reads at most `most` bytes; `None` if none have come. No bytes mean that the peer has finished sending.
    ///
    /// # Errors
    /// The connection is lost.
    fn read(&self, most: usize) -> Result<Option<Vec<u8>>, ErrorKind>;

    /// How many bytes may be written now.
    ///
    /// # Errors
    /// Nothing can be written on this connection any more.
    fn check_write(&self) -> Result<usize, ErrorKind>;

    /// Writes `bytes`: no more than [`check_write`](Socket::check_write) has just permitted, or the host traps.
    ///
    /// # Errors
    /// Nothing can be written on this connection any more.
    fn write(&self, bytes: &[u8]) -> Result<(), ErrorKind>;

    /// Asks the system for a send buffer that takes all bytes in flight, although the peer does not read.
    fn grow_send_buffer(&self);

    /// Tells the peer that nothing more will be written.
    fn shutdown_write(&self);

    /// Ready when there is something to read.
    fn readable(&self) -> <Self::Host as Host>::Pollable;

    /// Ready when something may be written.
    fn writable(&self) -> <Self::Host as Host>::Pollable;
}

/// A connection.
///
/// A stream may be dropped at any time, also with a write in flight. The host would block the whole component in the call that
/// drops an output stream whose last write has not finished, until the peer reads, or is gone: one client that never reads could
/// freeze a server. So a task of its own takes a stream with a write in flight, asks the system to take over the bytes in flight,
/// waits until it has, and drops the stream then.
pub struct Stream<S: Socket> {
    /// `None` only during the drop of the stream.
    parts: Option<Parts<S>>,
}

/// The parts of a [`Stream`]; to drop them may block.
struct Parts<S: Socket> {
    // The pollables of the sources belong to the socket, and must be dropped before it.
    readable: Option<Source<S::Host>>,
    writable: Option<Source<S::Host>>,
    socket: S,
    runtime: Runtime<S::Host>,
    /// How often the socket was read, and in which round.
    reads: u32,
    round: u64,
}

impl<S: Socket> Stream<S> {
    /// A stream over `socket`, whose tasks run in `runtime`.
    pub(crate) fn new(runtime: &Runtime<S::Host>, socket: S) -> Self {
        let runtime = runtime.clone();
        Stream { parts: Some(Parts { readable: None, writable: None, socket, runtime, reads: 0, round: 0 }) }
    }

    fn parts(&mut self) -> &mut Parts<S> {
        self.parts.as_mut().expect("the stream is not being dropped")
    }

    /// Reads at most `most` bytes, and waits while there are none. No bytes mean that the peer has finished sending; it may still
    /// read. Nothing is lost when the future is dropped.
    ///
    /// # Errors
    /// The connection is lost.
    pub async fn read_chunk(&mut self, most: usize) -> io::Result<Vec<u8>> {
        loop {
            if let Some(bytes) = self.try_read(most)? {
                return Ok(bytes);
            }
            self.readable().ready().await;
        }
    }

    /// Reads into `buffer`, and returns how many bytes; waits while there are none. 0 means that the peer has finished sending, or
    /// that the buffer is empty. Nothing is lost when the future is dropped.
    ///
    /// # Errors
    /// The connection is lost.
    pub async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = if buffer.is_empty() { Vec::new() } else { self.read_chunk(buffer.len()).await? };
        buffer[..bytes.len()].copy_from_slice(&bytes);
        Ok(bytes.len())
    }

    /// Writes as many of `bytes` as there is room for, and returns how many; waits while there is no room. When the future is
    /// dropped before it is ready, nothing was written.
    ///
    /// One write is one packet where it fits: of two small writes in a row, the second waits until the peer has confirmed the
    /// first (WASI 0.2 has no `TCP_NODELAY`), which may take 40 milliseconds.
    ///
    /// # Errors
    /// Nothing can be written on this connection any more.
    pub async fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            if let Some(written) = self.try_write(bytes)? {
                return Ok(written);
            }
            self.writable().ready().await;
        }
    }

    /// Writes all of `bytes`. When the future is dropped before it is ready, some of them may have been written.
    ///
    /// # Errors
    /// Nothing can be written on this connection any more.
    pub async fn write_all(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let written = self.write(bytes).await?;
            bytes = &bytes[written..];
        }
        Ok(())
    }

    /// Tells the peer that nothing more will be written. The peer learns it behind everything that was written before.
    pub fn shutdown_write(&mut self) {
        self.parts().socket.shutdown_write();
    }

    /// Waits until no written byte is in flight in this program any more: the system has taken them all, or they are lost.
    pub async fn flushed(&mut self) {
        while self.is_write_in_flight() {
            self.writable().ready().await;
        }
    }

    /// Stops waiting for the peer to read: asks the system to take over the bytes in flight, so that
    /// [`flushed`](Stream::flushed) is ready soon. If the system cannot do that, `flushed` still waits for the peer.
    pub fn abandon_writes(&mut self) {
        if self.is_write_in_flight() {
            self.parts().socket.grow_send_buffer();
        }
    }

    /// Closes the connection: tells the peer that nothing more will be written, and waits until no byte is in flight.
    ///
    /// This does not read bytes that the peer still sends. If the last written bytes must arrive, read until the peer has
    /// finished before you close: a system that closes with bytes unread sends a reset, which may overtake the last ones.
    pub async fn close(mut self) {
        self.shutdown_write();
        self.flushed().await;
    }

    /// Reads bytes that have come; `None` also if the connection has had its share of this round.
    pub(crate) fn try_read(&mut self, most: usize) -> Result<Option<Vec<u8>>, ErrorKind> {
        let parts = self.parts();
        let round = parts.runtime.reactor().round();
        if mem::replace(&mut parts.round, round) != round {
            parts.reads = 0;
        }
        if parts.reads == READS_PER_ROUND {
            return Ok(None);
        }
        // Read first, wait second: an empty read costs one call, and often there are bytes. This call also makes the host notice
        // that the socket is empty; without the call the pollable would be ready although no bytes have come.
        let read = parts.socket.read(most)?;
        parts.reads += u32::from(read.is_some());
        Ok(read)
    }

    /// Writes as many of `bytes` as there is room for; `None` while there is no room.
    pub(crate) fn try_write(&mut self, bytes: &[u8]) -> Result<Option<usize>, ErrorKind> {
        let permitted = self.permitted()?;
        if permitted == 0 {
            return Ok(None);
        }
        let written = bytes.len().min(permitted);
        self.parts().socket.write(&bytes[..written])?;
        Ok(Some(written))
    }

    /// Whether the system has not yet taken all written bytes.
    pub(crate) fn is_write_in_flight(&mut self) -> bool {
        self.permitted() == Ok(0)
    }

    /// How many bytes may be written now; 0 while there is no room.
    pub(crate) fn permitted(&mut self) -> Result<usize, ErrorKind> {
        let parts = self.parts();
        let permitted = parts.socket.check_write()?;
        if permitted > 0 {
            return Ok(permitted);
        }
        // Perhaps only the host's budget is spent; see `reactor.rs`.
        parts.runtime.reactor().refresh();
        parts.socket.check_write()
    }

    /// Ready when there is something to read.
    pub(crate) fn readable(&mut self) -> &Source<S::Host> {
        let Parts { readable, socket, runtime, .. } = self.parts();
        readable.get_or_insert_with(|| Source::new(runtime.reactor(), socket.readable()))
    }

    /// Ready when bytes can be written, or when no byte ever will.
    pub(crate) fn writable(&mut self) -> &Source<S::Host> {
        let Parts { writable, socket, runtime, .. } = self.parts();
        writable.get_or_insert_with(|| Source::new(runtime.reactor(), socket.writable()))
    }
}

impl<S: Socket> Drop for Stream<S> {
    fn drop(&mut self) {
        if self.is_write_in_flight() {
            let runtime = self.parts().runtime.clone();
            let mut stream = Stream { parts: self.parts.take() };
            runtime.spawn(async move {
                stream.abandon_writes();
                stream.flushed().await;
            });
        }
    }
}

impl<S: Socket> fmt::Debug for Stream<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").finish_non_exhaustive()
    }
}
