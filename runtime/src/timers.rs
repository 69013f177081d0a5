//! The deadlines, in a heap: setting and clearing a deadline costs O(log n), and the earliest one is on top, the only one for
//! which the host wakes the program. A cleared deadline stays in the heap until it comes to the top, or until most of the heap
//! consists of such deadlines: most deadlines are cleared long before they pass.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::task::Waker;

use slab::Slab;

/// How many cleared deadlines may stay in the heap beyond the number of set ones.
const MOST_CLEARED: usize = 64;

/// The key of a deadline, to clear the deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    deadline: u64,
    /// The number of the key, which differs even if two keys have the same deadline or the same slot.
    number: u64,
    /// The slot of the waker.
    slot: usize,
}

/// All deadlines, in nanoseconds of the host's monotonic clock.
#[derive(Default)]
pub(crate) struct Timers {
    /// The keys, also of cleared deadlines; but the first key is that of a set deadline.
    queue: BinaryHeap<Reverse<Key>>,
    /// The wakers, each with the number of its key.
    wakers: Slab<(u64, Waker)>,
    numbers: u64,
}

impl Timers {
    /// Wakes `waker` once `deadline` has passed, unless the deadline is cleared before.
    pub(crate) fn set(&mut self, deadline: u64, waker: Waker) -> Key {
        self.numbers += 1;
        let key = Key { deadline, number: self.numbers, slot: self.wakers.insert((self.numbers, waker)) };
        self.queue.push(Reverse(key));
        key
    }

    /// Replaces the waker of a deadline, which is set again if it has passed.
    pub(crate) fn renew(&mut self, key: Key, waker: &Waker) -> Key {
        if !is_set(&self.wakers, &key) {
            return self.set(key.deadline, waker.clone());
        }
        self.wakers[key.slot].1.clone_from(waker);
        key
    }

    /// Clears a deadline, if it has not passed.
    pub(crate) fn clear(&mut self, key: Key) {
        if is_set(&self.wakers, &key) {
            self.wakers.remove(key.slot);
            self.tidy();
        }
    }

    /// The earliest deadline.
    pub(crate) fn earliest(&self) -> Option<u64> {
        self.queue.peek().map(|Reverse(key)| key.deadline)
    }

    /// Takes out the waker of one deadline that has passed.
    pub(crate) fn take_passed(&mut self, now: u64) -> Option<Waker> {
        let Reverse(key) = *self.queue.peek().filter(|Reverse(key)| key.deadline <= now)?;
        let (_, waker) = self.wakers.remove(key.slot);
        self.tidy();
        Some(waker)
    }

    /// How many deadlines are in the heap, including the cleared ones.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.queue.len()
    }

    /// Removes cleared deadlines from the top of the heap; and all cleared ones, if there are many.
    fn tidy(&mut self) {
        let Timers { queue, wakers, .. } = self;
        if queue.len() > 2 * wakers.len() + MOST_CLEARED {
            *queue = queue.drain().filter(|Reverse(key)| is_set(wakers, key)).collect();
        }
        while queue.peek().is_some_and(|Reverse(key)| !is_set(wakers, key)) {
            queue.pop();
        }
    }
}

fn is_set(wakers: &Slab<(u64, Waker)>, key: &Key) -> bool {
    wakers.get(key.slot).is_some_and(|(number, _)| *number == key.number)
}
