//! Keeps the last events, and passes them on to those who watch. An event is a line of JSON, and goes out as an event of the standard
//! for server-sent events (<https://html.spec.whatwg.org/multipage/server-sent-events.html>).

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

/// How many events are kept.
const KEPT: usize = 1000;

/// How many bytes of events go out together, more or less.
const BATCH: usize = 64 * 1024;

/// The events of a server. (It is `Send` because a body that is made while it is sent has to be; see [`crate::stream`].)
pub(super) struct Hub(Mutex<State>);

struct State {
    /// Names this run of the program.
    run: String,
    /// The address of the server.
    address: Option<SocketAddr>,
    kept: VecDeque<Box<str>>,
    /// The number of the next event; the first one has 1.
    next: u64,
    watchers: usize,
    wakers: Vec<Waker>,
    is_closed: bool,
}

/// One who watches. Others may watch in its place when it is dropped.
pub(super) struct Watcher {
    hub: Arc<Hub>,
    /// The number of the next event that it gets; 0 before the first message.
    next: u64,
}

impl Hub {
    /// A hub without events. `run` names this run of the program.
    pub(super) fn new(run: &str) -> Self {
        Hub(Mutex::new(State {
            run: run.to_owned(),
            address: None,
            kept: VecDeque::new(),
            next: 1,
            watchers: 0,
            wakers: Vec::new(),
            is_closed: false,
        }))
    }

    /// Tells those who begin to watch where the server listens.
    pub(super) fn set_address(&self, address: SocketAddr) {
        self.state().address = Some(address);
    }

    /// Adds an event: a line of JSON without its end.
    pub(super) fn add(&self, line: &str) {
        let mut state = self.state();
        if state.kept.len() == KEPT {
            state.kept.pop_front();
        }
        state.kept.push_back(line.into());
        state.next += 1;
        state.wake();
    }

    /// Begins to watch, unless `most` do already.
    pub(super) fn watch(self: &Arc<Self>, most: usize) -> Option<Watcher> {
        let mut state = self.state();
        (state.watchers < most && !state.is_closed).then(|| {
            state.watchers += 1;
            Watcher { hub: Arc::clone(self), next: 0 }
        })
    }

    /// Ends the watch of all.
    pub(super) fn close(&self) {
        let mut state = self.state();
        state.is_closed = true;
        state.wake();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn wake(&mut self) {
        self.wakers.drain(..).for_each(Waker::wake);
    }
}

impl Watcher {
    /// Waits for the next events, and returns them as server-sent events; `None` when the hub is closed. Events that were thrown away
    /// before this watcher took them are counted in one of kind `dropped`.
    pub(super) async fn next(&mut self) -> Option<String> {
        poll_fn(|context| {
            let mut state = self.hub.state();
            if state.is_closed {
                return Poll::Ready(None);
            }
            if self.next == state.next {
                state.wakers.push(context.waker().clone());
                return Poll::Pending;
            }
            let oldest = state.next - state.kept.len() as u64;
            let mut text = String::new();
            if self.next == 0 {
                let address = state.address.map(|address| format!(",\"address\":\"{address}\"")).unwrap_or_default();
                let _ = write!(
                    text,
                    "retry: 1000\ndata: {{\"v\":1,\"time\":0,\"event\":\"hello\"{address},\"run\":\"{}\"}}\n\n",
                    state.run
                );
            } else if self.next < oldest {
                let count = oldest - self.next;
                // Writing to a string does not fail.
                let _ = write!(text, "data: {{\"v\":1,\"time\":0,\"event\":\"dropped\",\"count\":{count}}}\n\n");
            }
            self.next = self.next.max(oldest);
            for line in state.kept.iter().skip((self.next - oldest) as usize) {
                if text.len() > BATCH {
                    break;
                }
                let _ = write!(text, "id: {}\ndata: {line}\n\n", self.next);
                self.next += 1;
            }
            Poll::Ready(Some(text))
        })
        .await
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.hub.state().watchers -= 1;
    }
}
