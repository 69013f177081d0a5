//! The graceful shutdown of a server: each request that has come by then gets its response.
//!
//! Once it stops, the server accepts only connections that are pending already, and the response to the last request that a peer
//! has sent by then has `Connection: close`. An idle peer has 250 milliseconds for a request that may be under way, and then the
//! server closes its connection. The server has stopped when the last connection is closed, or when the grace period is over.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::pin;
use std::task::{Poll, Waker};
use std::time::Duration;

use hello_runtime::race;

use super::Server;
use crate::net::Runtime;

/// How long idle peers may still begin a request: a busy client has sent its next request before it notices the shutdown.
const LAST_REQUESTS: Duration = Duration::from_millis(250);

/// The progress of the shutdown.
#[derive(Debug, Default)]
pub(super) struct Stop {
    has_begun: Cell<bool>,
    /// Tasks that wait for the beginning of the shutdown, or for the end of all listeners.
    wakers: RefCell<Vec<Waker>>,
    /// How many listeners are open.
    listeners: Cell<usize>,
}

/// An open listener, which is counted until this is dropped.
pub(super) struct OpenListener<'s>(&'s Stop);

impl Stop {
    /// Whether the shutdown has begun.
    pub(super) fn has_begun(&self) -> bool {
        self.has_begun.get()
    }

    /// Waits until the shutdown begins.
    pub(super) async fn begun(&self) {
        self.until(Stop::has_begun).await;
    }

    /// Waits until all listeners are closed.
    async fn listeners_closed(&self) {
        self.until(|stop| stop.listeners.get() == 0).await;
    }

    /// Counts a listener as open, until the return value is dropped.
    pub(super) fn listener(&self) -> OpenListener<'_> {
        self.listeners.set(self.listeners.get() + 1);
        OpenListener(self)
    }

    async fn until(&self, is_over: impl Fn(&Self) -> bool) {
        let mut slot = None;
        poll_fn(|context| {
            if is_over(self) {
                return Poll::Ready(());
            }
            let mut wakers = self.wakers.borrow_mut();
            match slot.filter(|&slot| slot < wakers.len()) {
                Some(slot) => Waker::clone_from(&mut wakers[slot], context.waker()),
                None => {
                    slot = Some(wakers.len());
                    wakers.push(context.waker().clone());
                }
            }
            Poll::Pending
        })
        .await;
    }

    fn wake(&self) {
        self.wakers.take().into_iter().for_each(Waker::wake);
    }
}

impl Drop for OpenListener<'_> {
    fn drop(&mut self) {
        self.0.listeners.set(self.0.listeners.get() - 1);
        self.0.wake();
    }
}

impl<R: Runtime, O> Server<R, O> {
    /// Stops the server, and waits until it has stopped, but no longer than `grace`. Returns the number of connections that are
    /// left; the program has to cut them off.
    pub async fn stop(&self, grace: Duration) -> usize {
        let begin = self.runtime.now();
        let end = begin + grace;
        self.stop.has_begun.set(true);
        self.stop.wake();
        self.runtime.sleep_until(end.min(begin + LAST_REQUESTS)).await;
        self.connections.close_idle();
        let stopped = async {
            self.stop.listeners_closed().await;
            poll_fn(|context| self.connections.poll_all_returned(context)).await;
        };
        race(pin!(stopped), pin!(self.runtime.sleep_until(end))).await;
        self.connections.taken()
    }
}
