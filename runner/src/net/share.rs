//! How instances share the connections to one listening socket: one that has more sockets than another leaves the next connection
//! to the others for a moment. Otherwise the first one that wakes would take a whole burst, and serve all those clients alone.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// The number of sockets of each instance.
#[derive(Debug, Clone, Default)]
pub(super) struct Counts(Arc<Mutex<Vec<Weak<AtomicUsize>>>>);

/// The number of sockets of one instance, among those of all.
#[derive(Debug)]
pub(super) struct Share {
    own: Arc<AtomicUsize>,
    all: Counts,
}

impl Counts {
    /// Adds the count of an instance, until the instance drops it.
    pub(super) fn add(&self, own: &Arc<AtomicUsize>) -> Share {
        let added = Arc::downgrade(own);
        let mut all = self.all();
        // An instance may listen on several addresses.
        all.retain(|count| count.strong_count() > 0 && !count.ptr_eq(&added));
        all.push(added);
        Share { own: Arc::clone(own), all: self.clone() }
    }

    fn all(&self) -> MutexGuard<'_, Vec<Weak<AtomicUsize>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Share {
    /// Whether another instance has fewer sockets.
    pub(super) fn is_larger(&self) -> bool {
        let own = self.own.load(Ordering::Relaxed);
        self.all.all().iter().filter_map(Weak::upgrade).any(|other| other.load(Ordering::Relaxed) < own)
    }
}
