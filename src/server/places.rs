//! How many may be on the line at a time, and who makes room.
//!
//! A place is taken before a call is picked up, so whoever finds none waits in the kernel's queue, which is what
//! `listen`'s backlog is for. When all places are taken, somebody is asked to leave: the one that has been idle for the
//! longest time (it has been answered, or never spoke), or, when nobody is idle, the one that has been slow for the longest
//! time (it has begun something and does not get on with it). So neither a room full of silent browsers nor one full of
//! people who speak a byte a minute locks out the next one.

use std::cell::RefCell;
use std::collections::VecDeque;
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
    /// Those who may be asked to leave, and since when, the longest time first; some of them may not any more.
    idle: VecDeque<(usize, u64)>,
    slow: VecDeque<(usize, u64)>,
    /// Who was asked to leave and has not left yet: few, and the last one is the first who may stay after all.
    leaving: Vec<usize>,
    /// Those who wait for a place.
    waiting: Vec<Waker>,
    /// Counts the times anybody began to wait.
    times: u64,
    /// The server stops: whoever has nothing to do is to leave.
    closed: bool,
}

/// Who holds a place.
#[derive(Debug, Default)]
struct Holder {
    /// Since when it may be asked to leave, in [`Inner::times`], so that no two are the same; `None` while it may not.
    since: Option<u64>,
    /// It has begun something, and was not idle since then.
    slow: bool,
    asked_to_leave: bool,
    waker: Option<Waker>,
}

/// How many who may not be asked any more may stay in a queue besides as many as there are places taken.
const LEFTOVERS: usize = 64;

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
            idle: VecDeque::new(),
            slow: VecDeque::new(),
            leaving: Vec::new(),
            waiting: Vec::new(),
            times: 0,
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
                inner.make_room_if_needed();
                Poll::Pending
            }
        })
        .await
    }

    /// Asks the holder that has been idle for the longest time to leave, or the slowest one.
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
    /// Has somebody leave for each of those who wait.
    fn make_room_if_needed(&mut self) {
        if self.waiting.len() > self.leaving.len() {
            self.make_room();
        }
    }

    fn make_room(&mut self) {
        while let Some((key, since)) = self.idle.pop_front().or_else(|| self.slow.pop_front()) {
            if let Some(holder) = self.taken.get_mut(key).filter(|holder| holder.since == Some(since)) {
                holder.asked_to_leave = true;
                self.leaving.push(key);
                holder.waker.take().into_iter().for_each(Waker::wake);
                return;
            }
        }
    }

    /// Takes back what was asked of the last one who was asked.
    fn keep_one(&mut self) {
        let Some(key) = self.leaving.pop() else {
            return;
        };
        let holder = &mut self.taken[key];
        holder.asked_to_leave = false;
        let queue = if holder.slow { &mut self.slow } else { &mut self.idle };
        if let Some(since) = holder.since {
            queue.push_front((key, since));
        }
    }

    /// The holder waits for its peer from now on.
    fn wait(&mut self, key: usize, slow: bool) {
        let holder = &mut self.taken[key];
        if holder.since.is_some() && holder.slow == slow {
            return;
        }
        self.times += 1;
        (holder.since, holder.slow) = (Some(self.times), slow);
        // Who has been asked need not be asked again.
        if holder.asked_to_leave {
            return;
        }
        let queue = if slow { &mut self.slow } else { &mut self.idle };
        if queue.len() > 2 * self.taken.len() + LEFTOVERS {
            queue.retain(|&(key, since)| self.taken.get(key).is_some_and(|holder| holder.since == Some(since)));
        }
        queue.push_back((key, self.times));
        self.make_room_if_needed();
    }

    /// What was asked of this holder is not asked any more.
    fn forget(&mut self, key: usize, holder: Holder) {
        if holder.asked_to_leave {
            self.leaving.retain(|&other| other != key);
        }
    }
}

impl Place {
    /// The holder has nothing to do from now on, and may be asked to leave; at once, if somebody waits for a place.
    pub fn idle(&self) {
        self.places.0.borrow_mut().wait(self.key, false);
    }

    /// The holder has something to do, and its peer does not let it: it may be asked to leave when nobody is idle.
    pub fn slow(&self) {
        self.places.0.borrow_mut().wait(self.key, true);
    }

    /// The holder is needed again, and will not be asked to leave. If it was, and had something to say before it heard,
    /// somebody else has to go instead.
    pub fn busy(&self) {
        let mut inner = self.places.0.borrow_mut();
        let holder = std::mem::take(&mut inner.taken[self.key]);
        inner.forget(self.key, holder);
        inner.make_room_if_needed();
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
        let holder = inner.taken.remove(self.key);
        inner.forget(self.key, holder);
        // One who waits gets this place: whoever was asked on its behalf, and has not gone yet, may stay.
        while inner.leaving.len() > inner.waiting.len().saturating_sub(1) {
            inner.keep_one();
        }
        if inner.taken.is_empty() {
            // What a crowd needed is not kept.
            inner.taken.shrink_to_fit();
            (inner.idle, inner.slow) = Default::default();
        }
        // Whoever is not the first to come asks again.
        inner.waiting.drain(..).for_each(Waker::wake);
    }
}
