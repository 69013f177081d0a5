//! Who wants to be woken when: an ordered map, so that setting and clearing a deadline costs O(log n), and the earliest
//! one, for which alone the host is asked to ring, is at hand.

use std::collections::BTreeMap;
use std::task::Waker;

/// A deadline that was set, to clear it with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    deadline: u64,
    /// Tells two with the same deadline apart.
    number: u64,
}

/// All deadlines, in nanoseconds of the host's monotonic clock.
#[derive(Debug, Default)]
pub struct Timers {
    wakers: BTreeMap<Key, Waker>,
    numbers: u64,
}

impl Timers {
    /// Wakes `waker` once `deadline` has passed, unless it is cleared before.
    pub fn set(&mut self, deadline: u64, waker: Waker) -> Key {
        self.numbers += 1;
        let key = Key { deadline, number: self.numbers };
        self.wakers.insert(key, waker);
        key
    }

    /// The same deadline, for a waker that may be another one.
    pub fn renew(&mut self, key: Key, waker: &Waker) -> Key {
        match self.wakers.get_mut(&key) {
            Some(old) => old.clone_from(waker),
            None => _ = self.wakers.insert(key, waker.clone()),
        }
        key
    }

    /// Takes a deadline back, if it has not passed.
    pub fn clear(&mut self, key: Key) {
        self.wakers.remove(&key);
    }

    /// The earliest deadline.
    pub fn earliest(&self) -> Option<u64> {
        self.wakers.first_key_value().map(|(key, _)| key.deadline)
    }

    /// Takes the waker of one deadline that has passed.
    pub fn take_passed(&mut self, now: u64) -> Option<Waker> {
        let first = self.wakers.first_entry()?;
        (first.key().deadline <= now).then(|| first.remove())
    }
}
