//! An async runtime for WASI 0.2 that does not collapse under load.
#![cfg_attr(not(target_family = "wasm"), allow(rustdoc::broken_intra_doc_links))]

mod executor;
mod host;
mod listener;
mod poll_set;
mod reactor;
mod runtime;
mod stream;
mod task;
mod timers;

#[cfg(any(test, feature = "model"))]
pub mod model;
#[cfg(test)]
mod schedules;
#[cfg(test)]
mod tests;

#[cfg(target_family = "wasm")]
mod component;
#[cfg(target_family = "wasm")]
pub mod io;
#[cfg(target_family = "wasm")]
pub mod net;
#[cfg(target_family = "wasm")]
pub mod time;
#[cfg(target_family = "wasm")]
mod wasi;

#[cfg(target_family = "wasm")]
pub(crate) use component::current;
#[cfg(target_family = "wasm")]
pub use component::{block_on, spawn};
pub use host::Host;
pub use listener::{Listener, ListeningSocket};
pub use runtime::Runtime;
pub use stream::{Socket, Stream};
pub use task::{Either, race, yield_now};
#[cfg(target_family = "wasm")]
pub use wasi::Wasi;
