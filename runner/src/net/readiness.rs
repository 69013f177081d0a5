//! Which sockets are ready: one `mio::Poll`, in which each socket is registered once, for reading and writing.
//!
//! The system reports a change once (it is edge-triggered), so a [`Source`] keeps what was reported until a call would block.
//! A look at a source that is not ready costs no call of the system.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use mio::event::Event;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token, Waker};
use slab::Slab;

use super::connection::Connection;
use super::listener::Listener;
use super::share::Counts;

/// The most events that one call of the system reports; the next call reports the others.
const MOST_EVENTS: usize = 1024;

/// The token of the waker, which no source has.
const WAKER: Token = Token(usize::MAX);

/// The most sockets with unsent bytes that the component has let go of. They have at most 64 KiB each, and a descriptor.
const MOST_ORPHANS: usize = 1000;

/// The time that a peer has to take the unsent bytes of a socket that the component has let go of.
const TO_TAKE: Duration = Duration::from_secs(30);

/// The number of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Key(usize);

/// A socket that the system is asked about.
pub(super) enum Source {
    Listener(Listener),
    Connection(Connection),
}

/// A connection whose socket the component has dropped before all bytes were sent.
struct Orphan {
    key: Key,
    deadline: Instant,
}

/// All sources, and the system's notes about them.
pub(super) struct Readiness {
    poll: Poll,
    events: Events,
    sources: Slab<Source>,
    /// Those that were let go of first come first.
    orphans: Vec<Orphan>,
    pub(super) most_orphans: usize,
    pub(super) to_take: Duration,
    waker: Arc<Waker>,
    /// The number of sources, for other instances.
    count: Arc<AtomicUsize>,
    /// When a listener has to be asked again, although nothing happens.
    next_look: Option<Instant>,
}

impl Readiness {
    /// # Errors
    /// The system has no descriptor left.
    pub(super) fn new() -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
        Ok(Readiness {
            poll,
            events: Events::with_capacity(MOST_EVENTS),
            sources: Slab::new(),
            orphans: Vec::new(),
            most_orphans: MOST_ORPHANS,
            to_take: TO_TAKE,
            waker,
            count: Arc::default(),
            next_look: None,
        })
    }

    /// Ends a [wait](Readiness::wait) from another thread.
    pub(super) fn waker(&self) -> &Arc<Waker> {
        &self.waker
    }

    /// Registers a socket that listens, and that other instances may have as well: those of `counts`.
    ///
    /// # Errors
    /// The system refuses to report about the socket.
    pub(super) fn listen(&mut self, mut socket: TcpListener, counts: Option<&Counts>) -> io::Result<Key> {
        let entry = self.sources.vacant_entry();
        self.poll.registry().register(&mut socket, Token(entry.key()), Interest::READABLE)?;
        let key = Key(entry.key());
        let share = counts.map(|counts| counts.add(&self.count));
        entry.insert(Source::Listener(Listener::new(socket, share)));
        self.tell_count();
        Ok(key)
    }

    /// Registers a socket that is connected, or (if it `connects`) will be.
    ///
    /// # Errors
    /// The system refuses to report about the socket.
    pub(super) fn connect(&mut self, mut socket: TcpStream, connects: bool) -> io::Result<Key> {
        let entry = self.sources.vacant_entry();
        let both = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(&mut socket, Token(entry.key()), both)?;
        let key = Key(entry.key());
        entry.insert(Source::Connection(Connection::new(socket, connects)));
        self.tell_count();
        Ok(key)
    }

    /// The number of sources, with those that the component has let go of.
    #[cfg(all(target_os = "linux", any(test, feature = "fuzzing")))]
    pub(super) fn sources(&self) -> usize {
        self.sources.len()
    }

    pub(super) fn listener(&mut self, key: Key) -> Option<&mut Listener> {
        match self.sources.get_mut(key.0)? {
            Source::Listener(listener) => Some(listener),
            Source::Connection(_) => None,
        }
    }

    pub(super) fn connection(&mut self, key: Key) -> Option<&mut Connection> {
        match self.sources.get_mut(key.0)? {
            Source::Connection(connection) => Some(connection),
            Source::Listener(_) => None,
        }
    }

    /// Closes a socket that the component has let go of, once its unsent bytes are sent. If there are too many such sockets, the
    /// oldest one is closed, and its bytes are lost: nothing that peers do may take the memory and the descriptors of the host.
    pub(super) fn close(&mut self, key: Key) {
        if self.unsent(key) == 0 {
            return self.remove(key);
        }
        if self.orphans.len() == self.most_orphans {
            let oldest = self.orphans.remove(0);
            self.remove(oldest.key);
        }
        self.orphans.push(Orphan { key, deadline: Instant::now() + self.to_take });
    }

    fn unsent(&mut self, key: Key) -> usize {
        self.connection(key).map_or(0, |connection| connection.unsent())
    }

    fn remove(&mut self, key: Key) {
        if self.sources.contains(key.0) {
            // Closing the socket would do on Unix; on Windows the system has to be asked.
            match self.sources.remove(key.0) {
                Source::Listener(mut listener) => _ = self.poll.registry().deregister(&mut listener.socket),
                Source::Connection(mut connection) => _ = self.poll.registry().deregister(connection.socket()),
            }
            self.tell_count();
        }
    }

    fn tell_count(&self) {
        self.count.store(self.sources.len(), Ordering::Relaxed);
    }

    /// Whether the component may accept a connection on this listener now.
    pub(super) fn can_accept(&mut self, key: Key) -> bool {
        let Some(listener) = self.listener(key) else { return true };
        let (is_ready, next_look) = (listener.is_ready(), listener.next_look());
        self.next_look = self.next_look.into_iter().chain(next_look).min();
        is_ready
    }

    /// Waits until the system reports about a source, or another thread wakes it, or `timeout` is over. It may also end for no
    /// reason. Returns whether there was a report.
    ///
    /// # Errors
    /// The system cannot report.
    pub(super) fn wait(&mut self, timeout: Option<Duration>) -> io::Result<bool> {
        // The time of a peer that reads nothing is over also if nothing else happens.
        let orphan = self.orphans.first().map(|orphan| orphan.deadline);
        let first = self.next_look.take().into_iter().chain(orphan).min();
        let first = first.map(|time| time.saturating_duration_since(Instant::now()));
        let timeout = timeout.into_iter().chain(first).min();
        match self.poll.poll(&mut self.events, timeout) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(false),
            polled => polled?,
        }
        for event in &self.events {
            if let Some(source) = self.sources.get_mut(event.token().0) {
                source.notice(event);
            }
        }
        if !self.orphans.is_empty() {
            self.close_orphans();
        }
        Ok(!self.events.is_empty())
    }

    /// Closes the sockets whose bytes are sent, or whose peers do not take them.
    fn close_orphans(&mut self) {
        let now = Instant::now();
        let mut orphans = std::mem::take(&mut self.orphans);
        orphans.retain(|orphan| {
            let stays = self.unsent(orphan.key) > 0 && now < orphan.deadline;
            if !stays {
                self.remove(orphan.key);
            }
            stays
        });
        self.orphans = orphans;
    }

    /// Sends the unsent bytes of all sockets that the component has let go of, for at most this time.
    pub(super) fn finish(&mut self, most: Duration) {
        let deadline = Instant::now() + most;
        while !self.orphans.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || self.wait(Some(left)).is_err() {
                return;
            }
        }
    }
}

impl Source {
    fn notice(&mut self, event: &Event) {
        match self {
            Source::Listener(listener) => listener.notice(),
            Source::Connection(connection) => connection.notice(event),
        }
    }
}
