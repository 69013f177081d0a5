//! Deadlines and timeouts.

use std::fmt;
use std::future::Future;
use std::ops::{Add, Sub};
use std::pin::pin;
use std::time::Duration;

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

/// Waits for `duration`.
pub async fn sleep(duration: Duration) {
    sleep_until(Instant::now() + duration).await;
}

/// Waits until `deadline`.
pub async fn sleep_until(deadline: Instant) {
    Runtime::current().sleep_until(deadline.0).await;
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
