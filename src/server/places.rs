//! How many may be on the line at a time, and who makes room.
//!
//! A place is taken before a call is picked up, so whoever finds none waits in the kernel's queue, which is what
//! `listen`'s backlog is for. When all places are taken, the connection that has been idle for the longest time (it has
//! been answered, or never spoke) is asked to leave: a room full of silent browsers does not lock out the next one.

use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};

use slab::Slab;

/// All places of a server. A clone is a handle to the same ones.
#[derive(Debug, Clone)]
pub struct Places(Rc<RefCell<Inner>>);

#[derive(Debug)]
struct Inner {
    most: usize,
    taken: Slab<Holder>,
    /// How many of those have been asked to leave, and have not yet.
    leaving: usize,
    /// Those who wait for a place.
    waiting: Vec<Waker>,
    /// Counts the times anybody became idle, so that the smallest number is the longest time.
    idle_times: u64,
    /// The server stops: whoever has nothing to do is to leave.
    closed: bool,
}

/// Who holds a place.
#[derive(Debug, Default)]
struct Holder {
    /// Since when it has been idle, in [`Inner::idle_times`]; `None` while it talks.
    idle_since: Option<u64>,
    asked_to_leave: bool,
    waker: Option<Waker>,
}

/// A place that is taken; dropping it gives it back.
#[derive(Debug)]
pub struct Place {
    places: Places,
    key: usize,
}

impl Places {
    /// `most` places, all of them free.
    pub fn new(most: usize) -> Self {
        Places(Rc::new(RefCell::new(Inner {
            most,
            taken: Slab::new(),
            leaving: 0,
            waiting: Vec::new(),
            idle_times: 0,
            closed: false,
        })))
    }

    /// How many are taken.
    pub fn taken(&self) -> usize {
        self.0.borrow().taken.len()
    }

    /// A place, if one is free.
    pub fn try_take(&self) -> Option<Place> {
        let mut inner = self.0.borrow_mut();
        (inner.taken.len() < inner.most)
            .then(|| Place { places: self.clone(), key: inner.taken.insert(Holder::default()) })
    }

    /// A place: one that is given back, and somebody is asked to.
    pub async fn take(&self) -> Place {
        poll_fn(|context| match self.try_take() {
            Some(place) => Poll::Ready(place),
            None => {
                let mut inner = self.0.borrow_mut();
                inner.waiting.push(context.waker().clone());
                if inner.waiting.len() > inner.leaving {
                    inner.make_room();
                }
                Poll::Pending
            }
        })
        .await
    }

    /// Asks the holder that has been idle for the longest time to leave.
    pub fn make_room(&self) {
        self.0.borrow_mut().make_room();
    }

    /// Dismisses everybody who is idle, now and from now on; see [`Place::dismissed`].
    pub fn close(&self) {
        let mut inner = self.0.borrow_mut();
        inner.closed = true;
        inner.taken.iter_mut().filter_map(|(_, holder)| holder.waker.take()).for_each(Waker::wake);
    }
}

impl Inner {
    fn make_room(&mut self) {
        let longest_idle = self
            .taken
            .iter_mut()
            .filter(|(_, holder)| holder.idle_since.is_some() && !holder.asked_to_leave)
            .min_by_key(|(_, holder)| holder.idle_since);
        if let Some((_, holder)) = longest_idle {
            holder.asked_to_leave = true;
            self.leaving += 1;
            if let Some(waker) = holder.waker.take() {
                waker.wake();
            }
        }
    }

    /// Takes back what was asked of the one that has been idle for the shortest time.
    fn keep_one(&mut self) {
        let asked = self.taken.iter_mut().filter(|(_, holder)| holder.asked_to_leave);
        if let Some((_, holder)) = asked.max_by_key(|(_, holder)| holder.idle_since) {
            holder.asked_to_leave = false;
        }
        self.leaving -= 1;
    }
}

impl Place {
    /// The holder has nothing to do from now on, and may be asked to leave; at once, if somebody waits for a place.
    pub fn idle(&self) {
        let mut inner = self.places.0.borrow_mut();
        inner.idle_times += 1;
        let now = inner.idle_times;
        inner.taken[self.key].idle_since = Some(now);
        if inner.waiting.len() > inner.leaving {
            inner.make_room();
        }
    }

    /// The holder is needed again, and will not be asked to leave.
    pub fn busy(&self) {
        let mut inner = self.places.0.borrow_mut();
        let holder = std::mem::take(&mut inner.taken[self.key]);
        if holder.asked_to_leave {
            // It had something to say before it heard: somebody else has to go instead.
            inner.leaving -= 1;
            if inner.waiting.len() > inner.leaving {
                inner.make_room();
            }
        }
    }

    /// Waits until the holder is asked to leave.
    pub async fn asked_to_leave(&self) {
        self.leaves(|_| false).await;
    }

    /// Waits until the holder is asked to leave, or the server closes.
    pub async fn dismissed(&self) {
        self.leaves(|inner| inner.closed).await;
    }

    async fn leaves(&self, or_if: impl Fn(&Inner) -> bool) {
        poll_fn(|context| {
            let inner = &mut *self.places.0.borrow_mut();
            let dismissed = or_if(inner);
            let holder = &mut inner.taken[self.key];
            if holder.asked_to_leave || dismissed {
                return Poll::Ready(());
            }
            match &mut holder.waker {
                Some(waker) => waker.clone_from(context.waker()),
                empty => *empty = Some(context.waker().clone()),
            }
            Poll::Pending
        })
        .await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut inner = self.places.0.borrow_mut();
        if inner.taken.remove(self.key).asked_to_leave {
            inner.leaving -= 1;
        }
        // One who waits gets this place: whoever was asked on its behalf, and has not gone yet, may stay.
        while inner.leaving > inner.waiting.len().saturating_sub(1) {
            inner.keep_one();
        }
        if inner.taken.is_empty() {
            inner.taken.shrink_to_fit();
        }
        // Whoever is not the first to come asks again.
        inner.waiting.drain(..).for_each(Waker::wake);
    }
}
