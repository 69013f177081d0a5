//! From the command line to a server that serves: options -> listeners -> serve. An error is printed once, with a hint.

use std::future::pending;
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use hello_failure::{escape, lines, place, report};
use hello_runtime::io::{Input, print, print_error, stderr, stdin, stdout, stdout_is_terminal};
use hello_runtime::net::{TcpListener, TcpSocket};
use hello_runtime::{Runtime, Wasi, block_on, spawn};
use hello_server::advice::ListenError;
use hello_server::events::{Event, Observer};
use hello_server::observers::bytes::ShowBytes;
use hello_server::observers::count;
use hello_server::observers::events::{self, EventLog};
use hello_server::observers::explain::Explainer;
use hello_server::observers::lines::{Lines, lost_note};
use hello_server::observers::log::{AccessLog, Format};
use hello_server::observers::notes::{Counter, Notes};
use hello_server::options::{self, Color, Command, HELP, ListenOn, Options};
use hello_server::server::{Server, accept};

use crate::page::{Page, Take};

/// How many free ports are tried until one is free on both loopback addresses.
const PORT_TRIES: usize = 16;

/// How many bytes the system keeps for a connection, in each direction: bytes that the peer has not read yet, and bytes from the
/// peer that the server has not read yet. Without a limit the system keeps several MiB for a connection that is fast at first,
/// and ten thousand peers could open such connections. Default is 64 KiB, and there is no option for it.
const SOCKET_BUFFER: u32 = 64 * 1024;

/// How many bytes of standard input are read at a time.
const INPUT: usize = 4096;

/// How long the server may take to write the last lines of the log when it stops.
const LAST_LINES: Duration = Duration::from_millis(500);

/// Runs the program, and prints a failure once.
///
/// The exit code is 1 for a failure and 2 for a mistake in the command line. Under `wasmtime run` both are 1, because Rust's standard
/// library calls `wasi:cli/exit.exit`, which knows only success and failure. (WASI has `exit-with-code` since 0.2.12.) `runner/serve`
/// makes it 2 again.
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

/// Runs the command of the command line.
fn run() -> anyhow::Result<()> {
    match options::parse(std::env::args_os().skip(1))? {
        Command::Serve(options) => serve(&options)?,
        Command::CheckOptions(options) => print(&options.map_or_else(String::new, |options| options.needs())),
        Command::Help => print(HELP),
        Command::Version => print(concat!("hello-server ", env!("CARGO_PKG_VERSION"), "\n")),
    }
    Ok(())
}

/// Listens as the options say, prints the URL, and serves until the end.
fn serve(options: &Options) -> anyhow::Result<()> {
    let runtime = Runtime::current();
    let lines = Rc::new(match options.events {
        true => Lines::new(events::loss(runtime.clone())),
        false => Lines::new(options.log.loss()),
    });
    let notes = Rc::new(Lines::new(Format::Common.loss()));
    let counter = Rc::new(Counter::default());
    let mut observers = observers(&runtime, options, &lines);
    observers.push(Box::new(Rc::clone(&counter)));
    observers.push(Box::new(Notes::new(&notes, runtime.clone())));

    let mut page = Page::new(options, &runtime);
    page.observe(&mut observers, &runtime);

    let listeners = listen(options, &observers);
    // The lines of the events so far come first, even if listening has failed.
    print(&lines.take());
    let listeners = listeners.map_err(|error| error.failure(&options.listen_on))?;
    // A program that reads the URL may end standard input at once.
    let mut stdin = options.stop_when_stdin_closes.then(stdin);
    let mut take = page.input();
    // Read standard input at once, so that the host knows from now on that its end will be noticed. If the input is at its end,
    // the next read finds the end, too.
    stdin.as_mut().map(|stdin| is_open(stdin, &mut take));
    page.listen(options, listeners[0].1)?;
    announce(&listeners, options);
    page.announce();

    let server = Server::new(runtime.clone(), observers, options.limits.clone());
    // From here on only these two tasks print: a reader that does not read delays no connection.
    let (stdout, stderr) = (stdout(), stderr());
    let (log, trouble) = (Rc::clone(&lines), Rc::clone(&notes));
    spawn(async move {
        log.run(stdout, &|error| trouble.say(lost_note(error))).await;
    });
    let complaints = Rc::clone(&notes);
    // There is no other output for errors of standard error.
    spawn(async move { complaints.run(stderr, &|_| {}).await });
    for (listener, _) in listeners {
        spawn(accept::serve(Rc::clone(&server), listener));
    }
    page.serve(&runtime, &server);
    let (waiting, options) = (runtime.clone(), options.clone());
    block_on(async move {
        let Some(stdin) = stdin else {
            return pending().await;
        };
        end_of(stdin, take).await;
        lines.say("Shutting down...\n");
        page.close();
        let cut = server.stop(options.grace).await;
        if cut > 0 {
            let (calls, time) = (count(cut as u64, "call"), count(options.grace.as_secs(), "second"));
            notes.say(&format!("hello-server: note: {calls} not done after {time}, and cut off\n"));
        }
        lines.say(&counter.summary());
        let end = waiting.now() + LAST_LINES;
        lines.finish(&waiting, end).await;
        notes.finish(&waiting, end).await;
    });
    Ok(())
}

/// Waits for the end of standard input: a pipe that is closed, Ctrl-D in a terminal, or a host that ends it.
async fn end_of(mut stdin: Input, mut take: Take) {
    while is_open(&mut stdin, &mut take) {
        // Also wait after bytes have come: an input without an end must not keep out the other tasks.
        stdin.ready().await;
    }
}

/// Whether standard input is still open. Passes on the bytes that have come.
fn is_open(stdin: &mut Input, take: &mut Take) -> bool {
    match stdin.try_read(INPUT) {
        Ok(Some(bytes)) => {
            take(&bytes);
            !bytes.is_empty()
        }
        Ok(None) => true,
        Err(_) => false,
    }
}

/// The observers that the options ask for. For each event the explanation comes first, then its bytes, then the line of
/// JSON, then the line of the log.
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
        observers.push(Box::new(ShowBytes::new(lines, runtime.clone(), color)));
    }
    if options.events {
        observers.push(Box::new(EventLog::new(lines, runtime.clone())));
    }
    if options.log != Format::Off {
        observers.push(Box::new(AccessLog::new(options.log, lines)));
    }
    observers
}

/// Whether the environment, as far as the sandbox shows it, allows colours.
fn wants_color() -> bool {
    let is_set = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    !is_set && std::env::var_os("TERM").is_none_or(|terminal| terminal != "dumb")
}

/// A listener, and its address with the real port.
pub(crate) type Listening = (TcpListener, SocketAddr);

/// Makes the listeners, all of them or none.
fn listen(options: &Options, observer: &impl Observer) -> Result<Vec<Listening>, ListenError> {
    let listen =
        |address| listen_on(address, options.backlog, observer).map_err(|error| ListenError { address, error });
    let port = match &options.listen_on {
        ListenOn::Addresses(addresses) => return addresses.iter().copied().map(listen).collect(),
        ListenOn::Loopback { port } => *port,
    };
    let mut tries = 0;
    loop {
        tries += 1;
        let v4 = listen((Ipv4Addr::LOCALHOST, port).into())?;
        match listen((Ipv6Addr::LOCALHOST, v4.1.port()).into()) {
            Ok(v6) => return Ok(vec![v4, v6]),
            Err(error) if error.is_family_missing() => {
                print_error(&lines("hello-server: note", &format!("{error}, so only IPv4 clients are served"), ""));
                return Ok(vec![v4]);
            }
            // A port that is free on one address need not be free on the other.
            Err(error) if error.error.kind() == ErrorKind::AddrInUse && port == 0 && tries < PORT_TRIES => {}
            Err(error) => return Err(error),
        }
    }
}

/// Listens on an address, and reports each step.
pub(crate) fn listen_on(address: SocketAddr, backlog: u32, observer: &impl Observer) -> io::Result<Listening> {
    let socket = TcpSocket::for_address(address)?;
    observer.observe(Event::SocketCreated(address));
    socket.bind(address)?;
    let address = socket.local_addr()?;
    observer.observe(Event::Bound(address));
    // The connections inherit this size. If the host cannot set it, the system chooses one.
    let _ = socket.set_send_buffer_size(SOCKET_BUFFER);
    let _ = socket.set_recv_buffer_size(SOCKET_BUFFER);
    let listener = socket.listen(backlog)?;
    observer.observe(Event::Listening { address, backlog });
    Ok((listener, address))
}

/// Prints the URL of the server, now that it can be reached.
fn announce(listeners: &[Listening], options: &Options) {
    // Both loopback addresses have the same name.
    let names = if options.listen_on.by_port() { 1 } else { listeners.len() };
    for (_, address) in &listeners[..names] {
        print(&format!("Access {}\n", place::url(*address, options.listen_on.by_port())));
    }
}
