//! Polls the tasks that were woken, in the order in which they were woken.
//!
//! A program can rely on that order: a task that is woken by the first event of a round (a log by its first line, say) runs
//! after all tasks that were in the queue by then, and sees the results of all of them.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use slab::Slab;

pub(crate) type BoxedFuture = Pin<Box<dyn Future<Output = ()>>>;

/// After how many polls a turn reads the clock.
const POLLS_PER_LOOK: usize = 64;

/// How many polls a turn has at least. To ask the reactor after fewer would cost more than the polls.
const LEAST_POLLS: usize = 16;

/// The tasks, and the queue of those that were woken.
#[derive(Default)]
pub(crate) struct Executor {
    tasks: RefCell<Slab<Task>>,
    queue: Queue,
}

/// Keys of tasks, in the order in which they were woken. A `Waker` may be sent to another thread, so its data must be `Send`;
/// a component has one thread, and the lock is always free.
#[derive(Default)]
struct Queue(Mutex<VecDeque<usize>>);

struct Task {
    /// `None` while the task runs.
    future: Option<BoxedFuture>,
    handle: Arc<Handle>,
}

/// The data behind the waker of a task.
struct Handle {
    key: usize,
    /// Whether the task is in the queue: a second wake has no effect.
    is_queued: AtomicBool,
    queue: &'static Queue,
}

impl Queue {
    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for Handle {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.is_queued.swap(true, Ordering::Relaxed) {
            self.queue.lock().push_back(self.key);
        }
    }
}

impl Executor {
    /// Adds a task, which is polled for the first time when its turn comes.
    pub(crate) fn spawn(&'static self, future: BoxedFuture) {
        let mut tasks = self.tasks.borrow_mut();
        let entry = tasks.vacant_entry();
        let handle = Arc::new(Handle { key: entry.key(), is_queued: AtomicBool::new(false), queue: &self.queue });
        handle.wake_by_ref();
        entry.insert(Task { future: Some(future), handle });
    }

    /// Polls each task in the queue once; if these are few, also some that they wake. More polls would delay the tasks that wait
    /// at the reactor: a busy connection wakes its own task after each response, and could be served twice while another one
    /// waits. A turn ends early when it `is_late`, so that thousands of busy tasks do not delay the deadlines. Returns whether
    /// the queue is empty.
    pub(crate) fn turn(&self, is_late: impl Fn() -> bool) -> bool {
        let most = self.queue.lock().len().max(LEAST_POLLS);
        for polls in 1..=most {
            let Some(key) = self.queue.lock().pop_front() else { return true };
            self.poll(key);
            if polls % POLLS_PER_LOOK == 0 && is_late() {
                break;
            }
        }
        self.queue.lock().is_empty()
    }

    fn poll(&self, key: usize) {
        // A task may have been woken before it ended. If another task has its key by now, that task is polled once too often.
        let task = |task: &mut Task| Some((task.future.take()?, Arc::clone(&task.handle)));
        let task = self.tasks.borrow_mut().get_mut(key).and_then(task);
        let Some((mut future, handle)) = task else { return };
        handle.is_queued.store(false, Ordering::Relaxed);
        let waker = Waker::from(handle);
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Pending => self.tasks.borrow_mut()[key].future = Some(future),
            Poll::Ready(()) => {
                // The drop of a future may wake or spawn tasks.
                drop(future);
                self.tasks.borrow_mut().remove(key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::future::poll_fn;
    use std::rc::Rc;

    use super::*;

    #[test]
    fn a_turn_ends_when_it_is_late_although_tasks_are_queued() {
        let (executor, polls) = (Box::leak(Box::<Executor>::default()), Rc::new(Cell::new(0)));
        for _ in 0..1000 {
            let polls = Rc::clone(&polls);
            executor.spawn(Box::pin(poll_fn(move |_| {
                polls.set(polls.get() + 1);
                Poll::Pending
            })));
        }
        assert!(!executor.turn(|| true));
        assert_eq!(polls.get(), POLLS_PER_LOOK);
        assert!(executor.turn(|| false));
        assert_eq!(polls.get(), 1000);
    }
}
