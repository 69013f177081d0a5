//! One connection, over whatever has the calls of a socket: how they are used is the same for a TCP socket of WASI
//! (`tcp.rs`) and for the model of one in the tests.
//!
//! Dropping a stream while a write is still on its way would stop the whole component until the peer reads or goes away:
//! the host waits for the write in the call that drops the output stream. One client that never reads could freeze the
//! server that gives up on it. So before a stream is dropped, [`written`](server::Stream::written) waits for that
//! moment, without keeping anybody else from anything; and [`give_up`](server::Stream::give_up) sees to it that it comes,
//! whatever the peer does: the system is asked to keep so much for this peer that all of what is on its way fits in.

use std::rc::Rc;

use super::host::Host;
use super::reactor::{Reactor, Source};
use crate::server::{self, Gone};

/// How often a connection may be read in a round, while others wait: a peer that sends faster than it is served does not
/// have the server for itself.
const READS_IN_A_ROUND: u32 = 4;

/// The calls of a connected socket. None of them waits.
pub trait Socket {
    /// The host whose pollables it hands out.
    type Host: Host;

    /// What has come, at most `most` bytes; nothing, when nothing has.
    ///
    /// # Errors
    /// The peer has finished sending, or is gone.
    fn read(&self, most: usize) -> Result<Vec<u8>, ReadError>;

    /// How many bytes may be written now.
    ///
    /// # Errors
    /// The connection takes no more, for ever.
    fn check_write(&self) -> Result<usize, Gone>;

    /// Writes `bytes`, no more than [`check_write`](Socket::check_write) has just permitted: a host traps otherwise.
    ///
    /// # Errors
    /// The connection takes no more, for ever.
    fn write(&self, bytes: &[u8]) -> Result<(), Gone>;

    /// Asks the system to take all that is still on its way, although the peer does not read.
    fn make_room(&self);

    /// Says that nothing more will be written.
    fn shut_down(&self);

    /// Ready when there is something to read.
    fn readable(&self) -> <Self::Host as Host>::Pollable;

    /// Ready when something may be written.
    fn writable(&self) -> <Self::Host as Host>::Pollable;
}

/// Why there is nothing to read, now or later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadError {
    /// The peer has finished sending.
    Finished,
    /// The peer is gone.
    Gone,
}

/// One connection; see [the module](self).
#[derive(Debug)]
pub struct Stream<S: Socket> {
    // Dropped before the socket that their pollables belong to.
    readable: Option<Source<S::Host>>,
    writable: Option<Source<S::Host>>,
    socket: S,
    reactor: Rc<Reactor<S::Host>>,
    /// How often it was read in which round.
    reads: u32,
    round: u64,
}

impl<S: Socket> Stream<S> {
    /// A connection over `socket` that waits at `reactor`.
    pub fn new(reactor: &Rc<Reactor<S::Host>>, socket: S) -> Self {
        Stream { readable: None, writable: None, socket, reactor: Rc::clone(reactor), reads: 0, round: 0 }
    }

    /// How many bytes may be written now; 0 when the peer makes no room.
    fn permitted(&self) -> Result<usize, Gone> {
        match self.socket.check_write()? {
            0 => {
                // Perhaps only the host's budget is spent; see `reactor.rs`.
                self.reactor.refresh();
                self.socket.check_write()
            }
            permitted => Ok(permitted),
        }
    }

    /// Waits until something can be written, or never will be.
    async fn writable(&mut self) {
        let source = self.writable.get_or_insert_with(|| Source::new(&self.reactor, self.socket.writable()));
        source.ready().await;
    }
}

impl<S: Socket> server::Stream for Stream<S> {
    async fn read(&mut self, most: usize) -> Result<Vec<u8>, Gone> {
        loop {
            // Read first, wait second: reading what is not there costs one call, and often it is there. It also makes
            // the host notice that nothing is there, without which the pollable would be ready for nothing.
            if std::mem::replace(&mut self.round, self.reactor.round()) != self.reactor.round() {
                self.reads = 0;
            }
            if self.reads < READS_IN_A_ROUND {
                match self.socket.read(most) {
                    Ok(bytes) if bytes.is_empty() => {}
                    Ok(bytes) => {
                        self.reads += 1;
                        return Ok(bytes);
                    }
                    Err(ReadError::Finished) => return Ok(Vec::new()),
                    Err(ReadError::Gone) => return Err(Gone),
                }
            }
            let source = self.readable.get_or_insert_with(|| Source::new(&self.reactor, self.socket.readable()));
            source.ready().await;
        }
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<usize, Gone> {
        loop {
            match self.permitted()? {
                0 => self.writable().await,
                permitted => {
                    let written = bytes.len().min(permitted);
                    self.socket.write(&bytes[..written])?;
                    return Ok(written);
                }
            }
        }
    }

    fn finish(&mut self) {
        self.socket.shut_down();
    }

    fn give_up(&mut self) {
        if let Ok(0) = self.permitted() {
            self.socket.make_room();
        }
    }

    async fn written(&mut self) {
        while let Ok(0) = self.permitted() {
            self.writable().await;
        }
    }
}
