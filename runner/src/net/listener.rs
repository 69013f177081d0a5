//! One socket that listens: whether a connection waits, and the connections that are accepted.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::net::{TcpListener, TcpStream};
use rustix::event::{PollFd, PollFlags, Timespec};

use super::share::Share;

/// For how long an instance leaves a connection to the others: they may be busy.
const MOMENT: Duration = Duration::from_millis(1);

/// A socket that accepts connections.
pub(super) struct Listener {
    pub(super) socket: TcpListener,
    /// The system has reported a connection to accept.
    reported: bool,
    /// It may be gone: this instance has accepted one since, or has left one to the others.
    is_old: bool,
    /// Other instances accept connections on this socket, too.
    share: Option<Share>,
    /// Until when the connection is left to them.
    left_until: Option<Instant>,
}

impl Listener {
    pub(super) fn new(socket: TcpListener, share: Option<Share>) -> Self {
        Listener { socket, reported: false, is_old: false, share, left_until: None }
    }

    /// Takes note of a report of the system.
    pub(super) fn notice(&mut self) {
        self.reported = true;
    }

    /// Accepts a connection. An instance that shares the socket must ask before the next one whether it may.
    ///
    /// # Errors
    /// Those of accept; would-block if no connection waits.
    pub(super) fn accept(&mut self) -> io::Result<(TcpStream, SocketAddr)> {
        if self.share.is_some() && self.is_old {
            return Err(ErrorKind::WouldBlock.into());
        }
        loop {
            let accepted = self.socket.accept();
            match accepted.as_ref().map_err(io::Error::kind) {
                Ok(_) => (self.is_old, self.left_until) = (true, None),
                Err(ErrorKind::Interrupted) => continue,
                Err(ErrorKind::WouldBlock) => (self.reported, self.left_until) = (false, None),
                Err(_) => {}
            }
            return accepted;
        }
    }

    /// Whether a connection waits to be accepted. Many programs take it for an error if there is none then, so the system is asked
    /// once more after each accept.
    pub(super) fn is_ready(&mut self) -> bool {
        if self.reported && std::mem::take(&mut self.is_old) {
            let mut asked = [PollFd::new(&self.socket, PollFlags::IN)];
            self.reported = rustix::event::poll(&mut asked, Some(&Timespec::default())).is_ok_and(|ready| ready > 0);
        }
        if !self.reported {
            self.left_until = None;
        }
        self.reported && !self.is_left()
    }

    /// Whether the connection that waits is left to an instance that has fewer.
    fn is_left(&mut self) -> bool {
        let Some(share) = &self.share else { return false };
        let now = Instant::now();
        self.left_until = share.is_larger().then(|| self.left_until.unwrap_or(now + MOMENT));
        let is_left = self.left_until.is_some_and(|until| now < until);
        self.is_old |= is_left;
        is_left
    }

    /// When the listener has to be asked again, although nothing happens.
    pub(super) fn next_look(&self) -> Option<Instant> {
        self.left_until.filter(|_| self.is_old)
    }
}
