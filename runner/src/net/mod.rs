//! The sockets of a component, and everything that it can wait for: the part of WASI 0.2 that this sandbox implements itself
//! (`wit/host.wit`), synchronously, over sockets that never block.
//!
//! | file | contents |
//! |---|---|
//! | `readiness` | which sockets are ready; the only place that asks the system |
//! | `listener` | one socket that listens: the connections that it accepts |
//! | `connection` | one connection: its bytes, and its two ends |
//! | `sockets` | a TCP socket: how far it has come, and the addresses that it takes |
//! | `listeners` | sockets that listen for longer than one run of a component |
//! | `share` | how instances share the connections to such a socket |
//! | `systemd` | the sockets that systemd hands over |
//! | `states` | bind, listen, connect and accept, behind the grants |
//! | `options` | the options of sockets |
//! | `tcp` | the functions of `wasi:sockets/tcp` |
//! | `streams` | `wasi:io/streams` |
//! | `standard` | the standard streams |
//! | `pollables` | `wasi:io/poll`: the only place in which the component waits |
//! | `clocks` | `wasi:clocks/monotonic-clock` |

// The bindings export the types of the resources.
#![expect(unreachable_pub, reason = "bindgen! makes public aliases of public types only")]

mod clocks;
mod connection;
mod listener;
mod listeners;
mod options;
mod pollables;
mod readiness;
#[cfg(all(target_os = "linux", any(test, feature = "fuzzing")))]
pub(crate) mod sequences;
mod share;
mod sockets;
mod standard;
mod states;
mod streams;
mod systemd;
mod tcp;
#[cfg(test)]
mod tests;

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use wasmtime::component::{HasData, Linker, ResourceTable};

use crate::grants::{Grants, Guard};
use crate::stdio::{OutputHandle, Stdin};
use crate::turns::Turns;

pub(crate) use listeners::Listeners;
pub use pollables::Pollable;
pub use sockets::TcpSocket;
pub use streams::{InputStream, OutputStream};

/// What `bindgen!` makes of `wit/host.wit`. Errors, addresses and networks are those of wasmtime-wasi, with their conversions.
mod bindings {
    wasmtime::component::bindgen!({
        path: "wit/host.wit",
        world: "hello:runner/host",
        imports: { default: trappable },
        trappable_error_type: {
            "wasi:io/streams.stream-error" => wasmtime_wasi::p2::StreamError,
            "wasi:sockets/network.error-code" => wasmtime_wasi::p2::SocketError,
        },
        with: {
            "wasi:io/error": wasmtime_wasi_io::bindings::wasi::io::error,
            "wasi:io/poll.pollable": crate::net::Pollable,
            "wasi:io/streams.input-stream": crate::net::InputStream,
            "wasi:io/streams.output-stream": crate::net::OutputStream,
            "wasi:sockets/network": wasmtime_wasi::p2::bindings::sockets::network,
            "wasi:sockets/tcp.tcp-socket": crate::net::TcpSocket,
        },
        require_store_data_send: true,
    });
}

/// The time that unsent bytes have when the component has ended.
const LAST_BYTES: Duration = Duration::from_secs(1);

/// The sandbox has ended the component, which waited.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ended;

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the sandbox has ended the component")
    }
}

impl std::error::Error for Ended {}

/// The state of the host for one run of a component, beside the table of its handles.
pub(crate) struct Net {
    readiness: readiness::Readiness,
    listeners: Arc<Listeners>,
    loans: listeners::Loans,
    grants: Grants,
    guard: Guard,
    turns: Arc<Turns>,
    stdin: Stdin,
    stdout: OutputHandle,
    stderr: OutputHandle,
    /// The begin of the clock.
    started: Instant,
    /// Room for what a read finds.
    room: Vec<u8>,
    /// What the component asked about last. Each list has its own length, so a new one for each would scatter the memory.
    asked: Vec<Pollable>,
}

impl Net {
    /// The host of a component with these `grants`, which shares the `listeners` with other hosts.
    ///
    /// # Errors
    /// The system has no descriptor left.
    pub(crate) fn new(
        grants: &Grants,
        guard: &Guard,
        turns: &Arc<Turns>,
        stdin: Stdin,
        listeners: &Arc<Listeners>,
        stdout: OutputHandle,
        stderr: OutputHandle,
    ) -> io::Result<Self> {
        let readiness = readiness::Readiness::new()?;
        turns.wake_by(readiness.waker());
        Ok(Net {
            readiness,
            listeners: Arc::clone(listeners),
            loans: Vec::new(),
            grants: grants.clone(),
            guard: guard.clone(),
            turns: Arc::clone(turns),
            stdin,
            stdout,
            stderr,
            started: Instant::now(),
            room: vec![0; connection::MOST_BYTES],
            asked: Vec::new(),
        })
    }

    /// Sends what the component has left unsent, for a second at most.
    pub(crate) fn finish(&mut self) {
        self.readiness.finish(LAST_BYTES);
    }
}

/// The host as the functions of the contract see it.
pub(crate) struct View<'a> {
    pub(crate) net: &'a mut Net,
    pub(crate) table: &'a mut ResourceTable,
}

impl HasData for Net {
    type Data<'a> = View<'a>;
}

/// Adds the interfaces of `wit/host.wit` to `linker`.
pub(crate) fn add_to_linker<T: Send + 'static>(
    linker: &mut Linker<T>,
    view: for<'a> fn(&'a mut T) -> View<'a>,
) -> wasmtime::Result<()> {
    use bindings::wasi::{cli, clocks, io, sockets};
    io::poll::add_to_linker::<T, Net>(linker, view)?;
    io::streams::add_to_linker::<T, Net>(linker, view)?;
    clocks::monotonic_clock::add_to_linker::<T, Net>(linker, view)?;
    cli::stdin::add_to_linker::<T, Net>(linker, view)?;
    cli::stdout::add_to_linker::<T, Net>(linker, view)?;
    cli::stderr::add_to_linker::<T, Net>(linker, view)?;
    sockets::tcp::add_to_linker::<T, Net>(linker, view)?;
    sockets::tcp_create_socket::add_to_linker::<T, Net>(linker, view)
}
