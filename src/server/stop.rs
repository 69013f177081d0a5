//! The end of a server: nobody who has been picked up is left without an answer.
//!
//! From the moment it is told to stop, the server picks up only those who are in line already, and the reply to the
//! last request that a peer has sent by then says that it is the last one (`Connection: close`). Who is idle has a
//! moment to say what may be on its way already, and is then hung up on. The server is over when the last one has gone,
//! or when the grace is.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::task::{Poll, Waker};
use std::time::Duration;

use super::{Runtime, Server};

/// How long idle peers may still begin a request: a busy client has sent its next one before it can hear of the end.
const LAST_CALL: Duration = Duration::from_millis(250);

/// How often is looked whether everybody has gone.
const LOOK: Duration = Duration::from_millis(10);

/// How far the server is with stopping.
#[derive(Debug, Default)]
pub(super) struct Stop {
    begun: Cell<bool>,
    /// Those who wait for that: a few listeners.
    wakers: RefCell<Vec<Waker>>,
    /// How many listeners are open.
    listeners: Cell<usize>,
}

/// A listener that is open.
pub(super) struct OpenListener<'s>(&'s Stop);

impl Stop {
    /// Whether the server was told to stop.
    pub(super) fn has_begun(&self) -> bool {
        self.begun.get()
    }

    /// Waits until it is.
    pub(super) async fn begun(&self) {
        let mut place = None;
        poll_fn(|context| {
            if self.has_begun() {
                return Poll::Ready(());
            }
            let mut wakers = self.wakers.borrow_mut();
            match place {
                Some(place) => Waker::clone_from(&mut wakers[place], context.waker()),
                None => {
                    place = Some(wakers.len());
                    wakers.push(context.waker().clone());
                }
            }
            Poll::Pending
        })
        .await;
    }

    /// Counts a listener, until what this returns is dropped.
    pub(super) fn listener(&self) -> OpenListener<'_> {
        self.listeners.set(self.listeners.get() + 1);
        OpenListener(self)
    }
}

impl Drop for OpenListener<'_> {
    fn drop(&mut self) {
        self.0.listeners.set(self.0.listeners.get() - 1);
    }
}

impl<R: Runtime, O> Server<R, O> {
    /// Tells the server to stop, and waits until it has, but no longer than `grace`. Returns how many connections are
    /// left; they are for the caller to cut.
    pub async fn stop(&self, grace: Duration) -> usize {
        let begin = self.runtime.now();
        let end = begin + grace;
        self.stop.begun.set(true);
        self.stop.wakers.take().into_iter().for_each(Waker::wake);
        self.runtime.sleep_until(end.min(begin + LAST_CALL)).await;
        self.places.close();
        while self.places.taken() + self.stop.listeners.get() > 0 && self.runtime.now() < end {
            self.runtime.sleep_until(end.min(self.runtime.now() + LOOK)).await;
        }
        self.places.taken()
    }
}
