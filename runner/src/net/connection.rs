//! One TCP connection: its bytes in and out, and the two ways to end it.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr};

use mio::event::Event;
use mio::net::TcpStream;
use wasmtime_wasi::p2::bindings::sockets::network::ErrorCode;
use wasmtime_wasi::p2::{StreamError, StreamResult};

/// The most bytes that one read returns, and one write takes.
pub(super) const MOST_BYTES: usize = 64 * 1024;

/// Whether a read of fewer bytes than there was room for shows that there are no more. It does where the system reports each
/// change by itself; on Windows mio asks for the next report only when a call would block.
const SHORT_READ_IS_LAST: bool = cfg!(unix);

/// The state of one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Open,
    /// The component has shut down sending; that comes to pass behind the unsent bytes.
    Closing,
    Closed,
    Failed(ErrorCode),
}

impl Side {
    /// What a call gets if this direction is over.
    fn end(self) -> StreamResult<()> {
        match self {
            Side::Open | Side::Closing => Ok(()),
            Side::Closed => Err(StreamError::Closed),
            Side::Failed(code) => Err(StreamError::LastOperationFailed(code.into())),
        }
    }
}

/// A connection, or one that is being made.
pub(super) struct Connection {
    socket: TcpStream,
    /// The component waits until the connection is made.
    connecting: bool,
    /// A read may find something: the system has said so.
    readable: bool,
    /// A read may find something although the system has not said so: the last one did.
    hopeful: bool,
    /// A write may find room.
    writable: bool,
    /// The peer has finished, so that each read finds something: bytes, or the end.
    peer_finished: bool,
    input: Side,
    output: Side,
    /// The bytes that the component may write.
    permit: usize,
    /// The bytes of the last write; those from `sent` on are still to be sent.
    bytes: Vec<u8>,
    sent: usize,
}

impl Connection {
    /// A connection that is made, or (if it `connects`) begun.
    pub(super) fn new(socket: TcpStream, connects: bool) -> Self {
        Connection {
            socket,
            connecting: connects,
            readable: false,
            hopeful: !connects,
            writable: !connects,
            peer_finished: false,
            input: Side::Open,
            output: Side::Open,
            permit: 0,
            bytes: Vec::new(),
            sent: 0,
        }
    }

    pub(super) fn socket(&mut self) -> &mut TcpStream {
        &mut self.socket
    }

    /// Takes note of a report of the system, and sends what is unsent.
    pub(super) fn notice(&mut self, event: &Event) {
        self.readable |= event.is_readable() || event.is_read_closed() || event.is_error();
        self.writable |= event.is_writable() || event.is_write_closed() || event.is_error();
        self.peer_finished |= event.is_read_closed() || event.is_error();
        if self.unsent() > 0 {
            self.send();
        }
    }

    /// The result of connecting, once there is one.
    pub(super) fn connected(&mut self) -> Option<io::Result<SocketAddr>> {
        if self.connecting && !self.writable {
            return None;
        }
        let result = match self.socket.take_error() {
            Ok(None) => self.socket.peer_addr(),
            Ok(Some(error)) | Err(error) => Err(error),
        };
        // The report was about something else.
        if result.as_ref().is_err_and(|error| error.kind() == ErrorKind::NotConnected) {
            self.writable = false;
            return None;
        }
        self.connecting = false;
        Some(result)
    }

    /// Whether there is a result of connecting.
    pub(super) fn has_connected(&self) -> bool {
        !self.connecting || self.writable
    }

    /// Reads at most `most` bytes, of which none may be there.
    pub(super) fn read(&mut self, most: usize, room: &mut [u8]) -> StreamResult<Vec<u8>> {
        self.input.end()?;
        let most = most.min(room.len());
        if !(self.readable || self.hopeful) || most == 0 {
            return Ok(Vec::new());
        }
        loop {
            match self.socket.read(&mut room[..most]) {
                Ok(0) => {
                    self.input = Side::Closed;
                    return Err(StreamError::Closed);
                }
                Ok(length) => {
                    self.readable = length == most || self.peer_finished || !SHORT_READ_IS_LAST;
                    self.hopeful = true;
                    return Ok(room[..length].to_vec());
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    (self.readable, self.hopeful) = (false, false);
                    return Ok(Vec::new());
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    // It is reported once; behind it the stream is closed.
                    self.input = Side::Closed;
                    return Err(StreamError::LastOperationFailed(error.into()));
                }
            }
        }
    }

    /// Whether a read may return something: bytes, an error, or the end.
    pub(super) fn can_be_read(&self) -> bool {
        self.readable || self.input != Side::Open
    }

    /// The bytes that the component may write now.
    pub(super) fn check_write(&mut self) -> StreamResult<usize> {
        if self.unsent() > 0 && self.writable {
            self.send();
        }
        self.output.end()?;
        self.permit = if self.unsent() == 0 && self.output == Side::Open { MOST_BYTES } else { 0 };
        Ok(self.permit)
    }

    /// Writes `bytes`: what the system does not take now is sent later.
    pub(super) fn write(&mut self, bytes: Vec<u8>) -> StreamResult<()> {
        self.output.end()?;
        if bytes.len() > self.permit {
            let more = wasmtime::format_err!("more was written than was permitted: {} bytes", bytes.len());
            return Err(StreamError::Trap(more));
        }
        if !bytes.is_empty() {
            self.permit = 0;
            (self.bytes, self.sent) = (bytes, 0);
            self.send();
        }
        self.output.end()
    }

    /// Reports an error of an earlier write. Bytes are always on their way as soon as possible, so there is nothing to flush.
    pub(super) fn flush(&self) -> StreamResult<()> {
        self.output.end()
    }

    /// Whether a write would be permitted, or fail.
    pub(super) fn can_be_written(&self) -> bool {
        self.unsent() == 0
    }

    /// The number of bytes that are still to be sent.
    pub(super) fn unsent(&self) -> usize {
        self.bytes.len() - self.sent
    }

    /// Sends what is unsent, as far as the system takes it.
    pub(super) fn send(&mut self) {
        while self.sent < self.bytes.len() {
            match self.socket.write(&self.bytes[self.sent..]) {
                Ok(length) => self.sent += length,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.writable = false;
                    return;
                }
                Err(error) => {
                    let is_over = matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionAborted);
                    self.output = if is_over { Side::Closed } else { Side::Failed(error.into()) };
                    break;
                }
            }
        }
        // A connection that waits for its client keeps no memory for bytes.
        (self.bytes, self.sent) = (Vec::new(), 0);
        if self.output == Side::Closing {
            self.close_output();
        }
    }

    fn close_output(&mut self) {
        // It fails only if the connection is over already.
        let _ = self.socket.shutdown(Shutdown::Write);
        self.output = Side::Closed;
    }

    /// Ends one direction, or both: the peer then finds the end of the bytes, behind what is unsent.
    pub(super) fn shut_down(&mut self, how: Shutdown) {
        if how != Shutdown::Write {
            let _ = self.socket.shutdown(Shutdown::Read);
            self.input = Side::Closed;
        }
        if how != Shutdown::Read && self.output == Side::Open {
            match self.unsent() {
                0 => self.close_output(),
                _ => self.output = Side::Closing,
            }
        }
    }
}
