//! The limit on connections, and the choice of the connection to close for a new one.
//!
//! A permit is acquired before a connection is accepted, so a connection without a permit waits in the system's backlog. When
//! all permits are taken, the limit evicts one connection: the one that has been idle longest (its peer has got a response, or
//! never sent anything), or, if none is idle, the one that has been slow longest (a request or response makes no progress). So
//! neither a thousand idle browsers nor a thousand clients that send a byte a minute keep the next client out.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use slab::Slab;

use crate::events::CloseReason;

/// The limit on connections. A clone is a handle to the same limit.
#[derive(Debug, Clone)]
pub struct ConnectionLimit(Rc<RefCell<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    most: usize,
    permits: Slab<PermitState>,
    /// Evictable connections, and since when they are: the oldest first. Some entries may be out of date.
    idle: VecDeque<(usize, u64)>,
    slow: VecDeque<(usize, u64)>,
    /// Evicted connections that still have their permit. They are few, and the last eviction is the first to be undone.
    evicted: Vec<usize>,
    /// Tasks that wait for a permit.
    waiting: Vec<Waker>,
    /// How often a connection has become evictable.
    times: u64,
    /// Whether the server is stopping, so that idle connections are to be closed.
    is_stopping: bool,
    /// The task that waits until no permit is taken.
    all_returned: Option<Waker>,
}

/// The state of the permit of a connection.
#[derive(Debug, Default)]
struct PermitState {
    /// Since when the connection is evictable: a number of [`Inner::times`], so no two are the same. `None` if it is not.
    since: Option<u64>,
    /// Whether the connection is slow, and not idle.
    is_slow: bool,
    is_evicted: bool,
    waker: Option<Waker>,
}

/// How many entries a queue may have beyond twice the permits taken, before those that are out of date are removed.
const MOST_STALE: usize = 64;

/// Permits one connection. Dropping it gives the permit back.
#[derive(Debug)]
pub struct Permit {
    limit: ConnectionLimit,
    key: usize,
}

impl ConnectionLimit {
    /// A limit of `most` connections.
    pub fn new(most: usize) -> Self {
        ConnectionLimit(Rc::new(RefCell::new(Inner { most, ..Inner::default() })))
    }

    /// How many permits are taken.
    pub fn taken(&self) -> usize {
        self.0.borrow().permits.len()
    }

    /// Acquires a permit, if the limit is not reached.
    pub fn try_acquire(&self) -> Option<Permit> {
        let mut inner = self.0.borrow_mut();
        let is_free = inner.permits.len() < inner.most;
        is_free.then(|| Permit { limit: self.clone(), key: inner.permits.insert(PermitState::default()) })
    }

    /// Acquires a permit. At the limit this evicts a connection, and waits for the first permit that is given back.
    pub async fn acquire(&self) -> Permit {
        poll_fn(|context| match self.try_acquire() {
            Some(permit) => Poll::Ready(permit),
            None => {
                let mut inner = self.0.borrow_mut();
                inner.waiting.push(context.waker().clone());
                inner.evict_if_needed();
                Poll::Pending
            }
        })
        .await
    }

    /// Evicts the connection that has been idle longest, or else the slowest one.
    pub fn evict_one(&self) {
        self.0.borrow_mut().evict_one();
    }

    /// Closes idle connections, now and from now on; see [`Permit::evicted`].
    pub fn close_idle(&self) {
        let mut inner = self.0.borrow_mut();
        inner.is_stopping = true;
        inner.permits.iter_mut().filter_map(|(_, state)| state.waker.take()).for_each(Waker::wake);
    }

    /// Ready when no permit is taken. Only one task can wait here.
    pub fn poll_all_returned(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut inner = self.0.borrow_mut();
        if inner.permits.is_empty() {
            return Poll::Ready(());
        }
        inner.all_returned = Some(context.waker().clone());
        Poll::Pending
    }
}

impl Inner {
    /// Evicts a connection, if more tasks wait for a permit than connections are evicted.
    fn evict_if_needed(&mut self) {
        if self.waiting.len() > self.evicted.len() {
            self.evict_one();
        }
    }

    fn evict_one(&mut self) {
        while let Some((key, since)) = self.idle.pop_front().or_else(|| self.slow.pop_front()) {
            if let Some(state) = self.permits.get_mut(key).filter(|state| state.since == Some(since)) {
                state.is_evicted = true;
                self.evicted.push(key);
                state.waker.take().into_iter().for_each(Waker::wake);
                return;
            }
        }
    }

    /// Undoes the last eviction.
    fn spare_one(&mut self) {
        let Some(key) = self.evicted.pop() else {
            return;
        };
        let state = &mut self.permits[key];
        state.is_evicted = false;
        let queue = if state.is_slow { &mut self.slow } else { &mut self.idle };
        if let Some(since) = state.since {
            queue.push_front((key, since));
        }
    }

    /// Makes the connection evictable.
    fn make_evictable(&mut self, key: usize, is_slow: bool) {
        let state = &mut self.permits[key];
        if state.since.is_some() && state.is_slow == is_slow {
            return;
        }
        self.times += 1;
        (state.since, state.is_slow) = (Some(self.times), is_slow);
        if state.is_evicted {
            return;
        }
        let queue = if is_slow { &mut self.slow } else { &mut self.idle };
        if queue.len() > 2 * self.permits.len() + MOST_STALE {
            queue.retain(|&(key, since)| self.permits.get(key).is_some_and(|state| state.since == Some(since)));
        }
        queue.push_back((key, self.times));
        self.evict_if_needed();
    }

    /// Removes the connection from the evicted ones.
    fn forget(&mut self, key: usize, state: PermitState) {
        if state.is_evicted {
            self.evicted.retain(|&other| other != key);
        }
    }
}

impl Permit {
    /// Marks the connection as idle, so that it may be evicted: at once, if a task waits for a permit.
    pub fn set_idle(&self) {
        self.limit.0.borrow_mut().make_evictable(self.key, false);
    }

    /// Marks the connection as slow, so that it may be evicted if no connection is idle.
    pub fn set_slow(&self) {
        self.limit.0.borrow_mut().make_evictable(self.key, true);
    }

    /// Marks the connection as busy, so that it is not evicted. If it was evicted already, but got work before it noticed,
    /// another connection is evicted instead.
    pub fn set_busy(&self) {
        let mut inner = self.limit.0.borrow_mut();
        let state = std::mem::take(&mut inner.permits[self.key]);
        inner.forget(self.key, state);
        inner.evict_if_needed();
    }

    /// Waits until the connection is evicted; or, if it `is_idle`, until the server closes idle connections.
    pub async fn evicted(&self, is_idle: bool) -> CloseReason {
        poll_fn(|context| {
            let inner = &mut *self.limit.0.borrow_mut();
            let state = &mut inner.permits[self.key];
            if state.is_evicted {
                return Poll::Ready(CloseReason::Evicted);
            }
            if is_idle && inner.is_stopping {
                return Poll::Ready(CloseReason::Stopping);
            }
            match &mut state.waker {
                Some(waker) => waker.clone_from(context.waker()),
                empty => *empty = Some(context.waker().clone()),
            }
            Poll::Pending
        })
        .await
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut inner = self.limit.0.borrow_mut();
        let state = inner.permits.remove(self.key);
        inner.forget(self.key, state);
        // A waiting task gets this permit, so the connection that was evicted for that task may stay if it is still open.
        while inner.evicted.len() > inner.waiting.len().saturating_sub(1) {
            inner.spare_one();
        }
        if inner.permits.is_empty() {
            // Give back the memory of a time with many connections.
            inner.permits.shrink_to_fit();
            (inner.idle, inner.slow) = Default::default();
            inner.all_returned.take().into_iter().for_each(Waker::wake);
        }
        // All tasks but the first will wait again.
        inner.waiting.drain(..).for_each(Waker::wake);
    }
}
