//! An async runtime for WASI 0.2 that does not collapse under load: tasks, timers, and TCP over `wasi:io/poll`.
//!
//! [`block_on`] runs a future, [`spawn`] adds tasks, [`net`] has sockets, [`time`] has timers, [`io`] has the standard streams.
//! All of them work in a component only (`wasm32-wasip2`): elsewhere they compile, and panic. Their parts, [`Runtime`],
//! [`Stream`] and [`Listener`], also run natively, on a model of the host, and are tested there. With the feature `futures-io`,
//! a stream has the traits of that crate, so that the protocols of other libraries run on it; with the feature `hyper`, it has those
//! of hyper.
//!
//! # The behaviour of a host, and how this runtime handles it
//!
//! Measured on wasmtime 48, which runs a component inside one task of tokio.
//!
//! **A turn has a budget of 128.** tokio lets a task learn about 128 events a turn. When this budget is spent, `check-write`
//! returns 0 although the socket is writable, and `poll` names only some of the ready pollables: always the first ones. A runtime
//! that trusts such an answer lets the last ones starve. This runtime polls a timer that expired long ago: the timer is subject
//! to the budget like a socket, so if it is not ready, the budget is spent. Then the runtime completes the answer in pieces, and
//! asks about each piece until its answer is whole.
//!
//! **To ask about a pollable costs 0.27 microseconds, ready or not.** A runtime that asks about all pollables after each task is
//! quadratic: with a task for each connection, wstd 0.6 serves 10,800 requests a second on one connection, 1,200 on 64, and none
//! on 512. This runtime asks once a round, about all pollables that tasks wait for. Pollables that a task has waited for within
//! the last half second are hot: each question includes them. The others are cold: the runtime asks about them in turn, 256 at a
//! time, in a tenth of the time at most. If no pollable is active, one call that blocks asks about all.
//!
//! **To drop an output stream with a write in flight blocks the whole component**, until the peer reads or is gone. A [`Stream`]
//! may be dropped at any time: with a write in flight, a task of its own keeps it until the host can drop it.
//!
//! **An empty read is useful.** The host notices that a socket is empty only at a read, so a stream reads first and waits second.
//!
//! # Advice for servers
//!
//! * After a failed accept, wait a moment and try again. No such error is permanent, and a lack of file descriptors arrives as
//!   [`Other`](std::io::ErrorKind::Other), because WASI has no code for it.
//! * Write a response in one piece. WASI 0.2 has no `TCP_NODELAY`, and the second of two small writes waits up to 40 milliseconds.
//! * After the last response, read until the peer has finished, and close the connection then: a system that closes with bytes
//!   unread sends a reset, and the reset may overtake the response.
//! * Give each read and each write a [timeout](time::timeout). A stream whose write has timed out may just be dropped.
#![cfg_attr(not(feature = "model"), allow(rustdoc::broken_intra_doc_links))]

mod executor;
#[cfg(feature = "futures-io")]
mod futures_io;
mod host;
#[cfg(feature = "hyper")]
pub mod hyper;
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

mod component;
pub mod io;
pub mod net;
pub mod time;
mod wasi;

pub use crate::wasi::Wasi;
pub use component::{block_on, spawn};
pub use host::Host;
pub use listener::{Listener, ListeningSocket};
pub use runtime::Runtime;
pub use stream::{Socket, Stream};
pub use task::{Either, race, yield_now};
