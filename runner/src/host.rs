//! What a component finds: the state of one run on the side of the host, and the functions that a component can import.

use std::time::{Duration, SystemTime};

use hello_failure::Failure;
use wasmtime::Engine;
use wasmtime::component::{Component, HasData, InstancePre, Linker, ResourceTable};
use wasmtime_wasi::cli::{WasiCli, WasiCliView as _};
use wasmtime_wasi::clocks::{WasiClocks, WasiClocksView as _};
use wasmtime_wasi::p2::bindings::{CommandPre, cli, clocks, random, sockets, sync};
use wasmtime_wasi::random::{WasiRandom, WasiRandomView as _};
use wasmtime_wasi::sockets::{WasiSockets, WasiSocketsView as _};
use wasmtime_wasi::{HostWallClock, WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtxView, WasiHttpView};

use crate::component::{BUG, OFFER, OptionalImports};
use crate::grants::Guard;
use crate::http::{self, Http};
use crate::limits::Limits;
use crate::net::{self, Net, View};
use crate::refused;

/// The state of one run of a component.
pub(crate) struct Host {
    pub(crate) wasi: WasiCtx,
    pub(crate) table: ResourceTable,
    pub(crate) limits: Limits,
    pub(crate) guard: Guard,
    pub(crate) by_way: ByWay,
}

/// The part of the state that depends on the [`Command`].
#[expect(
    clippy::large_enum_variant,
    reason = "there is one for each instance, and each call of the component looks into it"
)]
pub(crate) enum ByWay {
    Waits(Net),
    IsPolled(Http),
}

impl Host {
    pub(crate) fn view(&mut self) -> View<'_> {
        match &mut self.by_way {
            ByWay::Waits(net) => View { net, table: &mut self.table },
            ByWay::IsPolled(_) => unreachable!("its linker has the sockets of wasmtime"),
        }
    }
}

impl WasiView for Host {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for Host {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        match &mut self.by_way {
            ByWay::IsPolled(http) => http.view(&mut self.table),
            ByWay::Waits(_) => unreachable!("its linker has no wasi:http"),
        }
    }
}

impl AsRef<Guard> for Host {
    fn as_ref(&self) -> &Guard {
        &self.guard
    }
}

/// The time of day. The clock of wasmtime panics while that of the system stands before 1970, for which WASI has no number;
/// this clock is 1970 then.
pub(crate) struct WallClock;

impl HostWallClock for WallClock {
    fn resolution(&self) -> Duration {
        Duration::from_nanos(1)
    }

    fn now(&self) -> Duration {
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
    }
}

/// A component that is linked with its imports, in one of two ways.
pub(crate) enum Command {
    /// With the sockets of this sandbox, whose calls wait themselves.
    Waits(sync::CommandPre<Host>),
    /// With those of wasmtime, whose calls are futures, because its `wasi:http` works with no others.
    IsPolled(CommandPre<Host>),
}

impl Command {
    /// Links `component`, whose file has this `name`.
    ///
    /// # Errors
    /// It needs something that the sandbox does not have, or is no program.
    pub(crate) fn link(
        engine: &Engine,
        component: &Component,
        name: &str,
        imports: &OptionalImports,
    ) -> Result<Self, Failure> {
        let mut linker = Linker::new(engine);
        let added = match imports.requests {
            true => add_with_requests(&mut linker),
            false => add(&mut linker),
        };
        let added = added.and_then(|()| refused::add_to_linker(&mut linker, component));
        added.map_err(|error| Failure::new(format!("the sandbox cannot be set up: {error:#}"), BUG))?;
        let linked: InstancePre<Host> = linker.instantiate_pre(component).map_err(|error| {
            Failure::new(format!("{name} needs something that this sandbox does not have: {error:#}"), OFFER)
        })?;
        let command = match imports.requests {
            true => CommandPre::new(linked).map(Command::IsPolled),
            false => sync::CommandPre::new(linked).map(Command::Waits),
        };
        command.map_err(|_| {
            Failure::new(
                format!("{name} has nothing to start: it does not export wasi:cli/run"),
                "build it as a program (with a main function), not as a library or for wasmtime serve",
            )
        })
    }
}

/// The offered part of WASI 0.2 without `wasi:http`.
fn add(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    net::add_to_linker(linker, Host::view)?;
    wasmtime_wasi_io::bindings::wasi::io::error::add_to_linker::<Host, Errors>(linker, |host| &mut host.table)?;
    // These interfaces neither wait nor have anything to wait for, so they are wasmtime's.
    clocks::wall_clock::add_to_linker::<Host, WasiClocks>(linker, Host::clocks)?;
    random::random::add_to_linker::<Host, WasiRandom>(linker, Host::random)?;
    random::insecure::add_to_linker::<Host, WasiRandom>(linker, Host::random)?;
    random::insecure_seed::add_to_linker::<Host, WasiRandom>(linker, Host::random)?;
    cli::environment::add_to_linker::<Host, WasiCli>(linker, Host::cli)?;
    cli::exit::add_to_linker::<Host, WasiCli>(linker, Host::cli)?;
    cli::terminal_input::add_to_linker::<Host, WasiCli>(linker, Host::cli)?;
    cli::terminal_output::add_to_linker::<Host, WasiCli>(linker, Host::cli)?;
    cli::terminal_stdin::add_to_linker::<Host, WasiCli>(linker, Host::cli)?;
    cli::terminal_stdout::add_to_linker::<Host, WasiCli>(linker, Host::cli)?;
    cli::terminal_stderr::add_to_linker::<Host, WasiCli>(linker, Host::cli)?;
    let options = sockets::network::LinkOptions::default();
    sockets::network::add_to_linker::<Host, WasiSockets>(linker, &options, Host::sockets)?;
    sockets::instance_network::add_to_linker::<Host, WasiSockets>(linker, Host::sockets)
}

/// The offered part of WASI 0.2 with `wasi:http`.
fn add_with_requests(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    wasmtime_wasi::p2::add_to_linker_async(linker)?;
    http::add_to_linker(linker)
}

/// The table, which has the errors of streams.
struct Errors;

impl HasData for Errors {
    type Data<'a> = &'a mut ResourceTable;
}
