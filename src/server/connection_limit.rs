//! The limit on connections, and which connection is closed for a new one.
//!
//! A permit is acquired before a connection is accepted, so a connection without a permit waits in the system's backlog. When
//! all permits are taken, one connection is evicted: the one that has been idle longest (it has got its response, or never sent
//! anything), or, if none is idle, the one that has been slow longest (it has begun something and makes no progress). So neither a
//! thousand silent browsers nor a thousand clients that send a byte a minute keep the next client out.

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
    /// Connections that may be evicted, and since when; the longest time first. Some of them may not any more.
    idle: VecDeque<(usize, u64)>,
    slow: VecDeque<(usize, u64)>,
    /// Connections that were evicted and still have their permit. They are few, and the last one is spared first.
    evicted: Vec<usize>,
    /// Tasks that wait for a permit.
    waiting: Vec<Waker>,
    /// How often a connection has become evictable.
    times: u64,
    /// The server stops: idle connections are to be closed.
    is_stopping: bool,
    /// The task that waits until no permit is taken.
    all_returned: Option<Waker>,
}

/// What the limit knows of a connection.
#[derive(Debug, Default)]
struct PermitState {
    /// Since when the connection may be evicted, as one of [`Inner::times`], so that no two are the same. `None` while it may not.
    since: Option<u64>,
    /// Whether it is slow, and not idle.
    is_slow: bool,
    is_evicted: bool,
    waker: Option<Waker>,
}

/// How many entries that are out of date may stay in a queue besides as many as there are permits taken.
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

    /// A permit, if the limit is not reached.
    pub fn try_acquire(&self) -> Option<Permit> {
        let mut inner = self.0.borrow_mut();
        let is_free = inner.permits.len() < inner.most;
        is_free.then(|| Permit { limit: self.clone(), key: inner.permits.insert(PermitState::default()) })
    }

    /// A permit. At the limit a connection is evicted for that, and the permit is the first one that is given back.
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

    /// Has idle connections closed, now and from now on; see [`Permit::evicted`].
    pub fn close_idle(&self) {
        let mut inner = self.0.borrow_mut();
        inner.is_stopping = true;
        inner.permits.iter_mut().filter_map(|(_, state)| state.waker.take()).for_each(Waker::wake);
    }

    /// Ready when no permit is taken. One task can wait for that.
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
    /// Evicts a connection, if fewer were evicted than tasks wait for a permit.
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

    /// Takes back the last eviction.
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

    /// From now on the connection may be evicted.
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

    /// The connection with this state is not evicted any more.
    fn forget(&mut self, key: usize, state: PermitState) {
        if state.is_evicted {
            self.evicted.retain(|&other| other != key);
        }
    }
}

impl Permit {
    /// The connection is idle: it may be evicted; at once, if a task waits for a permit.
    pub fn set_idle(&self) {
        self.limit.0.borrow_mut().make_evictable(self.key, false);
    }

    /// The connection is slow: it may be evicted if no connection is idle.
    pub fn set_slow(&self) {
        self.limit.0.borrow_mut().make_evictable(self.key, true);
    }

    /// The connection is busy: it will not be evicted. If it was, and had something to do before it noticed, another connection
    /// is evicted instead.
    pub fn set_busy(&self) {
        let mut inner = self.limit.0.borrow_mut();
        let state = std::mem::take(&mut inner.permits[self.key]);
        inner.forget(self.key, state);
        inner.evict_if_needed();
    }

    /// Waits until the connection is evicted; or, if it `is_idle`, until the server has idle connections closed.
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
        // A task that waits gets this permit, so a connection that was evicted for it, and is still there, may stay.
        while inner.evicted.len() > inner.waiting.len().saturating_sub(1) {
            inner.spare_one();
        }
        if inner.permits.is_empty() {
            // What a crowd needed is not kept.
            inner.permits.shrink_to_fit();
            (inner.idle, inner.slow) = Default::default();
            inner.all_returned.take().into_iter().for_each(Waker::wake);
        }
        // All but the first of them wait again.
        inner.waiting.drain(..).for_each(Waker::wake);
    }
}
