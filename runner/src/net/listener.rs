//! One socket that listens: whether a connection waits, and the connections that are accepted.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;

use mio::net::{TcpListener, TcpStream};
use rustix::event::{PollFd, PollFlags, Timespec};

/// A socket that accepts connections.
pub(super) struct Listener {
    pub(super) socket: TcpListener,
    /// The system has reported a connection to accept.
    reported: bool,
    /// It may have been the one that was accepted since.
    accepted: bool,
    /// Other instances accept connections on this socket, too.
    shares: bool,
}

impl Listener {
    pub(super) fn new(socket: TcpListener, shares: bool) -> Self {
        Listener { socket, reported: false, accepted: false, shares }
    }

    /// Takes note of a report of the system.
    pub(super) fn notice(&mut self) {
        self.reported = true;
    }

    /// Accepts a connection. Of an instance that `shares` the socket, the next one must ask first whether a connection waits: while
    /// it does so, another instance accepts. Otherwise the first one that wakes would take a whole burst of connections.
    ///
    /// # Errors
    /// Those of accept; would-block if no connection waits.
    pub(super) fn accept(&mut self) -> io::Result<(TcpStream, SocketAddr)> {
        if self.shares && self.accepted {
            return Err(ErrorKind::WouldBlock.into());
        }
        loop {
            let accepted = self.socket.accept();
            match accepted.as_ref().map_err(io::Error::kind) {
                Ok(_) => self.accepted = true,
                Err(ErrorKind::Interrupted) => continue,
                Err(ErrorKind::WouldBlock) => self.reported = false,
                Err(_) => {}
            }
            return accepted;
        }
    }

    /// Whether a connection waits to be accepted. Many programs take it for an error if there is none then, so the system is asked
    /// once more after each accept.
    pub(super) fn is_ready(&mut self) -> bool {
        if self.reported && std::mem::take(&mut self.accepted) {
            let mut asked = [PollFd::new(&self.socket, PollFlags::IN)];
            self.reported = rustix::event::poll(&mut asked, Some(&Timespec::default())).is_ok_and(|ready| ready > 0);
        }
        self.reported
    }
}
