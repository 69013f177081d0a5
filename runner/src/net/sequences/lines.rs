//! The bytes of a connection as the model sees them, and its peer, a socket of the system.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use wasmtime_wasi::p2::{StreamError, StreamResult};

use crate::net::connection::MOST_BYTES;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    Closed,
    Failed,
    Trap,
}

impl Fault {
    pub(super) fn of<T>(result: StreamResult<T>) -> Result<T, Fault> {
        result.map_err(|error| match error {
            StreamError::Closed => Fault::Closed,
            StreamError::LastOperationFailed(_) => Fault::Failed,
            StreamError::Trap(_) => Fault::Trap,
        })
    }
}

/// The end of a connection that the component has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Guest {
    /// The connection waits to be accepted from this address.
    Waits(SocketAddr),
    Here,
    /// The component has dropped the socket, or its listener.
    Gone,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Output {
    Open,
    /// The component has ended it; it is over behind the unsent bytes.
    Ending,
    /// Each call fails like this.
    Over(Fault),
}

/// A connection.
pub(super) struct Line {
    peer: Option<TcpStream>,
    /// The address of the peer.
    pub(super) address: SocketAddr,
    pub(super) guest: Guest,
    /// The bytes on their way to the component.
    pub(super) to_guest: VecDeque<u8>,
    pub(super) to_peer: VecDeque<u8>,
    /// No more bytes come from the peer.
    pub(super) peer_finished: bool,
    pub(super) peer_closed: bool,
    /// The system may have reset the connection, so that bytes are lost and calls fail.
    pub(super) broken: bool,
    pub(super) input_over: bool,
    pub(super) output: Output,
    pub(super) permit: usize,
    /// The sizes of its buffers have changed.
    pub(super) resized: bool,
    counter: u8,
}

impl Line {
    pub(super) fn new(peer: TcpStream, address: SocketAddr, guest: Guest) -> Self {
        peer.set_nonblocking(true).expect("a socket that does not block");
        Line {
            peer: Some(peer),
            address,
            guest,
            to_guest: VecDeque::new(),
            to_peer: VecDeque::new(),
            peer_finished: false,
            peer_closed: false,
            broken: false,
            input_over: false,
            output: Output::Open,
            permit: 0,
            resized: false,
            counter: 0,
        }
    }

    /// Bytes unlike those before them.
    pub(super) fn bytes(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        for byte in &mut bytes {
            self.counter = self.counter.wrapping_add(37);
            *byte = self.counter;
        }
        bytes
    }

    pub(super) fn send(&mut self, length: usize) {
        let bytes = self.bytes(length);
        if self.peer_finished {
            return;
        }
        self.broken |= self.guest == Guest::Gone;
        self.may_reset(true);
        let Some(mut peer) = self.peer.as_ref() else { return };
        match peer.write(&bytes) {
            Ok(written) => self.to_guest.extend(&bytes[..written]),
            Err(error) => assert!(self.broken || error.kind() == ErrorKind::WouldBlock, "{error}"),
        }
    }

    /// The peer reads at most `most` bytes. Returns whether it has found the end.
    pub(super) fn receive(&mut self, most: usize) -> bool {
        let mut bytes = vec![0; most.max(1)];
        let Some(mut peer) = self.peer.as_ref() else { return true };
        match peer.read(&mut bytes) {
            Ok(0) => {
                let is_due = self.output != Output::Open || self.guest == Guest::Gone;
                assert!(self.broken || is_due && self.to_peer.is_empty(), "the peer has found the end too early");
                true
            }
            Ok(length) => {
                let sent: Vec<u8> = self.to_peer.drain(..length).collect();
                assert!(bytes[..length] == sent, "the peer has read other bytes than were sent");
                false
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => false,
            Err(error) => {
                assert!(self.broken, "{error}");
                true
            }
        }
    }

    pub(super) fn finish(&mut self) {
        if let (Some(peer), false) = (&self.peer, self.peer_finished) {
            let done = peer.shutdown(Shutdown::Write);
            assert!(self.broken || self.guest == Guest::Gone || done.is_ok(), "{done:?}");
            self.peer_finished = true;
        }
    }

    pub(super) fn close(&mut self) {
        self.peer = None;
        // A system resets a connection that is closed before all bytes have been read.
        self.broken |= !self.to_peer.is_empty();
        (self.peer_finished, self.peer_closed) = (true, true);
    }

    pub(super) fn reset(&mut self) {
        if let Some(peer) = self.peer.take() {
            let _ = socket2::SockRef::from(&peer).set_linger(Some(Duration::ZERO));
            (self.peer_finished, self.peer_closed, self.broken) = (true, true, true);
        }
    }

    /// The component ends one direction, or both.
    pub(super) fn shut_down(&mut self, input: bool, output: bool) {
        self.input_over |= input;
        if output && self.output == Output::Open {
            self.output = Output::Ending;
        }
        self.may_reset(!self.to_guest.is_empty());
    }

    /// Linux resets a connection in which bytes come that can neither be read nor answered.
    fn may_reset(&mut self, comes: bool) {
        self.broken |= comes && self.input_over && self.output != Output::Open;
    }

    /// The component has let go of the connection.
    pub(super) fn leave(&mut self) {
        self.broken |= !self.to_guest.is_empty();
        self.guest = Guest::Gone;
    }

    /// Whether there will be something to read for the component: bytes, an error, or the end.
    pub(super) fn will_be_readable(&self) -> bool {
        self.input_over || !self.to_guest.is_empty() || self.peer_finished
    }

    /// Whether something will be permitted, or fail, without the peer.
    pub(super) fn will_be_writable(&self) -> bool {
        matches!(self.output, Output::Over(_)) || self.to_peer.is_empty() || self.peer_closed
    }

    /// Compares the result of reading.
    pub(super) fn has_read(&mut self, most: usize, result: Result<Vec<u8>, Fault>) {
        match result {
            Ok(bytes) => {
                assert!(!self.input_over && bytes.len() <= most.min(self.to_guest.len()), "more than there was");
                let sent: Vec<u8> = self.to_guest.drain(..bytes.len()).collect();
                assert!(bytes == sent, "the component has read other bytes than were sent");
            }
            Err(fault) => {
                let is_end = self.input_over || self.peer_finished && self.to_guest.is_empty();
                assert!(self.broken || fault == Fault::Closed && is_end, "a read has failed: {fault:?}");
                assert!(fault != Fault::Trap && !(self.input_over && fault == Fault::Failed), "{fault:?}");
                self.input_over = true;
            }
        }
    }

    fn has_failed(&mut self, fault: Fault) {
        let is_expected = match self.output {
            Output::Over(before) => before == fault,
            Output::Ending => self.broken || fault == Fault::Closed,
            Output::Open => self.broken,
        };
        assert!(is_expected && fault != Fault::Trap, "{fault:?} after {:?}", self.output);
        self.output = Output::Over(fault);
    }

    /// Compares the result of asking for a permit, or for an earlier error (then the result has no permit).
    pub(super) fn has_checked(&mut self, result: Result<Option<usize>, Fault>) {
        match result {
            Ok(permit) => {
                let is_open = match self.output {
                    Output::Open => true,
                    Output::Ending => self.broken || !self.to_peer.is_empty() && permit.unwrap_or(0) == 0,
                    Output::Over(_) => false,
                };
                assert!(is_open, "{permit:?} after {:?}", self.output);
                if let Some(permit) = permit {
                    let may_be_none = !self.to_peer.is_empty() || self.broken;
                    assert!(permit == MOST_BYTES || permit == 0 && may_be_none, "{permit}");
                    self.permit = permit;
                }
            }
            Err(fault) => self.has_failed(fault),
        }
    }

    /// Compares the result of writing `bytes`.
    pub(super) fn has_written(&mut self, bytes: &[u8], result: Result<(), Fault>) {
        self.broken |= self.peer_closed && !bytes.is_empty();
        let is_too_much = bytes.len() > self.permit;
        match result {
            Ok(()) => {
                assert!(!is_too_much && !matches!(self.output, Output::Over(_)), "after {:?}", self.output);
                self.permit = if bytes.is_empty() { self.permit } else { 0 };
                self.to_peer.extend(bytes);
            }
            Err(Fault::Trap) => assert!(is_too_much && !matches!(self.output, Output::Over(_))),
            Err(fault) => self.has_failed(fault),
        }
    }
}
