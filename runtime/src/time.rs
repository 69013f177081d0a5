//! Deadlines and timeouts.

use std::fmt;
use std::future::Future;
use std::ops::{Add, Sub};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use crate::timers::Key;
use crate::{Either, Runtime, race};

/// A moment on the monotonic clock of the host. The runtime reads the clock once a round, so the clock stands still while the
/// tasks of a round run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instant(Duration);

impl Instant {
    /// The present moment.
    pub fn now() -> Self {
        Instant(Runtime::current().now())
    }

    /// The time since this moment; zero if the moment is still to come.
    pub fn elapsed(self) -> Duration {
        Instant::now() - self
    }
}

impl Add<Duration> for Instant {
    type Output = Instant;

    fn add(self, duration: Duration) -> Instant {
        Instant(self.0.saturating_add(duration))
    }
}

impl Sub for Instant {
    type Output = Duration;

    fn sub(self, earlier: Instant) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

/// Waits for `duration`, which begins now.
pub fn sleep(duration: Duration) -> Sleep {
    sleep_until(Instant::now() + duration)
}

/// Waits until `deadline`.
pub fn sleep_until(deadline: Instant) -> Sleep {
    Sleep { deadline, key: None }
}

/// The future of [`sleep`] and [`sleep_until`].
///
/// It holds no part of the runtime, so it is `Send`, as frameworks require of the futures of their users, although a component has
/// one thread.
#[derive(Debug)]
#[must_use = "a future does nothing unless it is awaited"]
pub struct Sleep {
    deadline: Instant,
    /// The key of the deadline, once it was set.
    key: Option<Key>,
}

impl Sleep {
    /// Waits until another `deadline` instead.
    pub fn reset(&mut self, deadline: Instant) {
        self.clear();
        self.deadline = deadline;
    }

    fn clear(&mut self) {
        if let Some(key) = self.key.take() {
            Runtime::current().reactor().clear_deadline(key);
        }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let deadline = nanoseconds(self.deadline.0);
        Runtime::current().reactor().poll_deadline(deadline, &mut self.key, context)
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.clear();
    }
}

/// A moment as the reactor counts it. 584 years of nanoseconds fit; a later moment never comes.
pub(crate) fn nanoseconds(moment: Duration) -> u64 {
    u64::try_from(moment.as_nanos()).unwrap_or(u64::MAX)
}

/// The error of a [`timeout`] that has passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Elapsed;

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the timeout has passed")
    }
}

impl std::error::Error for Elapsed {}

/// Waits for `future`, but no longer than `duration`. A future that takes too long is dropped.
///
/// # Errors
/// The future took too long.
pub async fn timeout<F: Future>(duration: Duration, future: F) -> Result<F::Output, Elapsed> {
    match race(pin!(future), pin!(sleep(duration))).await {
        Either::First(output) => Ok(output),
        Either::Second(()) => Err(Elapsed),
    }
}
