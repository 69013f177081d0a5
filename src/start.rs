//! From the command line to a server that serves: options -> listeners -> serve. An error is printed once, with a hint.

use std::cell::Cell;
use std::future::pending;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use anyhow::Result;
use hello_server::options::{self, Command, HELP, Options, Place, UsageError};
use hello_server::server::log::{AccessLog, Unread};
use hello_server::server::{Event, Format, Observer, Runtime as _, Server, accept};
use hello_server::wasi::host::Wasi;
use hello_server::wasi::runtime::Runtime;
use hello_server::wasi::stdio::{Stdout, print, print_error, stdin_closed};
use hello_server::wasi::tcp::{ErrorCode, ListenError, Listener};

/// How often a free port is looked for that is free on both loopback addresses.
const PORT_TRIES: usize = 16;

/// How long the last lines of the log may take to be written, when the server stops.
const LAST_LINES: Duration = Duration::from_secs(1);

/// Runs, and says once what went wrong.
///
/// Exit codes as everywhere: 1 for a failure, 2 for a mistake in the command line. WASI 0.2 itself knows only "worked"
/// and "failed" (`wasi:cli/exit.exit`), so under `wasmtime run` both are 1; `runner/serve` makes it 2.
pub(crate) fn main() -> ExitCode {
    let Err(error) = run() else {
        return ExitCode::SUCCESS;
    };
    if error.is::<UsageError>() {
        print_error(&format!("hello-server: {error}; see --help\n"));
        return ExitCode::from(2);
    }
    print_error(&format!("hello-server: {error:#}\n"));
    if let Some(advice) = error.downcast_ref().map(advice) {
        print_error(&format!("  {advice}\n"));
    }
    ExitCode::FAILURE
}

/// Does what the command line asks for.
fn run() -> Result<()> {
    match options::parse(std::env::args_os().skip(1))? {
        Command::Serve(options) => serve(&options),
        Command::CheckOptions(options) => {
            print(&options.map_or_else(String::new, |options| options.needs()));
            Ok(())
        }
        Command::Help => {
            print(HELP);
            Ok(())
        }
        Command::Version => {
            print(concat!("hello-server ", env!("CARGO_PKG_VERSION"), "\n"));
            Ok(())
        }
    }
}

/// Listens where it is told to, says so, and serves until the end.
fn serve(options: &Options) -> Result<()> {
    let runtime = Runtime::new(Wasi);
    let listeners = listen(&runtime, options)?;
    announce(&listeners, options)?;

    let log = Rc::new(AccessLog::new(options.log));
    let served = Rc::new(Served::default());
    let observer = (Rc::clone(&log), (Rc::clone(&served), Complaints));
    let server = Server::new(runtime.clone(), observer, options.limits.clone());
    if options.log != Format::Off {
        let stdout = Stdout::new(runtime.reactor());
        let log = Rc::clone(&log);
        runtime.spawn(async move {
            if let Err(Unread) = log.run(stdout).await {
                print_error("hello-server: note: nobody reads the log any more; serving on without it\n");
            }
        });
    }
    for listener in listeners {
        runtime.spawn(accept::accept(Rc::clone(&server), listener));
    }
    let (waiting, options) = (runtime.clone(), options.clone());
    runtime.run(async move {
        if !options.stop_when_stdin_closes {
            return pending().await;
        }
        stdin_closed(waiting.reactor()).await;
        print("Shutting down...\n");
        let cut = server.stop(options.grace).await;
        log.finish(&waiting, LAST_LINES).await;
        if cut > 0 {
            let (calls, time) = (count(cut as u64, "call"), count(options.grace.as_secs(), "second"));
            print_error(&format!("hello-server: note: {calls} not done after {time}, and cut off\n"));
        }
        let (requests, calls) = (served.requests.get(), served.calls.get());
        print(&format!("Served {} in {}.\n", count(requests, "request"), count(calls, "call")));
    });
    // Whoever is cut off may have a write on its way: dropping that would wait for it (see `wasi/stream.rs`).
    std::mem::forget(runtime);
    Ok(())
}

/// Makes the listeners, all of them or none.
fn listen(runtime: &Runtime<Wasi>, options: &Options) -> Result<Vec<Listener>, ListenError> {
    let listen = |address| Listener::listen(runtime.reactor(), address, options.backlog);
    let port = match &options.place {
        Place::Addresses(addresses) => return addresses.iter().copied().map(listen).collect(),
        Place::Loopback { port } => *port,
    };
    let mut tries = 0;
    loop {
        tries += 1;
        let v4 = listen((Ipv4Addr::LOCALHOST, port).into())?;
        match listen((Ipv6Addr::LOCALHOST, v4.address()?.port()).into()) {
            Ok(v6) => return Ok(vec![v4, v6]),
            Err(error) if error.is_family_missing() => {
                print_error(&format!("hello-server: note: {error}, so only IPv4 callers are served\n"));
                return Ok(vec![v4]);
            }
            // A free port of the one address need not be free on the other.
            Err(error) if error.code == ErrorCode::AddressInUse && port == 0 && tries < PORT_TRIES => {}
            Err(error) => return Err(error),
        }
    }
}

/// Says where the server can be reached, now that it can be.
fn announce(listeners: &[Listener], options: &Options) -> Result<(), ListenError> {
    for listener in listeners {
        let address = listener.address()?;
        if let Place::Loopback { .. } = options.place {
            // One name for both.
            print(&format!("Access http://localhost:{}\n", address.port()));
            break;
        }
        print(&format!("Access http://{address}\n"));
    }
    Ok(())
}

/// What to do about an error.
fn advice(error: &ListenError) -> String {
    let (ip, port) = (error.address.ip(), error.address.port());
    match error.code {
        ErrorCode::AddressInUse => {
            let other = port.checked_add(1).unwrap_or(0);
            let option = match ip.is_loopback() {
                true => format!("--port {other}"),
                false => format!("--listen {}", SocketAddr::new(ip, other)),
            };
            format!("another program, perhaps this one, listens there; end it, or take another port with {option}")
        }
        ErrorCode::AccessDenied if (1..1024).contains(&port) => {
            "ports below 1024 belong to the administrator; take another one, such as --port 8080".into()
        }
        ErrorCode::AccessDenied => {
            format!("grant it: hello-runner --allow-listen {}, or wasmtime run -S inherit-network", error.address)
        }
        _ => "leave --listen out for localhost, or give an address of this machine; 0.0.0.0 is all of them".into(),
    }
}

/// Counts what was done.
#[derive(Default)]
struct Served {
    calls: Cell<u64>,
    requests: Cell<u64>,
}

impl Observer for Served {
    fn observe(&self, event: Event<'_>) {
        let counter = match event {
            Event::PickedUp => &self.calls,
            Event::Answered(_) => &self.requests,
            Event::AcceptFailed { .. } => return,
        };
        counter.set(counter.get() + 1);
    }
}

/// `1 call`, `2 calls`.
fn count(number: u64, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// Tells the operator, on standard error, what a log reader does not expect in the log.
struct Complaints;

impl Observer for Complaints {
    fn observe(&self, event: Event<'_>) {
        if let Event::AcceptFailed { cause } = event {
            print_error(&format!("hello-server: cannot pick up a call, trying on: {cause}\n"));
        }
    }
}
