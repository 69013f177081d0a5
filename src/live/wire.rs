//! A connection through memory: the server serves it like each other one, and no network, and no permission, is needed.

use std::future::{Future, poll_fn};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use crate::events::Observer;
use crate::net::{Runtime, Stream};
use crate::server::Server;

/// The most bytes of an answer that wait for the client.
const ROOM: usize = 64 * 1024;

/// What both ends share.
#[derive(Default)]
struct Shared {
    to_server: Vec<u8>,
    to_client: Vec<u8>,
    client_is_gone: bool,
    server_is_done: bool,
    /// The task of the server, which waits for the client.
    waker: Option<Waker>,
}

type Wire = Arc<Mutex<Shared>>;

fn lock(wire: &Wire) -> MutexGuard<'_, Shared> {
    wire.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The client's end. The client hangs up when this is dropped.
pub(super) struct Client(Wire);

impl Client {
    /// Sends these bytes.
    pub(super) fn send(&mut self, bytes: Vec<u8>) {
        let mut shared = lock(&self.0);
        shared.to_server = bytes;
        shared.wake();
    }

    /// Takes the bytes that have come. Also returns whether the server has hung up, so that no more will come.
    pub(super) fn receive(&mut self) -> (Vec<u8>, bool) {
        let mut shared = lock(&self.0);
        shared.wake();
        (std::mem::take(&mut shared.to_client), shared.server_is_done)
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let mut shared = lock(&self.0);
        shared.client_is_gone = true;
        shared.wake();
    }
}

impl Shared {
    fn wake(&mut self) {
        self.waker.take().into_iter().for_each(Waker::wake);
    }
}

/// The server's end.
struct Line(Wire);

impl Line {
    /// Waits until `attempt` returns something.
    fn until<T>(&self, mut attempt: impl FnMut(&mut Shared) -> Option<T>) -> impl Future<Output = T> {
        poll_fn(move |context| {
            let mut shared = lock(&self.0);
            match attempt(&mut shared) {
                Some(output) => Poll::Ready(output),
                None => {
                    shared.waker = Some(context.waker().clone());
                    Poll::Pending
                }
            }
        })
    }
}

impl Stream for Line {
    async fn read(&mut self, most: usize) -> io::Result<Vec<u8>> {
        let read = self.until(|shared| {
            let length = shared.to_server.len().min(most);
            (length > 0 || shared.client_is_gone).then(|| shared.to_server.drain(..length).collect())
        });
        Ok(read.await)
    }

    async fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.until(|shared| {
            if shared.client_is_gone {
                return Some(Err(io::ErrorKind::BrokenPipe.into()));
            }
            let room = ROOM.saturating_sub(shared.to_client.len()).min(bytes.len());
            (room > 0).then(|| {
                shared.to_client.extend_from_slice(&bytes[..room]);
                Ok(room)
            })
        })
        .await
    }

    fn shutdown_write(&mut self) {
        lock(&self.0).server_is_done = true;
    }

    async fn flushed(&mut self) {}

    fn abandon_writes(&mut self) {}
}

impl Drop for Line {
    fn drop(&mut self) {
        lock(&self.0).server_is_done = true;
    }
}

impl<R: Runtime, O: Observer + 'static> Server<R, O> {
    /// Connects to this server through memory; `None` if the limit on connections is reached.
    pub(super) fn connect(self: &Rc<Self>) -> Option<Client> {
        let wire = Wire::default();
        let no_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        self.accept_from_memory(Line(Arc::clone(&wire)), no_port).then(|| Client(wire))
    }
}
