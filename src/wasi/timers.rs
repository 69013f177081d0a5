//! Who wants to be woken when: a heap, so that setting and clearing a deadline costs O(log n), and the earliest one, for
//! which alone the host is asked to ring, is at hand. One that is cleared stays in the heap until it comes to the top, or
//! until most of the heap are such: most deadlines are cleared long before they pass.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::task::Waker;

use slab::Slab;

/// How many that were cleared may stay besides as many as are set.
const LEFTOVERS: usize = 64;

/// A deadline that was set, to clear it with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    deadline: u64,
    /// Tells two with the same deadline, or in the same slot, apart.
    number: u64,
    /// Where its waker is.
    slot: usize,
}

/// All deadlines, in nanoseconds of the host's monotonic clock.
#[derive(Debug, Default)]
pub struct Timers {
    /// The first is one that is set.
    queue: BinaryHeap<Reverse<Key>>,
    /// With the numbers of their keys.
    wakers: Slab<(u64, Waker)>,
    numbers: u64,
}

impl Timers {
    /// Wakes `waker` once `deadline` has passed, unless it is cleared before.
    pub fn set(&mut self, deadline: u64, waker: Waker) -> Key {
        self.numbers += 1;
        let key = Key { deadline, number: self.numbers, slot: self.wakers.insert((self.numbers, waker)) };
        self.queue.push(Reverse(key));
        key
    }

    /// The same deadline, for a waker that may be another one.
    pub fn renew(&mut self, key: Key, waker: &Waker) -> Key {
        match self.wakers.get_mut(key.slot) {
            Some((number, old)) if *number == key.number => {
                old.clone_from(waker);
                key
            }
            _ => self.set(key.deadline, waker.clone()),
        }
    }

    /// Takes a deadline back, if it has not passed.
    pub fn clear(&mut self, key: Key) {
        if is_set(&self.wakers, &key) {
            self.wakers.remove(key.slot);
            self.tidy();
        }
    }

    /// The earliest deadline.
    pub fn earliest(&self) -> Option<u64> {
        self.queue.peek().map(|Reverse(key)| key.deadline)
    }

    /// Takes the waker of one deadline that has passed.
    pub fn take_passed(&mut self, now: u64) -> Option<Waker> {
        let Reverse(key) = *self.queue.peek().filter(|Reverse(key)| key.deadline <= now)?;
        let (_, waker) = self.wakers.remove(key.slot);
        self.tidy();
        Some(waker)
    }

    /// How many there are, with those that were cleared.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// Removes those that were cleared from the top, and all of them if there are many.
    fn tidy(&mut self) {
        let Timers { queue, wakers, .. } = self;
        if queue.len() > 2 * wakers.len() + LEFTOVERS {
            queue.retain(|Reverse(key)| is_set(wakers, key));
        }
        while queue.peek().is_some_and(|Reverse(key)| !is_set(wakers, key)) {
            queue.pop();
        }
    }
}

fn is_set(wakers: &Slab<(u64, Waker)>, key: &Key) -> bool {
    wakers.get(key.slot).is_some_and(|(number, _)| *number == key.number)
}
