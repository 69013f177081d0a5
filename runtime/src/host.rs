//! What the runtime needs of its host: one call that waits, and two clocks.

use std::fmt;
use std::time::SystemTime;

/// The host: WASI 0.2 ([`Wasi`](crate::Wasi)), or a [model](crate::model) of it in a test.
pub trait Host: fmt::Debug + 'static {
    /// Something that can be waited for.
    type Pollable: fmt::Debug;

    /// Waits until at least one of `pollables`, of which there is at least one, is ready. Returns the indices of pollables that
    /// are ready: at least one, and perhaps not all; [`Runtime`](crate::Runtime) says why.
    fn poll(&self, pollables: &[&Self::Pollable]) -> Vec<u32>;

    /// Whether `pollable` is ready, as far as the host says. Does not wait.
    fn is_ready(&self, pollable: &Self::Pollable) -> bool;

    /// The monotonic clock, in nanoseconds.
    fn now(&self) -> u64;

    /// A pollable that becomes ready after so many nanoseconds, and stays ready.
    fn alarm(&self, nanoseconds: u64) -> Self::Pollable;

    /// The time of day.
    fn wall_clock(&self) -> SystemTime;
}
