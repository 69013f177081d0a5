//! The host, as the runtime needs it: one call that waits, and two clocks.

use std::fmt;
use std::time::SystemTime;

/// The host: WASI 0.2 ([`Wasi`](crate::Wasi)), or a [model](crate::model) of it in a test.
pub trait Host: fmt::Debug + 'static {
    /// A pollable of this host: an event to wait for.
    type Pollable: fmt::Debug;

    /// Waits until at least one of `pollables` is ready; the list must not be empty. Returns the indices of ready pollables: at
    /// least one, and perhaps not all (see [the crate](crate)).
    fn poll(&self, pollables: &[&Self::Pollable]) -> Vec<u32>;

    /// Whether the host reports `pollable` as ready. Does not wait.
    fn is_ready(&self, pollable: &Self::Pollable) -> bool;

    /// The monotonic clock, in nanoseconds.
    fn now(&self) -> u64;

    /// A pollable that becomes ready after `nanoseconds`, and stays ready.
    fn alarm(&self, nanoseconds: u64) -> Self::Pollable;

    /// The time of day.
    fn wall_clock(&self) -> SystemTime;
}
