//! From the command line to a server that serves: options -> listeners -> serve. An error is printed once, with a hint.

use std::cell::Cell;
use std::future::pending;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use hello_failure::{Failure, escape, lines, report};
use hello_server::http::Fault;
use hello_server::observers::explain::Explainer;
use hello_server::observers::lines::{Lines, SinkError};
use hello_server::observers::log::{AccessLog, Format};
use hello_server::observers::wire::Wire;
use hello_server::options::{self, Color, Command, HELP, Options, Place, UsageError};
use hello_server::server::{Event, Observer, Runtime as _, Server, accept};
use hello_server::wasi::host::Wasi;
use hello_server::wasi::runtime::Runtime;
use hello_server::wasi::stdio::{Output, Stdin, print, print_error, stdout_is_terminal};
use hello_server::wasi::tcp::{ErrorCode, ListenError, Listener};

/// How often a free port is looked for that is free on both loopback addresses.
const PORT_TRIES: usize = 16;

/// How long the last lines of the log may take to be written, when the server stops.
const LAST_LINES: Duration = Duration::from_millis(500);

/// Runs, and says once what went wrong.
///
/// The exit code is 1 for a failure and 2 for a mistake in the command line. Rust's standard library calls `wasi:cli/exit.exit`,
/// which knows only success and failure, so under `wasmtime run` both are 1; `runner/serve` makes it 2.
pub(crate) fn main() -> ExitCode {
    // The hook of Rust's standard library advises to set an environment variable, and the sandbox has no environment.
    std::panic::set_hook(Box::new(|panic| {
        let told: Vec<String> = panic.to_string().lines().map(escape).collect();
        print_error(&format!("hello-server: {}\n", told.join("\n")));
    }));
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let report = report("hello-server", &error);
            print_error(&report.text);
            ExitCode::from(report.code)
        }
    }
}

/// Does what the command line asks for.
fn run() -> anyhow::Result<()> {
    let see_help = |error: UsageError| Failure::usage(format!("{error}; see --help"), "");
    match options::parse(std::env::args_os().skip(1)).map_err(see_help)? {
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
fn serve(options: &Options) -> anyhow::Result<()> {
    let runtime = Runtime::new(Wasi);
    let lines = Rc::new(Lines::new(options.log.loss()));
    let notes = Rc::new(Lines::new(Format::Common.loss()));
    let observers = observers(&runtime, options, &lines);
    let served = Rc::new(Served::default());
    let complaints = Complaints { notes: Rc::clone(&notes), runtime: runtime.clone(), calm_from: Cell::default() };
    let observer = Rc::new((Rc::clone(&served), (complaints, observers)));

    let listeners = listen(&runtime, options, &observer);
    // What has led to this is told before it, even if that was a failure.
    print(&lines.take());
    let listeners = listeners.map_err(|error| with_advice(error, &options.place))?;
    // Whoever reads that it serves may tell it to stop.
    let stdin = options.stop_when_stdin_closes.then(|| Stdin::new(runtime.reactor()));
    announce(&listeners, options).map_err(|error| with_advice(error, &options.place))?;

    let server = Server::new(runtime.clone(), observer, options.limits.clone());
    // From here on nothing is printed but by these two: whoever does not read keeps nobody waiting.
    let (stdout, stderr) = (Output::stdout(runtime.reactor()), Output::stderr(runtime.reactor()));
    let (log, trouble) = (Rc::clone(&lines), Rc::clone(&notes));
    runtime.spawn(async move {
        let note = |error| match error {
            SinkError::Closed => "nobody reads the log any more; serving on without it",
            SinkError::Failed => "the log cannot be written (is the disk full?); serving on, and lines of it are lost",
        };
        log.run(stdout, |error| trouble.say(&format!("hello-server: note: {}\n", note(error)))).await;
    });
    let complaints = Rc::clone(&notes);
    // When standard error does not take them either, there is nobody to tell.
    runtime.spawn(async move { complaints.run(stderr, |_| {}).await });
    for listener in listeners {
        runtime.spawn(accept::accept(Rc::clone(&server), listener));
    }
    let (waiting, options) = (runtime.clone(), options.clone());
    runtime.run(async move {
        let Some(stdin) = stdin else {
            return pending().await;
        };
        stdin.closed().await;
        lines.say("Shutting down...\n");
        let cut = server.stop(options.grace).await;
        if cut > 0 {
            let (calls, time) = (count(cut as u64, "call"), count(options.grace.as_secs(), "second"));
            notes.say(&format!("hello-server: note: {calls} not done after {time}, and cut off\n"));
        }
        let (requests, calls) = (served.requests.get(), served.calls.get());
        lines.say(&format!("Served {} in {}.\n", count(requests, "request"), count(calls, "call")));
        let end = waiting.now() + LAST_LINES;
        lines.finish(&waiting, end).await;
        notes.finish(&waiting, end).await;
    });
    // Whoever is cut off may have a write on its way: dropping that would wait for it (see `wasi/stream.rs`).
    std::mem::forget(runtime);
    Ok(())
}

/// Those who tell what happens, as far as somebody wants to know. The line that explains something comes before its bytes,
/// and the line of the log behind both.
fn observers(runtime: &Runtime<Wasi>, options: &Options, lines: &Rc<Lines>) -> Vec<Box<dyn Observer>> {
    let mut observers: Vec<Box<dyn Observer>> = Vec::new();
    if options.explain {
        observers.push(Box::new(Explainer::new(lines)));
    }
    if options.show_bytes {
        let color = match options.color {
            Color::Auto => stdout_is_terminal() && wants_color(),
            Color::Always => true,
            Color::Never => false,
        };
        observers.push(Box::new(Wire::new(lines, runtime.clone(), color)));
    }
    if options.log != Format::Off {
        observers.push(Box::new(AccessLog::new(options.log, lines)));
    }
    observers
}

/// Whether the environment, as far as the sandbox shows it, leaves it to us to use colours.
fn wants_color() -> bool {
    let is_set = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    !is_set && std::env::var_os("TERM").is_none_or(|terminal| terminal != "dumb")
}

/// Makes the listeners, all of them or none.
fn listen(runtime: &Runtime<Wasi>, options: &Options, observer: &impl Observer) -> Result<Vec<Listener>, ListenError> {
    let listen = |address| Listener::listen(runtime.reactor(), address, options.backlog, observer);
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
                print_error(&lines("hello-server: note", &format!("{error}, so only IPv4 clients are served"), ""));
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
        print(&format!("Access {}\n", options.place.url(listener.address()?)));
        if let Place::Loopback { .. } = options.place {
            // The other listener has the same name.
            break;
        }
    }
    Ok(())
}

/// The error, and what to do about it in a line of its own, for a server that was to listen at `place`.
fn with_advice(error: ListenError, place: &Place) -> Failure {
    let port = error.address.port();
    let advice = match error.code {
        ErrorCode::AddressInUse => format!(
            "end the program that listens there, perhaps another copy of this one, or take another port with {}",
            place.with_another_port(error.address)
        ),
        ErrorCode::AccessDenied if (1..1024).contains(&port) => {
            "ports below 1024 belong to the administrator; take another one, such as --port 8080".into()
        }
        // Windows keeps whole ranges of ports from programs.
        ErrorCode::AccessDenied => format!(
            "grant it: hello-runner --allow-listen {}, or wasmtime run -S inherit-network; if that is granted already, take another port",
            error.address
        ),
        ErrorCode::NewSocketLimit | ErrorCode::OutOfMemory | ErrorCode::Unknown => {
            "the system may have no file descriptor or no memory left: raise its limits (ulimit -n shows one)".into()
        }
        _ => place.advice().into(),
    };
    Failure::new(error.to_string(), advice)
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
            Event::PickedUp(_) => &self.calls,
            Event::Answered(_) => &self.requests,
            _ => return,
        };
        counter.set(counter.get() + 1);
    }
}

/// `1 call`, `2 calls`.
fn count(number: u64, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// How long nobody has to have spoken TLS until it is worth a word again.
const CALM: Duration = Duration::from_secs(60);

/// Tells the operator, on standard error, what a log reader does not expect in the log.
struct Complaints {
    notes: Rc<Lines>,
    runtime: Runtime<Wasi>,
    /// When TLS is worth a word again.
    calm_from: Cell<Duration>,
}

impl Observer for Complaints {
    fn observe(&self, event: Event<'_>) {
        match event {
            Event::AcceptFailed { cause } => {
                self.notes.say(&format!("hello-server: cannot pick up a call, trying on: {cause}\n"));
            }
            Event::Answered(exchange) if exchange.fault == Some(Fault::Tls) => {
                let now = self.runtime.now();
                if now >= self.calm_from.replace(now + CALM) {
                    self.notes.say(&format!(
                        "hello-server: note: {} speaks TLS, as for https://, and this server only plain HTTP; type http://\n",
                        exchange.caller.address
                    ));
                }
            }
            _ => {}
        }
    }
}
