//! The only room that touches WASI.
//!
//! | file | what it is |
//! |---|---|
//! | [`reactor`] | waits for many things at once, over the one call that WASI 0.2 has for that: `wasi:io/poll` |
//! | `heat` | whom the host is asked about, and when |
//! | [`executor`] | runs the tasks that have something to do |
//! | [`timers`] | who wants to be woken when |
//! | [`runtime`] | reactor and executor together: what the server runs on |
//! | [`host`] | what the reactor needs of the host: `poll`, and two clocks |
//! | [`stream`] | one connection: how the calls of a socket are used |
//! | `tcp` | the telephone: create, bind, listen, accept, read, write, shut down |
//! | `stdio` | standard output and error |
//!
//! All but the last two know the host only as the traits [`host::Host`] and [`stream::Socket`], so that they are tested
//! natively against a model of it; those two exist only inside a component.

pub mod executor;
mod heat;
pub mod host;
pub mod reactor;
pub mod runtime;
pub mod stream;
pub mod timers;

#[cfg(test)]
pub(crate) mod model;
#[cfg(test)]
mod schedules;
#[cfg(test)]
mod tests;

#[cfg(target_family = "wasm")]
pub mod stdio;
#[cfg(target_family = "wasm")]
pub mod tcp;
