//! The turns of one instance of a component: the times in which its code runs, from one wait to the next. Its thread counts them; the
//! watch looks at them, and can end the instance.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::Poll;
use std::time::Duration;

use mio::Waker;
use tokio::sync::Notify;

use crate::stdio::wake;

/// The reason for which the sandbox ended a component.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// This signal, because the component does not read standard input, whose end would ask it to stop.
    Signal(i32),
    /// The component was asked to stop in the middle of a turn, and that turn did not end.
    StuckInTurn,
    /// A turn took longer than this time.
    Turn(Duration),
    /// The component was asked to stop, and this time has passed.
    Grace(Duration),
}

/// What an instance shares with the watch. A new instance has new ones.
#[derive(Default)]
pub(crate) struct Turns {
    /// Counts the begin and the end of each turn: odd while code of the component runs, even while it waits.
    count: AtomicU64,
    has_listened: AtomicBool,
    end: OnceLock<End>,
    ended: Notify,
    /// Wakes the instance where it waits, if it does so without a future.
    waker: Mutex<Option<Arc<Waker>>>,
}

impl Turns {
    /// Lets the component `run` until it ends, or the watch ends it. Returns its output, if there is one (a trap, if the watch
    /// ended its code in the middle of a turn), and the reason if the watch ended it.
    pub(crate) async fn over<T>(&self, run: impl Future<Output = T>) -> (Option<T>, Option<End>) {
        let mut run = pin!(run);
        let mut ended = pin!(self.ended.notified());
        let output = poll_fn(|context| {
            // A component that was ended gets no further turn: it might never end.
            if ended.as_mut().poll(context).is_ready() {
                return Poll::Ready(None);
            }
            self.count.fetch_add(1, Ordering::Relaxed);
            let polled = run.as_mut().poll(context);
            self.count.fetch_add(1, Ordering::Relaxed);
            polled.map(Some)
        })
        .await;
        (output, self.end.get().copied())
    }

    /// Lets the component `run`, which returns when it ends, or when it next waits after the watch has ended it. Returns its output,
    /// and the reason if the watch ended it.
    pub(crate) fn over_turns<T>(&self, run: impl FnOnce() -> T) -> (T, Option<End>) {
        self.count.fetch_add(1, Ordering::Relaxed);
        let output = run();
        self.count.fetch_add(1, Ordering::Relaxed);
        (output, self.end.get().copied())
    }

    /// Lets the component `wait`: one turn ends here, and the next one begins.
    pub(crate) fn pause<T>(&self, wait: impl FnOnce() -> T) -> T {
        self.count.fetch_add(1, Ordering::Relaxed);
        let output = wait();
        self.count.fetch_add(1, Ordering::Relaxed);
        output
    }

    /// Whether the watch has ended the component, so that it gets no further turn: it might never end.
    pub(crate) fn has_ended(&self) -> bool {
        self.end.get().is_some()
    }

    /// Sets what wakes the component where it waits.
    pub(crate) fn wake_by(&self, waker: &Arc<Waker>) {
        *self.waker.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(waker));
    }

    pub(crate) fn wake(&self) {
        if let Some(waker) = &*self.waker.lock().unwrap_or_else(PoisonError::into_inner) {
            wake(waker);
        }
    }

    /// The number of the turn that is under way, if one is.
    pub(crate) fn current(&self) -> Option<u64> {
        let count = self.count.load(Ordering::Relaxed);
        (count % 2 == 1).then_some(count)
    }

    /// Whether the instance has begun a turn.
    pub(crate) fn have_begun(&self) -> bool {
        self.count.load(Ordering::Relaxed) > 0
    }

    /// Notes that the instance listens.
    pub(crate) fn note_listening(&self) {
        self.has_listened.store(true, Ordering::Relaxed);
    }

    /// Whether the instance has come so far that it listened.
    pub(crate) fn has_listened(&self) -> bool {
        self.has_listened.load(Ordering::Relaxed)
    }

    /// Ends the instance where it next waits; only the first reason counts.
    pub(crate) fn end(&self, end: End) {
        if self.end.set(end).is_ok() {
            self.ended.notify_one();
            self.wake();
        }
    }
}

/// Counts the looks in a row that have found the same turn under way.
#[derive(Default)]
pub(crate) struct SameTurn {
    turn: Option<u64>,
    times: u32,
}

impl SameTurn {
    /// Counts one look, which has found `turn`. Returns the number of looks in a row that have.
    pub(crate) fn found(&mut self, turn: Option<u64>) -> u32 {
        self.times = match turn {
            Some(_) if turn == self.turn => self.times + 1,
            Some(_) => 1,
            None => 0,
        };
        self.turn = turn;
        self.times
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_turn_that_is_found_again_and_again_is_long() {
        let mut looks = SameTurn::default();
        let found = [Some(1), Some(1), None, Some(3), Some(3), Some(3), Some(5)].map(|turn| looks.found(turn));
        assert_eq!(found, [1, 2, 0, 1, 2, 3, 1]);
    }
}
