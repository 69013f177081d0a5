//! Runs the tasks that have something to do, and lets the reactor wait when none has.
//!
//! A task is a conversation, a listener or the log: a future that is polled when its waker was called. Tasks run in the
//! order in which they were woken. The log's task is woken by the first line of a turn, when everybody who has
//! something to do in this turn is in the queue before it: so it runs last, and writes the lines of all of them at once.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use slab::Slab;

/// What a task is made of.
type BoxedFuture = Pin<Box<dyn Future<Output = ()>>>;

/// How many polls it takes until a turn looks at the clock.
const POLLS_IN_A_ROW: usize = 64;

/// How many polls are so few that to ask the reactor after each of them would cost more than it is worth.
const FEW: usize = 16;

/// The tasks, and the queue of those that have something to do.
#[derive(Default)]
pub struct Executor {
    tasks: RefCell<Slab<Task>>,
    queue: Arc<Queue>,
}

/// Keys of tasks, in the order in which they were woken. `Waker`s may be sent to other threads, so what they touch must
/// be able to; in a component there is one thread, and the lock is always free.
#[derive(Default)]
struct Queue(Mutex<VecDeque<usize>>);

struct Task {
    /// `None` while it runs.
    future: Option<BoxedFuture>,
    handle: Arc<Handle>,
}

/// What a task's waker holds.
struct Handle {
    key: usize,
    /// In the queue already: waking it twice is waking it once.
    queued: AtomicBool,
    queue: Arc<Queue>,
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
        if !self.queued.swap(true, Ordering::Relaxed) {
            self.queue.lock().push_back(self.key);
        }
    }
}

impl Executor {
    /// Starts `future` beside the others; it is polled for the first time when its turn comes.
    pub fn spawn(&self, future: impl Future<Output = ()> + 'static) {
        let mut tasks = self.tasks.borrow_mut();
        let entry = tasks.vacant_entry();
        let handle =
            Arc::new(Handle { key: entry.key(), queued: AtomicBool::new(false), queue: Arc::clone(&self.queue) });
        handle.wake_by_ref();
        entry.insert(Task { future: Some(Box::pin(future)), handle });
    }

    /// Polls the tasks in the queue, each once; if these are few, also some that they wake. More would keep out those who
    /// wait at the reactor: a busy peer wakes its own task after each reply, and could be served twice before one of them
    /// is heard. It ends before that when it `is_late`, which is asked now and then, so that thousands of busy ones do not
    /// keep out the clock. Says whether none is left.
    pub fn turn(&self, is_late: impl Fn() -> bool) -> bool {
        let most = self.queue.lock().len().max(FEW);
        for polls in 1..=most {
            let Some(key) = self.queue.lock().pop_front() else {
                return true;
            };
            self.poll(key);
            if polls % POLLS_IN_A_ROW == 0 && is_late() {
                break;
            }
        }
        self.queue.lock().is_empty()
    }

    fn poll(&self, key: usize) {
        // A task that has ended may have been woken before it did; another one may have its key by now, and does not
        // mind being asked once too often.
        let Some((mut future, handle)) = self.tasks.borrow_mut().get_mut(key).and_then(|task| {
            let future = task.future.take()?;
            Some((future, Arc::clone(&task.handle)))
        }) else {
            return;
        };
        handle.queued.store(false, Ordering::Relaxed);
        let waker = Waker::from(handle);
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Pending => self.tasks.borrow_mut()[key].future = Some(future),
            Poll::Ready(()) => {
                // What the future owns is dropped with it, and may want to wake or spawn others.
                drop(future);
                let task = self.tasks.borrow_mut().remove(key);
                drop(task);
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
    fn a_turn_ends_when_it_is_late_although_tasks_have_something_to_do() {
        let (executor, polls) = (Executor::default(), Rc::new(Cell::new(0)));
        for _ in 0..1000 {
            let polls = Rc::clone(&polls);
            executor.spawn(poll_fn(move |_| {
                polls.set(polls.get() + 1);
                Poll::Pending
            }));
        }
        assert!(!executor.turn(|| true));
        assert_eq!(polls.get(), POLLS_IN_A_ROW);
        assert!(executor.turn(|| false));
        assert_eq!(polls.get(), 1000);
    }
}
