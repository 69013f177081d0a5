//! Accepts connections, as long as the limit permits.

use std::convert::Infallible;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use hello_runtime::race;

use super::connection_limit::Permit;
use super::{Server, connection};
use crate::events::{Event, Observer, Peer};
use crate::net::{Listener, Runtime, Stream};

/// How long to wait after a failed accept. Such errors pass: the system has no file descriptor left until a connection is closed.
const ERROR_PAUSE: Duration = Duration::from_millis(50);

/// For how long accepting must have worked until the next error is reported.
const QUIET_FOR: Duration = Duration::from_secs(60);

/// Why a connection cannot be accepted. WASI has no code for the usual reason: no file descriptor is left.
const NO_ROOM: &str = "the system has no room for another connection";

/// How many connections are accepted until the other tasks have a turn. 256 accepts take 3 milliseconds, and 50 such turns a
/// second are enough for ten thousand clients at once: the system keeps some of them in its backlog, and lets the others try
/// again a second later.
const ACCEPTS_PER_TURN: usize = 256;

/// The most connections that are accepted after the server has begun to stop: the longest possible backlog.
const LAST_ACCEPTS: usize = u16::MAX as usize;

/// Accepts connections on `listener`, and serves them, until the server stops; then accepts the pending ones, because the system
/// has already connected their clients.
pub async fn serve<R: Runtime, O: Observer + 'static>(server: Rc<Server<R, O>>, mut listener: impl Listener) {
    let _open = server.stop.listener();
    race(pin!(accept_loop(&server, &mut listener)), pin!(server.stop.begun())).await;
    for _ in 0..LAST_ACCEPTS {
        let permit = server.connections.acquire().await;
        match listener.accept() {
            Ok(Some((stream, address))) => server.spawn_connection(stream, address, permit),
            Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
            // As little as possible happens between this check and the end of the listener: the kernel accepts a client that
            // connects meanwhile, and then resets its connection.
            Ok(None) if listener.has_pending() => {}
            Ok(None) | Err(_) => break,
        }
    }
}

/// Accepts connections, and serves them. The loop never ends: after a failed accept it tries the next one.
async fn accept_loop<R: Runtime, O: Observer + 'static>(
    server: &Rc<Server<R, O>>,
    listener: &mut impl Listener,
) -> Infallible {
    let mut accepted = 0;
    loop {
        // The permit comes first: without one the connection stays in the backlog.
        let permit = match server.connections.try_acquire() {
            Some(permit) => permit,
            None => {
                listener.ready().await;
                server.connections.acquire().await
            }
        };
        accepted += 1;
        match listener.accept() {
            Ok(Some((stream, address))) => server.spawn_connection(stream, address, permit),
            Ok(None) => {
                drop(permit);
                accepted = ACCEPTS_PER_TURN;
            }
            Err(error) if error.kind() == ErrorKind::ConnectionAborted => drop(permit),
            Err(_) => {
                drop(permit);
                let now = server.runtime.now();
                if now >= server.quiet_until.replace(now + QUIET_FOR) {
                    server.observer.observe(Event::AcceptFailed { cause: NO_ROOM });
                }
                server.connections.evict_one();
                server.runtime.sleep_until(now + ERROR_PAUSE).await;
            }
        }
        if accepted >= ACCEPTS_PER_TURN {
            accepted = 0;
            listener.ready().await;
        }
    }
}

impl<R: Runtime, O: Observer + 'static> Server<R, O> {
    /// Serves a connection that no listener has accepted, unless the limit on connections is reached. Returns whether it does.
    #[cfg(feature = "live")]
    pub(crate) fn accept_from_memory(self: &Rc<Self>, stream: impl Stream + 'static, address: SocketAddr) -> bool {
        let permit = self.connections.try_acquire();
        permit.map(|permit| self.spawn_connection(stream, address, permit)).is_some()
    }

    /// Serves a connection in a task of its own.
    fn spawn_connection(self: &Rc<Self>, stream: impl Stream + 'static, address: SocketAddr, permit: Permit) {
        self.accepted.set(self.accepted.get() + 1);
        let peer = Peer { id: self.accepted.get(), address };
        self.observer.observe(Event::Accepted(peer));
        self.runtime.spawn(connection::serve_connection(Rc::clone(self), stream, peer, permit));
    }
}
