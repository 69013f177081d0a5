//! The stream of one connection, with deadlines: each read and each write has one, and ends earlier if the connection is evicted.

use std::cell::Cell;
use std::convert::Infallible;
use std::future::{Future, pending, poll_fn, ready};
use std::io;
use std::mem;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use hello_runtime::{Either, race};

use super::Server;
use super::connection_limit::Permit;
use crate::events::{CloseReason, Event, Observer, Peer};
use crate::net::{Runtime, Stream};

/// How many bytes are read at first: the usual size of a head. The host reserves, and clears, as much memory as a read asks for.
const FIRST_READ: usize = 2 * 1024;

/// How many bytes are read at a time from a peer that has filled a whole [`FIRST_READ`]: this peer pipelines, or sends a body.
/// The server may have to keep these bytes, behind a head of the greatest length, while the peer does not read its responses.
const NEXT_READ: usize = 8 * 1024;

/// How long the connection stays open for reading after the last response, unless the peer closes it earlier.
/// Closing at once, with bytes unread, would make the kernel send a reset, and the reset can overtake the response
/// (RFC 9112 section 9.6). The number of bytes does not matter: many clients send all of a body before they read a refusal.
const LINGER: Duration = Duration::from_secs(30);

/// How long the connection stays open for reading without a byte from the peer.
const LINGER_IDLE: Duration = Duration::from_secs(2);

/// How long a new connection without a byte from the peer is not idle. A connection is idle at once after a response, because
/// the client may never send another request.
const NEW_FOR: Duration = Duration::from_secs(1);

/// After how long a request, a body or a response that makes no progress is slow, so that its connection may be evicted.
const SLOW_AFTER: Duration = Duration::from_secs(1);

/// The stream of one connection, with deadlines; see [the module](self). The stream is dropped before the permit is given back.
pub(super) struct Transport<'s, S, R, O> {
    reader: Reader<S>,
    server: &'s Server<R, O>,
    peer: Peer,
    permit: Permit,
    /// How many bytes have been read.
    read: Cell<usize>,
    /// When the connection becomes idle if no byte comes.
    idle_from: Duration,
}

struct Reader<S> {
    stream: S,
    /// Bytes that came while a body was being made.
    early: Vec<u8>,
    /// How many bytes the next read asks for.
    size: usize,
    /// Whether the one look after a passed deadline was taken; see [`until`].
    has_looked: bool,
}

impl<'s, S: Stream, R: Runtime, O: Observer> Transport<'s, S, R, O> {
    /// The transport of a connection that has just been accepted.
    pub(super) fn new(server: &'s Server<R, O>, stream: S, peer: Peer, permit: Permit) -> Self {
        let idle_from = server.runtime.now() + NEW_FOR;
        let reader = Reader { stream, early: Vec::new(), size: FIRST_READ, has_looked: false };
        Transport { reader, server, peer, permit, read: Cell::new(0), idle_from }
    }

    /// How many bytes have been read.
    pub(super) fn bytes_read(&self) -> usize {
        self.read.get()
    }

    /// Marks the connection as busy, because a request is complete: even after a slow request it will not be evicted.
    pub(super) fn set_busy(&self) {
        self.permit.set_busy();
    }

    /// Marks the connection as idle if the peer sends nothing, because the peer has got a response, or will with the next
    /// [`write_all`](Transport::write_all).
    pub(super) fn set_responded(&mut self) {
        self.idle_from = self.server.runtime.now();
        self.reader.has_looked = false;
    }

    /// Begins another wait: there may be a look after its deadline, too.
    pub(super) fn begin_wait(&mut self) {
        self.reader.has_looked = false;
    }

    /// Reads bytes that have come already, if the last read was full, so that more are likely. Does not wait.
    pub(super) async fn read_available(&mut self) -> Result<Option<Vec<u8>>, CloseReason> {
        if self.reader.size != NEXT_READ {
            return Ok(None);
        }
        let bytes = match race(pin!(self.reader.read()), pin!(ready(()))).await {
            Either::First(Ok(bytes)) => bytes,
            Either::First(Err(_)) => return Err(CloseReason::Disconnected),
            Either::Second(()) => Vec::new(),
        };
        self.reader.size = next_read_size(self.reader.size, bytes.len());
        Ok(Some(self.received(bytes)).filter(|bytes| !bytes.is_empty()))
    }

    /// Reads the first bytes of a request, or more of a request that `has_begun`. The wait for them began at `since`. No bytes
    /// are the end.
    pub(super) async fn read(&mut self, since: Duration, has_begun: bool) -> Result<Vec<u8>, CloseReason> {
        let Server { runtime, limits, .. } = self.server;
        let (permit, idle_from) = (&self.permit, self.idle_from);
        let timeout = if has_begun { limits.header_timeout } else { limits.idle_timeout };
        let evicted = async {
            if has_begun {
                return evicted_as_slow(runtime, permit, since).await;
            }
            runtime.sleep_until(idle_from).await;
            permit.set_idle();
            permit.evicted(true).await
        };
        let evicted = pin!(or_at(runtime, since + timeout, CloseReason::IdleTimeout, evicted));
        let mut has_looked = self.reader.has_looked;
        let outcome = until(runtime, evicted, &mut has_looked, async || self.reader.read().await).await;
        self.reader.has_looked = has_looked;
        let bytes = outcome?;
        if !has_begun {
            permit.set_busy();
        }
        let bytes = bytes.map_err(|_| CloseReason::Disconnected)?;
        // After a full read there may be more bytes that were there at the look.
        self.reader.has_looked &= bytes.len() < self.reader.size;
        self.reader.size = next_read_size(self.reader.size, bytes.len());
        Ok(self.received(bytes))
    }

    fn received(&self, bytes: Vec<u8>) -> Vec<u8> {
        self.read.set(self.read.get() + bytes.len());
        if !bytes.is_empty() {
            self.server.observer.observe(Event::Received(self.peer, &bytes));
        }
        bytes
    }

    /// Writes all of `bytes`: in one write, if there is room for them.
    pub(super) async fn write_all(&mut self, mut bytes: &[u8]) -> Result<(), CloseReason> {
        let (since, mut has_looked) = (self.server.runtime.now(), false);
        while !bytes.is_empty() {
            let evicted = pin!(evicted_while_writing(self.server, &self.permit, since));
            let write = async || self.reader.stream.write(bytes).await;
            let written = until(&self.server.runtime, evicted, &mut has_looked, write).await?;
            let (sent, rest) = bytes.split_at(written.map_err(|_| CloseReason::Disconnected)?);
            self.server.observer.observe(Event::Sent(self.peer, sent));
            bytes = rest;
        }
        Ok(())
    }

    /// Waits for `next`, which a body that is made while it is sent needs. Meanwhile the connection is idle, and may be evicted. A
    /// client that finishes sending meanwhile is gone: its system says the same when the client has closed the connection, and without
    /// this look a body that waits would notice that only when it is sent. Bytes that come are kept for the next [read](Self::read).
    pub(super) async fn wait_for<T>(&mut self, next: impl Future<Output = T>) -> Result<T, CloseReason> {
        let Reader { stream, early, .. } = &mut self.reader;
        let permit = &self.permit;
        let other = async {
            // `next` comes first, so this is a wait.
            permit.set_idle();
            let gone = async {
                if early.is_empty() {
                    match stream.read(NEXT_READ).await {
                        Ok(bytes) if !bytes.is_empty() => *early = bytes,
                        _ => return CloseReason::Disconnected,
                    }
                }
                pending().await
            };
            match race(pin!(permit.evicted(false)), pin!(gone)).await {
                Either::First(reason) | Either::Second(reason) => reason,
            }
        };
        let next = match race(pin!(next), pin!(other)).await {
            Either::First(next) => next,
            Either::Second(reason) => return Err(reason),
        };
        permit.set_busy();
        Ok(next)
    }

    /// Closes the connection for `reason`, but after the last response only when the response must have arrived.
    pub(super) async fn close(mut self, reason: CloseReason) {
        let runtime = &self.server.runtime;
        let is_whole = match reason {
            CloseReason::LastResponse | CloseReason::PeerFinished => {
                let evicted = pin!(evicted_while_writing(self.server, &self.permit, runtime.now()));
                let flushed = async || self.reader.stream.flushed().await;
                until(runtime, evicted, &mut false, flushed).await.is_ok()
            }
            _ => false,
        };
        if is_whole {
            self.reader.stream.shutdown_write();
        }
        self.server.observer.observe(Event::Closed(self.peer, reason));
        if is_whole && reason == CloseReason::LastResponse {
            self.permit.set_idle();
            let end = runtime.now() + LINGER;
            race(pin!(drain(runtime, &mut self.reader.stream, end)), pin!(self.permit.evicted(false))).await;
        }
        // The peer may never read the bytes that are still unread.
        self.reader.stream.abandon_writes();
        // If the system does not take over the bytes in flight, the connection has to stay, and cannot be evicted.
        let stays = async {
            self.permit.set_busy();
            pending::<Infallible>().await
        };
        race(pin!(self.reader.stream.flushed()), pin!(stays)).await;
    }
}

impl<S: Stream> Reader<S> {
    /// Reads bytes; those that came early are the first.
    async fn read(&mut self) -> io::Result<Vec<u8>> {
        if self.early.is_empty() { self.stream.read(self.size).await } else { Ok(mem::take(&mut self.early)) }
    }
}

/// How many bytes to ask for after a read of `read_size` that returned `read` bytes.
fn next_read_size(read_size: usize, read: usize) -> usize {
    if read < read_size { FIRST_READ } else { NEXT_READ }
}

/// The output of `evicted`; or `reason`, if `deadline` passes first.
async fn or_at<R: Runtime>(
    runtime: &R,
    deadline: Duration,
    reason: CloseReason,
    evicted: impl Future<Output = CloseReason>,
) -> CloseReason {
    match race(pin!(evicted), pin!(runtime.sleep_until(deadline))).await {
        Either::First(reason) => reason,
        Either::Second(()) => reason,
    }
}

/// Waits until the connection, which makes no progress since `since`, is evicted.
async fn evicted_as_slow(runtime: &impl Runtime, permit: &Permit, since: Duration) -> CloseReason {
    runtime.sleep_until(since + SLOW_AFTER).await;
    permit.set_slow();
    permit.evicted(false).await
}

/// Waits until the write timeout, counted from `since`, has passed, or the connection is evicted.
async fn evicted_while_writing<R: Runtime, O>(server: &Server<R, O>, permit: &Permit, since: Duration) -> CloseReason {
    let slow = evicted_as_slow(&server.runtime, permit, since);
    or_at(&server.runtime, since + server.limits.write_timeout, CloseReason::WriteTimeout, slow).await
}

/// The output of `attempt`; or that of `evicted`, but only after a last look: the host has a turn, and the output of `attempt`
/// counts if it is ready then. The whole process may have stood still (a laptop slept, a container was frozen), and the bytes
/// that the peer sent or read meanwhile count. If `has_looked` is set, the look was taken before, and there is no other.
async fn until<R: Runtime, T>(
    runtime: &R,
    mut evicted: Pin<&mut impl Future<Output = CloseReason>>,
    has_looked: &mut bool,
    mut attempt: impl AsyncFnMut() -> T,
) -> Result<T, CloseReason> {
    let mut reason = None;
    loop {
        let over = poll_fn(|context| match reason {
            Some(reason) => Poll::Ready(reason),
            None => evicted.as_mut().poll(context),
        });
        let why = match race(pin!(attempt()), pin!(over)).await {
            Either::First(output) => return Ok(output),
            Either::Second(why) => why,
        };
        if mem::replace(has_looked, true) {
            return Err(why);
        }
        runtime.host_turn().await;
        reason = Some(why);
    }
}

/// Reads and throws away the bytes of a peer until it has finished sending, has sent nothing for [`LINGER_IDLE`], or until `end`.
async fn drain(runtime: &impl Runtime, stream: &mut impl Stream, end: Duration) {
    let mut has_looked = false;
    loop {
        let now = runtime.now();
        let over = async {
            runtime.sleep_until(end.min(now + LINGER_IDLE)).await;
            CloseReason::IdleTimeout
        };
        let read = async || stream.read(NEXT_READ).await;
        match until(runtime, pin!(over), &mut has_looked, read).await {
            Ok(Ok(bytes)) if !bytes.is_empty() => has_looked &= now >= end,
            _ => return,
        }
    }
}
