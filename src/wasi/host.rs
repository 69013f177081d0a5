//! The host, as far as the reactor needs it: one call that waits, and the two clocks.

use std::fmt;
use std::time::SystemTime;

/// What the reactor needs of the host: WASI 0.2 (`Wasi`), or a model of it in a test.
pub trait Host {
    /// Something that can be waited for.
    type Pollable: fmt::Debug;

    /// Waits until at least one of `pollables` (there is at least one) is ready, and says which are, by their index: at
    /// least one of those that are, and perhaps not all ([`super::reactor`] is about that).
    fn poll(&self, pollables: &[&Self::Pollable]) -> Vec<u32>;

    /// Whether `pollable` is ready, as far as the host says; without waiting.
    fn is_ready(&self, pollable: &Self::Pollable) -> bool;

    /// The monotonic clock, in nanoseconds.
    fn now(&self) -> u64;

    /// A pollable that is ready once so many nanoseconds have passed, and from then on.
    fn alarm(&self, nanoseconds: u64) -> Self::Pollable;

    /// The time of day.
    fn wall_clock(&self) -> SystemTime;
}

/// The host that this component runs in, by `wasi:io/poll` and `wasi:clocks`
/// (<https://github.com/WebAssembly/wasi-io>, <https://github.com/WebAssembly/wasi-clocks>).
#[cfg(target_family = "wasm")]
#[derive(Debug, Clone, Copy)]
pub struct Wasi;

#[cfg(target_family = "wasm")]
impl Host for Wasi {
    type Pollable = ::wasi::io::poll::Pollable;

    fn poll(&self, pollables: &[&Self::Pollable]) -> Vec<u32> {
        ::wasi::io::poll::poll(pollables)
    }

    fn is_ready(&self, pollable: &Self::Pollable) -> bool {
        pollable.ready()
    }

    fn now(&self) -> u64 {
        ::wasi::clocks::monotonic_clock::now()
    }

    fn alarm(&self, nanoseconds: u64) -> Self::Pollable {
        ::wasi::clocks::monotonic_clock::subscribe_duration(nanoseconds)
    }

    fn wall_clock(&self) -> SystemTime {
        let now = ::wasi::clocks::wall_clock::now();
        SystemTime::UNIX_EPOCH + std::time::Duration::new(now.seconds, now.nanoseconds)
    }
}
